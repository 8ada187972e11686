//! HTTP: status, fields of a JSON body, a pattern of the body.

use regex::RegexBuilder;
use secrecy::SecretString;
use serde_json::Value;

use super::{super::observation::Outcome, Findings, Look, Looked, web, web::Site, words};
use crate::net::Answer;

/// Bytes that a compiled pattern may take. Enough for any pattern that a person writes by hand.
const LARGEST_PATTERN: usize = 256 * 1024;

/// What an answer has to be like.
pub(super) struct Wanted<'a> {
    /// Both ends included; empty: 200 to 299.
    pub(super) status: &'a [(u16, u16)],
    pub(super) json: &'a [(String, Value)],
    pub(super) body: Option<&'a str>,
}

pub(super) async fn look(
    address: &SecretString,
    wanted: &Wanted<'_>,
    headers: &[(String, SecretString)],
    look: &Look<'_>,
) -> Looked {
    let site = Site::of(address, headers)?;
    let answer = site.get(site.url.clone(), look).await?;
    Ok(judged(&answer, wanted, &site))
}

fn judged(answer: &Answer, wanted: &Wanted<'_>, site: &Site) -> Findings {
    let reply = &answer.reply;
    let mut findings = if is_accepted(reply.status, wanted.status) {
        of_body(answer, wanted, site)
    } else if let Some(refused) = site.refusal(reply) {
        return refused;
    } else {
        Findings::failed(not_accepted(answer, wanted, site))
    };
    findings.fact("http_status", reply.status);
    findings
}

fn is_accepted(status: u16, wanted: &[(u16, u16)]) -> bool {
    if wanted.is_empty() {
        return (200..300).contains(&status);
    }
    let mut ranges = wanted.iter();
    ranges.any(|(from, to)| (*from..=*to).contains(&status))
}

fn not_accepted(answer: &Answer, wanted: &Wanted<'_>, site: &Site) -> String {
    let status = answer.reply.status;
    if let Some(to) = web::redirect_of(&answer.reply, &site.url) {
        return format!(
            "it redirects (HTTP {status}) to {}, and probes do not follow: give the final address",
            web::sayable(&to)
        );
    }
    let expected = if wanted.status.is_empty() {
        "200-299".to_owned()
    } else {
        let ranges = wanted.status.iter().map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        });
        ranges.collect::<Vec<_>>().join(", ")
    };
    let next = match status {
        404 => "is the path right?",
        500..=599 => "it says itself that it is not well: look at its log",
        _ => "look at its log, or at what the probe accepts",
    };
    format!("it answers HTTP {status} where {expected} is expected: {next}")
}

fn of_body(answer: &Answer, wanted: &Wanted<'_>, site: &Site) -> Findings {
    if !wanted.json.is_empty()
        && let Some(wrong) = of_json(answer, wanted.json)
    {
        return wrong;
    }
    if let Some(pattern) = wanted.body {
        return of_pattern(answer, pattern);
    }
    let mut findings = Findings::passed();
    if wanted.json.is_empty() && web::is_html(&answer.reply) && is_health_path(site.url.path()) {
        findings.impair(
            "its health path answers with an HTML page, which a web interface does for any path: \
             find the real health path, or check a JSON field",
        );
    }
    findings
}

/// Whether a path promises an answer for machines.
fn is_health_path(path: &str) -> bool {
    path.to_ascii_lowercase()
        .split(['/', '-', '_', '.'])
        .any(|part| {
            part.starts_with("health")
                || ["healthz", "ready", "readyz", "readiness", "live", "livez"].contains(&part)
                || ["liveness", "alive", "ping", "status"].contains(&part)
        })
}

fn of_json(answer: &Answer, wanted: &[(String, Value)]) -> Option<Findings> {
    let body = match web::json(answer) {
        Ok(body) => body,
        Err(found) => {
            return Some(Findings::failed(format!(
                "its answer should be JSON and is {found}: is this the health path?"
            )));
        }
    };
    for (pointer, expected) in wanted {
        let found = body.pointer(pointer);
        if found.is_some_and(|found| is_same(found, expected)) {
            continue;
        }
        let place = words::quoted(pointer);
        let expected = words::quoted(&expected.to_string());
        return Some(Findings::failed(match found {
            Some(found) => format!(
                "its answer has {} at {place} where {expected} is expected",
                words::quoted(&found.to_string())
            ),
            None => format!("its answer has nothing at {place} where {expected} is expected"),
        }));
    }
    None
}

