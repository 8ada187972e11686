//! What is wrong with a file: where, what, and what would be right.

use std::{fmt, path::PathBuf};

/// A place in one of the files that make a platform. Line and column count from 1; 0 is 'nowhere
/// in particular'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    pub file: FileId,
    pub line: u32,
    pub column: u32,
}

/// Which of the files that were read: a position in `Files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

impl FileId {
    /// The platform file itself.
    pub const PLATFORM: Self = Self(0);
}

/// The files that were read, the platform file first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<PathBuf>);

impl Files {
    /// Notes a file and answers how places name it.
    pub fn add(&mut self, path: PathBuf) -> FileId {
        self.0.push(path);
        FileId(u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX))
    }

    pub fn path(&self, file: FileId) -> Option<&PathBuf> {
        self.0.get(file.0 as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter()
    }

    /// `platform.yaml:12:5`, as terminals and editors make it a link.
    pub fn show(&self, place: Place) -> String {
        let path = self
            .path(place.file)
            .map_or_else(|| "?".to_owned(), |path| path.display().to_string());
        if place.line == 0 {
            path
        } else {
            format!("{path}:{}:{}", place.line, place.column)
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// What was found and why it cannot be.
    pub wrong: String,
    /// What would be right; empty where the first sentence says it.
    pub right: String,
}

impl Problem {
    pub fn new(place: Place, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            place,
            wrong: wrong.into(),
            right: right.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.wrong)?;
        if !self.right.is_empty() {
            write!(formatter, "; {}", self.right)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a platform file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub files: Files,
    /// In the order of the files.
    pub problems: Vec<Problem>,
}

impl Problems {
    pub fn new(files: Files, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        problems.dedup();
        Self { files, problems }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    /// One line a problem, and how many there are where all are not shown.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A screen; what follows is mostly the consequence of what stands before.
        const SHOWN: usize = 50;
        for (position, problem) in self.problems.iter().take(SHOWN).enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{}: {problem}", self.files.show(problem.place))?;
        }
        let rest = self.problems.len().saturating_sub(SHOWN);
        if rest > 0 {
            write!(formatter, "\n… and {rest} more")?;
        }
        Ok(())
    }
}

/// Text of a file as a message shows it: one line, without what does not show, cut.
pub fn quoted(text: &str) -> String {
    /// Characters; a longer name is recognised by its beginning.
    const SHOWN: usize = 60;
    let mut shown: String = text
        .chars()
        .map(|character| {
            let is_hidden = character.is_control()
                || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
                    | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}');
            if is_hidden { ' ' } else { character }
        })
        .take(SHOWN + 1)
        .collect();
    if shown.chars().count() > SHOWN {
        shown = shown.chars().take(SHOWN).collect();
        shown.push('…');
    }
    format!("`{shown}`")
}
