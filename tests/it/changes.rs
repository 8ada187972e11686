//! What changed, and why it broke: get_changes, find_root_cause.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use crate::support::calls::{call, demo, live, try_call};
use crate::support::replay::{Answer, Replay, Version};

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";

#[tokio::test]
async fn tmp() {
    for arguments in [
        json!({}),
        json!({"entity": BILLS, "since": "7d"}),
        json!({"service": "openpolicy_pg"}),
    ] {
        let told = call(&demo(), "get_changes", arguments).await;
        println!("{}\n", told.text);
    }
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start(version).await;
        replay.allow_unmatched();
        let context = live(&replay, version);
        for arguments in [
            json!({"since": "1h"}),
            json!({"entity": BILLS, "since": "7d"}),
        ] {
            let told = call(&context, "get_changes", arguments).await;
            println!("{}\n", told.text);
        }
        println!("{:#?}", replay.unmatched());
    }
    let _ = (
        try_call(&demo(), "get_changes", Value::Null).await.is_ok(),
        ErrorCode::NotFound,
        Answer::json(200, &json!({})),
    );
}

#[tokio::test]
async fn tmp2() {
    for arguments in [
        json!({"entity": BILLS}),
        json!({"entity": format!("{BILLS}.number.number_not_null")}),
        json!({"entity": "superset.parliament_overview"}),
        json!({"service": "superset"}),
        json!({"service": "openpolicy_pg"}),
        json!({"entity": "warehouse.DW.MART.fct_votes"}),
    ] {
        match try_call(&demo(), "find_root_cause", arguments.clone()).await {
            Ok(told) => println!("{arguments}\n{}\n{}\n", crate::support::tokens(&told.text), told.text),
            Err(error) => println!("{arguments} {error:?}"),
        }
    }
}
