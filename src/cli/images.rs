//! `images`: what passed its gates here, as a platform file that another environment extends.

use std::{fmt::Write as _, time::Instant};

use clap::Args;
use serde_json::json;

use super::{Failure, asked::Where, block_on, output::say};
use crate::deploy::passed::Passed;

/// How long the services may take to be looked at.
const LONGEST_LOOK: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct ImagesArguments {
    /// The platform file that the printed one is laid over.
    #[arg(long, value_name = "FILE")]
    extends: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// Exit code 0 where all of them passed, else 1 with each reason.
pub(super) fn run(arguments: &ImagesArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let deployments = asked.deployments().await?;
        let found = deployments
            .passed_images(Instant::now() + LONGEST_LOOK)
            .await
            .map_err(|error| asked.failure(error))?;
        match found {
            Ok(passed) if arguments.json => say(json!({
                "run": passed.run,
                "ended": passed.ended.to_string(),
                "target": passed.target,
                "images": passed
                    .images
                    .iter()
                    .map(|(service, image)| (service.0.clone(), image.clone()))
                    .collect::<std::collections::BTreeMap<_, _>>(),
            })),
            Ok(passed) => say(overlay(&passed, arguments.extends.as_deref()).trim_end()),
            Err(why_not) if arguments.json => {
                say(json!({ "images": null, "why_not": why_not }))?;
                Err(Failure::Said)
            }
            Err(why_not) => Err(Failure::Error(format!(
                "these images have not passed:\n{}",
                why_not.join("\n")
            ))),
        }
    })
}

/// A platform file with the images and nothing else.
fn overlay(passed: &Passed, extends: Option<&str>) -> String {
    let mut text = format!(
        "# Images that passed the gates of run {} on {}, which ended {}.\n",
        passed.run, passed.target, passed.ended
    );
    if let Some(extends) = extends {
        let _ = writeln!(text, "extends: {}", json!(extends));
    }
    text.push_str("services:\n");
    for (service, image) in &passed.images {
        let _ = writeln!(
            text,
            "  {}: {{ image: {} }}",
            json!(service.0),
            json!(image)
        );
    }
    text
}
