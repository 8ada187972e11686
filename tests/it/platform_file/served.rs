//! What a platform file says to the server itself, seen from outside: catalog, toolsets, store,
//! changes while it runs.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    replay::{Replay, Version},
    server::{BILLS, Server, command, digest, trust},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a platform file and a state folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn with(platform: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        site.write(platform);
        site
    }

    fn write(&self, platform: &str) {
        fs::write(self.path("platform.yaml"), platform).expect("a file");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A server over stdio after the handshake.
    fn serve(&self, more: &[&str], environment: &[(&str, &str)]) -> Server {
        let (file, state) = (self.text("platform.yaml"), self.text("state"));
        let arguments = [&["serve", "--platform", &file, "--state", &state], more].concat();
        let mut server = Server::start(&arguments, environment);
        server.handshake("2025-06-18");
        server
    }

    fn digest(&self) -> String {
        let state = self.text("state");
        digest(&self.text("platform.yaml"), &whoever(&state))
    }

    fn trust(&self) {
        let state = self.text("state");
        trust(&self.text("platform.yaml"), &whoever(&state));
    }

    /// Runs a command: whether it ended well, and all that it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let state = self.text("state");
        let ended = command(arguments, &whoever(&state)).output();
        let ended = ended.expect("an end");
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.success(),
            String::from_utf8(said).expect("text"),
        )
    }
}

/// The environment of whoever trusts the file and runs commands.
fn whoever(state: &str) -> [(&str, &str); 3] {
    [
        ("OPENPOLICY_STATE", state),
        ("CATALOG_TOKEN", "of-whoever-trusts"),
        ("PASSWORD", "p"),
    ]
}

fn has(server: &mut Server, tool: &str) -> bool {
    server.tools().iter().any(|name| name == tool)
}

fn naming(catalog: &Replay, token: &str) -> String {
    format!(
        "platform: shop\ncatalog: {{ openmetadata: {{ url: \"{}\", token: \"{token}\" }} }}\n\
         services: {{ db: {{ probe: {{ tcp: \"127.0.0.1:1\" }} }} }}\n",
        catalog.url()
    )
}

#[test]
fn the_catalog_of_a_file_is_asked_once_a_person_trusts_the_file() {
    let catalog = Replay::start_blocking(Version::V1_12_6);
    catalog.expect_token("of-the-environment");
    let site = Site::with(&naming(&catalog, "${CATALOG_TOKEN}"));
    let environment = [("CATALOG_TOKEN", "of-the-environment")];
    let mut server = site.serve(&[], &environment);
    let entity = json!({"entities": [BILLS]});
    let refused = server.told("get_entity", entity.clone());
    let message = refused["message"].as_str().expect("a message");
    assert!(
        message.contains("nobody has trusted it")
            && message.contains(&format!(
                "openpolicy-mcp trust {}",
                site.text("platform.yaml")
            )),
        "{refused}"
    );
    // Tools of the platform do not wait for the catalog.
    let platform = server.told("get_platform", json!({}));
    assert_eq!(platform["platform"]["name"], "shop", "{platform}");
    assert!(catalog.requests().is_empty(), "nothing was sent");

    // The server that runs notices that it was trusted.
    site.trust();
    let answer = server.until("get_entity", &entity, PATIENCE, |answer| {
        answer["entities"].is_array()
    });
    assert!(answer.to_string().contains("bills"), "{answer}");
    let tokens: Vec<_> = catalog
        .requests()
        .iter()
        .filter_map(|seen| seen.header("authorization").map(str::to_owned))
        .collect();
    assert!(
        !tokens.is_empty()
            && tokens
                .iter()
                .all(|token| token == "Bearer of-the-environment")
    );

    // A change takes it away again.
    catalog.forget_requests();
    site.write(&(naming(&catalog, "${CATALOG_TOKEN}") + "# changed\n"));
    let refused = server.until("get_entity", &entity, PATIENCE, |answer| {
        answer["code"] == "unavailable"
    });
    let message = refused["message"].to_string();
    assert!(
        message.contains("has changed since it was trusted"),
        "{message}"
    );
    assert!(catalog.requests().is_empty(), "nothing was sent");
    let warned = server.told("get_alerts", json!({}));
    assert!(
        warned["warnings"]
            .to_string()
            .contains("openpolicy-mcp trust"),
        "{warned}"
    );
}

#[test]
fn a_token_of_the_environment_stays_from_the_address_of_a_file_that_nobody_trusts() {
    let catalog = Replay::start_blocking(Version::V1_12_6);
    let text = format!(
        "platform: shop\ncatalog: {{ openmetadata: {{ url: \"{}\" }} }}\n\
         services: {{ db: {{ probe: {{ tcp: \"127.0.0.1:1\" }} }} }}\n",
        catalog.url()
    );
    let site = Site::with(&text);
    let environment = [("OPENMETADATA_TOKEN", "of-the-environment")];
    let mut server = site.serve(&[], &environment);
    let entity = json!({"entities": [BILLS]});
    let refused = server.told("get_entity", entity.clone());
    assert_eq!(refused["code"], "unavailable", "{refused}");
    let file = site.text("platform.yaml");
    let (is_fine, said) = site.run(&[
        "tools",
        "call",
        "--platform",
        &file,
        "get_entity",
        &entity.to_string(),
    ]);
    assert!(!is_fine && said.contains("openpolicy-mcp trust"), "{said}");
    let (is_fine, said) = site.run(&["doctor", "--platform", &file]);
    assert!(!is_fine && said.contains("openpolicy-mcp trust"), "{said}");
    assert!(catalog.requests().is_empty(), "nothing was sent");
    let shown = site.run(&["trust", &file, "--show"]).1;
    assert!(
        shown.contains("asks OpenMetadata at `http://127.0.0.1:"),
        "{shown}"
    );

    catalog.expect_token("of-the-environment");
    let mut server = site.serve(&["--trust", &site.digest()], &environment);
    let answer = server.told("get_entity", entity);
    assert!(answer["entities"].is_array(), "{answer}");
}

