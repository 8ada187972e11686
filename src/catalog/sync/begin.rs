//! Decides what to read and whether an interrupted copy is gone on with.

use jiff::{Span, Timestamp, ToSpan};

use super::{Mode, Place, SyncError};
use crate::catalog::snapshot::{FORMAT, Head, Part, Snapshot, SnapshotError, draft::Draft};

/// A copy that is put together from two days is of neither.
const OLDEST_DRAFT_HOURS: i64 = 6;

/// A copy that can be worked on.
pub struct Begun {
    pub draft: Draft,
    pub mode: Mode,
    pub as_of: Timestamp,
    pub old: Option<Head>,
    pub remarks: Vec<String>,
}

/// What an interrupted copy says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interrupted {
    format: String,
    program: String,
    begun: Option<Timestamp>,
    version: String,
    mode: String,
    base: String,
}

pub fn begin(place: &Place, version: &str, full: bool) -> Result<Begun, SyncError> {
    let now = Timestamp::now();
    let mut remarks = Vec::new();
    let old = match Snapshot::open(&place.snapshot()) {
        Ok(snapshot) => Some(snapshot.head().clone()),
        Err(error) => {
            if place.snapshot().exists() {
                remarks.push(format!(
                    "the copy before cannot be used, so everything is read and nothing compared: \
                     {error}"
                ));
            }
            None
        }
    };
    let (mode, why) = mode(old.as_ref(), version, full);
    remarks.extend(why);
    let base = old
        .as_ref()
        .map(|head| head.as_of.to_string())
        .unwrap_or_default();
    let begun = match Draft::open(&place.unfinished()) {
        Some(draft) => match resumed(&interrupted(&draft)?, version, &base, mode, now) {
            Ok((mode, begun)) => {
                remarks.push(format!("goes on with a copy that was begun at {begun}"));
                Some((draft, mode, begun))
            }
            Err(why) => {
                remarks.push(format!("an interrupted copy is thrown away: {why}"));
                None
            }
        },
        None => None,
    };
    let (mut draft, mode, as_of) = match begun {
        Some(begun) => begun,
        None => {
            let begun = now.to_string();
            let notes = [
                ("format", FORMAT),
                ("program", env!("CARGO_PKG_VERSION")),
                ("begun", &begun),
                ("version", version),
                ("mode", mode.as_str()),
                ("base", &base),
            ];
            (Draft::create(&place.unfinished(), &notes)?, mode, now)
        }
    };
    if old.is_some() {
        draft.attach(&place.snapshot())?;
    }
    Ok(Begun {
        draft,
        mode,
        as_of,
        old,
        remarks,
    })
}

/// What to read, and why everything where it is not asked for.
fn mode(old: Option<&Head>, version: &str, full: bool) -> (Mode, Option<String>) {
    match old {
        None => (Mode::Full, None),
        Some(_) if full => (Mode::Full, None),
        Some(old) if old.version != version => (
            Mode::Full,
            Some(format!(
                "OpenMetadata is {version} now and was {}: everything is read",
                old.version
            )),
        ),
        Some(old) if old.part(Part::Entities).in_full.is_none() => (Mode::Full, None),
        Some(_) => (Mode::Incremental, None),
    }
}

fn interrupted(draft: &Draft) -> Result<Interrupted, SnapshotError> {
    let note =
        |name: &str| -> Result<String, SnapshotError> { Ok(draft.note(name)?.unwrap_or_default()) };
    Ok(Interrupted {
        format: note("format")?,
        program: note("program")?,
        begun: note("begun")?.parse().ok(),
        version: note("version")?,
        mode: note("mode")?,
        base: note("base")?,
    })
}

/// The mode and the beginning of a copy that can be gone on with; or why it cannot.
fn resumed(
    draft: &Interrupted,
    version: &str,
    base: &str,
    wanted: Mode,
    now: Timestamp,
) -> Result<(Mode, Timestamp), String> {
    if draft.format != FORMAT || draft.program != env!("CARGO_PKG_VERSION") {
        return Err("it was begun by another version of this program".into());
    }
    if draft.version != version {
        return Err(format!(
            "OpenMetadata is {version} now and was {}",
            draft.version
        ));
    }
    if draft.base != base {
        return Err("another copy was finished since".into());
    }
    let mode = match draft.mode.as_str() {
        "full" => Mode::Full,
        _ => Mode::Incremental,
    };
    if wanted == Mode::Full && mode != Mode::Full {
        return Err("it was an incremental one, and a full one is to be made".into());
    }
    let Some(begun) = draft.begun else {
        return Err("it does not say when it was begun".into());
    };
    let longest: Span = OLDEST_DRAFT_HOURS.hours();
    let is_recent = begun <= now && begun.checked_add(longest).is_ok_and(|end| end >= now);
    if !is_recent {
        return Err(format!(
            "it was begun at {begun}, more than {OLDEST_DRAFT_HOURS} hours ago"
        ));
    }
    Ok((mode, begun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::snapshot::LastRead;

    fn draft() -> Interrupted {
        Interrupted {
            format: FORMAT.into(),
            program: env!("CARGO_PKG_VERSION").into(),
            begun: "2026-01-01T00:00:00Z".parse().ok(),
            version: "1.12.6".into(),
            mode: "full".into(),
            base: String::new(),
        }
    }

    #[test]
    fn goes_on_where_that_is_sound_and_says_why_where_not() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let go_on = |draft: &Interrupted, wanted| resumed(draft, "1.12.6", "", wanted, now);
        assert!(go_on(&draft(), Mode::Incremental).is_ok());
        let incremental = Interrupted {
            mode: "incremental".into(),
            ..draft()
        };
        for (draft, wanted, why) in [
            (incremental, Mode::Full, "full"),
            (
                Interrupted {
                    begun: "2025-12-31T00:00:00Z".parse().ok(),
                    ..draft()
                },
                Mode::Full,
                "6 hours",
            ),
            (
                Interrupted {
                    version: "1.11.0".into(),
                    ..draft()
                },
                Mode::Full,
                "1.11.0",
            ),
            (
                Interrupted {
                    base: "2025-12-31T00:00:00Z".into(),
                    ..draft()
                },
                Mode::Full,
                "another copy",
            ),
            (
                Interrupted {
                    format: "1".into(),
                    ..draft()
                },
                Mode::Full,
                "another version",
            ),
        ] {
            let said = go_on(&draft, wanted).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn reads_everything_where_the_copy_before_does_not_carry() {
        let mut head = Head::of("2026-01-01T00:00:00Z".parse().unwrap(), "1.12.6");
        assert_eq!(mode(None, "1.12.6", false).0, Mode::Full);
        assert_eq!(mode(Some(&head), "1.12.6", false).0, Mode::Full);
        head.parts.insert(
            Part::Entities,
            LastRead {
                in_full: Some(head.as_of),
                incrementally: None,
            },
        );
        assert_eq!(mode(Some(&head), "1.12.6", false).0, Mode::Incremental);
        assert_eq!(mode(Some(&head), "1.12.6", true).0, Mode::Full);
        let (upgraded, why) = mode(Some(&head), "1.13.0", false);
        assert_eq!(upgraded, Mode::Full);
        assert!(why.unwrap().contains("1.13.0"));
    }
}
