//! Runs a command in a container.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt as _;
use jiff::Timestamp;

use super::{ComposeRuntime, containers::Container};
use crate::{
    platform::ServiceName,
    runtime::{Exit, Output, Problem},
};

/// Bytes of output that are kept.
const LONGEST_OUTPUT: usize = 64 * 1024;

impl ComposeRuntime {
    pub(super) async fn run_in_container(
        &self,
        name: &ServiceName,
        command: &[String],
        longest: Duration,
    ) -> Result<Output, Problem> {
        let Some(program) = command.first() else {
            return Err(Problem::NotDescribed {
                service: name.0.clone(),
                reason: "the command is empty".into(),
            });
        };
        let what = format!("running {program} in {name}");
        let containers = self.containers_of(name).await?;
        let Some(container) = containers.iter().find(|one| one.is_running()) else {
            return Err(Problem::failed(what, "no container of it runs"));
        };
        let work = self.run_to_its_end(container, command, &what);
        match tokio::time::timeout(longest, work).await {
            Ok(ended) => ended,
            // The engine has no call that ends it: it may go on.
            Err(_) => Err(Problem::TimedOut {
                what,
                waited: longest,
            }),
        }
    }

    async fn run_to_its_end(
        &self,
        container: &Container,
        command: &[String],
        what: &str,
    ) -> Result<Output, Problem> {
        let client = self.engine.client().await?;
        let failed = |error: bollard::errors::Error| self.engine.failed(what, &error);
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let made = client
            .create_exec(container.id(), options)
            .await
            .map_err(failed)?;
        let mut bytes: Vec<u8> = Vec::new();
        let mut is_cut = false;
        let started = client.start_exec(&made.id, None).await.map_err(failed)?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(piece) = output.next().await {
                let piece = piece.map_err(failed)?;
                let piece: &[u8] = piece.as_ref();
                let room = LONGEST_OUTPUT - bytes.len();
                is_cut |= piece.len() > room;
                bytes.extend(piece.iter().take(room));
            }
        }
        let ended = client.inspect_exec(&made.id).await.map_err(failed)?;
        let code = ended.exit_code.and_then(|code| i32::try_from(code).ok());
        Ok(Output {
            exit: Exit {
                code,
                signal: code
                    .filter(|code| (129..=192).contains(code))
                    .map(|code| code - 128),
                at: Timestamp::now(),
                reason: None,
            },
            text: String::from_utf8_lossy(&bytes).into_owned(),
            is_cut,
        })
    }
}
