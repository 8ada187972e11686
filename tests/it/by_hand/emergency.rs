//! The emergency stop where the engine does not answer: nobody knows what runs, and that is said.

use std::path::Path;

use crate::commands::Person;

#[test]
fn an_engine_that_does_not_answer_is_not_taken_for_an_empty_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms/v4/platform.yaml");
    let person = Person::new()
        .with("OPENPOLICY_PLATFORM", &file.display().to_string())
        .with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    person.trust(&file);
    let told = person.say("stop --memory-below 50% --yes --json").code(1);
    let told = told.json();
    assert_eq!(told["state"], "unknown");
    assert!(told["reason"].as_str().expect("why").contains("Docker"));
    // The document's own steps, for a person.
    let next = told["next_step"].as_str().expect("a step");
    for step in [
        "docker kill $(docker ps -q)",
        "sudo systemctl restart docker",
        "openpolicy-mcp deploy --services minimal",
    ] {
        assert!(next.contains(step), "{next}");
    }
}
