//! `doctor`: prints what the catalog's own examination finds.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    CatalogChoice, Failure, block_on,
    environment::{PlatformArguments, SnapshotArguments, StateArguments},
    output::say,
};
use crate::{
    answer::clean,
    app,
    catalog::{
        self,
        doctor::{self, Check, State, Surroundings},
    },
    settings::CatalogSettings,
};

/// Checks the connection and says for each fault what to do.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    catalog: CatalogChoice,
    #[command(flatten)]
    snapshot: SnapshotArguments,
    #[command(flatten)]
    platform: PlatformArguments,
    #[command(flatten)]
    state: StateArguments,
    /// One JSON object for programs.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 where everything that has to work works (warnings included), else 1.
pub(super) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let how = arguments.snapshot.settings()?;
    let (state, platform) = (arguments.state.folder(), arguments.platform.settings()?);
    let given = arguments.catalog.settings()?;
    let mut checks = match app::catalog_of(&given, &platform, state.as_deref()) {
        Ok(CatalogSettings::OpenMetadata(settings)) => {
            let mut checks = looked(&catalog::Settings::from(&settings))?;
            checks.extend(state.as_deref().map(|state| {
                let held = app::snapshot_file(state, &settings).look_now();
                doctor::snapshot::look(&held, settings.identity, how, Timestamp::now())
            }));
            checks
        }
        Ok(CatalogSettings::Demo) if platform.file.is_none() => {
            return say("The demo catalog is part of this program: there is nothing to check.");
        }
        Ok(CatalogSettings::Demo) => Vec::new(),
        Ok(CatalogSettings::None | CatalogSettings::WithoutAddress(_)) => {
            match platform.file.is_some() {
                true => vec![Check::skipped("address", "no catalog is named")],
                false => looked(&catalog::Settings::default())?,
            }
        }
        Err(error) if platform.file.is_some() => {
            vec![Check::failed("address", error.to_string(), "")]
        }
        Err(error) => return Err(error.into()),
    };
    checks.extend(app::doctor::checks(&platform, state.as_deref()));
    let has_failed = checks.iter().any(|check| check.state == State::Failed);
    if arguments.json {
        let checks: Vec<Value> = checks.iter().map(as_json).collect();
        say(format_args!(
            "{:#}",
            json!({"ok": !has_failed, "checks": checks})
        ))?;
    } else {
        say(as_text(&checks))?;
    }
    if has_failed {
        return Err(Failure::Said);
    }
    Ok(())
}

fn looked(settings: &catalog::Settings) -> Result<Vec<Check>, Failure> {
    block_on(async { Ok(doctor::checks(settings, &Surroundings::here()).await) })
}

fn as_json(check: &Check) -> Value {
    let mut fields = Map::new();
    fields.insert("name".into(), check.name.into());
    fields.insert("state".into(), check.state.as_str().into());
    fields.insert("finding".into(), check.finding.as_str().into());
    if let Some(advice) = &check.advice {
        fields.insert("advice".into(), advice.as_str().into());
    }
    clean::value(fields.into())
}

/// One line a check, the advice below it.
fn as_text(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let finding = clean::text(&check.finding, LONGEST_LINE).replace('\n', " ");
        lines.push(format!(
            "{:8} {:12} {finding}",
            check.state.as_str(),
            check.name
        ));
        if let Some(advice) = &check.advice {
            let advice = clean::text(advice, LONGEST_LINE).replace('\n', " ");
            lines.push(format!("{:21} -> {advice}", ""));
        }
    }
    let failed = checks.iter().filter(|check| check.state == State::Failed);
    lines.push(match failed.count() {
        0 => "Everything that has to work works.".to_owned(),
        1 => "1 check failed.".to_owned(),
        count => format!("{count} checks failed."),
    });
    lines.join("\n")
}

/// In characters: an error page of a server must not fill the terminal.
const LONGEST_LINE: usize = 600;
