//! The commands about a platform file, as a person types them.

use std::fs;

use serde_json::Value;

use crate::commands::Person;

const FILE: &str = "platform: shop
runtime: { process: {} }
services:
  db: { memory: 1Gi, port: 80, probe: { tcp: \"localhost:5432\" } }
  api: { port: 80, needs: [db], command: [./api, --port, \"80\"], probe: { http: \"http://${HOST_NAME}/\" } }
";

#[test]
fn lint_prints_findings_with_places_and_ends_well() {
    let person = Person::new();
    person.write("platform.yaml", FILE);
    let ended = person.say("lint platform.yaml").code(0);
    assert_eq!(
        ended.out(),
        "platform.yaml:5:16: warning [port-used-twice] port 80 is used by `db` and `api`: on one host only one of \
         them can have it\n\
         platform.yaml:5:72: note [probe-cannot-look] the http probe of `api` cannot look: the variable HOST_NAME \
         is not set\n\
         shop: 2 services, 0 phases; 2 findings (1 warning, 1 note)\n"
    );
    let ended = person.say("lint platform.yaml --json");
    let answer: Value = serde_json::from_str(&ended.out()).expect("JSON");
    assert_eq!(answer["usable"], true);
    assert_eq!(answer["findings"][0]["code"], "port-used-twice");
    assert_eq!(answer["findings"][0]["line"], 5);
}

#[test]
fn lint_of_a_broken_file_says_all_faults_and_ends_badly() {
    let person = Person::new();
    person.write(
        "platform.yaml",
        "platform: shop\nservices: { db: { prt: 1, memory: x } }\n",
    );
    let ended = person.say("lint platform.yaml").code(1);
    assert_eq!(
        ended.err(),
        "platform.yaml:2:19: `prt` is no key of this place; did you mean `port`?\n\
         platform.yaml:2:35: `x` is not a size like 512Mi or a range like 256Mi-512Mi\n\
         2 faults: it cannot be used\n"
    );
    let ended = person.say("lint platform.yaml --json").code(1);
    let answer: Value = serde_json::from_str(&ended.out()).expect("JSON");
    assert_eq!(answer["usable"], false);
    assert_eq!(answer["problems"][0]["column"], 19);
    let ended = person.say("lint none.yaml");
    assert!(
        ended
            .err()
            .starts_with("none.yaml: the file cannot be read: No such file"),
        "{}",
        ended.err()
    );
}

#[test]
fn trust_shows_what_is_run_and_sent_and_is_asked_again_after_a_change() {
    let person = Person::new().with("HOST_NAME", "hidden.example");
    person.write("platform.yaml", FILE);
    let shown = person.say("trust platform.yaml --show").out();
    assert!(
        shown.contains("starts and stops local processes\n"),
        "{shown}"
    );
    assert!(shown.contains("`api` runs: `./api --port 80`\n"), "{shown}");
    assert!(
        shown.contains("line 5: `http://${HOST_NAME}/` gets HOST_NAME\n"),
        "{shown}"
    );
    assert!(!shown.contains("hidden"), "{shown}");
    let digest = shown
        .lines()
        .find_map(|line| line.strip_prefix("digest: "))
        .expect("a digest")
        .to_owned();

    let ended = person.say("trust platform.yaml").code(2);
    assert!(ended.err().contains("--digest sha256:…"), "{}", ended.err());
    let wrong = format!("sha256:{}", "0".repeat(64));
    let ended = person
        .say(&format!("trust platform.yaml --digest {wrong}"))
        .code(1);
    assert!(
        ended.err().contains("not what you looked at"),
        "{}",
        ended.err()
    );

    person
        .say(&format!("trust platform.yaml --digest {digest}"))
        .code(0);
    assert!(
        person
            .say("trust platform.yaml")
            .out()
            .ends_with("it is trusted\n")
    );

    person.write("platform.yaml", &FILE.replace("./api", "./other"));
    let ended = person.say("trust platform.yaml --show");
    assert!(ended.err().contains("has changed since"), "{}", ended.err());
    let ended = person.say("trust platform.yaml --forget");
    assert_eq!(ended.out(), "it is not trusted any more\n");
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_reads() {
    let person = Person::new();
    let printed = person.say("export schema").out();
    let kept = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/schema/platform.schema.json"
    ));
    assert_eq!(
        printed,
        kept.expect("schema/platform.schema.json"),
        "run: cargo run -- export schema > schema/platform.schema.json"
    );
    let schema: Value = serde_json::from_str(&printed).expect("JSON");
    let service = &schema["properties"]["services"]["additionalProperties"];
    assert_eq!(service["additionalProperties"], false);
    assert!(service["properties"]["probe"].is_object());
}

#[test]
fn init_drafts_a_platform_file_that_lint_accepts() {
    let person = Person::new();
    person.write(
        "shop/compose.yaml",
        "services:\n\
         \x20 db: { image: \"postgres:15\", ports: [\"15432:5432\"], environment: { POSTGRES_USER: shop } }\n\
         \x20 api:\n\
         \x20   image: shop/api\n\
         \x20   ports: [\"8080:80\"]\n\
         \x20   depends_on: [db]\n\
         \x20   healthcheck: { test: [CMD, curl, -f, \"http://localhost:80/ready\"] }\n\
         \x20 worker: { image: shop/worker, depends_on: [api] }\n",
    );
    let ended = person.say("init --platform shop/compose.yaml").code(0);
    let draft = ended.out();
    for line in [
        "platform: shop",
        "probe: { postgres: \"postgresql://shop@localhost:15432/shop\", password: \"${POSTGRES_PASSWORD}\" } # assumed: by its image postgres",
        "probe: { http: \"http://localhost:8080/ready\" } # assumed: the path of its health check",
        "probe: { process: true } # assumed: no port is published",
        "- [db]\n      - [api]\n      - [worker]\n",
    ] {
        assert!(draft.contains(line), "{line}\n{draft}");
    }
    person
        .say("init --platform shop/compose.yaml --write shop/platform.yaml")
        .code(0);
    assert_eq!(person.read("shop/platform.yaml"), draft);
    let ended = person.say("lint shop/platform.yaml").code(0);
    assert!(
        ended.out().contains("3 services, 1 phase"),
        "{}",
        ended.out()
    );
    let ended = person
        .say("init --platform shop/compose.yaml --write shop/platform.yaml")
        .code(1);
    assert!(ended.err().contains("--force"), "{}", ended.err());
}
