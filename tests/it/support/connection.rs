//! One connection to an HTTP server that is kept, as clients keep theirs.

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a message to `/mcp` and reads the answer to its end: its status and its body.
    pub fn ask(&mut self, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.send(body, body.len())?;
        self.receive()
    }

    /// Sends a POST that announces so many bytes.
    pub fn send(&mut self, body: &[u8], length: usize) -> Result<()> {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())
    }

    pub fn receive(&mut self) -> Result<(u16, Vec<u8>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, first))?;
        let mut length = Some(0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(announced) = line.strip_prefix("content-length:") {
                length = announced.trim().parse().ok();
            } else if line.starts_with("transfer-encoding:") {
                length = None;
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.read(length, &mut body)?,
            None => loop {
                let size = usize::from_str_radix(&self.line()?, 16);
                let size = size.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
                self.read(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok((status, body))
    }

    fn read(&mut self, length: usize, into: &mut Vec<u8>) -> Result<()> {
        let begin = into.len();
        into.resize(begin + length, 0);
        self.stream.read_exact(&mut into[begin..])
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
