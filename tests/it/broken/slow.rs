//! An OpenMetadata that never answers: every call ends in time and says so.

use std::time::{Duration, Instant};

use openpolicy_mcp::settings::Credential;

use super::{call, server, writes};
use crate::support::{
    calls::reads,
    replay::{Answer, Replay, Version},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_call_ends_in_time_with_what_is_known() {
    let slow = Replay::start(Version::V1_12_6).await;
    slow.fail_where(
        |seen| !seen.path.contains("/system/version"),
        Answer::held(),
    );
    let longest = Duration::from_millis(400);
    let server =
        server(&slow.url(), Credential::Token("token-of-nobody".into())).with_longest_call(longest);
    let calls = reads()
        .into_iter()
        .chain(writes())
        .map(|(tool, arguments)| {
            let server = server.clone();
            async move {
                let begun = Instant::now();
                let result = call(&server, tool, arguments.clone()).await;
                let told = &result["structuredContent"];
                // The bound, and what a busy machine adds.
                assert!(
                    begun.elapsed() < longest + Duration::from_secs(10),
                    "{tool}"
                );
                let missing = told["missing"].to_string() + &told["could_not_look"].to_string();
                let says_so = told["code"] == "timeout"
                    || missing.contains("timeout")
                    || missing.contains("no time was left");
                assert!(says_so, "{tool} {arguments}: {told}");
                // Nothing goes out without `dry_run` false: there is nothing to be unsure of.
                assert!(!told.to_string().contains("unknown whether"), "{told}");
            }
        });
    futures::future::join_all(calls).await;
}
