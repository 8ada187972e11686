//! `resources`: what services use, once or again and again.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    asked::{Where, print_fields},
    block_on,
    output::say,
};
use crate::answer::{text, time};

#[derive(Debug, Args)]
pub(super) struct ResourcesArguments {
    /// Services or container names; default all.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Sums of phases against their budgets too.
    #[arg(long)]
    phases: bool,
    /// Go on until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// Print the structured form; with --follow one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

pub(super) fn run(arguments: &ResourcesArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    let services = (!arguments.services.is_empty()).then(|| arguments.services.clone());
    let view = arguments.phases.then_some("phases");
    let sent = json!({"services": services, "view": view});
    block_on(async {
        let followed = async {
            loop {
                let told = asked
                    .call_all("get_resources", sent.clone(), "services")
                    .await?;
                if !arguments.follow {
                    return print_fields(&told, arguments.json);
                }
                match arguments.json {
                    true => say(serde_json::Value::Object(told))?,
                    false => {
                        let now = jiff::Timestamp::now().as_millisecond();
                        say(format_args!(
                            "at: {}\n{}\n",
                            time::text(now),
                            text::render(&told)
                        ))?;
                    }
                }
                tokio::time::sleep(Duration::from_secs(arguments.every)).await;
            }
        };
        tokio::select! {
            ended = followed => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}
