//! The command line as a person meets it: exit codes, messages, answers.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support;
#[cfg(target_os = "linux")]
use crate::support::server;

/// The binary in an empty folder that is also the home, with nothing of our own environment.
pub struct Person {
    pub folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Person {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a folder"),
            environment: Vec::new(),
        }
    }

    pub fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(support::bin());
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// What the binary sees of an environment.
    #[cfg(target_os = "linux")]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let home = self.folder.path().display().to_string();
        let mut all = vec![("HOME", home)];
        all.extend(self.environment.iter().cloned());
        all
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        Ended(self.command().args(arguments).output().expect("the binary"))
    }

    /// Trusts a platform file as it is now.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn trust(&self, file: &std::path::Path) {
        let variables = self.variables();
        let environment: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        server::trust(&file.display().to_string(), &environment);
    }

    /// Runs words separated by spaces.
    pub fn say(&self, line: &str) -> Ended {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }
}

pub struct Ended(Output);

impl Ended {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.0.status.code(),
            Some(expected),
            "out: {}\nerr: {}",
            self.out(),
            self.err()
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|error| panic!("{error}: {}", self.out()))
    }
}

pub fn is_without(text: &str, secret: &str) -> bool {
    !text.contains(secret)
}

// What is wrong with a command line is said, with exit code 2.

