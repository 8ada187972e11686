//! The keeper: a process of its own for each service, which starts it, writes its logs down, and
//! starts it again.
//!
//! It is this binary (`openpolicy-mcp keep`), in a session of its own, so that a service outlives
//! whoever applied it. The output of the service comes through named pipes that the service itself
//! holds open in both directions: a keeper that is killed breaks no pipe, and the next one goes on
//! reading. The keeper is the subreaper of its children, so nothing of a service escapes it.

use std::{
    fs::{self, File},
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitOptions, set_child_subreaper, setsid, wait};
use serde::{Deserialize, Serialize};
use tokio::{
    net::unix::pipe,
    signal::unix::{Signal as Signals, SignalKind, signal},
};

use super::{
    identity::{Identity, Stat},
    log_files::LogWriter,
    members::{self, MARKER},
    record::{Folder, Record, RecordedExit, Stage},
    restart::{Next, Restarts},
    spec::Spec,
};
use crate::{platform::Bytes, runtime::Stream};

/// What whoever starts a keeper writes to its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub folder: std::path::PathBuf,
    pub spec: Spec,
    /// Takes care of the child that runs already.
    pub adopt: bool,
}

/// The one line that a keeper answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// None: it runs.
    pub error: Option<String>,
}

/// How long a service may take to end when nobody said how long.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a keeper to its end: reads its order from stdin, answers one line on stdout.
pub fn run() -> io::Result<()> {
    let order: Order = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match Keeper::start(order) {
            Ok(keeper) => {
                reply(&Reply { error: None })?;
                keeper.keep().await
            }
            Err(error) => reply(&Reply {
                error: Some(error.to_string()),
            }),
        }
    })
}

fn reply(reply: &Reply) -> io::Result<()> {
    use io::Write as _;
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, reply)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

struct Keeper {
    folder: Folder,
    spec: Spec,
    record: Record,
    restarts: Restarts,
    child: Option<Child>,
    logs: LogWriter,
    out: pipe::Receiver,
    error: pipe::Receiver,
    terminate: Signals,
    interrupt: Signals,
    ended: Signals,
    /// Kept for its lock.
    _lock: File,
}

struct Child {
    pid: Pid,
    /// Its start time, with which a pid is sure.
    start: u64,
    since: Instant,
    /// Not started by this keeper: how it ends cannot be known.
    is_adopted: bool,
}

/// Why watching ended.
enum Seen {
    Ended,
    AskedToStop,
    AboveMemory(u64),
}

impl Keeper {
    fn start(order: Order) -> io::Result<Self> {
        let folder = Folder(order.folder);
        let lock = File::create(folder.keeper_lock())?;
        lock.try_lock()
            .map_err(|_| io::Error::other("another keeper takes care of it already"))?;
        // Fails only where it leads a session already.
        let _ = setsid();
        let own = rustix::process::getpid();
        set_child_subreaper(Some(own))?;
        let before = folder.read()?.filter(|_| order.adopt);
        let tuning = order.spec.tuning.clone();
        let keeper = Identity::of(own.as_raw_nonzero().get())?;
        let record = match before {
            Some(record) => Record { keeper, ..record },
            None => Record {
                session: keeper.pid,
                marker: format!("{}-{}", keeper.pid, Timestamp::now().as_nanosecond()),
                keeper,
                stage: Stage::Waiting,
                child: None,
                started_at: None,
                restarts: 0,
                last_exit: None,
                digest: order.spec.digest(),
                spec: order.spec.without_passed(),
            },
        };
        let mut keeper = Self {
            logs: LogWriter::open(&folder.logs(), tuning.log_file_bytes, tuning.log_files)?,
            out: pipe_of(&folder.0.join("out"))?,
            error: pipe_of(&folder.0.join("err"))?,
            restarts: Restarts::new(&tuning),
            spec: order.spec,
            record,
            child: None,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            ended: signal(SignalKind::child())?,
            folder,
            _lock: lock,
        };
        // A terminal that closes ends no keeper; nobody needs to hear of it.
        drop(signal(SignalKind::hangup())?);
        if order.adopt {
            keeper.adopt()?;
        } else if let Err(error) = keeper.launch() {
            keeper.could_not_start(&error);
            keeper.record.stage = Stage::Ended;
            keeper.write();
            return Err(error);
        }
        keeper.write();
        Ok(keeper)
    }

    async fn keep(mut self) -> io::Result<()> {
        loop {
            let seen = self.watch().await;
            if matches!(seen, Seen::AskedToStop) {
                self.stop().await;
                return Ok(());
            }
            let since = self.child.as_ref().map(|child| child.since);
            let mut ran = since.map_or(Duration::ZERO, |since| since.elapsed());
            if let Seen::AboveMemory(used) = seen {
                self.end_all().await;
                self.ended_by(Some(self.above(used)));
            } else {
                self.ended_by(None);
                self.end_all().await;
            }
            self.say_end();
            loop {
                match self.restarts.next(self.spec.is_one_shot, ran) {
                    Next::Stay => {
                        self.record.stage = Stage::Ended;
                        self.write();
                        return Ok(());
                    }
                    Next::Again(pause) => {
                        self.say(&format!("starts again in {} ms", pause.as_millis()));
                        self.record.stage = Stage::Waiting;
                        self.write();
                        if self.waits(pause).await {
                            self.stop().await;
                            return Ok(());
                        }
                        self.record.restarts += 1;
                    }
                }
                match self.launch() {
                    Ok(()) => break,
                    Err(error) => {
                        ran = Duration::ZERO;
                        self.could_not_start(&error);
                    }
                }
            }
            self.write();
        }
    }

