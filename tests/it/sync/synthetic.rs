//! A generator of catalogs of any size that speaks as a recorded OpenMetadata 1.12.6 does, for what
//! no recording can show: size, change, and lies.

// Tests and benches each use a part of this.
#![allow(dead_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Response, Uri, header},
};
use tokio::sync::oneshot;

/// What the catalog is now. Table `n` has an edge from each of `from(n)`.
#[derive(Default)]
pub struct World {
    pub tables: usize,
    pub edges_of_each: usize,
    pub tests: usize,
    /// Tables with a new version and one more column.
    pub changed: BTreeSet<usize>,
    /// Tables that are gone.
    pub gone: BTreeSet<usize>,
    /// Tables that are marked as deleted.
    pub deleted: BTreeSet<usize>,
    /// Tables whose first edge is gone.
    pub cut: BTreeSet<usize>,
    /// Tests that failed since, with a new result.
    pub failing: BTreeSet<usize>,
    /// Added to what the search index says that it holds.
    pub lie: u64,
    /// `search_after` is ignored.
    pub repeats: bool,
    /// Tables that the search index does not know.
    pub unindexed: BTreeSet<usize>,
    /// Requests from this number on are answered with 503.
    pub broken_from: Option<usize>,
    /// Requests from this number on wait until it is taken away.
    pub held_from: Option<usize>,
    /// Done to the world when a request of this number comes.
    pub then: BTreeMap<usize, fn(&mut World)>,
    /// Every request, in order.
    pub requests: Vec<String>,
}

#[derive(Default)]
struct Shared {
    world: Mutex<World>,
    changed: Condvar,
}

/// A running server; it stops when dropped.
pub struct Synthetic {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Synthetic {
    pub fn start(world: World) -> Self {
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            ..Shared::default()
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (announce, announced) = std::sync::mpsc::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                    .await
                    .expect("a free port");
                announce.send(listener.local_addr().unwrap()).unwrap();
                let router = Router::new().fallback(answer).with_state(state);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            address: announced.recv().expect("the server has started"),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what the catalog is.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world());
        self.shared.changed.notify_all();
    }

    /// Requests so far; forgotten by this.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.world().requests)
    }

    /// Waits until so many requests came.
    pub fn wait_for_requests(&self, count: usize) {
        let patience = std::time::Duration::from_secs(30);
        let (_world, late) = self
            .shared
            .changed
            .wait_timeout_while(self.world(), patience, |world| world.requests.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!late.timed_out(), "{count} requests did not come");
    }

    /// The same, or until something else is so.
    pub fn wait_for_requests_or(&self, count: usize, mut other: impl FnMut() -> bool) {
        let shortly = std::time::Duration::from_millis(5);
        let mut world = self.world();
        while world.requests.len() < count && !other() {
            (world, _) = self
                .shared
                .changed
                .wait_timeout(world, shortly)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared)
    }
}

