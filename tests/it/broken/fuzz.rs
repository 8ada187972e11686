//! Recorded answers with parts missing or of another type, through every tool: an answer or an
//! error in words, never a panic, never an endless call.

use std::time::Duration;

use openpolicy_mcp::settings::Credential;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{call, server, writes};
use crate::support::{
    calls::reads,
    replay::{Answer, Replay, Version},
    wire::Seen,
};

/// Enough to have met every tool often; more with PROPTEST_CASES.
const CASES: u32 = 192;

#[test]
fn damaged_answers_are_answered_in_words() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let replays = [Version::V1_12_6, Version::V1_2_0].map(|version| {
        let replay = Replay::start_blocking(version);
        replay.allow_unmatched();
        replay
    });
    let calls: Vec<(&str, Value)> = reads().into_iter().chain(writes()).collect();
    let config = Config {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(CASES),
        failure_persistence: None,
        ..Config::default()
    };
    let input = (
        proptest::prelude::any::<u64>(),
        0..calls.len(),
        0..replays.len(),
    );
    TestRunner::new(config)
        .run(&input, |(seed, which, version)| {
            let replay = &replays[version];
            replay.change_answers(move |seen, answer| damaged(seed, seen, answer));
            let server = server(&replay.url(), Credential::Token("token-of-nobody".into()));
            let (tool, arguments) = calls[which].clone();
            let result = runtime.block_on(async {
                let call = call(&server, tool, arguments.clone());
                tokio::time::timeout(Duration::from_secs(40), call).await
            });
            let result = result.unwrap_or_else(|_| panic!("{tool} {arguments} does not end"));
            let told = &result["structuredContent"];
            assert_ne!(told["code"], "internal", "{tool} {arguments}: {told}");
            Ok(())
        })
        .expect("no fault");
}

/// The answer with one to four of its nodes dropped or of another type. The same request of the
/// same seed is damaged alike.
fn damaged(seed: u64, seen: &Seen, answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer;
    };
    let mut random = Random(seen.target.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }));
    if seen.path.contains("/system/version") && random.below(8) != 0 {
        return answer;
    }
    for _ in 0..=random.below(4) {
        damage(&mut body, &mut random);
    }
    answer.with_body(body.to_string())
}

fn damage(node: &mut Value, random: &mut Random) {
    let has_inner = match node {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    };
    if !has_inner || random.below(6) == 0 {
        *node = other(random);
        return;
    }
    let drops = random.below(6) == 0;
    match node {
        Value::Array(items) => {
            let at = random.below(items.len());
            if drops {
                items.remove(at);
            } else {
                damage(&mut items[at], random);
            }
        }
        Value::Object(fields) => {
            let at = random.below(fields.len());
            let Some(name) = fields.keys().nth(at).cloned() else {
                return;
            };
            if drops {
                fields.remove(&name);
            } else if let Some(inner) = fields.get_mut(&name) {
                damage(inner, random);
            }
        }
        _ => {}
    }
}

fn other(random: &mut Random) -> Value {
    let mut all = vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("a.\"b.c"),
        json!("ä\u{0}\u{202e}\u{1F600}"),
        json!("{\"a\": [1,"),
        json!("9".repeat(400)),
        json!([]),
        json!([null, 1, "x", {}]),
        json!({}),
        json!({"a": {"b": []}, "id": 5, "fullyQualifiedName": [], "name": 1}),
    ];
    all.swap_remove(random.below(all.len()))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