    fn launch(&mut self) -> io::Result<()> {
        let [program, arguments @ ..] = self.spec.command.as_slice() else {
            return Err(io::Error::other("there is no program"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.spec.environment)
            .env(MARKER, &self.record.marker)
            .stdin(Stdio::null())
            .stdout(writer(&self.folder.0.join("out"))?)
            .stderr(writer(&self.folder.0.join("err"))?)
            .process_group(0);
        if let Some(folder) = &self.spec.folder {
            command.current_dir(folder);
        }
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let pid = child.id() as i32;
        self.child = Some(Child::of(pid, false)?);
        self.record.child = Some(Identity::of(pid)?);
        // Where it was adopted, that of an earlier keeper.
        self.record.session = self.record.keeper.pid;
        self.record.stage = Stage::Running;
        self.record.started_at = Some(Timestamp::now().as_millisecond());
        self.say(&format!("started, pid {pid}"));
        Ok(())
    }

    fn adopt(&mut self) -> io::Result<()> {
        let recorded = self.record.child.as_ref().map(|child| child.pid);
        let pid = recorded.ok_or_else(|| io::Error::other("nothing runs"))?;
        let child = Child::of(pid, true)?;
        let is_same = self
            .record
            .child
            .as_ref()
            .is_some_and(|recorded| recorded.start == child.start);
        if !is_same {
            return Err(io::Error::other("it has ended"));
        }
        self.child = Some(child);
        self.say(&format!(
            "taken over from a keeper that was ended, pid {pid}"
        ));
        Ok(())
    }

    /// Writes logs down until something has to be done.
    async fn watch(&mut self) -> Seen {
        let look = Duration::from_millis(self.spec.tuning.look_ms.max(10));
        let mut looks = tokio::time::interval(look);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = 0_u32;
        let mut known = Vec::new();
        loop {
            if self.child.as_ref().is_none_or(Child::has_ended) {
                self.read_all();
                return Seen::Ended;
            }
            tokio::select! {
                _ = self.terminate.recv() => return Seen::AskedToStop,
                _ = self.interrupt.recv() => return Seen::AskedToStop,
                _ = self.ended.recv() => self.reap_others(),
                _ = self.out.readable() => self.read_all(),
                _ = self.error.readable() => self.read_all(),
                _ = looks.tick() => {
                    // Half a line that has waited for a look is shown.
                    self.logs.flush(Timestamp::now());
                    let Some(limit) = self.spec.memory else { continue };
                    // All of /proc is read seldom: new children are few, looks are many.
                    if round.is_multiple_of(5) {
                        known = self.members().iter().map(|stat| stat.pid).collect();
                    }
                    round = round.wrapping_add(1);
                    let used: u64 = known.iter().filter_map(|pid| members::memory(*pid)).sum();
                    if used > limit {
                        return Seen::AboveMemory(used);
                    }
                }
            }
        }
    }

    /// Waits before a restart; true where it was asked to stop meanwhile.
    async fn waits(&mut self, pause: Duration) -> bool {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return false,
                _ = self.terminate.recv() => return true,
                _ = self.interrupt.recv() => return true,
                _ = self.ended.recv() => self.reap_others(),
            }
        }
    }