impl Drop for Synthetic {
    fn drop(&mut self) {
        self.change(|world| world.held_from = None);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, World> {
    shared.world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let held = {
        let mut world = lock(&shared);
        world.requests.push(uri.to_string());
        let number = world.requests.len();
        if let Some(then) = world.then.remove(&number) {
            then(&mut world);
        }
        shared.changed.notify_all();
        world.held_from.is_some_and(|from| number >= from)
    };
    if held {
        let shared = Arc::clone(&shared);
        // A thread may wait for the condition.
        let waited = tokio::task::spawn_blocking(move || {
            let world = lock(&shared);
            drop(
                shared
                    .changed
                    .wait_while(world, |world| world.held_from.is_some()),
            );
        });
        waited.await.expect("a wait");
    }
    let (status, body) = {
        let world = lock(&shared);
        if world
            .broken_from
            .is_some_and(|from| world.requests.len() >= from)
        {
            (503, r#"{"code":503,"message":"away"}"#.to_owned())
        } else {
            world.answer(&uri)
        }
    };
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("an answer")
}

impl World {
    fn answer(&self, uri: &Uri) -> (u16, String) {
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let parameter = |name: &str| -> Option<&str> {
            let found = query.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let number = |name: &str, default: usize| -> usize {
            parameter(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let path = uri.path().strip_prefix("/api/v1/").unwrap_or_default();
        match path {
            "system/version" => (200, r#"{"version":"1.12.6"}"#.to_owned()),
            "search/query" => (
                200,
                self.scan(parameter("search_after"), number("size", 10)),
            ),
            "tables" => (
                200,
                self.list(
                    self.alive(),
                    number("after", 0),
                    number("limit", 10),
                    |world, table, body| world.table(table, body),
                ),
            ),
            "dataQuality/testCases" => (
                200,
                self.list(
                    0..self.tests,
                    number("after", 0),
                    number("limit", 10),
                    |world, test, body| world.test(test, body),
                ),
            ),
            _ => match path.strip_prefix("tables/") {
                Some(id) => self.one(id),
                None if path.starts_with("dataQuality/testCases/testCaseResults/") => {
                    (200, self.results(path))
                }
                None => (200, r#"{"data":[],"paging":{"total":0}}"#.to_owned()),
            },
        }
    }

    /// Tables that are there, deleted ones apart.
    fn alive(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.tables).filter(|table| !self.gone.contains(table) && !self.deleted.contains(table))
    }

    fn scan(&self, after: Option<&str>, size: usize) -> String {
        let after = after.filter(|_| !self.repeats).map(number_of);
        let indexed = (0..self.tables)
            .filter(|table| !self.gone.contains(table) && !self.unindexed.contains(table));
        let first = after.map_or(0, |after| after + 1);
        let mut hits = String::new();
        for table in indexed
            .clone()
            .skip_while(|table| *table < first)
            .take(size)
        {
            if !hits.is_empty() {
                hits.push(',');
            }
            let id = id(table);
            let _ = write!(
                hits,
                r#"{{"_id":"{id}","_index":"table_search_index","sort":["{id}"],"_source":"#
            );
            self.document(table, &mut hits);
            hits.push('}');
        }
        let total = indexed.count() as u64 + self.lie;
        format!(
            r#"{{"took":1,"timed_out":false,"_shards":{{"failed":0}},"hits":{{"total":{{"relation":"eq","value":{total}}},"hits":[{hits}]}}}}"#
        )
    }

    fn document(&self, table: usize, body: &mut String) {
        let deleted = self.deleted.contains(&table);
        let _ = write!(
            body,
            r#"{{"id":"{}","entityType":"table","name":"t{table}","fullyQualifiedName":"{}","description":"Table number {table} of a generated catalog","version":{},"updatedAt":{},"deleted":{deleted},"serviceType":"Postgres","service":{{"id":"s","type":"databaseService","name":"gen","fullyQualifiedName":"gen"}},"owners":[{{"id":"o{}","type":"team","name":"team{}"}}],"tags":[],"domains":[],"columns":["#,
            id(table),
            fqn(table),
            self.version(table),
            self.updated_at(table),
            table % 20,
            table % 20,
        );
        for column in 0..self.columns(table) {
            let comma = if column == 0 { "" } else { "," };
            let _ = write!(body, r#"{comma}{{"name":"c{column}"}}"#);
        }
        body.push_str(r#"],"upstreamLineage":["#);
        let skip = usize::from(self.cut.contains(&table));
        // With a table go its edges.
        let upstream = self
            .upstream(table)
            .filter(|from| !self.gone.contains(from));
        for (position, from) in upstream.skip(skip).enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let _ = write!(
                body,
                r#"{comma}{{"fromEntity":{{"id":"{}","type":"table","fullyQualifiedName":"{from_fqn}"}},"columns":[{{"fromColumns":["{from_fqn}.c0"],"toColumn":"{}.c0"}}],"source":"QueryLineage"}}"#,
                id(from),
                fqn(table),
                from_fqn = fqn(from),
            );
        }
        body.push_str("]}");
    }

    fn table(&self, table: usize, body: &mut String) {
        let _ = write!(
            body,
            r#"{{"id":"{}","name":"t{table}","fullyQualifiedName":"{}","description":"Table number {table} of a generated catalog","version":{},"updatedAt":{},"updatedBy":"admin","deleted":false,"tableType":"Regular","serviceType":"Postgres","href":"http://om/api/v1/tables/x","service":{{"id":"s","type":"databaseService","name":"gen","fullyQualifiedName":"gen"}},"owners":[{{"id":"o{}","type":"team","name":"team{}"}}],"tags":[],"columns":["#,
            id(table),
            fqn(table),
            self.version(table),
            self.updated_at(table),
            table % 20,
            table % 20,
        );
        for column in 0..self.columns(table) {
            let comma = if column == 0 { "" } else { "," };
            let _ = write!(
                body,
                r#"{comma}{{"name":"c{column}","dataType":"BIGINT","dataTypeDisplay":"bigint","fullyQualifiedName":"{}.c{column}","description":"Column {column}","tags":[],"ordinalPosition":{column}}}"#,
                fqn(table)
            );
        }
        body.push_str("]}");
    }

    fn test(&self, test: usize, body: &mut String) {
        let failing = self.failing.contains(&test);
        let _ = write!(
            body,
            r#"{{"id":"{}","name":"x{test}","fullyQualifiedName":"{}.x{test}","entityFQN":"{}","entityLink":"<#E::table::{}>","testCaseStatus":"{}","version":0.1,"updatedAt":1795223829516}}"#,
            id(1_000_000_000 + test),
            fqn(test),
            fqn(test),
            fqn(test),
            if failing { "Failed" } else { "Success" },
        );
    }

    fn results(&self, path: &str) -> String {
        let test = path
            .rsplit_once(".x")
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0);
        let status = if self.failing.contains(&test) {
            "Failed"
        } else {
            "Success"
        };
        format!(
            r#"{{"data":[{{"timestamp":1795223829516,"testCaseStatus":"{status}","result":"said"}}],"paging":{{"total":1}}}}"#
        )
    }

    fn one(&self, id: &str) -> (u16, String) {
        let table = number_of(id);
        if !self.alive().any(|alive| alive == table) {
            let message = format!("table instance for {id} not found");
            return (404, format!(r#"{{"code":404,"message":"{message}"}}"#));
        }
        let mut body = String::new();
        self.table(table, &mut body);
        (200, body)
    }

    /// `after` is the number of the last entry and one more.
    fn list(
        &self,
        all: impl Iterator<Item = usize> + Clone,
        after: usize,
        limit: usize,
        entry: impl Fn(&Self, usize, &mut String),
    ) -> String {
        let mut data = String::new();
        let mut last = None;
        let page = all.clone().skip_while(|number| *number < after).take(limit);
        for number in page {
            if !data.is_empty() {
                data.push(',');
            }
            entry(self, number, &mut data);
            last = Some(number);
        }
        let total = all.clone().count();
        let cursor = last
            .filter(|last| all.clone().last() != Some(*last))
            .map_or_else(String::new, |last| format!(r#","after":"{}""#, last + 1));
        format!(r#"{{"data":[{data}],"paging":{{"total":{total}{cursor}}}}}"#)
    }

    fn columns(&self, table: usize) -> usize {
        10 + usize::from(self.changed.contains(&table))
    }

    fn version(&self, table: usize) -> &'static str {
        if self.changed.contains(&table) {
            "0.2"
        } else {
            "0.1"
        }
    }

    fn updated_at(&self, table: usize) -> u64 {
        1_795_223_782_777 + u64::from(self.changed.contains(&table))
    }

    /// Where a table comes from: always tables with smaller numbers.
    fn upstream(&self, table: usize) -> impl Iterator<Item = usize> {
        let edges = self.edges_of_each.min(table);
        (1..=edges)
            .map(move |edge| table - 1 - (table * 7 + edge * 13) % table.min(50))
            .collect::<BTreeSet<usize>>()
            .into_iter()
    }
}

/// Sorted as the numbers are.
pub fn id(number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn number_of(id: &str) -> usize {
    let digits = id.split('-').next().unwrap_or_default();
    usize::from_str_radix(digits, 16).unwrap_or(usize::MAX)
}

pub fn fqn(table: usize) -> String {
    format!("gen.db{}.schema{}.t{table}", table % 3, table % 100)
}
