//! Looks at what `doctor` tells of this machine: the state folder, the health history, the
//! platform file and its runtime.

use std::{io::Write as _, path::Path};

use super::{
    follow::{Current, Followed},
    platform::{history_of, runtime_of},
};
use crate::{
    catalog::doctor::Check,
    platform::{Untrusted, trust},
    runtime::Problem,
    settings::PlatformSettings,
    store::{History, StateFolder, filesystem},
};

/// Every look, in the order in which they have to be right. `state`: the state folder, where there
/// is a place for one.
pub fn checks(settings: &PlatformSettings, state: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![state_folder(state)];
    let Some(followed) = Followed::new(settings, state) else {
        return checks;
    };
    let current = match followed.current() {
        Ok(current) => current,
        Err(error) => {
            checks.push(Check::failed("platform", error.message, error.next_step));
            return checks;
        }
    };
    checks.push(file(&followed, &current));
    checks.push(runtime(&current, state));
    checks.extend(state.map(|state| history(followed.file(), state)));
    checks
}

/// Written to try whether the disk has room: more than the history grows by at once.
const ROOM: usize = 256 * 1024;

fn state_folder(state: Option<&Path>) -> Check {
    const NAME: &str = "state";
    const ANOTHER: &str = "name another folder with OPENPOLICY_STATE";
    let Some(state) = state else {
        return Check::warning(
            NAME,
            "there is no home folder to keep state in: health is remembered only while a server \
             runs, and nothing is copied or trusted",
            "name a folder with OPENPOLICY_STATE",
        );
    };
    let shown = state.display();
    if let Err(error) = StateFolder::at(state) {
        return Check::failed(NAME, error.to_string(), ANOTHER);
    }
    if let Some(kind) = filesystem::network_of(state) {
        return Check::failed(
            NAME,
            format!(
                "{shown} lies on a network file system ({kind}), where the locks of SQLite do not hold"
            ),
            "name a local folder with OPENPOLICY_STATE",
        );
    }
    match has_room(state) {
        Ok(()) => Check::ok(NAME, format!("{shown} can be written")),
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Check::failed(
            NAME,
            format!("{shown}: the disk is full"),
            "free space there, or name another folder with OPENPOLICY_STATE",
        ),
        Err(error) => Check::failed(NAME, format!("{shown} cannot be written: {error}"), ANOTHER),
    }
}

fn has_room(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!("doctor.{}.tmp", std::process::id()));
    let written = std::fs::File::create(&path)
        .and_then(|mut file| file.write_all(&[0; ROOM]).and_then(|()| file.sync_all()));
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn file(followed: &Followed, current: &Current) -> Check {
    const NAME: &str = "platform";
    let platform = &current.loaded.platform;
    let shown = followed.file().display();
    let finding = format!(
        "{} in {shown}: {} services, {} phases, {} alert rules",
        platform.name,
        platform.services.len(),
        platform.phases.len(),
        platform.alerts.len()
    );
    // The last line names the files alone.
    let waits = trust::wishes(&current.loaded).len() - 1;
    let why = match platform.trust.permit() {
        Ok(_) => return Check::ok(NAME, format!("{finding}; trusted")),
        Err(_) if waits == 0 => return Check::ok(NAME, format!("{finding}; nothing needs trust")),
        Err(Untrusted::Changed) => "it has changed since it was trusted",
        Err(Untrusted::NotAsked) => "nobody has trusted it",
    };
    Check::warning(
        NAME,
        format!("{finding}; {why}: {waits} things wait that it runs, sends or asks for"),
        format!("`openpolicy-mcp trust {shown}` shows them and asks"),
    )
}

fn runtime(current: &Current, state: Option<&Path>) -> Check {
    const NAME: &str = "runtime";
    let platform = std::sync::Arc::new(current.loaded.platform.clone());
    match runtime_of(&platform, state) {
        Ok(_) => Check::ok(NAME, "what carries the services can be asked"),
        Err(error @ Problem::NotSupported { .. }) => Check::skipped(NAME, error.to_string()),
        Err(error) => Check::failed(NAME, error.to_string(), "correct what it names"),
    }
}

fn history(file: &Path, state: &Path) -> Check {
    const NAME: &str = "history";
    let Some(path) = history_of(file, state).filter(|path| path.exists()) else {
        return Check::skipped(NAME, "no server has looked at this platform yet");
    };
    let shown = path.display();
    match History::examine(&path) {
        Ok((services, _)) => Check::ok(NAME, format!("sound, of {services} services")),
        Err(error) => {
            let advice = error.0.advice();
            Check::failed(NAME, format!("{error} ({shown})"), advice)
        }
    }
}
