//! Which tools a server lists with its platform file.

use std::path::Path;

use super::{AppError, chosen};
use crate::{
    mcp::{Selection, selection::UnknownName},
    platform::Platform,
    settings::ToolSwitches,
    tools,
};

/// The tools that are listed at the start. A platform whose file has faults names no Prometheus.
pub(super) fn at_start(
    switches: &ToolSwitches,
    has_platform: bool,
    platform: Option<(&Platform, &Path)>,
) -> Result<Selection, AppError> {
    let refused = |error: UnknownName| AppError::Settings(error.to_string());
    let Some((platform, file)) = platform else {
        let selection = Selection::new(tools::all(), switches).map_err(refused)?;
        return Ok(match has_platform {
            true => selection.without_prometheus(),
            false => selection.without_platform(),
        });
    };
    let selection = with(switches, platform).map_err(|error| {
        let is_of_file = *switches != chosen::switches(switches, platform).0;
        match is_of_file && error.switch == "--toolsets" {
            true => AppError::Settings(format!("{}: `toolsets`: {error}", file.display())),
            false => refused(error),
        }
    })?;
    let (_, withheld) = chosen::switches(switches, platform);
    if !withheld.is_empty() {
        let (file, toolsets) = (file.display(), withheld.join(", "));
        tracing::warn!(
            toolsets,
            "Toolsets that write wait until the platform file is trusted: `openpolicy-mcp trust {file}`"
        );
    }
    Ok(selection)
}

/// The tools that are listed with this platform.
pub(super) fn with(switches: &ToolSwitches, platform: &Platform) -> Result<Selection, UnknownName> {
    let (switches, _) = chosen::switches(switches, platform);
    let selection = Selection::new(tools::all(), &switches)?;
    Ok(match platform.prometheus {
        Some(_) => selection,
        None => selection.without_prometheus(),
    })
}
