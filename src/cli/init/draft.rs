//! `init --platform`: drafts a platform file from a Compose file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        Failure,
        output::{note, say},
    },
    platform::{self, draft},
};

/// Prints the draft, or writes it where no file is yet.
pub(super) fn run(
    compose_file: &Path,
    written: Option<Option<&Path>>,
    force: bool,
) -> Result<(), Failure> {
    let services = platform::describe_compose(compose_file)
        .map_err(|problems| Failure::Error(problems.to_string()))?;
    if services.is_empty() {
        return Err(Failure::Error(format!(
            "{} has no services",
            compose_file.display()
        )));
    }
    let beside = compose_file.parent().unwrap_or(Path::new(""));
    let path = match written {
        Some(Some(path)) => path.to_owned(),
        _ => beside.join("platform.yaml"),
    };
    let text = draft::draft(&draft::Source {
        name: &name_of(compose_file),
        compose_file: &seen_from(&path, compose_file),
        services: &services,
    });
    if written.is_none() {
        say(text.trim_end())?;
        note(format_args!(
            "This is a draft for {}; --write puts it there.",
            path.display()
        ));
        return Ok(());
    }
    if path.exists() && !force {
        return Err(Failure::Error(format!(
            "{} is there already; --force replaces it",
            path.display()
        )));
    }
    fs::write(&path, text).map_err(|error| {
        Failure::Error(format!("{} cannot be written: {error}", path.display()))
    })?;
    say(format_args!(
        "Wrote {}. Next: openpolicy-mcp lint {}",
        path.display(),
        path.display()
    ))
}

/// The name of the folder, as Compose names its project.
fn name_of(compose_file: &Path) -> String {
    let absolute = std::path::absolute(compose_file).unwrap_or_else(|_| compose_file.to_owned());
    let folder = absolute.parent().and_then(Path::file_name);
    let name: String = folder
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character))
        .collect();
    let name = name.trim_start_matches(['-', '_', '.']).to_owned();
    if name.is_empty() {
        "platform".to_owned()
    } else {
        name
    }
}

/// The Compose file as the platform file names it: relative where it lies below.
fn seen_from(platform_file: &Path, compose_file: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder: PathBuf = absolute(platform_file)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let compose = absolute(compose_file);
    let seen = compose.strip_prefix(&folder).unwrap_or(&compose);
    seen.display().to_string()
}
