//! Digests as text.

use sha2::{Digest as _, Sha256};

/// Bytes in hexadecimal digits, small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a text, in 64 hexadecimal digits.
pub fn sha256(text: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(text))
}

/// The first digits of it, as many as tell apart what there is of one kind: a name, no proof.
pub fn short(text: impl AsRef<[u8]>, digits: usize) -> String {
    let mut whole = sha256(text);
    whole.truncate(digits);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_as_others_write_it() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), abc);
        assert_eq!(short("abc", 12), "ba7816bf8f01");
    }
}
