//! `init` as a person meets it: what it prints for each client, and what it does to files.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::commands::{Person, is_without};

// `init` prints.

const CLIENTS: [(&str, &str, &str); 5] = [
    ("cursor", ".cursor/mcp.json", "mcpServers"),
    (
        "claude-desktop",
        ".config/Claude/claude_desktop_config.json",
        "mcpServers",
    ),
    ("claude-code", ".mcp.json", "mcpServers"),
    ("vscode", ".vscode/mcp.json", "servers"),
    ("mcp-proxy", "mcp-proxy.servers.json", "mcpServers"),
];

#[test]
fn init_prints_for_every_client_and_writes_nothing() {
    for (client, file, key) in CLIENTS {
        let person = Person::new();
        let ended = person
            .say(&format!("init --client {client} --demo"))
            .code(0);
        let entry = &ended.json()[key]["openpolicy"];
        assert_eq!(entry["args"], json!(["demo"]), "{client}");
        let command = entry["command"].as_str().expect("a command");
        assert!(Path::new(command).is_absolute(), "{client}: {command}");
        assert!(ended.err().contains(file), "{client}: {}", ended.err());
        assert_eq!(
            fs::read_dir(person.folder.path())
                .expect("a folder")
                .count(),
            0
        );
    }
}

#[test]
fn tokens_are_referred_to_in_each_clients_own_way() {
    let canary = "canary-4410";
    let printed = |client: &str, more: &str| {
        let person = Person::new()
            .with("OPENMETADATA_TOKEN", canary)
            .with("OPENMETADATA_URL", "http://catalog:8585");
        let ended = person.say(&format!("init --client {client}{more}"));
        assert!(
            is_without(&ended.out(), canary) && is_without(&ended.err(), canary),
            "{client}"
        );
        ended
    };
    let token = |client: &str, key: &str| {
        let env = printed(client, "").code(0).json()[key]["openpolicy"]["env"].clone();
        assert_eq!(env["OPENMETADATA_URL"], "http://catalog:8585", "{client}");
        env["OPENMETADATA_TOKEN"].clone()
    };
    assert_eq!(token("cursor", "mcpServers"), "${env:OPENMETADATA_TOKEN}");
    assert_eq!(token("claude-code", "mcpServers"), "${OPENMETADATA_TOKEN}");
    assert_eq!(token("vscode", "servers"), "${input:openmetadata-token}");
    let vscode = printed("vscode", "").json();
    assert_eq!(vscode["inputs"][0]["id"], "openmetadata-token");
    assert_eq!(vscode["inputs"][0]["password"], true);
    assert_eq!(token("mcp-proxy", "mcpServers"), Value::Null);
    assert!(
        printed("mcp-proxy", "")
            .err()
            .contains("--pass-environment")
    );

    let refused = printed("claude-desktop", "").code(2);
    assert!(refused.err().contains("--token-file"), "{}", refused.err());
    let by_file = printed("claude-desktop", " --token-file token.txt")
        .code(0)
        .json();
    let path = by_file["mcpServers"]["openpolicy"]["env"]["OPENMETADATA_TOKEN_FILE"]
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(
        Path::new(&path).is_absolute() && path.ends_with("token.txt"),
        "{path}"
    );

    let person = Person::new()
        .with("OPENMETADATA_TOKEN", canary)
        .with("OPENMETADATA_URL", "http://catalog:8585");
    let asked_for = person
        .say("init --client claude-desktop --token-in-clear")
        .code(0);
    assert!(asked_for.out().contains(canary), "it was asked for");
}

#[test]
fn http_forms_are_those_of_the_client() {
    let person = Person::new();
    let local = "--http http://127.0.0.1:8765";
    let cursor = person
        .say(&format!("init --client cursor {local}"))
        .code(0)
        .json();
    assert_eq!(
        cursor["mcpServers"]["openpolicy"],
        json!({"url": "http://127.0.0.1:8765/mcp"})
    );
    let vscode = person
        .say("init --client vscode --http https://mcp.example.org/mcp")
        .code(0)
        .json();
    assert_eq!(
        vscode["servers"]["openpolicy"],
        json!({"type": "http", "url": "https://mcp.example.org/mcp",
            "headers": {"Authorization": "Bearer ${input:openpolicy-http-token}"}})
    );
    let code = person
        .say(&format!("init --client claude-code --http-token {local}"))
        .code(0)
        .json();
    assert_eq!(
        code["mcpServers"]["openpolicy"]["headers"]["Authorization"],
        "Bearer ${OPENPOLICY_HTTP_TOKEN}"
    );
    for client in ["claude-desktop", "mcp-proxy"] {
        let refused = person
            .say(&format!("init --client {client} {local}"))
            .code(2);
        assert!(refused.err().contains("--container"), "{}", refused.err());
    }
    person.say("init --client cursor --http ftp://x").code(2);
}