    async fn stop(&mut self) {
        let grace = fs::read_to_string(self.folder.grace())
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map_or(GRACE, Duration::from_millis);
        if self.child.is_some() {
            for stat in self.members() {
                // What cannot be signalled is told by `end_all`.
                let _ = members::signal(&stat, Signal::TERM);
            }
            let deadline = Instant::now() + grace;
            while Instant::now() < deadline {
                self.read_all();
                self.reap_others();
                if self.members().is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let is_stubborn = !self.members().is_empty();
        self.end_all().await;
        if self.child.is_some() {
            let grace = grace.as_millis();
            let reason = format!("did not end within {grace} ms and was ended");
            self.ended_by(is_stubborn.then_some(reason));
            if let Some(exit) = &mut self.record.last_exit {
                exit.is_stubborn = is_stubborn;
            }
            self.say_end();
        }
        self.record.stage = Stage::Stopped;
        self.write();
        let _ = fs::remove_file(self.folder.grace());
    }

    /// Ends every process of the service that is left.
    async fn end_all(&mut self) {
        // Each round may find what was started between the look and the signal.
        for round in 0..200 {
            let left = self.members();
            if left.is_empty() {
                break;
            }
            for stat in &left {
                if let Err(error) = members::signal(stat, Signal::KILL)
                    && round == 0
                {
                    self.say(&format!("pid {} cannot be ended: {error}", stat.pid));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.reap_others();
        }
        self.read_all();
        self.logs.flush(Timestamp::now());
    }

    /// Everything below this keeper but itself, and what it adopted.
    fn members(&self) -> Vec<Stat> {
        let own = self.record.keeper.pid;
        let mut roots = vec![own];
        let adopted = self.child.as_ref().filter(|child| child.is_adopted);
        roots.extend(adopted.map(|child| child.pid.as_raw_nonzero().get()));
        let session = adopted.map(|_| self.record.session);
        let all = Stat::all().unwrap_or_default();
        members::members(&all, &roots, session, Some(own))
            .into_iter()
            .cloned()
            .collect()
    }

    /// Takes note of how the child ended.
    fn ended_by(&mut self, reason: Option<String>) {
        let child = self.child.take();
        let mut exit = RecordedExit {
            code: None,
            signal: None,
            at: Timestamp::now().as_millisecond(),
            reason,
            is_stubborn: false,
        };
        match child {
            Some(child) if !child.is_adopted => {
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    if pid == child.pid {
                        let status = ExitStatus::from_raw(status.as_raw());
                        exit.code = status.code();
                        exit.signal = status.signal();
                    }
                }
            }
            _ => {
                let unseen = "it was started by an earlier keeper".to_owned();
                exit.reason = Some(
                    exit.reason
                        .map_or(unseen.clone(), |why| format!("{why}; {unseen}")),
                );
            }
        }
        self.record.last_exit = Some(exit);
    }

    /// Reaps what was left to this keeper by children of its child. The child itself stays for
    /// `ended_by`.
    fn reap_others(&mut self) {
        let own = self.child.as_ref().map(|child| child.pid);
        let parent = self.record.keeper.pid;
        for stat in Stat::all().unwrap_or_default() {
            let Some(pid) = Pid::from_raw(stat.pid) else {
                continue;
            };
            if stat.parent == parent && stat.is_zombie && Some(pid) != own {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Writes down what the pipes hold now. They are read past tokio first: what it knows of them
    /// is as old as its last wait, and a service may have written since and ended.
    fn read_all(&mut self) {
        let now = Timestamp::now();
        let mut buffer = [0; 32 * 1024];
        for (stream, receiver) in [(Stream::Out, &self.out), (Stream::Error, &self.error)] {
            // A service that writes faster than this reads must not keep it from its other work.
            for _ in 0..64 {
                let read = match rustix::io::read(receiver, &mut buffer) {
                    Ok(count) => count,
                    // Tells tokio that it has to wait for more.
                    Err(_) => receiver.try_read(&mut buffer).unwrap_or(0),
                };
                if read == 0 {
                    break;
                }
                self.logs.take(stream, &buffer[..read], now);
            }
        }
    }

    fn could_not_start(&mut self, error: &io::Error) {
        self.record.child = None;
        self.record.last_exit = Some(RecordedExit {
            code: None,
            signal: None,
            at: Timestamp::now().as_millisecond(),
            reason: Some(format!("it could not be started: {error}")),
            is_stubborn: false,
        });
        self.say(&format!("could not be started: {error}"));
    }

    fn above(&self, used: u64) -> String {
        let limit = Bytes(self.spec.memory.unwrap_or_default());
        format!("above its memory limit ({} of {limit})", Bytes(used))
    }

    fn say_end(&mut self) {
        if let Some(exit) = &self.record.last_exit {
            let text = format!("ended: {}", exit.told());
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        self.logs.say(text, Timestamp::now());
    }

    fn write(&mut self) {
        if let Err(error) = self.folder.write(&self.record) {
            self.say(&format!("its state cannot be written: {error}"));
        }
    }
}

impl Child {
    fn of(pid: i32, is_adopted: bool) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process"))?;
        Ok(Self {
            pid,
            start: Stat::of(pid.as_raw_nonzero().get())?.start,
            since: Instant::now(),
            is_adopted,
        })
    }

    /// Looked at after each signal that a child ended, and at each look for one that is not a
    /// child of this keeper.
    fn has_ended(&self) -> bool {
        !Stat::of(self.pid.as_raw_nonzero().get())
            .is_ok_and(|stat| stat.start == self.start && !stat.is_zombie)
    }
}

/// The reading end of a named pipe, which is made where it is missing.
fn pipe_of(path: &Path) -> io::Result<pipe::Receiver> {
    use rustix::fs::{CWD, Mode, mkfifoat};
    match mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // Read and write: it never comes to its end, whoever writes or leaves.
    pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(path)
}

/// The end that a child writes to. It can be read too, so that a write never finds nobody there.
fn writer(path: &Path) -> io::Result<Stdio> {
    /// As much as Linux lets anyone have: what a service may write while no keeper reads.
    const ROOM: usize = 1 << 20;
    let file = File::options().read(true).write(true).open(path)?;
    // Less is fine.
    let _ = rustix::pipe::fcntl_setpipe_size(&file, ROOM);
    Ok(file.into())
}
