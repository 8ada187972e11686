//! Imitates a real OpenMetadata from recordings.
//!
//! Never guesses: what was not recorded and cannot be evaluated is answered with 501, and the test
//! that asked for it fails when the server is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::evaluator;
use super::matching::{self, Fit};
use super::recordings::Recording;
pub use super::recordings::Version;
pub use super::wire::{Answer, Seen};

/// Whose token it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    #[default]
    Admin,
    /// A user without any role beyond the default.
    Reader,
    /// A bot, to which the server shows passwords.
    Bot,
}

/// A running imitation; it stops when dropped.
pub struct Replay {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

type Predicate = Box<dyn Fn(&Seen) -> bool + Send>;
type Change = Box<dyn Fn(&Seen, Answer) -> Answer + Send>;

struct State {
    version: Version,
    expected_token: Option<String>,
    identities: BTreeMap<String, Identity>,
    search_is_down: bool,
    absent: Vec<String>,
    /// Faults for the next requests whatever they are, first in, first out.
    next: std::collections::VecDeque<Answer>,
    faults: Vec<(Predicate, Answer)>,
    canned: Vec<Canned>,
    /// What is done to every answer before it leaves.
    change: Option<Change>,
    requests: Vec<Seen>,
    unmatched: Vec<String>,
    allows_unmatched: bool,
    /// How often each recorded write was asked for: a second delete meets another answer.
    writes: BTreeMap<String, usize>,
}

struct Canned {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    answer: Answer,
}

impl Replay {
    pub async fn start(version: Version) -> Replay {
        Replay::start_blocking(version)
    }

    /// Runs on a thread of its own, so that a test may block on a child process.
    pub fn start_blocking(version: Version) -> Replay {
        Replay::start_at(version, ([127, 0, 0, 1], 0).into())
    }

