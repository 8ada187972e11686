//! Fully qualified names: quoting, parts, and the hash that OpenMetadata's search documents carry.

use md5::{Digest, Md5};

use crate::digest;

/// The parts of a name, quotes taken away: `a."b.c".d` is `a`, `b.c`, `d`.
///
/// Follows OpenMetadata's `FullyQualifiedName.split`: a part that holds a dot or a quote is
/// quoted, a quote inside is doubled.
pub fn parts(fqn: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut is_quoted = false;
    let mut characters = fqn.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                part.push('"');
                characters.next();
            }
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    parts.push(part);
    parts
}

/// One part as it stands in a name: quoted where it has to be.
pub fn quoted(part: &str) -> String {
    if part.contains(['.', '"']) {
        format!("\"{}\"", part.replace('"', "\"\""))
    } else {
        part.to_owned()
    }
}

/// A name from its parts.
pub fn joined<S: AsRef<str>>(parts: &[S]) -> String {
    parts
        .iter()
        .map(|part| quoted(part.as_ref()))
        .collect::<Vec<_>>()
        .join(".")
}

/// The name without its last part; none for a name of one part.
pub fn parent(fqn: &str) -> Option<String> {
    let parts = parts(fqn);
    (parts.len() > 1).then(|| joined(&parts[..parts.len() - 1]))
}

/// `fqnHash` as in the search documents: the MD5 of each part (quoted as in the name), joined
/// with dots.
pub fn hash(fqn: &str) -> String {
    parts(fqn)
        .iter()
        .map(|part| digest::hex(&Md5::digest(quoted(part).as_bytes())))
        .collect::<Vec<_>>()
        .join(".")
}

/// Percent-encoded for one segment of a path: dots stay, slashes, quotes and spaces do not.
pub fn path_segment(fqn: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(fqn, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_dots_do_not_part_a_name() {
        assert_eq!(parts("a.\"b.c\".d"), ["a", "b.c", "d"]);
        assert_eq!(
            joined(&["a", "b.c", "say \"x\""]),
            "a.\"b.c\".\"say \"\"x\"\"\""
        );
        assert_eq!(
            parent("pg.db.core.\"votes.2025\"").as_deref(),
            Some("pg.db.core")
        );
    }

    #[test]
    fn hashes_as_the_server_does() {
        // Recorded: lineage-by-search/bills-up-2, s3.raw-dumps.
        assert_eq!(
            hash("s3.raw-dumps"),
            "c0828e0381730befd1f7a025057c74fb.feb782c31ffca3e44859cba5204d4f96"
        );
    }
}