#[test]
fn container_forms_start_docker() {
    let person = Person::new().with("OPENMETADATA_URL", "http://openmetadata:8585");
    let exec = person
        .say("init --client cursor --container mcp -- --read-only")
        .code(0)
        .json();
    assert_eq!(
        exec["mcpServers"]["openpolicy"],
        json!({"command": "docker",
            "args": ["exec", "-i", "mcp", "/openpolicy-mcp", "serve", "--read-only"]})
    );
    let own = person
        .say("init --client mcp-proxy --container om --command /opt/openpolicy-mcp --url http://localhost:8585")
        .code(0);
    assert_eq!(
        own.json()["mcpServers"]["openpolicy"],
        json!({"command": "docker",
            "args": ["exec", "-i", "-e", "OPENMETADATA_URL", "-e", "OPENMETADATA_TOKEN", "om",
                "/opt/openpolicy-mcp", "serve"],
            "env": {"OPENMETADATA_URL": "http://localhost:8585"}})
    );
    assert!(own.err().contains("--pass-environment"), "{}", own.err());
    let run = person
        .say("init --client cursor --image openpolicy-mcp:latest --network platform")
        .code(0)
        .json();
    assert_eq!(
        run["mcpServers"]["openpolicy"]["args"],
        json!([
            "run",
            "-i",
            "--rm",
            "--network",
            "platform",
            "-e",
            "OPENMETADATA_URL",
            "-e",
            "OPENMETADATA_TOKEN",
            "openpolicy-mcp:latest",
            "serve"
        ])
    );
    let demo = person
        .say("init --client mcp-proxy --demo --image openpolicy-mcp:latest")
        .code(0)
        .json();
    assert_eq!(
        demo["mcpServers"]["openpolicy"]["args"],
        json!(["run", "-i", "--rm", "openpolicy-mcp:latest", "demo"])
    );
}

// `init --write`.

#[test]
fn a_fresh_file_is_written_where_the_client_reads() {
    for (client, file, key) in CLIENTS {
        let person = Person::new();
        let line = format!("init --client {client} --demo --write");
        person.say(&line).code(0);
        assert_eq!(
            person.json(file)[key]["openpolicy"]["args"],
            json!(["demo"])
        );
        let before = person.read(file);
        assert!(before.ends_with('\n'));
        let again = person.say(&line).code(0);
        assert!(again.out().contains("already"), "{}", again.out());
        assert_eq!(person.read(file), before);
        let folder = person.path(file);
        let beside = fs::read_dir(folder.parent().expect("a folder")).expect("a folder");
        assert_eq!(beside.count(), 1, "{client}: nothing left beside it");
    }
    let person = Person::new();
    person
        .say("init --client cursor --demo --scope global --write")
        .code(0);
    assert!(person.path(".cursor/mcp.json").exists());
    person
        .say("init --client cursor --demo --write other/place.json")
        .code(0);
    assert!(person.path("other/place.json").exists());
}

#[test]
fn other_entries_keys_order_and_style_stay() {
    let person = Person::new();
    let before = "{\n\t\"zeta\": 1,\n\t\"mcpServers\": {\n\t\t\"theirs\": {\n\t\t\t\"command\": \"x\",\n\
        \t\t\t\"unknown\": null\n\t\t}\n\t},\n\t\"alpha\": 1.50\n}";
    person.write(".cursor/mcp.json", before);
    let ended = person.say("init --client cursor --demo --write").code(0);
    let after = person.read(".cursor/mcp.json");
    let kept: Vec<&str> = before.lines().take(6).collect();
    assert_eq!(after.lines().take(6).collect::<Vec<_>>(), kept, "{after}");
    let order: Vec<usize> = ["zeta", "theirs", "openpolicy", "alpha"]
        .iter()
        .map(|name| after.find(&format!("\"{name}\"")).expect("kept"))
        .collect();
    assert!(order.is_sorted(), "{after}");
    assert!(!after.ends_with('\n'), "as it was");
    assert_eq!(
        person.json(".cursor/mcp.json")["mcpServers"]["theirs"]["unknown"],
        Value::Null
    );
    assert_eq!(
        person.read(".cursor/mcp.json.bak"),
        before,
        "{}",
        ended.out()
    );
    assert!(ended.out().contains("mcp.json.bak"));
}

