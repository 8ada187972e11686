//! The health of a platform as a caller reads it: causes first, honest about what was not seen.

use std::sync::Arc;

use openpolicy_mcp::{
    health::{Outcome, Watch},
    tools::Context,
};
use serde_json::{Value, json};

use crate::support::{
    calls::{Told, call, try_call},
    scripted_platform::{Scripted, context, platform, service, watch},
    tokens,
};

/// A database under `count - 1` services, each of which needs it.
fn many(count: u16) -> (Arc<Watch>, Scripted) {
    let names = ["auth", "config", "policy", "search", "etl", "analytics"];
    let services = (0..count).map(|number| match number {
        0 => service("postgres", 5432, &[]),
        number => {
            let name = names[usize::from(number) % names.len()];
            service(
                &format!("{name}-service-{number}"),
                9000 + number,
                &["postgres"],
            )
        }
    });
    watch(platform(services.collect()))
}

fn fail(scripted: &Scripted, ports: &[u16]) {
    let mut script = scripted.lock().expect("the script");
    for port in ports {
        let refused = Outcome::Failed("the connection was refused: nothing listens there".into());
        script.outcomes.insert(*port, refused);
    }
}

async fn health(context: &Context) -> Told {
    call(context, "check_health", json!({"refresh": true})).await
}

fn within(told: &Told, text: usize, structured: usize) {
    let found = (
        tokens(&told.text),
        tokens(&Value::Object(told.fields.clone()).to_string()),
    );
    assert!(
        found.0 <= text && found.1 <= structured,
        "{found:?} tokens of {text} / {structured}:\n{}",
        told.text
    );
}

#[tokio::test]
async fn a_healthy_platform_of_32_services_is_told_in_few_tokens() {
    let (watch, _) = many(32);
    let told = health(&context(&watch)).await;
    assert_eq!(told.fields["counts"], json!({"up": 32}));
    assert_eq!(told.fields["complete"], true);
    assert_eq!(told.rows("services").len(), 32);
    within(&told, 600, 1_000);
}

#[tokio::test]
async fn three_failures_are_told_with_their_reasons() {
    let (watch, scripted) = many(32);
    fail(&scripted, &[9003, 9007, 9011]);
    let told = health(&context(&watch)).await;
    assert_eq!(told.fields["counts"], json!({"up": 29, "down": 3}));
    assert_eq!(told.fields["causes"].as_array().expect("causes").len(), 3);
    within(&told, 900, 1_300);
}

#[tokio::test]
async fn a_database_that_is_down_is_one_cause_and_the_rest_is_blocked() {
    let (watch, scripted) = many(21);
    let ports: Vec<u16> = (1..21).map(|number| 9000 + number).collect();
    fail(&scripted, &[5432]);
    fail(&scripted, &ports);
    let told = health(&context(&watch)).await;
    assert_eq!(told.fields["counts"], json!({"down": 1, "blocked": 20}));
    let causes = told.fields["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0]["service"], "postgres");
    assert_eq!(causes[0]["blocks"], 20);
    let first = &told.rows("services")[0];
    assert_eq!(
        (&first["name"], &first["verdict"]),
        (&json!("postgres"), &json!("down"))
    );
}

#[tokio::test]
async fn what_could_not_be_looked_at_is_not_down() {
    let (watch, scripted) = many(3);
    let dns = Outcome::CouldNotLook("the name postgres has no address here".into());
    scripted
        .lock()
        .expect("the script")
        .outcomes
        .insert(5432, dns);
    let told = health(&context(&watch)).await;
    assert_eq!(told.fields["counts"], json!({"up": 2, "unknown": 1}));
    assert!(told.text.contains("has no address here"), "{}", told.text);
}

#[tokio::test]
async fn five_hundred_services_are_one_answer_that_says_how_to_go_on() {
    let (watch, scripted) = many(500);
    fail(&scripted, &[9400]);
    let context = context(&watch);
    let told = health(&context).await;
    assert_eq!(told.fields["counts"], json!({"up": 499, "down": 1}));
    assert_eq!(told.fields["total"], 500);
    assert_eq!(told.fields["complete"], false);
    within(&told, 2_000, 2_000);
    let mut seen = told.rows("services").len();
    let mut next = told.fields["next"].clone();
    let looks = scripted.lock().expect("the script").looks.len();
    while let Value::String(cursor) = next {
        let arguments = json!({"refresh": true, "cursor": cursor});
        let page = call(&context, "check_health", arguments).await;
        seen += page.rows("services").len();
        next = page.fields.get("next").cloned().unwrap_or_default();
    }
    assert_eq!(seen, 500);
    assert_eq!(scripted.lock().expect("the script").looks.len(), looks);
}

#[tokio::test]
async fn one_service_is_asked_for_by_its_container_and_its_database_is_looked_at_too() {
    let (watch, scripted) = many(5);
    fail(&scripted, &[5432, 9001]);
    let told = call(
        &context(&watch),
        "check_health",
        json!({"services": ["p-config-service-1-1"]}),
    )
    .await;
    assert_eq!(told.rows("services").len(), 1);
    assert_eq!(told.rows("services")[0]["verdict"], "blocked");
    assert_eq!(told.fields["causes"][0]["service"], "postgres");
    let looks = scripted.lock().expect("the script").looks.clone();
    assert_eq!(looks.keys().copied().collect::<Vec<_>>(), [5432, 9001]);
}

#[tokio::test]
async fn uptime_says_how_much_of_the_window_was_observed() {
    let (watch, _) = many(3);
    let context = context(&watch);
    health(&context).await;
    let told = call(
        &context,
        "check_health",
        json!({"refresh": true, "history": true}),
    )
    .await;
    let rows = told.rows("uptime");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["observed_of_24h"], "0s");
    assert!(rows[0]["p95_ms"].is_number(), "{rows:?}");
}

#[tokio::test]
async fn names_that_nothing_has_are_answered_with_near_ones() {
    let (watch, _) = many(5);
    let context = context(&watch);
    let error = try_call(&context, "check_health", json!({"services": ["postgers"]}))
        .await
        .expect_err("no such service");
    assert_eq!(error.code.as_str(), "not_found");
    assert_eq!(error.did_you_mean[0], "postgres");
    let error = try_call(&context, "check_health", json!({"phase": "2"}))
        .await
        .expect_err("no such phase");
    assert_eq!(error.argument.as_deref(), Some("phase"));
}

#[tokio::test]
async fn without_a_platform_the_caller_is_told_how_to_have_one() {
    let error = try_call(&crate::support::calls::demo(), "check_health", json!({}))
        .await
        .expect_err("no platform");
    assert_eq!(error.code.as_str(), "unavailable");
    assert!(
        error.next_step.contains("--platform"),
        "{}",
        error.next_step
    );
}