#[test]
fn an_address_of_the_environment_goes_before_that_of_the_file() {
    let (of_file, of_environment) = (
        Replay::start_blocking(Version::V1_12_6),
        Replay::start_blocking(Version::V1_12_6),
    );
    of_environment.expect_token("t");
    let site = Site::with(&naming(&of_file, "${CATALOG_TOKEN}"));
    site.trust();
    let url = of_environment.url();
    let environment = [
        ("OPENMETADATA_URL", url.as_str()),
        ("OPENMETADATA_TOKEN", "t"),
        ("CATALOG_TOKEN", "for-the-other"),
    ];
    let mut server = site.serve(&[], &environment);
    let answer = server.told("get_entity", json!({"entities": [BILLS]}));
    assert!(answer["entities"].is_array(), "{answer}");
    assert!(of_file.requests().is_empty());
    assert!(!format!("{:?}", of_environment.requests()).contains("for-the-other"));
}

#[test]
fn toolsets_of_a_file_hold_where_nothing_else_chooses_and_writing_ones_wait_for_trust() {
    let services = "services: { db: { probe: { tcp: \"127.0.0.1:1\" } } }\n";
    let site = Site::with(&format!(
        "platform: shop\ntoolsets: [catalog, catalog-write]\n{services}"
    ));
    let mut server = site.serve(&[], &[]);
    assert!(has(&mut server, "get_entity") && !has(&mut server, "check_health"));
    assert!(!has(&mut server, "update_entity"), "it came with the file");
    server.logs_until("wait until the platform file is trusted");

    site.trust();
    let mut server = site.serve(&[], &[]);
    assert!(has(&mut server, "update_entity") && !has(&mut server, "check_health"));
    let mut server = site.serve(&["--read-only"], &[]);
    assert!(!has(&mut server, "update_entity"));
    for (flags, environment) in [
        (&["--toolsets", "platform"][..], &[][..]),
        (&[], &[("OPENPOLICY_TOOLSETS", "platform")]),
    ] {
        let mut server = site.serve(flags, environment);
        assert!(has(&mut server, "check_health") && !has(&mut server, "get_entity"));
    }

    site.write(&format!(
        "platform: shop\ntoolsets: [catalogue]\n{services}"
    ));
    let (is_fine, said) = site.run(&["serve", "--platform", &site.text("platform.yaml")]);
    assert!(
        !is_fine
            && said.contains("platform.yaml: `toolsets`")
            && said.contains("did you mean catalog"),
        "{said}"
    );
}

#[test]
fn a_store_that_is_not_built_is_refused_and_not_ignored() {
    let site = Site::with(
        "platform: shop\nstore: \"postgres://u:${PASSWORD}@db/state\"\n\
         services: { db: { probe: { tcp: \"127.0.0.1:1\" } } }\n",
    );
    let (is_fine, said) = site.run(&["serve", "--platform", &site.text("platform.yaml")]);
    assert!(!is_fine && said.contains("`store`"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn a_changed_file_is_read_again_and_one_with_faults_leaves_the_platform_as_it_was() {
    let text = "platform: shop\nservices:\n  db: { probe: { tcp: \"127.0.0.1:1\", retries: 1 } }\n";
    let site = Site::with(text);
    let mut server = site.serve(&[], &[]);
    assert!(!has(&mut server, "query_metrics"));
    let all = json!({});
    let before = server.told("check_health", all.clone());
    assert_eq!(before["counts"], json!({"down": 1}), "{before}");

    site.write(&format!(
        "{text}  api: {{ needs: [db], probe: {{ tcp: \"127.0.0.1:1\", retries: 1 }} }}\n"
    ));
    let answer = server.until("check_health", &all, PATIENCE, |answer| {
        answer["total"] == 2
    });
    assert_eq!(
        answer["counts"],
        json!({"down": 1, "blocked": 1}),
        "{answer}"
    );

    site.write(&format!("{text}  api: {{ nedes: [db] }}\n"));
    let answer = server.until("check_health", &all, PATIENCE, |answer| {
        answer["warnings"].to_string().contains("cannot be taken")
    });
    let warnings = answer["warnings"].to_string();
    assert!(
        warnings.contains("nedes") && warnings.contains("as it was before"),
        "{warnings}"
    );
    assert_eq!(answer["total"], 2, "{answer}");

    site.write(&format!(
        "{text}prometheus: {{ url: \"http://127.0.0.1:1\" }}\n"
    ));
    // Who was told of the tools is told that there are others.
    let note = server.receive();
    assert_eq!(note["method"], "notifications/tools/list_changed", "{note}");
    assert!(has(&mut server, "query_metrics"));
    let answer = server.told("check_health", all);
    assert_eq!(
        (&answer["total"], &answer["warnings"]),
        (&json!(1), &Value::Null),
        "{answer}"
    );
}