    /// The same at a place that was named before.
    pub fn start_at(version: Version, place: std::net::SocketAddr) -> Replay {
        let state = Arc::new(Mutex::new(State::new(version)));
        let (stop, stopped) = oneshot::channel::<()>();
        let (announce, announced) = std::sync::mpsc::channel();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind(place).await.expect("a free port");
                announce.send(listener.local_addr().unwrap()).unwrap();
                let respond = Arc::new(move |seen: Seen| lock(&shared).answer(seen));
                tokio::select! {
                    () = super::wire::serve(listener, respond) => {}
                    _ = stopped => {}
                }
            });
        });
        Replay {
            address: announced.recv().expect("the server has started"),
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:<port>`, without `/api`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.state).requests.clone()
    }

    /// Begins the record of requests anew.
    pub fn forget_requests(&self) {
        let mut state = lock(&self.state);
        state.requests.clear();
        state.unmatched.clear();
        state.writes.clear();
    }

    /// Requests so far whose path begins so.
    pub fn requests_to(&self, path_prefix: &str) -> Vec<Seen> {
        let mut requests = self.requests();
        requests.retain(|seen| seen.path.starts_with(path_prefix));
        requests
    }

    /// Any other token gets the recorded 401. By default every token is accepted.
    pub fn expect_token(&self, token: &str) -> &Replay {
        lock(&self.state).expected_token = Some(token.to_owned());
        self
    }

    /// Without this a token is an administrator's.
    pub fn token_identity(&self, token: &str, identity: Identity) -> &Replay {
        let mut state = lock(&self.state);
        state.identities.insert(token.to_owned(), identity);
        drop(state);
        self
    }

    /// From now on the search engine does not answer.
    pub fn search_down(&self) -> &Replay {
        lock(&self.state).search_is_down = true;
        self
    }

    pub fn search_up(&self) -> &Replay {
        lock(&self.state).search_is_down = false;
        self
    }

    /// Answers paths beginning so as this version answers a route that it does not know.
    pub fn without(&self, path_prefix: &str) -> &Replay {
        lock(&self.state).absent.push(path_prefix.to_owned());
        self
    }

    /// The next `count` requests, whatever they are, get this status.
    pub fn fail_next(&self, count: usize, status: u16, headers: &[(&str, &str)]) -> &Replay {
        let mut answer = Answer::json(status, &json!({ "code": status, "message": "injected" }));
        for (name, value) in headers {
            answer = answer.with_header(name, value);
        }
        self.answer_next(count, answer)
    }

    /// The next `count` requests, whatever they are, get this answer.
    pub fn answer_next(&self, count: usize, answer: Answer) -> &Replay {
        lock(&self.state)
            .next
            .extend(std::iter::repeat_n(answer, count));
        self
    }

    /// Every request that the predicate picks gets this answer.
    pub fn fail_where(
        &self,
        predicate: impl Fn(&Seen) -> bool + Send + 'static,
        answer: Answer,
    ) -> &Replay {
        lock(&self.state).faults.push((Box::new(predicate), answer));
        self
    }

    /// Every answer is changed so before it leaves; the latest change counts.
    pub fn change_answers(
        &self,
        change: impl Fn(&Seen, Answer) -> Answer + Send + 'static,
    ) -> &Replay {
        lock(&self.state).change = Some(Box::new(change));
        self
    }

    /// From now on no faults.
    pub fn heal(&self) -> &Replay {
        let mut state = lock(&self.state);
        state.next.clear();
        state.faults.clear();
        drop(state);
        self
    }

    /// A test's own answer; of the query only the named parts have to agree. The latest wins.
    pub fn canned(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        answer: Answer,
    ) -> &Replay {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        lock(&self.state).canned.push(Canned {
            method: method.to_owned(),
            path: super::recordings::decoded(path),
            query: query.iter().map(pair).collect(),
            answer,
        });
        self
    }

    /// Requests that got 501 because nothing answers them.
    pub fn unmatched(&self) -> Vec<String> {
        lock(&self.state).unmatched.clone()
    }

    /// For tests about requests that nothing answers.
    pub fn allow_unmatched(&self) -> &Replay {
        lock(&self.state).allows_unmatched = true;
        self
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        assert!(!matches!(ended, Some(Err(_))), "the replay server panicked");
        let state = lock(&self.state);
        assert!(
            state.allows_unmatched || state.unmatched.is_empty(),
            "nothing recorded answers:\n  {}",
            state.unmatched.join("\n  ")
        );
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A poisoned lock only means that another request panicked, which is reported on drop.
    state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl State {
    fn new(version: Version) -> State {
        State {
            version,
            expected_token: None,
            identities: BTreeMap::new(),
            search_is_down: false,
            absent: Vec::new(),
            next: std::collections::VecDeque::new(),
            faults: Vec::new(),
            canned: Vec::new(),
            change: None,
            requests: Vec::new(),
            unmatched: Vec::new(),
            allows_unmatched: false,
            writes: BTreeMap::new(),
        }
    }

    fn answer(&mut self, seen: Seen) -> Answer {
        let answer = self.unchanged(seen.clone());
        match &self.change {
            Some(change) => change(&seen, answer),
            None => answer,
        }
    }

    fn unchanged(&mut self, seen: Seen) -> Answer {
        self.requests.push(seen.clone());
        if let Some(answer) = self.injected(&seen) {
            return answer;
        }
        if self
            .absent
            .iter()
            .any(|prefix| seen.path.starts_with(prefix))
        {
            return self.recorded("system/unknown-api-route");
        }
        // The address is bounded by the 8 KB that the server keeps for a request's head.
        if seen.target.len() > 8_000 {
            let answer = Version::V1_12_6.recording("lineage-by-search/too-many-hashes");
            return answer_of(answer, answer.response.clone());
        }
        if let Some(refusal) = self.refused(&seen) {
            return refusal;
        }
        if let Some(answer) = self.engine_failure(&seen) {
            return answer;
        }
        if let Some((recording, fit)) = self.best_recording(&seen) {
            return answer_of(recording, fit.body);
        }
        if let Some(answer) = evaluator::answer(self.version, &seen) {
            return answer;
        }
        self.unmatched.push(seen.to_string());
        Answer::json(
            501,
            &json!({ "code": 501, "message": format!("nothing recorded answers {seen}") }),
        )
    }

    fn injected(&mut self, seen: &Seen) -> Option<Answer> {
        if let Some(answer) = self.next.pop_front() {
            return Some(answer);
        }
        if let Some((_, answer)) = self.faults.iter().find(|(picks, _)| picks(seen)) {
            return Some(answer.clone());
        }
        let canned = self.canned.iter().rev().find(|canned| {
            canned.method == seen.method
                && canned.path == seen.path
                && canned.query.iter().all(|pair| seen.query.contains(pair))
        });
        canned.map(|canned| canned.answer.clone())
    }

    /// The recorded 401 for a missing or wrong token.
    fn refused(&self, seen: &Seen) -> Option<Answer> {
        let recordings = self.version.recordings();
        let without_token = recordings.iter().find(|recording| {
            !recording.authorized && recording.path == seen.path && recording.method == seen.method
        });
        let is_public =
            without_token.is_some_and(|recording| !recording.name.ends_with("no-token"));
        if is_public || !seen.path.starts_with("/api/") {
            return None;
        }
        let token = seen.bearer().filter(|token| !token.is_empty());
        match (token, &self.expected_token) {
            // Some routes answer the tokenless in their own way.
            (None, _) => Some(match (without_token, self.version) {
                (Some(recording), _) => answer_of(recording, recording.response.clone()),
                (None, Version::V1_12_6) => self.recorded("system/status-no-token"),
                (None, Version::V1_2_0) => self.recorded("system/no-token"),
            }),
            (Some(token), Some(expected)) if token != expected => {
                Some(self.recorded("system/bad-token"))
            }
            _ => None,
        }
    }

    /// While the engine is down every search fails alike, whatever it asks for.
    fn engine_failure(&self, seen: &Seen) -> Option<Answer> {
        if !self.search_is_down {
            return None;
        }
        if seen.path.starts_with("/api/v1/search/") {
            return Some(self.recorded(match self.version {
                Version::V1_12_6 => "search-down/search",
                Version::V1_2_0 => "search-down/search-old",
            }));
        }
        let by_engine = seen.path.starts_with("/api/v1/lineage/get");
        by_engine.then(|| self.recorded("search-down/getLineage"))
    }

    fn best_recording(&mut self, seen: &Seen) -> Option<(&'static Recording, Fit)> {
        let identity = seen
            .bearer()
            .and_then(|token| self.identities.get(token).copied())
            .unwrap_or_default();
        let mut fits: Vec<((usize, usize), &'static Recording, Fit)> = Vec::new();
        for recording in self.version.recordings() {
            let Some(rank) = rank(recording, identity, self.search_is_down) else {
                continue;
            };
            if let Some(fit) = matching::fitting(self.version, recording, seen) {
                fits.push(((rank, fit.cuts), recording, fit));
            }
        }
        let best = fits.iter().map(|(order, _, _)| *order).min()?;
        fits.retain(|(order, _, _)| *order == best);
        let mut nth = 0;
        if seen.method != "GET" {
            let asked = self.writes.entry(seen.to_string()).or_default();
            nth = (*asked).min(fits.len() - 1);
            *asked += 1;
        }
        let (_, recording, fit) = fits.swap_remove(nth);
        Some((recording, fit))
    }

    fn recorded(&self, name: &str) -> Answer {
        let recording = self.version.recording(name);
        answer_of(recording, recording.response.clone())
    }
}

/// The order in which recordings of the same request are tried; nothing where one does not apply.
fn rank(recording: &Recording, identity: Identity, search_is_down: bool) -> Option<usize> {
    if recording.name.ends_with("-token") && recording.status == 401 {
        return None;
    }
    let is_readers = recording.name.starts_with("rights/reader-");
    match recording.folder() {
        "search-down" => search_is_down.then_some(0),
        "bot-token" => (identity == Identity::Bot).then_some(0),
        "rights" if is_readers => (identity == Identity::Reader).then_some(0),
        _ => Some(1),
    }
}

fn answer_of(recording: &Recording, body: Value) -> Answer {
    let mut answer = Answer::empty(recording.status);
    for (name, value) in &recording.response_headers {
        answer = answer.with_header(name, value);
    }
    match body {
        Value::Null => answer,
        Value::String(text) => answer.with_body(text),
        body => answer.with_body(body.to_string()),
    }
}
