//! The few frames of AMQP 0-9-1 that a handshake needs, written and read.
//!
//! Source: AMQP 0-9-1 specification, sections 4.2 (framing) and 4.2.5 (data fields), with
//! RabbitMQ's signed types.

/// The header that a client begins with.
pub(super) const HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// Ends a frame.
const FRAME_END: u8 = 0xCE;

/// Class `connection`.
const CONNECTION: u16 = 10;

/// Frames of a handshake are short; the largest hold the server's properties.
pub(super) const LONGEST_FRAME: usize = 128 * 1024;

/// What a server says during a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// With product and version.
    Start {
        product: Option<String>,
        version: Option<String>,
    },
    /// Channels, bytes of a frame, seconds between heartbeats.
    Tune(u16, u32, u16),
    OpenOk,
    /// Code and text.
    Close(u16, String),
    Other,
}

/// A reader that never reads past its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn short(&mut self) -> Option<u16> {
        self.number(2).map(|number| number as u16)
    }

    fn short_string(&mut self) -> Option<String> {
        let length = self.number(1)? as usize;
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn long_string(&mut self) -> Option<&'a [u8]> {
        let length = self.number(4)? as usize;
        self.take(length)
    }

    /// Strings of a table by name; other values are passed over.
    fn table(&mut self) -> Option<Vec<(String, String)>> {
        let mut inner = Reader(self.long_string()?);
        let mut strings = Vec::new();
        while !inner.0.is_empty() {
            let name = inner.short_string()?;
            match inner.take(1)? {
                b"S" | b"x" => {
                    let text = String::from_utf8_lossy(inner.long_string()?).into_owned();
                    strings.push((name, text));
                }
                b"F" | b"A" => {
                    inner.long_string()?;
                }
                b"t" | b"b" | b"B" => {
                    inner.take(1)?;
                }
                b"s" | b"u" | b"U" => {
                    inner.take(2)?;
                }
                b"I" | b"i" | b"f" => {
                    inner.take(4)?;
                }
                b"l" | b"L" | b"d" | b"T" => {
                    inner.take(8)?;
                }
                b"D" => {
                    inner.take(5)?;
                }
                b"V" => {}
                _ => return None,
            }
        }
        Some(strings)
    }
}

/// Kind and length of the payload of a frame, from its first seven bytes.
pub(super) fn frame_head(head: [u8; 7]) -> Option<(u8, usize)> {
    let [kind, _, _, length @ ..] = head;
    let length = u32::from_be_bytes(length) as usize;
    // Method, header, body, heartbeat.
    (matches!(kind, 1..=3 | 8) && length <= LONGEST_FRAME).then_some((kind, length))
}

/// The payload of a method frame with the byte that ends it.
pub(super) fn said(payload: &[u8]) -> Option<Said> {
    let (end, payload) = payload.split_last()?;
    if *end != FRAME_END {
        return None;
    }
    let mut reader = Reader(payload);
    let class = reader.short()?;
    let method = reader.short()?;
    Some(match (class, method) {
        (CONNECTION, 10) => {
            reader.take(2)?;
            let properties = reader.table()?;
            let property = |wanted: &str| {
                let mut all = properties.iter();
                all.find(|(name, _)| name == wanted)
                    .map(|(_, value)| value.clone())
            };
            Said::Start {
                product: property("product"),
                version: property("version"),
            }
        }
        (CONNECTION, 30) => Said::Tune(reader.short()?, reader.number(4)? as u32, reader.short()?),
        (CONNECTION, 41) => Said::OpenOk,
        (CONNECTION, 50) => Said::Close(reader.short()?, reader.short_string()?),
        _ => Said::Other,
    })
}

/// A method of class `connection` on channel 0.
fn method(number: u16, arguments: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0];
    frame.extend((arguments.len() as u32 + 4).to_be_bytes());
    frame.extend(CONNECTION.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.extend(arguments);
    frame.push(FRAME_END);
    frame
}

fn short_string(into: &mut Vec<u8>, text: &str) {
    // Names longer than this do not exist: a virtual host has at most 255 bytes.
    let text = text.as_bytes().get(..255).unwrap_or(text.as_bytes());
    into.push(text.len() as u8);
    into.extend(text);
}

fn long_string(into: &mut Vec<u8>, text: &[u8]) {
    into.extend((text.len() as u32).to_be_bytes());
    into.extend(text);
}

/// Start-Ok by user and password. RabbitMQ tells why it refuses only a client that says it would
/// understand (`authentication_failure_close`).
pub(super) fn start_ok(user: &str, password: &str) -> Vec<u8> {
    let mut capabilities = Vec::new();
    short_string(&mut capabilities, "authentication_failure_close");
    capabilities.extend(b"t\x01");
    let mut properties = Vec::new();
    short_string(&mut properties, "product");
    properties.push(b'S');
    long_string(&mut properties, b"openpolicy-mcp");
    short_string(&mut properties, "capabilities");
    properties.push(b'F');
    long_string(&mut properties, &capabilities);
    let mut arguments = Vec::new();
    long_string(&mut arguments, &properties);
    short_string(&mut arguments, "PLAIN");
    long_string(&mut arguments, format!("\0{user}\0{password}").as_bytes());
    short_string(&mut arguments, "en_US");
    method(11, &arguments)
}

pub(super) fn tune_ok(channels: u16, frame: u32, heartbeat: u16) -> Vec<u8> {
    let mut arguments = channels.to_be_bytes().to_vec();
    arguments.extend(frame.to_be_bytes());
    arguments.extend(heartbeat.to_be_bytes());
    method(31, &arguments)
}

pub(super) fn open(virtual_host: &str) -> Vec<u8> {
    let mut arguments = Vec::new();
    short_string(&mut arguments, virtual_host);
    // Two reserved fields.
    arguments.extend([0, 0]);
    method(40, &arguments)
}

/// A friendly end: 200, and no method that caused it.
pub(super) fn close() -> Vec<u8> {
    let mut arguments = 200_u16.to_be_bytes().to_vec();
    short_string(&mut arguments, "done");
    arguments.extend([0, 0, 0, 0]);
    method(50, &arguments)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_a_fault(payload: Vec<u8>) {
            let _ = said(&payload);
            let mut framed = vec![0, 10, 0, 10, 0, 9];
            framed.extend(payload);
            framed.push(FRAME_END);
            let _ = said(&framed);
        }
    }

    #[test]
    fn a_frame_says_its_length() {
        let frame = close();
        let head: [u8; 7] = frame[..7].try_into().expect("seven bytes");
        assert_eq!(frame_head(head), Some((1, frame.len() - 8)));
        assert_eq!(said(&frame[7..]), Some(Said::Close(200, "done".into())));
        assert_eq!(frame_head(*b"HTTP/1."), None);
    }
}
