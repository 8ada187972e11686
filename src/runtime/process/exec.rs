//! Runs a command where a service runs.

use std::{process::Stdio, time::Duration};

use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;

use super::ProcessRuntime;
use crate::{
    platform::ServiceName,
    runtime::{
        Exit, Output, Problem, Streams,
        exec::{self, LONGEST_OUTPUT},
    },
    store::private,
};

impl ProcessRuntime {
    /// The command has the environment and folder of the service, and its own group; it is ended
    /// when it takes too long or nobody waits any more.
    pub(super) async fn run_command(
        &self,
        name: &ServiceName,
        command: &[String],
        streams: Streams<'_>,
        longest: Duration,
    ) -> Result<Output, Problem> {
        use std::os::unix::process::ExitStatusExt as _;
        let spec = self.spec_of(name)?;
        let program = exec::program(name, command)?;
        let arguments = command.iter().skip(1);
        let what = format!("running {program} for {name}");
        let failed = |error: std::io::Error| Problem::failed(&what, error);
        let input = match streams.input {
            Some(path) => Stdio::from(std::fs::File::open(path).map_err(failed)?),
            None => Stdio::null(),
        };
        let output = match streams.output {
            Some(path) => Stdio::from(private::empty_file(path).map_err(failed)?),
            None => Stdio::piped(),
        };
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&spec.environment)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &spec.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(failed)?;
        let group = child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid as i32));
        // None where it goes to a file.
        let out = child.stdout.take();
        let Some(error) = child.stderr.take() else {
            return Err(Problem::failed(&what, "it has no output"));
        };
        let work = async {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let bound = LONGEST_OUTPUT as u64 + 1;
            let (mut out, mut error) = (out.map(|out| out.take(bound)), error.take(bound));
            let reading = async {
                match &mut out {
                    Some(out) => out.read_to_end(&mut first).await,
                    None => Ok(0),
                }
            };
            tokio::try_join!(reading, error.read_to_end(&mut second))?;
            // More than the bound is not read; the command must not wait for a reader.
            drop((out, error));
            let status = child.wait().await?;
            first.extend_from_slice(&second);
            Ok::<_, std::io::Error>((status, first))
        };
        let ended = tokio::time::timeout(longest, work).await;
        let Ok(ended) = ended else {
            if let Some(group) = group {
                // Unreaped until `child` is dropped below, so the number is still its.
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.wait().await;
            return Err(Problem::TimedOut {
                what,
                waited: longest,
            });
        };
        let (status, mut bytes) = ended.map_err(failed)?;
        let is_cut = bytes.len() > LONGEST_OUTPUT;
        bytes.truncate(LONGEST_OUTPUT);
        Ok(Output {
            exit: Exit {
                code: status.code(),
                signal: status.signal(),
                at: Timestamp::now(),
                reason: None,
            },
            text: String::from_utf8_lossy(&bytes).into_owned(),
            is_cut,
        })
    }
}
