//! Log files of one service: written line by line with their times, bounded in number and size.
//!
//! `000001.log`, `000002.log`, …: a file that is full is followed by the next and the oldest is
//! removed, so that a position (number, offset) keeps its meaning for as long as the line is there.
//! A line is `2026-01-31T12:00:00.123Z o the text`, with `o` for stdout, `e` for stderr and `r`
//! for what the keeper says.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{runtime::Stream, store::private};

/// A line that is longer is cut in two.
pub(super) const LONGEST_LINE: usize = 16 * 1024;

/// Numbers of the files that there are, oldest first.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.log"))
}

pub(super) fn letter(stream: Stream) -> char {
    match stream {
        Stream::Out => 'o',
        Stream::Error => 'e',
        Stream::Runtime => 'r',
    }
}

/// Writes the lines of one service.
pub(super) struct LogWriter {
    folder: PathBuf,
    file: File,
    number: u64,
    size: u64,
    largest: u64,
    kept: u64,
    /// What came of each stream since its last line end.
    open: [Vec<u8>; 2],
    /// Lines that could not be written, and why.
    lost: u64,
    reason: String,
}

impl LogWriter {
    pub(super) fn open(folder: &Path, largest: u64, kept: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let number = numbers(folder)?.last().copied().unwrap_or(1);
        let (file, size) = append(&path(folder, number))?;
        let mut writer = Self {
            folder: folder.to_owned(),
            file,
            number,
            size,
            largest: largest.max(1),
            kept: kept.max(1),
            open: [Vec::new(), Vec::new()],
            lost: 0,
            reason: String::new(),
        };
        writer.end_a_torn_line()?;
        Ok(writer)
    }

    /// A keeper that was killed may have left half a line.
    fn end_a_torn_line(&mut self) -> io::Result<()> {
        let text = fs::read(path(&self.folder, self.number))?;
        if text.last().is_some_and(|last| *last != b'\n') {
            self.file.write_all(b"\n")?;
            self.size += 1;
        }
        Ok(())
    }

    /// Takes what a stream gave; whole lines are written.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        let place = usize::from(stream == Stream::Error);
        let mut lines = Vec::new();
        for byte in bytes {
            let open = &mut self.open[place];
            if *byte == b'\n' || open.len() >= LONGEST_LINE {
                lines.push(std::mem::take(open));
            }
            if *byte != b'\n' {
                self.open[place].push(*byte);
            }
        }
        self.write(stream, &lines, now);
    }

    /// Writes what has no line end yet: the process is gone, or the line has waited long.
    pub(super) fn flush(&mut self, now: Timestamp) {
        for stream in [Stream::Out, Stream::Error] {
            let place = usize::from(stream == Stream::Error);
            if !self.open[place].is_empty() {
                let line = std::mem::take(&mut self.open[place]);
                self.write(stream, &[line], now);
            }
        }
    }

    /// A line of the keeper's own.
    pub(super) fn say(&mut self, text: &str, now: Timestamp) {
        self.write(Stream::Runtime, &[text.as_bytes().to_vec()], now);
    }

    fn write(&mut self, stream: Stream, lines: &[Vec<u8>], now: Timestamp) {
        if lines.is_empty() {
            return;
        }
        let mut text = String::new();
        if self.lost > 0 {
            let lost = format!("{} lines were lost: {}", self.lost, self.reason);
            text += &line(Stream::Runtime, lost.as_bytes(), now);
        }
        for bytes in lines {
            text += &line(stream, bytes, now);
        }
        match self.append(text.as_bytes()) {
            Ok(()) => self.lost = 0,
            Err(error) => {
                self.lost += lines.len() as u64;
                self.reason = error.to_string();
            }
        }
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + text.len() as u64 > self.largest {
            let (file, size) = append(&path(&self.folder, self.number + 1))?;
            self.number += 1;
            self.file = file;
            self.size = size;
            for old in numbers(&self.folder)? {
                if old + self.kept <= self.number {
                    fs::remove_file(path(&self.folder, old))?;
                }
            }
        }
        self.file.write_all(text)?;
        self.size += text.len() as u64;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = private::file_to_append(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn line(stream: Stream, bytes: &[u8], now: Timestamp) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    // A carriage return would look like a line end to some readers.
    let text = text.replace('\r', " ");
    format!("{now:.3} {} {text}\n", letter(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = LogWriter::open(folder.path(), 200, 3).expect("a folder");
        for number in 0..100 {
            writer.take(
                Stream::Out,
                format!("line {number}\n").as_bytes(),
                Timestamp::UNIX_EPOCH,
            );
        }
        let numbers = numbers(folder.path()).expect("a folder");
        assert_eq!(numbers.len(), 3);
        let last = fs::read_to_string(path(folder.path(), numbers[2])).expect("a file");
        assert!(
            last.ends_with("1970-01-01T00:00:00.000Z o line 99\n"),
            "{last}"
        );
        for number in numbers {
            let size = fs::metadata(path(folder.path(), number))
                .expect("a file")
                .len();
            assert!(size <= 200, "{size}");
        }
    }

    #[test]
    fn pieces_become_lines_and_half_lines_are_not_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::UNIX_EPOCH;
        let mut writer = LogWriter::open(folder.path(), 1 << 20, 2).expect("a folder");
        writer.take(Stream::Out, b"one ", now);
        writer.take(Stream::Error, b"other\r\n", now);
        writer.take(Stream::Out, b"line\nopen", now);
        writer.take(Stream::Out, &[b'x'; LONGEST_LINE], now);
        writer.flush(now);
        drop(writer);
        let text = fs::read_to_string(path(folder.path(), 1)).expect("a file");
        let lines: Vec<&str> = text.lines().map(|line| &line[25..]).collect();
        assert_eq!(lines[..2], ["e other", "o one line"]);
        assert_eq!(lines[2].len(), 2 + LONGEST_LINE);
        assert_eq!(lines[3], "o xxxx");
    }
}
