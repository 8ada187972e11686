//! The passphrase with which a person decides in production: its hash, kept outside the workspace
//! and the state folder.
//!
//! The hash is PBKDF2-HMAC-SHA256 with as many rounds as OWASP's password storage cheat sheet asks
//! for. It keeps an agent that reads files from learning the passphrase; whoever may write to the
//! user's own configuration folder can replace it, and no file of that user protects against that.

use std::{
    fs,
    io::{self, Write as _},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use aws_lc_rs::{pbkdf2, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use secrecy::{ExposeSecret as _, SecretString};

use crate::store::private;

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
/// The first word of the file.
const NAME: &str = "pbkdf2-sha256";
const ROUNDS: u32 = 600_000;
/// A file may ask for at most so many.
const MOST_ROUNDS: u32 = 20_000_000;
/// Bytes of the hash and of the salt.
const HASH: usize = 32;
const SALT: usize = 16;
/// Characters.
pub(super) const SHORTEST: usize = 10;

/// Why a passphrase cannot be kept or compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassphraseError {
    #[error("there is no home folder to keep it in: set XDG_CONFIG_HOME or HOME")]
    NoPlace,
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(
        "{} is readable or writable for others: it counts for nothing until `chmod 600` and a look \
         at who wrote it",
        .0.display()
    )]
    Open(PathBuf),
    #[error("{} was not written by this program", .0.display())]
    Damaged(PathBuf),
    #[error("the passphrase has fewer than {SHORTEST} characters")]
    Short,
    #[error("no random numbers could be had")]
    NoRandom,
}

/// Where the hash is kept.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of_user() -> Result<Self, PassphraseError> {
        let folder = super::super::places::configuration().ok_or(PassphraseError::NoPlace)?;
        Ok(Self(folder.join("approval")))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn failed(&self, error: io::Error) -> PassphraseError {
        PassphraseError::File {
            path: self.0.clone(),
            error,
        }
    }

    /// What is kept, if anything is.
    pub(super) fn kept(&self) -> Result<Option<Kept>, PassphraseError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = fs::metadata(&self.0).map_err(|error| self.failed(error))?;
            if metadata.permissions().mode() & 0o077 != 0 {
                return Err(PassphraseError::Open(self.0.clone()));
            }
        }
        let kept = Kept::read(&text).ok_or_else(|| PassphraseError::Damaged(self.0.clone()))?;
        Ok(Some(kept))
    }

    /// Keeps the hash of a passphrase in the place of what was kept before.
    pub(super) fn keep(&self, passphrase: &SecretString) -> Result<(), PassphraseError> {
        if passphrase.expose_secret().chars().count() < SHORTEST {
            return Err(PassphraseError::Short);
        }
        let text = Kept::of(passphrase)?.write();
        self.write(&text).map_err(|error| self.failed(error))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let aside = self.0.with_extension("new");
        let _ = fs::remove_file(&aside);
        let mut file = private::new_file(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &self.0)
    }
}

/// A hash with what it was made with.
pub(super) struct Kept {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Kept {
    fn of(passphrase: &SecretString) -> Result<Self, PassphraseError> {
        let rounds = NonZeroU32::new(ROUNDS).ok_or(PassphraseError::NoRandom)?;
        let mut salt = vec![0; SALT];
        rand::fill(&mut salt).map_err(|_| PassphraseError::NoRandom)?;
        let mut hash = vec![0; HASH];
        let bytes = passphrase.expose_secret().as_bytes();
        pbkdf2::derive(ALGORITHM, rounds, &salt, bytes, &mut hash);
        Ok(Self { rounds, salt, hash })
    }

    /// Whether this is the passphrase; takes as long as the hash wants, and the same for each.
    pub(super) fn is(&self, passphrase: &SecretString) -> bool {
        let bytes = passphrase.expose_secret().as_bytes();
        pbkdf2::verify(ALGORITHM, self.rounds, &self.salt, bytes, &self.hash).is_ok()
    }

    fn write(&self) -> String {
        format!(
            "{NAME} {} {} {}\n",
            self.rounds,
            BASE64.encode(&self.salt),
            BASE64.encode(&self.hash)
        )
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        if words.next() != Some(NAME) {
            return None;
        }
        let rounds: NonZeroU32 = words.next()?.parse().ok()?;
        let mut bytes = || BASE64.decode(words.next()?).ok();
        let (salt, hash) = (bytes()?, bytes()?);
        let is_ours = rounds.get() <= MOST_ROUNDS && salt.len() == SALT && hash.len() == HASH;
        is_ours.then_some(Self { rounds, salt, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn only_the_passphrase_fits_its_hash_and_the_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place(folder.path().join("below/approval"));
        assert!(place.kept().expect("a look").is_none());
        place.keep(&secret("correct horse")).expect("kept");
        let kept = place.kept().expect("a look").expect("a hash");
        assert!(kept.is(&secret("correct horse")));
        assert!(!kept.is(&secret("correct horsE")));
        let text = fs::read_to_string(place.path()).expect("the file");
        assert!(!text.contains("horse"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |mode| fs::Permissions::from_mode(mode);
            let found = fs::metadata(place.path()).expect("it").permissions();
            assert_eq!(found.mode() & 0o777, 0o600);
            fs::set_permissions(place.path(), mode(0o644)).expect("changed");
            assert!(matches!(place.kept(), Err(PassphraseError::Open(_))));
        }
    }

    #[test]
    fn what_is_too_short_or_not_ours_counts_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place(folder.path().join("approval"));
        assert!(matches!(
            place.keep(&secret("nine char")),
            Err(PassphraseError::Short)
        ));
        for text in [
            "",
            "plain words",
            "pbkdf2-sha256 0 AAAA AAAA",
            "pbkdf2-sha256 1 AAAA AAAA",
        ] {
            assert!(Kept::read(text).is_none(), "{text}");
        }
    }
}
