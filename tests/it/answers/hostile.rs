//! Texts of a catalog that are made to be expensive stay below the hard cap.

use openpolicy_mcp::answer::{Answer, Budget, CursorScope, Page, Table, Total};
use serde_json::{Value, json};

use crate::support::tokens;

#[test]
fn no_text_of_a_catalog_breaks_the_hard_cap() {
    let noise: String = (0..4_000_u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26))
        .collect();
    for (what, text) in [
        ("words", "the minister answered the question ".repeat(200)),
        ("noise", noise.clone()),
        ("noise in capitals", noise.to_uppercase()),
        ("pictures", "🦑🫠🧿".repeat(1_300)),
        ("old script", "𓀀𓂀𓃰".repeat(1_300)),
        ("accents", "ÿþœŋ".repeat(1_000)),
        ("signs", "|\\|\"\n".repeat(1_000)),
        ("digits", "8473028174".repeat(400)),
        ("syllables", "ዐፙꓚꀀ".repeat(1_000)),
        ("bill in Chinese", "法案審議委員會".repeat(500)),
    ] {
        let mut answer = Answer::new(Budget::HARD);
        answer.put("root", json!({"fqn": text}));
        answer.put("cycles", vec![vec![text.clone(); 8]; 5]);
        answer.put("by_owner", json!({text.clone(): 1}));
        answer.warn(format!("could not look at {text}"));
        let mut table = Table::new(&["fqn", "type", "why"]);
        for _ in 0..500 {
            table.push(vec![
                text.clone().into(),
                "table".into(),
                text.clone().into(),
            ]);
        }
        let scope = CursorScope::new("search_entities", &json!({}));
        answer.page(
            "hits",
            Page {
                table,
                total: Total::Exact(500),
                start: 0,
                scope: &scope,
            },
        );
        let structured = Value::Object(answer.structured());
        assert_eq!(structured["total"], 500, "{what}");
        assert_eq!(structured["complete"], false, "{what}");
        for (form, count) in [
            ("structured", tokens(&structured.to_string())),
            ("text", tokens(&answer.text())),
        ] {
            assert!(count <= 8_000, "{what}: {count} tokens of {form}");
        }
    }
}

#[test]
fn pages_of_noise_stay_below_the_hard_cap() {
    let name = |n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let letters = |n: u64| -> String {
        let digits = name(n) + &name(n + 1);
        digits
            .bytes()
            .map(|digit| char::from(b'f' + digit % 20))
            .collect()
    };
    for (what, cell) in [
        ("hashes", &name as &dyn Fn(u64) -> String),
        ("letters", &letters),
    ] {
        let mut answer = Answer::new(Budget::HARD);
        let mut table = Table::new(&["fqn", "why"]);
        for n in 0..2_000 {
            table.push(vec![cell(n).into(), cell(n + 7).into()]);
        }
        let scope = CursorScope::new("search_entities", &json!({}));
        answer.page(
            "hits",
            Page {
                table,
                total: Total::Exact(2_000),
                start: 0,
                scope: &scope,
            },
        );
        let structured = tokens(&Value::Object(answer.structured()).to_string());
        let text = tokens(&answer.text());
        assert!(
            structured <= 8_000 && text <= 8_000,
            "{what}: {structured}, {text}"
        );
    }
}
