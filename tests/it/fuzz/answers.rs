//! Answers of OpenMetadata as nobody recorded them, through every tool: an answer or an error in
//! words, never a panic, never an endless call.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use openpolicy_mcp::{
    catalog::{Catalogs, Credential, Settings},
    mcp::{LazyCatalogs, McpServer},
    net,
    settings::Answers,
    tools::Caller,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{choices::Choices, damage, everything, runtime};
use crate::support::{
    calls,
    replay::{Answer, Replay, Version},
    wire::Seen,
};

/// Which call, of which version, and what becomes of the answers that it meets.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (tool, arguments) = choices.pick(calls()).clone();
    let replay = &replays()[choices.below(2)];
    let manner = choices.byte();
    let material = choices.rest().to_vec();
    replay.change_answers(move |seen, answer| changed(manner, &material, seen, answer));
    let server = server(&replay.url());
    let never = CancellationToken::new();
    let call = server.call(tool, arguments.clone(), Caller::default(), &never);
    let result = runtime().block_on(async { tokio::time::timeout(LONGEST, call).await });
    replay.forget_requests();
    let result = result.unwrap_or_else(|_| panic!("{tool} {arguments} does not end"));
    let result = serde_json::to_value(result).expect("JSON");
    let told = &result["structuredContent"];
    assert_ne!(told["code"], "internal", "{tool} {arguments}: {told}");
    let text = result["content"][0]["text"].as_str().expect("a text");
    // The cap of 8,000 tokens in characters of the dearest kind, and what stands around.
    assert!(text.len() < 200_000, "{tool}: {} bytes", text.len());
    let is_hostile = |character: char| matches!(character, '\u{202e}' | '\u{1b}' | '\0');
    assert!(!text.contains(is_hostile), "{tool} {arguments}: {text}");
}

/// Longer than any call may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The same request is always answered alike: which bytes are used depends on what was asked.
fn changed(manner: u8, material: &[u8], seen: &Seen, answer: Answer) -> Answer {
    let hash = seen.target.bytes().fold(0_usize, |hash, byte| {
        (hash ^ usize::from(byte)).wrapping_mul(0x0100_01b3)
    });
    // Without a version nothing else is asked.
    if seen.path.contains("/system/version") && !manner.is_multiple_of(16) {
        return answer;
    }
    match manner % 8 {
        0 => return answer.with_body(material),
        1 => {
            let mut body = answer.body.clone();
            let turned = turned(material, hash);
            damage::bytes(&mut body, &mut Choices::new(&turned));
            return answer.with_body(body);
        }
        2 => {
            let length = hash % answer.body.len().max(1);
            return answer.cut_after(length);
        }
        _ => {}
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer;
    };
    let turned = turned(material, hash);
    let mut choices = Choices::new(&turned);
    for _ in 0..=choices.below(4) {
        damage::tree(&mut body, &mut choices);
    }
    answer.with_body(body.to_string())
}

/// The same bytes from another place on.
fn turned(material: &[u8], by: usize) -> Vec<u8> {
    let mut turned = material.to_vec();
    turned.rotate_left(by % material.len().max(1));
    turned
}

fn calls() -> &'static [(&'static str, Value)] {
    static CALLS: OnceLock<Vec<(&str, Value)>> = OnceLock::new();
    CALLS.get_or_init(|| calls::reads().into_iter().chain(calls::writes()).collect())
}

fn replays() -> &'static [Replay; 2] {
    static REPLAYS: OnceLock<[Replay; 2]> = OnceLock::new();
    REPLAYS.get_or_init(|| {
        [Version::V1_12_6, Version::V1_2_0].map(|version| {
            let replay = Replay::start_blocking(version);
            replay.allow_unmatched();
            replay
        })
    })
}

/// Every tool over this OpenMetadata, with hardly a pause before a read is repeated.
fn server(url: &str) -> McpServer {
    let settings = Settings {
        url: url.to_owned(),
        credential: Credential::Token("token-of-nobody".into()),
        net: net::Settings {
            first_pause: Duration::from_millis(1),
            ..net::Settings::default()
        },
        ..Settings::default()
    };
    let catalogs = Catalogs::of_openmetadata(&settings).expect("an address");
    let catalogs = Arc::new(LazyCatalogs::opened(catalogs));
    McpServer::new(everything(), Answers::Both, catalogs)
}
