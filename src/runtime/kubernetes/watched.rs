//! Keeps what looks are about with watches, for as long as somebody looks again and again.
//!
//! A look is answered from what the watches have told only while all of that holds: the watch of the
//! kind is held, it has told what this process wrote, and the API server has answered a moment ago.
//! Else the kind is listed for that look, which tells the truth or why nobody can.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::try_join_all};
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    cluster::Cluster,
    mirror::{Happened, KEPT, Kept, Looks, Mirror},
};
use crate::runtime::Problem;

/// The API server ends a watch after this, and the next goes on where it ended. A connection that is
/// dead without a word is found by its not ending: so a watch is short.
const WATCH: Duration = Duration::from_secs(10);

/// How much later than that the end may come.
const LATE: Duration = Duration::from_secs(3);

/// For so long an answer of the API server stands for its being there.
const PROOF: Duration = Duration::from_secs(2);

/// Between two lists of a kind, so that neither a server in trouble nor one that is told to remove many
/// is asked for more.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Who may list and may not watch is given the right some day.
const NOT_ALLOWED: Duration = Duration::from_secs(300);

pub(super) struct Watched {
    held: Arc<Held>,
    tasks: Mutex<HashMap<&'static str, AbortHandle>>,
}

struct Held {
    cluster: Arc<Cluster>,
    namespace: String,
    state: Mutex<State>,
    /// Something was written that only another list tells of.
    listed_anew: Notify,
}

#[derive(Default)]
struct State {
    looks: Looks,
    mirrors: HashMap<&'static str, Mirror>,
    /// When the API server answered last.
    answered: Option<Instant>,
}

impl Watched {
    pub(super) fn new(cluster: Arc<Cluster>, namespace: String) -> Self {
        Self {
            held: Arc::new(Held {
                cluster,
                namespace,
                state: Mutex::default(),
                listed_anew: Notify::new(),
            }),
            tasks: Mutex::default(),
        }
    }

    /// All objects of each kind, in the order of [`KEPT`], as they are now.
    pub(super) async fn look(&self) -> Result<Vec<Vec<Arc<Value>>>, Problem> {
        let is_worth_it = self.held.with(|state| state.looks.look(Instant::now()));
        if is_worth_it {
            self.watch();
        }
        if self.held.with(|state| state.is_any_live()) {
            self.held.prove().await?;
        }
        try_join_all(KEPT.iter().map(|kind| self.held.of_kind(kind))).await
    }

    /// The same, asked for now.
    pub(super) async fn ask(&self) -> Result<Vec<Vec<Arc<Value>>>, Problem> {
        let lists = try_join_all(KEPT.iter().map(|kind| self.held.listed(kind))).await?;
        for (kind, list) in KEPT.iter().zip(&lists) {
            self.held.saw(kind, list);
        }
        Ok(lists)
    }

