//! Runs a command in a container.

use std::{path::Path, time::Duration};

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecResults},
};
use futures::StreamExt as _;
use tokio::{fs::File, io::AsyncWriteExt as _};
use tokio_util::task::AbortOnDropHandle;

use super::{ComposeRuntime, containers::Container};
use crate::{
    platform::ServiceName,
    runtime::{
        Output, Problem, Streams,
        exec::{self, Kept},
    },
    store::private,
};

impl ComposeRuntime {
    pub(super) async fn run_in_container(
        &self,
        name: &ServiceName,
        command: &[String],
        streams: Streams<'_>,
        longest: Duration,
    ) -> Result<Output, Problem> {
        let program = exec::program(name, command)?;
        let what = format!("running {program} in {name}");
        let containers = self.containers_of(name).await?;
        let Some(container) = containers.iter().find(|one| one.is_running()) else {
            return Err(Problem::failed(what, "no container of it runs"));
        };
        let work = self.run_to_its_end(container, command, streams, &what);
        // The engine has no call that ends a command.
        exec::within(longest, &what, work).await
    }

    async fn run_to_its_end(
        &self,
        container: &Container,
        command: &[String],
        streams: Streams<'_>,
        what: &str,
    ) -> Result<Output, Problem> {
        let client = self.engine.client().await?;
        let failed = |error: bollard::errors::Error| self.engine.failed(what, &error);
        let options = CreateExecOptions {
            attach_stdin: Some(streams.input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let made = client
            .create_exec(container.id(), options)
            .await
            .map_err(failed)?;
        let mut kept = Kept::default();
        let started = client.start_exec(&made.id, None).await.map_err(failed)?;
        if let StartExecResults::Attached {
            mut output,
            mut input,
        } = started
        {
            let on_disk = |error: std::io::Error| Problem::failed(what, error);
            let mut file = match streams.output {
                Some(path) => Some(File::from_std(private::empty_file(path).map_err(on_disk)?)),
                None => None,
            };
            let from = streams.input.map(Path::to_owned);
            // Beside the reading: a command that says much while it reads would wait for ever.
            let feeding = tokio::spawn(async move {
                if let Some(path) = from {
                    let mut file = File::open(path).await?;
                    tokio::io::copy(&mut file, &mut input).await?;
                }
                input.shutdown().await
            });
            let _feeding = AbortOnDropHandle::new(feeding);
            while let Some(piece) = output.next().await {
                let piece = piece.map_err(failed)?;
                if let (Some(file), LogOutput::StdOut { message }) = (&mut file, &piece) {
                    file.write_all(message).await.map_err(on_disk)?;
                    continue;
                }
                kept.add(piece.as_ref());
            }
            if let Some(file) = &mut file {
                file.flush().await.map_err(on_disk)?;
                file.sync_all().await.map_err(on_disk)?;
            }
        }
        let ended = client.inspect_exec(&made.id).await.map_err(failed)?;
        let code = ended.exit_code.and_then(|code| i32::try_from(code).ok());
        Ok(Output {
            exit: exec::ended(code, None),
            text: kept.text(),
            is_cut: kept.is_cut,
        })
    }
}