/// YAML and JSON write one number in several ways: 1 and 1.0 are the same.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found == expected,
        _ => found == expected,
    }
}

fn of_pattern(answer: &Answer, pattern: &str) -> Findings {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(LARGEST_PATTERN)
        .dfa_size_limit(LARGEST_PATTERN * 4)
        .build();
    let shown = words::quoted(pattern);
    let Ok(compiled) = compiled else {
        return Findings::of(Outcome::CouldNotLook(format!(
            "the pattern `{shown}` of its probe is no regular expression, or too large"
        )));
    };
    let body = String::from_utf8_lossy(&answer.reply.body);
    if compiled.is_match(&body) {
        return Findings::passed();
    }
    let of = if answer.is_cut {
        "the first 1 MiB of its answer"
    } else {
        "its answer"
    };
    Findings::failed(format!("{of} does not match `{shown}`"))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::net::Reply;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a type"));
        Answer {
            reply: Reply {
                status,
                headers,
                body: body.as_bytes().to_vec(),
            },
            is_cut: false,
        }
    }

    fn outcome(answer: &Answer, wanted: &Wanted<'_>) -> Outcome {
        let address = "http://localhost:9016/health".to_owned().into();
        let site = Site::of(&address, &[]).expect("an address");
        judged(answer, wanted, &site).outcome
    }

    const ANYTHING: Wanted<'static> = Wanted {
        status: &[],
        json: &[],
        body: None,
    };

    #[test]
    fn a_status_is_taken_or_not() {
        let teapot = answer(418, "text/plain", "");
        let strict = outcome(&teapot, &ANYTHING);
        assert!(
            matches!(&strict, Outcome::Failed(why) if why.contains("418") && why.contains("200-299"))
        );
        let lenient = Wanted {
            status: &[(200, 299), (418, 418)],
            ..ANYTHING
        };
        assert_eq!(outcome(&teapot, &lenient), Outcome::Passed);
        for status in [401, 403] {
            let refused = outcome(&answer(status, "text/plain", ""), &ANYTHING);
            assert!(matches!(refused, Outcome::CouldNotLook(_)), "{refused:?}");
        }
    }

    #[test]
    fn fields_are_compared_by_value() {
        let expected = [
            ("/status".to_owned(), json!("UP")),
            ("/checks/0/lag".to_owned(), json!(1)),
        ];
        let wanted = Wanted {
            json: &expected,
            ..ANYTHING
        };
        let well = answer(
            200,
            "application/json",
            r#"{"status":"UP","checks":[{"lag":1.0}]}"#,
        );
        assert_eq!(outcome(&well, &wanted), Outcome::Passed);
        let ill = answer(200, "application/json", r#"{"status":"DOWN"}"#);
        let why = outcome(&ill, &wanted);
        assert!(
            matches!(&why, Outcome::Failed(why) if why.contains("\"DOWN\"") && why.contains("/status"))
        );
        let page = answer(200, "text/html", "<!DOCTYPE html><html></html>");
        let why = outcome(&page, &wanted);
        assert!(matches!(&why, Outcome::Failed(why) if why.contains("HTML page")));
    }

    #[test]
    fn a_page_at_a_health_path_is_no_proof() {
        let page = answer(
            200,
            "text/html;charset=utf-8",
            "<!DOCTYPE html><html></html>",
        );
        let why = outcome(&page, &ANYTHING);
        assert!(
            matches!(&why, Outcome::Impaired(why) if why.contains("HTML page")),
            "{why:?}"
        );
        let proof = Wanted {
            body: Some("(?i)doctype"),
            ..ANYTHING
        };
        assert_eq!(outcome(&page, &proof), Outcome::Passed);
    }

    #[test]
    fn a_pattern_too_large_is_our_fault() {
        let wanted = Wanted {
            body: Some("(a{1000}){1000}"),
            ..ANYTHING
        };
        let why = outcome(&answer(200, "text/plain", "a"), &wanted);
        assert!(matches!(why, Outcome::CouldNotLook(_)), "{why:?}");
    }
}