#[test]
fn vscode_inputs_are_added_once() {
    let person = Person::new().with("OPENMETADATA_URL", "http://catalog:8585");
    person.write(
        ".vscode/mcp.json",
        r#"{"inputs": [{"id": "openmetadata-token", "type": "promptString", "description": "mine"}]}"#,
    );
    person.say("init --client vscode --write").code(0);
    let file = person.json(".vscode/mcp.json");
    assert_eq!(file["inputs"].as_array().map(Vec::len), Some(1));
    assert_eq!(file["inputs"][0]["description"], "mine");
    assert_eq!(file["servers"]["openpolicy"]["type"], "stdio");
}

#[test]
fn an_entry_of_the_same_name_is_replaced_only_when_forced() {
    let person = Person::new();
    let before = r#"{"mcpServers": {"openpolicy": {"command": "mine"}, "other": {}}}"#;
    person.write(".mcp.json", before);
    let refused = person
        .say("init --client claude-code --demo --write")
        .code(1);
    assert!(refused.err().contains("--force"), "{}", refused.err());
    assert!(refused.err().contains("\"demo\""), "prints what to add");
    assert_eq!(person.read(".mcp.json"), before);

    person
        .say("init --client claude-code --demo --name second --write")
        .code(0);
    person
        .say("init --client claude-code --demo --write --force")
        .code(0);
    let file = person.json(".mcp.json");
    assert_eq!(file["mcpServers"]["openpolicy"]["args"], json!(["demo"]));
    assert_eq!(file["mcpServers"]["other"], json!({}));
    assert_eq!(
        person.read(".mcp.json.bak"),
        before,
        "the first backup stays"
    );
    assert!(person.path(".mcp.json.bak2").exists());
}

#[test]
fn a_file_that_cannot_be_kept_whole_is_left_alone() {
    for (text, why) in [
        ("{\n  // my servers\n  \"mcpServers\": {}\n}", "comments"),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\",},}}",
            "comments or trailing commas",
        ),
        ("{\"mcpServers\": /* none */ {}}", "comments"),
        ("{\"mcpServers\": {", "not valid JSON"),
        ("{\"mcpServers\": []}", "mcpServers"),
        ("[]", "top"),
        ("\"// text\"", "top"),
    ] {
        let person = Person::new();
        person.write(".cursor/mcp.json", text);
        let ended = person.say("init --client cursor --demo --write").code(1);
        assert!(ended.err().contains(why), "{text}: {}", ended.err());
        assert!(ended.err().contains("\"openpolicy\""), "prints what to add");
        assert_eq!(person.read(".cursor/mcp.json"), text);
        assert!(!person.path(".cursor/mcp.json.bak").exists());
        assert!(!person.path(".cursor/mcp.json.new").exists());
    }
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let person = Person::new();
    person.write("dotfiles/mcp.json", "{}\n");
    let real = person.path("dotfiles/mcp.json");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).expect("permissions");
    fs::create_dir(person.path(".cursor")).expect("a folder");
    symlink(&real, person.path(".cursor/mcp.json")).expect("a link");
    person.say("init --client cursor --demo --write").code(0);
    assert!(person.path(".cursor/mcp.json").is_symlink());
    assert_eq!(
        person.json("dotfiles/mcp.json")["mcpServers"]["openpolicy"]["args"],
        json!(["demo"])
    );
    let mode = fs::metadata(&real).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_file_with_a_token_in_clear_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let person = Person::new()
        .with("OPENMETADATA_URL", "http://catalog:8585")
        .with("OPENMETADATA_TOKEN", "canary-9921");
    person
        .say("init --client cursor --token-in-clear --write")
        .code(0);
    let mode = fs::metadata(person.path(".cursor/mcp.json"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

// The examples of the repository are what the commands print.

#[test]
fn the_examples_are_what_init_prints() {
    let example = |name: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        serde_json::from_str(&fs::read_to_string(path).expect(name)).expect(name)
    };
    let person = Person::new();
    let proxy = person
        .say("init --client mcp-proxy --container mergev2-openmetadata-server --command /opt/openpolicy-mcp --url http://localhost:8585")
        .code(0);
    assert_eq!(proxy.json(), example("docker/mcp-proxy.servers.json"));

    let printed = |line: &str| person.say(line).code(0).json()["mcpServers"].clone();
    let cursor = &example("mcp.json.example")["mcpServers"];
    let command = "--client cursor --command openpolicy-mcp";
    let demo = printed(&format!("init {command} --demo"));
    assert_eq!(demo["openpolicy"], cursor["openpolicy-demo"]);
    let own = printed(&format!("init {command} --url http://localhost:8585"));
    assert_eq!(own["openpolicy"], cursor["openpolicy"]);
    let http = printed("init --client cursor --http http://127.0.0.1:8765/mcp --http-token");
    assert_eq!(http["openpolicy"], cursor["openpolicy-http"]);
}
