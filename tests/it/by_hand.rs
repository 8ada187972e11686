//! Deployments by hand: the commands with the real binary over local processes. Nothing is left.

mod approvals;
mod backups;
mod emergency;
mod runs;

use std::{net::TcpListener, path::Path, time::Duration};

use openpolicy_mcp::tools::{self, contract};
use serde_json::Value;

use crate::{
    commands::{Ended, Person},
    support::{self, waiting},
};

/// Longer than any run here takes to come where it is wanted.
const PATIENCE: Duration = Duration::from_secs(40);

/// A platform of stand-ins in the home of a person. What runs is stopped when it goes.
pub struct Hands {
    pub person: Person,
    pub ports: [u16; 3],
}

impl Hands {
    /// Trusted; `more` are further lines of the platform file, `broken` a service that ends.
    pub fn new(more: &str, broken: Option<&str>) -> Self {
        let program = support::bin();
        let folder = program.parent().map(Path::to_owned).unwrap_or_default();
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let person = Person::new()
            .with("PATH", &path)
            .with("USER", "ada")
            .with("OPENPOLICY_PLATFORM", "platform.yaml");
        let hands = Self {
            person,
            ports: free_ports(),
        };
        hands.write(more, broken);
        hands
    }

    /// Writes the platform file anew and trusts it.
    pub fn write(&self, more: &str, broken: Option<&str>) {
        let service = |name: &str, port: u16, needs: &str| {
            let command = match broken == Some(name) {
                true => "[\"false\"]".to_owned(),
                false => format!("[openpolicy-mcp, stand-in, --port, \"{port}\"]"),
            };
            format!(
                "  {name}: {{ memory: 64Mi, port: {port}, needs: [{needs}], command: {command}, \
                 probe: {{ http: \"http://127.0.0.1:{port}/health\", interval: 1s, timeout: 1s, \
                 retries: 2, start_period: 5s }} }}\n"
            )
        };
        let [db, cache, api] = self.ports;
        let services = [
            service("db", db, ""),
            service("cache", cache, ""),
            service("api", api, "db, cache"),
        ];
        self.person.write(
            "platform.yaml",
            &format!(
                "platform: tiny\ncapacity: {{ memory: 1Gi, cpu: 2 }}\nruntime: {{ process: {{}} }}\n\
                 services:\n{}{more}",
                services.concat()
            ),
        );
        self.person.trust(&self.person.path("platform.yaml"));
    }

    pub fn say(&self, line: &str) -> Ended {
        self.person.say(line)
    }

    /// As if every plan had been made long ago.
    pub fn let_plans_expire(&self) {
        let folder = self.person.path(".local/state/openpolicy-mcp/deploy");
        let sites = std::fs::read_dir(folder).expect("a folder");
        for site in sites {
            let journal = site.expect("a site").path().join("journal.sqlite");
            let journal = rusqlite::Connection::open(journal).expect("a journal");
            let changed = journal.execute(
                "UPDATE plan SET body = json_set(body, '$.expires_at', '2020-01-01T00:00:00Z')",
                [],
            );
            assert!(changed.expect("plans") > 0);
        }
    }

    /// A run, as `status --json` tells it.
    pub fn status(&self, run: i64) -> Value {
        let line = format!("status {run} --json");
        serde_json::from_str(&self.person.say(&line).out()).expect("JSON")
    }

    /// Looks at a run until it is as wanted.
    #[track_caller]
    pub fn until(&self, run: i64, wanted: impl Fn(&Value) -> bool) -> Value {
        waiting::until("a run", PATIENCE, || self.status(run), wanted)
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        // Whatever a failed test leaves: the way back goes as far as it can.
        let _ = self.say("accept 1");
        let _ = self.say("rollback 1 --yes");
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// The structured form that a command prints is that of its tool.
#[track_caller]
pub fn is_of(tool: &str, answer: &Value) {
    let contract = contract::of(tools::find(tool).expect("a tool"));
    let schema = &contract["outputSchema"];
    for field in answer.as_object().expect("an object").keys() {
        let named = schema["properties"].get(field);
        assert!(named.is_some(), "{tool} does not name {field}: {answer}");
    }
    for field in schema["required"].as_array().into_iter().flatten() {
        let field = field.as_str().expect("a name");
        assert!(
            answer.get(field).is_some(),
            "{tool} lacks {field}: {answer}"
        );
    }
}

pub fn is_open(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Two phases behind gates.
pub const PHASES: &str = "\
phases:
  - { name: infrastructure, steps: [[db, cache]], gate: { healthy: all, stable_for: 1s, timeout: 30s }, \
expected: \"1s-20s\", status_word: FUNCTIONAL }
  - { name: apps, steps: [[api]], gate: { healthy: all, stable_for: 1s, timeout: 20s } }
";
