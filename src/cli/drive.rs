//! `drive RUN`: drives one run; started by the server or a command, not by hand.

use std::io::Read as _;

use clap::Args;

use super::{Failure, block_on};
use crate::{app, settings::LogSettings};

#[derive(Debug, Args)]
pub(super) struct DriveArguments {
    run: i64,
}

pub(super) fn run(arguments: &DriveArguments) -> Result<(), Failure> {
    let mut order = String::new();
    std::io::stdin()
        .read_to_string(&mut order)
        .map_err(|error| Failure::Usage(format!("stdin cannot be read: {error}")))?;
    let order: app::DriveOrder = serde_json::from_str(&order).map_err(|_| {
        Failure::Usage("`drive` is started by the server: there is no order on stdin".into())
    })?;
    crate::logs::start(&LogSettings::default(), &[])
        .map_err(|error| Failure::Error(error.to_string()))?;
    block_on(async {
        app::drive(order, arguments.run)
            .await
            .map_err(Failure::from)
    })
}
