//! Reading and changing entities: on the demo's snapshot and against recorded servers.

use std::sync::Arc;

use openpolicy_mcp::{
    answer::Answer,
    catalog::{Catalogs, Credential, Settings, snapshot},
    tools::{self, Context, ToolError},
};
use serde_json::{Value, json};

use crate::support::{
    replay::{Replay, Version},
    tokens,
};

/// A context on the catalog that is shipped with the binary.
fn demo() -> Context {
    let snapshot = snapshot::demo().expect("the demo's catalog");
    Context::new(
        Arc::new(Catalogs::of_snapshot(snapshot)),
        tools::Caller::default(),
    )
}

async fn call(context: &Context, tool: &str, arguments: Value) -> Result<Answer, ToolError> {
    (tools::find(tool).unwrap().call)(context, arguments).await
}

async fn get(context: &Context, arguments: Value) -> Answer {
    call(context, "get_entity", arguments).await.unwrap()
}

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
const WIDE: &str = "warehouse.DW.MART.survey_wide";

/// Tokens of the text and of the structured form.
fn cost(answer: &Answer) -> (usize, usize) {
    (
        tokens(&answer.text()),
        tokens(&Value::Object(answer.structured()).to_string()),
    )
}

#[tokio::test]
async fn shows() {
    let context = demo();
    for arguments in [
        json!({"entities": [BILLS]}),
        json!({"entities": [BILLS], "sections": ["all"]}),
        json!({"entities": [WIDE]}),
        json!({"entities": ["superset.parliament_overview", "airflow.load_core", "kafka.bill-events", "team:data-platform", "bills", "openpolicy_pg.openpolicy.core.votes.2025"]}),
        json!({"entities": ["warehouse.DW.MART.injected_notes", "Parliament.Bill", "Civic", "openpolicy_pg"]}),
    ] {
        let answer = get(&context, arguments.clone()).await;
        println!(
            "##### {arguments} {:?}\n{}\n{}",
            cost(&answer),
            answer.text(),
            Value::Object(answer.structured())
        );
    }
}

fn live(server: &Replay) -> Context {
    let settings = Settings {
        url: server.url(),
        credential: Credential::Token("a.b.c".into()),
        ..Settings::default()
    };
    Context::new(
        Arc::new(Catalogs::of_openmetadata(&settings).unwrap()),
        tools::Caller::default(),
    )
}

#[tokio::test]
async fn shows_live() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        server.allow_unmatched();
        let context = live(&server);
        for arguments in [
            json!({"entities": [BILLS]}),
            json!({"entities": [BILLS], "sections": ["all"]}),
            json!({"entities": [WIDE]}),
            json!({"entities": ["superset.parliament_overview", "airflow.load_core", "topic:kafka.bill-events", "team:data-platform", "bills", "openpolicy_pg.openpolicy.core.votes.2025"]}),
            json!({"entities": ["warehouse.DW.MART.injected_notes", "openpolicy_pg.openpolicy.core.BILLS", "openpolicy_pg.openpolicy.core.deleted_table", "Parliament.Bill", "Civic", "openpolicy_pg", "a9b75237-2178-4ca1-b320-3f015ec8e877"]}),
        ] {
            let answer = get(&context, arguments.clone()).await;
            println!("##### {arguments} {:?}\n{}", cost(&answer), answer.text());
        }
        for seen in server.requests() {
            println!("{seen}");
        }
        println!("UNMATCHED {:#?}", server.unmatched());
    }
}
