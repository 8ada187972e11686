//! Answers that are JSON and yet no answers: never taken for 'nothing there'.

use openpolicy_mcp::settings::Credential;
use serde_json::{Value, json};

use super::{call, server, writes};
use crate::support::{
    calls::reads,
    replay::{Answer, Replay, Version},
};

/// Shapes that no version sends where an entity or a list is asked for.
fn lies() -> Vec<Answer> {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    vec![
        Answer::json(200, &json!({})),
        Answer::json(200, &json!(7)),
        Answer::json(200, &json!("hello")),
        Answer::json(200, &Value::Null),
        Answer::empty(200),
        Answer::json(
            200,
            &json!({"data": "many", "hits": 5, "versions": {}, "id": []}),
        ),
        Answer::json(200, &json!({"fullyQualifiedName": ["x"], "data": {"a": 1}})),
        Answer::empty(200).with_body(deep.clone()),
        Answer::empty(200).with_body(format!("{{\"data\": {deep}}}")),
        Answer::html(200),
        Answer::empty(200).with_body("{\"data\": [{\"fullyQualif"),
        Answer::empty(200).with_body(vec![0xff, 0xfe, 0, 1]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_never_an_empty_one() {
    for lie in lies() {
        let liar = Replay::start(Version::V1_12_6).await;
        let what = String::from_utf8_lossy(&lie.body[..lie.body.len().min(60)]).into_owned();
        liar.fail_where(|seen| !seen.path.contains("/system/version"), lie);
        let server = server(&liar.url(), Credential::Token("token-of-nobody".into()));
        for (tool, arguments) in reads().into_iter().chain(writes()) {
            if tool == "read_openmetadata" {
                // Shows what the server said, whatever that is.
                continue;
            }
            let result = call(&server, tool, arguments.clone()).await;
            let told = &result["structuredContent"];
            let place = format!("{tool} {arguments} of {what:?}: {told}");
            if result["isError"] == true {
                assert_eq!(told["code"], "bad_upstream", "{place}");
            } else {
                assert_ne!(told["complete"], true, "{place}");
                let says_so = ["could_not_look", "missing", "warnings", "unresolved"]
                    .iter()
                    .any(|field| told.get(*field).is_some());
                assert!(says_so, "{place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_cannot_be_read_are_counted() {
    let liar = Replay::start(Version::V1_12_6).await;
    let list = json!({"data": [1, "x", {"fullyQualifiedName": 4}], "paging": {"total": 3}});
    for path in ["services/ingestionPipelines", "dataQuality/testCases"] {
        let path = format!("/api/v1/{path}");
        liar.canned("GET", &path, &[], Answer::json(200, &list));
    }
    let server = server(&liar.url(), Credential::Token("token-of-nobody".into()));
    for tool in ["get_ingestion", "get_data_quality"] {
        let told = &call(&server, tool, json!({})).await["structuredContent"];
        assert_eq!(told["complete"], false, "{told}");
        let warnings = told["warnings"].to_string();
        assert!(warnings.contains("3 of 3 entries"), "{told}");
    }
}
