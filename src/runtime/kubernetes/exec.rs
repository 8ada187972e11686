//! Runs a command in a container of a pod.

use std::{io, path::Path, time::Duration};

use k8s_openapi::api::core::v1::Pod as AnyPod;
use kube::{Api, api::AttachParams};
use serde_json::Value;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
};

use super::{KubernetesRuntime, workloads::Pod};
use crate::{
    platform::ServiceName,
    runtime::{
        Exit, Output, Problem, Streams,
        exec::{self, Kept},
    },
    store::private,
};

impl KubernetesRuntime {
    pub(super) async fn run_in_pod(
        &self,
        name: &ServiceName,
        command: &[String],
        streams: Streams<'_>,
        longest: Duration,
    ) -> Result<Output, Problem> {
        let program = exec::program(name, command)?;
        let what = format!("running {program} in {name}");
        let found = self.found().await?;
        let pods = found.pods_of(self.workload_name(name)?);
        // The one that has been there for longest: `db-0` of a StatefulSet.
        let ready = pods.iter().map(|pod| Pod(pod)).filter(|pod| pod.is_ready());
        let Some(pod) = ready.min_by_key(|pod| (pod.started_at(), pod.name())) else {
            return Err(Problem::failed(what, "no pod of it is ready"));
        };
        let work = self.run_to_its_end(pod, command, streams, &what);
        // The API has no call that ends a command.
        exec::within(longest, &what, work).await
    }

    async fn run_to_its_end(
        &self,
        pod: Pod<'_>,
        command: &[String],
        streams: Streams<'_>,
        what: &str,
    ) -> Result<Output, Problem> {
        let client = self.cluster.client().await?;
        let api: Api<AnyPod> = Api::namespaced(client, &self.namespace);
        let mut parameters = AttachParams::default().stdin(streams.input.is_some());
        if let Some(container) = pod.first_container() {
            parameters = parameters.container(container);
        }
        let mut process = match api.exec(pod.name(), command.to_vec(), &parameters).await {
            Ok(process) => process,
            Err(error) => return Err(self.cluster.refused(what.to_owned(), error).await),
        };
        let ended = process.take_status();
        let (input, out, error) = (process.stdin(), process.stdout(), process.stderr());
        let on_disk = |error: io::Error| Problem::failed(what, error);
        let file = match streams.output {
            Some(path) => Some(File::from_std(private::empty_file(path).map_err(on_disk)?)),
            None => None,
        };
        // All at once: a command that says much while it reads would wait for ever.
        let (out, error, ()) = tokio::try_join!(
            kept(out, file),
            kept(error, None),
            fed(streams.input, input)
        )
        .map_err(on_disk)?;
        let status = match ended {
            Some(ended) => ended.await,
            None => None,
        };
        let status = serde_json::to_value(status).map_err(|error| Problem::failed(what, error))?;
        Ok(Output {
            exit: exit(&status),
            text: out.text() + &error.text(),
            is_cut: out.is_cut || error.is_cut,
        })
    }
}

/// What a stream says, cut; or all of it in a file.
async fn kept(stream: Option<impl AsyncRead + Unpin>, mut file: Option<File>) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = stream.read(&mut piece).await?;
        let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        if let Some(file) = &mut file {
            file.write_all(piece).await?;
            continue;
        }
        kept.add(piece);
    }
    if let Some(file) = &mut file {
        file.flush().await?;
        file.sync_all().await?;
    }
    Ok(kept)
}

async fn fed(from: Option<&Path>, input: Option<impl AsyncWrite + Unpin>) -> io::Result<()> {
    let (Some(path), Some(mut input)) = (from, input) else {
        return Ok(());
    };
    let mut file = File::open(path).await?;
    tokio::io::copy(&mut file, &mut input).await?;
    input.shutdown().await
}

/// The API server ends a command with a status, in which its exit code is a cause.
fn exit(status: &Value) -> Exit {
    let is_success = status.get("status").and_then(Value::as_str) == Some("Success");
    let causes = status.pointer("/details/causes").and_then(Value::as_array);
    let code = causes.into_iter().flatten().find_map(|cause| {
        let is_code = cause.get("reason").and_then(Value::as_str) == Some("ExitCode");
        let code = cause.get("message")?.as_str()?.parse().ok()?;
        is_code.then_some(code)
    });
    let code: Option<i32> = code.or(is_success.then_some(0));
    let message = status.get("message").and_then(Value::as_str);
    let reason = message.filter(|_| code.is_none()).map(str::to_owned);
    exec::ended(code, reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_code_is_a_cause_of_the_status() {
        assert_eq!(exit(&json!({"status": "Success"})).code, Some(0));
        let failed = json!({
            "status": "Failure",
            "message": "command terminated with non-zero exit code",
            "details": {"causes": [{"reason": "ExitCode", "message": "137"}]},
        });
        let told = exit(&failed);
        assert_eq!(
            (told.code, told.signal, told.reason),
            (Some(137), Some(9), None)
        );
        let broken = exit(&json!({"status": "Failure", "message": "container not found"}));
        assert_eq!(
            (broken.code, broken.reason.as_deref()),
            (None, Some("container not found"))
        );
        assert_eq!(exit(&Value::Null).code, None);
    }
}
