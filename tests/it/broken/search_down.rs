//! The search engine behind OpenMetadata is down: each tool gives what the database has, and says
//! what could not be looked at.

use serde_json::{Value, json};

use crate::support::{
    calls::{self, reads},
    replay::{Replay, Version},
};

#[tokio::test]
async fn every_tool_says_what_could_not_be_looked_at() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start(version).await;
        replay.search_down().allow_unmatched();
        let context = calls::live(&replay, version);
        for (tool, arguments) in reads() {
            let told = calls::try_call(&context, tool, arguments.clone()).await;
            match told {
                Ok(told) => println!(
                    "{version:?} {tool} {arguments}\n   {}",
                    Value::from(told.fields)
                ),
                Err(error) => println!(
                    "{version:?} {tool} {arguments}\n   {:?} {}",
                    error.code, error.message
                ),
            }
        }
        println!("{:?}", replay.unmatched());
    }
    let _ = json!({});
}
