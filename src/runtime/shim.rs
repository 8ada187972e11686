//! Runs commands that must not outlive the process that started them.
//!
//! A command such as `docker compose up` goes on when its parent is killed, and would race whoever
//! recovers. So each is started by this binary itself (`openpolicy-mcp shim`): a session of its
//! own, SIGKILL when its parent dies, and it waits for a word before it becomes the command. By
//! then its caller has written down which process it is.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;

use super::{
    OnCommand, Problem, RunningCommand,
    process::identity::{Place, Stat},
};

/// What the caller says when everything is written down.
const GO: &str = "go";

/// Bytes of each stream that are kept.
const LONGEST_OUTPUT: u64 = 8 << 20;

/// Between two looks at what is to end.
const LOOK: Duration = Duration::from_millis(20);

/// How long something that got SIGKILL may take to be gone: a process inside a system call of a
/// slow disk ends after it.
const LONGEST_END: Duration = Duration::from_secs(20);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// For people.
    pub what: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub folder: PathBuf,
    /// Variables that it gets beside those of this process, or that it does not get.
    pub environment: Vec<(String, Option<String>)>,
    pub longest: Duration,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub error: String,
}

/// Runs a command and waits for it. It is told of before it acts; where that fails, it never does.
/// Dropping the future ends the command with everything in its session.
pub async fn run(
    shim: &Path,
    ordered: Ordered,
    on_command: Option<OnCommand<'_>>,
) -> Result<Ended, Problem> {
    let what = ordered.what.clone();
    let longest = ordered.longest;
    let failed = |error: io::Error| Problem::failed(&what, error);
    let (started, was_started) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    let shim = shim.to_owned();
    // A thread of its own: the parent of a process is the thread that started it, and SIGKILL
    // comes when that ends.
    thread::Builder::new()
        .name("command".into())
        .spawn(move || attend(&shim, &ordered, started, ended))
        .map_err(failed)?;
    let gone = || Problem::failed(&what, "its thread ended");
    let waiting = was_started.await.map_err(|_| gone())?.map_err(failed)?;
    let guard = Guard(waiting.command.clone());
    if let Some(told) = on_command {
        // Where this fails, `guard` ends what still waits for its word.
        told(&waiting.command)?;
    }
    waiting.go.send(()).map_err(|()| gone())?;
    match tokio::time::timeout(longest, has_ended).await {
        Ok(ended) => {
            std::mem::forget(guard);
            ended.map_err(|_| gone())?.map_err(failed)
        }
        Err(_) => {
            end(&[waiting.command]).await?;
            Err(Problem::TimedOut {
                what,
                waited: longest,
            })
        }
    }
}

/// A command that waits for its word.
struct Waiting {
    command: RunningCommand,
    go: oneshot::Sender<()>,
}

/// Ends the command of a caller that waits no more.
struct Guard(RunningCommand);

impl Drop for Guard {
    fn drop(&mut self) {
        for stat in session_of(&self.0).unwrap_or_default() {
            let _ = kill(&stat);
        }
    }
}

fn attend(
    shim: &Path,
    ordered: &Ordered,
    started: oneshot::Sender<io::Result<Waiting>>,
    ended: oneshot::Sender<io::Result<Ended>>,
) {
    let mut command = Command::new(shim);
    command
        .arg("shim")
        .arg(std::process::id().to_string())
        .arg(&ordered.program)
        .args(&ordered.arguments)
        .current_dir(&ordered.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in &ordered.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let begun = command.spawn().and_then(|mut child| {
        let place = Place::here()?;
        let identity = Stat::of(child.id() as i32)?;
        let (Some(stdin), Some(out), Some(error)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("it has no pipes"));
        };
        let command = RunningCommand {
            what: ordered.what.clone(),
            pid: child.id(),
            started: identity.start,
            boot: place.boot().to_owned(),
        };
        Ok((child, command, stdin, out, error))
    });
    let (mut child, command, mut stdin, out, error) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let (go, may_go) = oneshot::channel();
    // A caller that is gone drops `go`, and closes stdin with it: nothing is run.
    let _ = started.send(Ok(Waiting { command, go }));
    let is_sent =
        may_go.blocking_recv().is_ok() && stdin.write_all(format!("{GO}\n").as_bytes()).is_ok();
    drop(stdin);
    let read = |mut stream: Box<dyn io::Read + Send>| {
        thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = stream.by_ref().take(LONGEST_OUTPUT).read_to_end(&mut kept);
            // What is more is read over: the command must not wait for a reader.
            let _ = io::copy(&mut stream, &mut io::sink());
            String::from_utf8_lossy(&kept).into_owned()
        })
    };
    let (out, error) = (read(Box::new(out)), read(Box::new(error)));
    let status = child.wait();
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (out, error) = (text(out), text(error));
    if is_sent {
        let _ = ended.send(status.map(|status| Ended { status, out, error }));
    }
}

/// `openpolicy-mcp shim PARENT PROGRAM ARGUMENTS…`: becomes the program when it is told to. Comes
/// back only where it cannot.
pub fn become_command(parent: u32, program: &Path, arguments: &[String]) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    let prepared = || -> io::Result<bool> {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before it could be waited for.
        let now = rustix::process::getppid().map(Pid::as_raw_nonzero);
        if now.is_none_or(|now| now.get() as u32 != parent) {
            return Ok(false);
        }
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim_end() == GO)
    };
    match prepared() {
        Ok(true) => Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .exec(),
        Ok(false) => io::Error::other("nobody said that it may go"),
        Err(error) => error,
    }
}

/// Ends commands with everything in their sessions, and waits until all of it is gone.
pub async fn end(commands: &[RunningCommand]) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for command in commands {
            let failed = |error| Problem::failed(format!("ending {}", command.what), error);
            let session = session_of(command).map_err(failed)?;
            for stat in &session {
                kill(stat).map_err(failed)?;
            }
            if !session.is_empty() {
                left.push(command.what.as_str());
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > LONGEST_END {
            return Err(Problem::TimedOut {
                what: format!("ending {}", left.join(", ")),
                waited: LONGEST_END,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The processes of a command's session that still do something.
fn session_of(command: &RunningCommand) -> io::Result<Vec<Stat>> {
    if Place::here()?.boot() != command.boot {
        return Ok(Vec::new());
    }
    let all = Stat::all()?;
    let pid = command.pid as i32;
    // A number is given to another process only when nothing has it, be it as its session: where
    // a process of this number has another start, nothing of the command is left.
    let is_another = all
        .iter()
        .any(|stat| stat.pid == pid && stat.start != command.started);
    Ok(all
        .into_iter()
        .filter(|stat| !is_another && !stat.is_zombie && (stat.pid == pid || stat.session == pid))
        .filter(|stat| stat.start >= command.started)
        .collect())
}

fn kill(stat: &Stat) -> io::Result<()> {
    super::process::members::signal(stat, Signal::KILL)
}