    /// Each kind is kept by a task of its own, which ends itself when nobody looks any more.
    fn watch(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in &KEPT {
            if tasks.get(kind.kind).is_none_or(AbortHandle::is_finished) {
                let held = Arc::clone(&self.held);
                let task = tokio::spawn(async move { held.keep(kind).await });
                tasks.insert(kind.kind, task.abort_handle());
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut();
        for task in tasks.unwrap_or_else(PoisonError::into_inner).values() {
            task.abort();
        }
    }
}

impl State {
    fn is_any_live(&self) -> bool {
        self.mirrors.values().any(Mirror::is_live)
    }
}

/// Why a watch is over.
enum Over {
    /// Nobody looks any more.
    Forgotten,
    /// It is listed anew: at once, or after this.
    ListAnew(Duration),
}

impl Held {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One of a kind is asked for, where nothing was answered for a moment. A watch that says nothing
    /// may be that of a server that is gone.
    async fn prove(&self) -> Result<(), Problem> {
        let answered = self.with(|state| state.answered);
        if answered.is_some_and(|at| at.elapsed() < PROOF) {
            return Ok(());
        }
        let path = format!("{}?limit=1", KEPT[0].path(&self.namespace));
        self.cluster.list(&path).await?;
        self.answered();
        Ok(())
    }

    fn answered(&self) {
        self.with(|state| state.answered = Some(Instant::now()));
    }

    async fn of_kind(&self, kind: &Kept) -> Result<Vec<Arc<Value>>, Problem> {
        let writes = self.cluster.writes().of(kind.kind);
        let current = self.with(|state| state.mirrors.get(kind.kind)?.current(writes));
        if let Some(current) = current {
            return Ok(current);
        }
        self.listed_anew.notify_waiters();
        self.listed(kind).await
    }

    async fn listed(&self, kind: &Kept) -> Result<Vec<Arc<Value>>, Problem> {
        let list = self.cluster.list(&kind.path(&self.namespace)).await?;
        let list = list.unwrap_or_default().into_iter();
        Ok(list.map(|object| Arc::new(kind.named(object))).collect())
    }

    /// What is asked for is seen by the next look, too.
    fn saw(&self, kind: &Kept, list: &[Arc<Value>]) {
        let writes = self.cluster.writes();
        writes.saw(kind.kind, list);
        // Pods go by themselves, and nothing is concluded of that.
        let has_more = self.with(|state| {
            let mirror = state.mirrors.get(kind.kind);
            mirror.is_some_and(|mirror| mirror.has_more_than(list))
        });
        if has_more && kind.kind != "Pod" {
            writes.wrote(kind.kind, None);
        }
    }

    /// Lists and watches until nobody looks any more.
    async fn keep(&self, kind: &Kept) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let begun = Instant::now();
            let over = match self.list(kind).await {
                Ok(()) => self.hold(kind).await,
                Err(problem) => self.failed(kind, &problem),
            };
            self.with(|state| state.mirrors.remove(kind.kind));
            let Over::ListAnew(wanted) = over else {
                return;
            };
            // What went well for a while starts over.
            pause = match begun.elapsed() > WATCH {
                true => SHORTEST_PAUSE,
                false => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(match wanted.is_zero() {
                true => SHORTEST_PAUSE,
                false => wanted.max(pause),
            })
            .await;
            if self.with(|state| state.looks.is_forgotten(Instant::now())) {
                return;
            }
        }
    }

    async fn list(&self, kind: &Kept) -> Result<(), Problem> {
        let written = self.cluster.writes().of(kind.kind).count;
        let path = kind.path(&self.namespace);
        let (list, version) = self.cluster.list_with_version(&path).await?;
        let mirror = Mirror::of(kind, list, version, written);
        self.with(|state| {
            state.answered = Some(Instant::now());
            state.mirrors.insert(kind.kind, mirror);
        });
        Ok(())
    }

    /// Watches from where the list, or the watch before, ended.
    async fn hold(&self, kind: &Kept) -> Over {
        loop {
            let version = self.with(|state| {
                let mirror = state.mirrors.get(kind.kind)?;
                Some(mirror.version().to_owned())
            });
            let Some(version) = version else {
                return Over::ListAnew(Duration::ZERO);
            };
            let path = kind.path(&self.namespace);
            let begun = Instant::now();
            let mut events = match self.cluster.watch(&path, &version, WATCH).await {
                Ok(events) => events,
                Err(problem) => return self.failed(kind, &problem),
            };
            self.set_live(kind, true);
            loop {
                let end = begun + WATCH + LATE;
                let event = tokio::select! {
                    event = tokio::time::timeout_at(end.into(), events.next()) => event,
                    () = self.listed_anew.notified() => {
                        let writes = self.cluster.writes().of(kind.kind);
                        let is_due = self.with(|state| {
                            let mirror = state.mirrors.get(kind.kind);
                            mirror.is_none_or(|one| one.is_to_be_listed_anew(writes))
                        });
                        match is_due {
                            true => return Over::ListAnew(Duration::ZERO),
                            false => continue,
                        }
                    }
                };
                let happened = match event {
                    Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                        self.take(kind, version_of(&object), Happened::Is(object))
                    }
                    Ok(Some(Ok(WatchEvent::Deleted(object)))) => {
                        self.take(kind, version_of(&object), Happened::IsGone(object))
                    }
                    Ok(Some(Ok(WatchEvent::Bookmark(mark)))) => {
                        let version = mark.metadata.resource_version;
                        self.take(kind, version, Happened::Nothing)
                    }
                    // Ended in time, as was asked for.
                    Ok(None) if begun.elapsed() + SHORTEST_PAUSE >= WATCH => break,
                    // What is too old, or cut, may lack something: only a list tells.
                    Ok(None | Some(_)) | Err(_) => false,
                };
                if !happened {
                    tracing::debug!(kind = kind.kind, "A watch was cut and begins anew");
                    return Over::ListAnew(SHORTEST_PAUSE);
                }
            }
            self.set_live(kind, false);
            if self.with(|state| state.looks.is_forgotten(Instant::now())) {
                return Over::Forgotten;
            }
        }
    }

    fn take(&self, kind: &Kept, version: String, happened: Happened) -> bool {
        self.with(|state| {
            state.answered = Some(Instant::now());
            match state.mirrors.get_mut(kind.kind) {
                Some(mirror) if !version.is_empty() => {
                    mirror.take(kind, version, happened);
                    true
                }
                _ => false,
            }
        })
    }

    fn set_live(&self, kind: &Kept, is_live: bool) {
        self.with(|state| {
            state.answered = Some(Instant::now());
            if let Some(mirror) = state.mirrors.get_mut(kind.kind) {
                mirror.set_live(is_live);
            }
        });
    }

    fn failed(&self, kind: &Kept, problem: &Problem) -> Over {
        tracing::debug!(kind = kind.kind, %problem, "A watch does not begin");
        Over::ListAnew(match problem {
            Problem::NotAllowed { .. } => NOT_ALLOWED,
            _ => SHORTEST_PAUSE,
        })
    }
}

fn version_of(object: &Value) -> String {
    let version = object.pointer("/metadata/resourceVersion");
    version
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