#[test]
fn help_and_version_are_answers() {
    let person = Person::new();
    let help = person.say("--help").code(0);
    for command in ["serve", "demo", "tools", "doctor", "init"] {
        assert!(help.out().contains(command), "{command}: {}", help.out());
    }
    assert!(
        person
            .say("--version")
            .code(0)
            .out()
            .contains(env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn unknown_flags_commands_and_words_are_wrong_usage() {
    let person = Person::new();
    for (line, named) in [
        ("--tolsets all", "--toolsets"),
        ("serve --answers json", "both, text"),
        ("serve --http nowhere", "--http"),
        ("serve --log-format yaml", "text, json"),
        ("serve --allow-host example.org", "--http"),
        ("tool list", "tools"),
        ("tools call", "NAME"),
        ("init", "--client"),
        ("init --client emacs", "cursor"),
        (
            "init --client cursor --http http://127.0.0.1:1/mcp --container x",
            "--http",
        ),
    ] {
        let ended = person.say(line).code(2);
        assert!(ended.err().contains(named), "{line}: {}", ended.err());
        assert_eq!(ended.out(), "", "{line}");
    }
}

#[test]
fn no_flag_takes_a_secret() {
    let person = Person::new();
    for command in ["serve", "demo", "doctor", "init", "tools call"] {
        let help = person.say(&format!("{command} --help")).code(0).out();
        for flag in [
            "--token ",
            "--token=",
            "--password",
            "--http-token <",
            "--email",
        ] {
            assert!(!help.contains(flag), "{command} has {flag}");
        }
    }
}

#[test]
fn half_a_credential_is_said_before_anything_starts() {
    let url = "http://127.0.0.1:9";
    let no_password = Person::new()
        .with("OPENMETADATA_URL", url)
        .with("OPENMETADATA_EMAIL", "reader@example.org");
    let ended = no_password.say("serve").code(2);
    assert!(
        ended.err().contains("OPENMETADATA_PASSWORD"),
        "{}",
        ended.err()
    );

    let no_address = Person::new().with("OPENMETADATA_TOKEN", "canary-7731");
    let ended = no_address.say("serve").code(2);
    assert!(ended.err().contains("OPENMETADATA_URL"), "{}", ended.err());
    assert!(is_without(&ended.err(), "canary-7731"));

    let no_file = Person::new().with("OPENPOLICY_HTTP_TOKEN_FILE", "/nowhere/token");
    let ended = no_file.say("demo --http 127.0.0.1:0").code(2);
    assert!(ended.err().contains("/nowhere/token"), "{}", ended.err());
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let mut person = Person::new();
    for variable in [
        "OPENMETADATA_URL",
        "OPENMETADATA_TOKEN",
        "OPENMETADATA_TOKEN_FILE",
        "OPENMETADATA_CA_FILE",
        "OPENMETADATA_EMAIL",
        "OPENMETADATA_PASSWORD",
        "OPENMETADATA_PASSWORD_FILE",
        "OPENPOLICY_TOOLSETS",
        "OPENPOLICY_HTTP_TOKEN",
        "OPENPOLICY_HTTP_TOKEN_FILE",
    ] {
        person = person.with(variable, "");
    }
    // stdin is at its end: the server starts and ends.
    person.say("serve").code(0);
    person.say("demo").code(0);
}

#[test]
fn flags_win_over_the_environment() {
    let person = Person::new().with("OPENPOLICY_TOOLSETS", "nonsense");
    assert!(person.say("serve").code(2).err().contains("nonsense"));
    person.say("serve --toolsets catalog").code(0);
    let person = Person::new().with("OPENMETADATA_URL", "ftp://environment");
    assert!(
        person
            .say("serve")
            .code(2)
            .err()
            .contains("ftp://environment")
    );
    person.say("serve --url http://127.0.0.1:9").code(0);
}

// `tools`.

#[test]
fn tools_are_listed_for_people_and_programs() {
    let person = Person::new();
    let text = person.say("tools list").code(0).out();
    assert!(
        text.lines().count() >= 14 && text.contains("search_entities"),
        "{text}"
    );
    let all = person.say("tools list --json").code(0).json();
    assert_eq!(all.as_array().map(Vec::len), Some(text.lines().count()));
    assert!(all[0]["inputSchema"].is_object());
    let one = person.say("tools schema get_lineage").code(0).json();
    assert_eq!(one["name"], "get_lineage");
}

#[test]
fn a_tool_is_called_by_hand() {
    let person = Person::new();
    let bills = r#"{"query": "bills"}"#;
    let text = person
        .run(&["tools", "call", "--demo", "search_entities", bills])
        .code(0);
    assert!(text.out().contains("bills"), "{}", text.out());
    assert!(
        text.out().contains("snapshot"),
        "says its source: {}",
        text.out()
    );

    let structured = person
        .run(&[
            "tools",
            "call",
            "--demo",
            "--json",
            "search_entities",
            bills,
        ])
        .code(0)
        .json();
    assert!(structured["hits"]["rows"].is_array(), "{structured}");

    let mut from_stdin = person
        .command()
        .args(["tools", "call", "--demo", "search_entities", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = from_stdin.stdin.take().expect("stdin");
    stdin.write_all(bills.as_bytes()).expect("a reader");
    drop(stdin);
    let answer = from_stdin.wait_with_output().expect("an end");
    assert_eq!(String::from_utf8_lossy(&answer.stdout), text.out());
}

#[test]
fn a_call_that_fails_says_why_and_ends_with_its_code() {
    let person = Person::new();
    let unknown = person.say("tools call --demo get_linage {}").code(2);
    assert!(unknown.err().contains("get_lineage"), "{}", unknown.err());

    let not_json = person
        .say("tools call --demo search_entities bills")
        .code(2);
    assert!(not_json.err().contains("JSON"), "{}", not_json.err());

    let bad = r#"{"qery": "bills"}"#;
    let error = person
        .run(&["tools", "call", "--demo", "search_entities", bad])
        .code(1);
    assert!(
        error.err().contains("qery") && error.err().contains("query"),
        "{}",
        error.err()
    );
    let error = person
        .run(&["tools", "call", "--demo", "--json", "search_entities", bad])
        .code(1);
    assert_eq!(error.json()["code"], "invalid_argument");

    let no_catalog = person
        .run(&["tools", "call", "search_entities", r#"{"query": "bills"}"#])
        .code(1);
    assert!(
        no_catalog.err().contains("OPENMETADATA_URL"),
        "{}",
        no_catalog.err()
    );
}

#[test]
fn contracts_are_exported_and_old_ones_removed() {
    let person = Person::new();
    person.write(
        "out/gone_tool.json",
        r#"{"name": "gone_tool", "inputSchema": {}}"#,
    );
    person.write("out/notes.json", r#"{"name": "mine"}"#);
    person.say("tools export out").code(0);
    assert_eq!(person.json("out/get_entity.json")["name"], "get_entity");
    assert!(!person.path("out/gone_tool.json").exists());
    assert!(person.path("out/notes.json").exists(), "not ours");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let person = Person::new();
    let mut command = person.command();
    let mut listing = command
        .args(["tools", "list", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    drop(listing.stdout.take());
    let ended = Ended(listing.wait_with_output().expect("an end"));
    assert_eq!(ended.code(0).err(), "");
}

// `doctor`.

#[test]
fn doctor_says_what_to_do_about_each_fault() {
    let canary = "canary-5502";
    let nothing_set = Person::new().say("doctor").code(1);
    assert!(
        nothing_set.out().contains("OPENMETADATA_URL"),
        "{}",
        nothing_set.out()
    );

    let person = Person::new()
        .with("OPENMETADATA_URL", "http://127.0.0.1:9")
        .with("OPENMETADATA_TOKEN", canary);
    let refused = person.say("doctor").code(1);
    assert!(refused.out().contains("refused"), "{}", refused.out());
    assert!(
        refused.out().contains("->"),
        "what to do: {}",
        refused.out()
    );
    let found = person.say("doctor --json").code(1);
    assert_eq!(found.json()["ok"], false);
    let checks = found.json()["checks"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let failed: Vec<&Value> = checks
        .iter()
        .filter(|check| check["state"] == "failed")
        .collect();
    assert!(!failed.is_empty(), "{}", found.out());
    assert!(
        failed.iter().all(|check| check["advice"].is_string()),
        "{}",
        found.out()
    );
    for ended in [&refused, &found] {
        assert!(is_without(&ended.out(), canary) && is_without(&ended.err(), canary));
    }
    Person::new().say("doctor --demo").code(0);
}
