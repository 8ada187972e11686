//! Follows the platform file of a server: notices a change, reads it again, keeps what was good.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    answer::clean,
    platform::{self, Loaded, Problems, TrustedDigests, Untrusted, Variables, trust},
    settings::PlatformSettings,
    tools::{ErrorCode, ToolError},
};

/// Files are looked at this often at most, however many calls there are.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// File times are those of the last tick of the system's clock.
const CLOCK_OF_FILES: Duration = Duration::from_millis(20);

/// In characters: the first problem of a file, as answers show it.
const LONGEST_PROBLEM: usize = 300;

/// The platform file of a server.
pub(super) struct Followed {
    file: PathBuf,
    trusted: Result<TrustedDigests, ToolError>,
    seen: Mutex<Seen>,
}

/// The platform file as it holds now.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) loaded: Arc<Loaded>,
    /// Why the file as it stands there now does not hold, where it does not.
    pub(super) fault: Option<String>,
}

#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    marks: Vec<(PathBuf, Mark)>,
    /// A file was written while it was read: which of both was read nobody knows.
    is_doubtful: bool,
    held: Option<Result<Current, ToolError>>,
}

/// What shows that a file is another one; none where there is no file.
type Mark = Option<(SystemTime, u64)>;

impl Followed {
    /// Reads nothing yet; none where no file is named.
    pub(super) fn new(settings: &PlatformSettings, state: Option<&Path>) -> Option<Self> {
        Some(Self {
            file: settings.file.clone()?,
            trusted: trusted(settings, state),
            seen: Mutex::default(),
        })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What was seen last, where the files need not be looked at again yet.
    pub(super) fn recent(&self) -> Option<Result<Current, ToolError>> {
        let seen = self.seen.lock().ok()?;
        let is_recent = seen.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        is_recent.then(|| seen.held.clone()).flatten()
    }

    /// The file as it holds now; reads files.
    pub(super) fn current(&self) -> Result<Current, ToolError> {
        if let Some(recent) = self.recent() {
            return recent;
        }
        let Ok(mut seen) = self.seen.lock() else {
            let poisoned = "an earlier reading of the platform file failed";
            return Err(ToolError::new(ErrorCode::Internal, poisoned));
        };
        let marks: Vec<(PathBuf, Mark)> = seen
            .marks
            .iter()
            .map(|(path, _)| (path.clone(), mark(path)))
            .collect();
        // What has faults may refer to files that were not read.
        let is_sound = matches!(&seen.held, Some(Ok(Current { fault: None, .. })));
        if !is_sound || seen.is_doubtful || marks != seen.marks {
            self.read(&mut seen);
        }
        seen.looked = Some(Instant::now());
        match &seen.held {
            Some(held) => held.clone(),
            None => Err(ToolError::new(ErrorCode::Internal, "nothing was read")),
        }
    }

    fn read(&self, seen: &mut Seen) {
        let trusted = match &self.trusted {
            Ok(trusted) => trusted,
            Err(error) => {
                seen.held = Some(Err(error.clone()));
                return;
            }
        };
        let begun = SystemTime::now().checked_sub(CLOCK_OF_FILES);
        let before = match seen.held.take() {
            Some(Ok(current)) => Some(current),
            _ => None,
        };
        let (files, read) = match platform::load(&self.file, &Variables::of_process(), trusted) {
            Ok(loaded) if loaded.raw.store.is_some() => {
                let error = self.refused(NO_STORE.to_owned(), NO_STORE.to_owned());
                (loaded.files, Err(error))
            }
            Ok(loaded) => (loaded.files.clone(), Ok(loaded)),
            Err(problems) => {
                let error = self.refused(problems.to_string(), first(&problems));
                (problems.files, Err(error))
            }
        };
        let trust = trusted.place_of(&self.file);
        let paths = files.iter().cloned().chain(trust);
        seen.marks = paths
            .map(|path| {
                let mark = mark(&path);
                (path, mark)
            })
            .collect();
        seen.is_doubtful = seen.marks.iter().any(|(_, mark)| {
            let changed = mark.map(|(changed, _)| changed);
            changed
                .zip(begun)
                .is_some_and(|(changed, begun)| changed >= begun)
        });
        seen.held = Some(match (read, before) {
            (Ok(loaded), Some(before)) if is_same(&loaded, &before.loaded) => Ok(Current {
                fault: None,
                ..before
            }),
            (Ok(loaded), before) => {
                if before.is_some() {
                    tracing::info!("The platform file has changed and was read again");
                }
                Ok(Current {
                    loaded: Arc::new(loaded),
                    fault: None,
                })
            }
            (Err((_, fault)), Some(before)) => {
                if before.fault.as_ref() != Some(&fault) {
                    tracing::warn!(reason = fault, "The platform file does not hold");
                }
                Ok(Current {
                    fault: Some(fault),
                    ..before
                })
            }
            (Err((error, _)), None) => Err(error),
        });
    }

    /// The error of a file that never was good, and what is said beside answers where it was.
    fn refused(&self, all: String, first: String) -> (ToolError, String) {
        let file = self.file.display();
        let error = ToolError::new(
            ErrorCode::Unavailable,
            format!("the platform file {file} cannot be taken: {all}"),
        )
        .then(format!(
            "`openpolicy-mcp lint {file}` shows everything that is wrong with it"
        ));
        let fault = format!(
            "the platform file {file} has changed and cannot be taken ({first}): this answer goes \
             by the file as it was before"
        );
        (error, fault)
    }

    /// What every answer about this platform has to say besides.
    pub(super) fn notes(&self, current: &Current) -> Vec<String> {
        let mut notes: Vec<String> = current.fault.clone().into_iter().collect();
        if let Err(Untrusted::Changed) = current.loaded.platform.trust.permit() {
            notes.push(format!(
                "the platform file has changed since it was trusted: what it runs and sends waits \
                 until `openpolicy-mcp trust {}`",
                self.file.display()
            ));
        }
        notes
    }
}

/// One sentence: a setting that is ignored would be worse than a server that does not start.
pub(super) const NO_STORE: &str = "its key `store` names a PostgreSQL, which this version does not \
                                   keep its state in: take the key out, state is kept in the \
                                   folder that OPENPOLICY_STATE names";

fn first(problems: &Problems) -> String {
    let Some(first) = problems.problems.first() else {
        return String::new();
    };
    let more = match problems.problems.len() - 1 {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let shown = format!("{}: {first}", problems.files.show(first.place));
    format!("{}{more}", clean::text(&shown, LONGEST_PROBLEM))
}

fn is_same(one: &Loaded, other: &Loaded) -> bool {
    one.digest == other.digest && one.platform.trust == other.platform.trust
}

fn mark(path: &Path) -> Mark {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn trusted(settings: &PlatformSettings, state: Option<&Path>) -> Result<TrustedDigests, ToolError> {
    let mut given = Vec::new();
    for written in &settings.trusted {
        let digest = written.parse().map_err(|error: trust::NotADigest| {
            ToolError::new(ErrorCode::Unavailable, format!("--trust: {error}"))
                .then("start the server with a digest that `openpolicy-mcp trust FILE` shows")
        })?;
        given.push(digest);
    }
    Ok(TrustedDigests {
        given,
        folder: state.map(trust::folder_in),
        everything: false,
    })
}
