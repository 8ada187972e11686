//! Page: HTML loads, has the title, and is no error page.

use secrecy::SecretString;

use super::{Findings, Look, Looked, web, web::Site, words};
use crate::net::{Answer, Reply};

/// Redirects within one host that are followed: `/`, `/app`, `/login` and one to spare.
const MOST_REDIRECTS: usize = 4;

/// What titles of error pages begin with or hold, in lower case.
const ERROR_TITLES: [&str; 10] = [
    "bad gateway",
    "service unavailable",
    "gateway time-out",
    "gateway timeout",
    "internal server error",
    "not found",
    "forbidden",
    "application error",
    "welcome to nginx",
    "site can’t be reached",
];

pub(super) async fn look(address: &SecretString, title: Option<&str>, look: &Look<'_>) -> Looked {
    let site = Site::of(address, &[])?;
    let mut url = site.url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let answer = site.get(url.clone(), look).await?;
        let Some(to) = web::redirect_of(&answer.reply, &url) else {
            return Ok(judged(&answer, title, &site));
        };
        // http to https of one host is the usual first step.
        if to.host_str() != url.host_str() || !matches!(to.scheme(), "http" | "https") {
            return Ok(Findings::failed(format!(
                "the page redirects to another host ({}): probe the final address",
                web::sayable(&to)
            )));
        }
        url = to;
    }
    Ok(Findings::failed(format!(
        "the page redirects more than {MOST_REDIRECTS} times, last to {}",
        web::sayable(&url)
    )))
}

fn judged(answer: &Answer, title: Option<&str>, site: &Site) -> Findings {
    let reply = &answer.reply;
    let mut findings = if let Some(refused) = site.refusal(reply) {
        return refused;
    } else if !(200..300).contains(&reply.status) {
        Findings::failed(format!(
            "the page answers HTTP {}: look at the log of the service",
            reply.status
        ))
    } else {
        of_html(reply, title)
    };
    findings.fact("http_status", reply.status);
    findings
}

fn of_html(reply: &Reply, wanted: Option<&str>) -> Findings {
    if !web::is_html(reply) {
        return Findings::failed("its answer is no HTML page: is this the address of the page?");
    }
    let body = String::from_utf8_lossy(&reply.body);
    let title = title_of(&body);
    let shown = words::quoted(title.as_deref().unwrap_or("(none)"));
    let lower = title.as_deref().unwrap_or_default().to_lowercase();
    let is_wanted = |wanted: &str| lower.contains(&wanted.to_lowercase());
    let mut findings = match wanted {
        Some(wanted) if !is_wanted(wanted) => Findings::failed(format!(
            "its title is `{shown}` where `{}` is expected: another page answers",
            words::quoted(wanted)
        )),
        None if is_error_title(&lower) => Findings::failed(format!(
            "it answers HTTP {} with an error page titled `{shown}`",
            reply.status
        )),
        _ if body.trim().len() < 15 => Findings::failed("its page is empty"),
        _ => Findings::passed(),
    };
    if let Some(title) = title {
        findings.fact("title", words::quoted(&title));
    }
    findings
}

fn is_error_title(lower: &str) -> bool {
    let begins_with_status = lower.split_whitespace().next().is_some_and(|first| {
        let code: Option<u16> = first
            .trim_matches(|sign| !char::is_numeric(sign))
            .parse()
            .ok();
        first.len() <= 5 && code.is_some_and(|code| (400..600).contains(&code))
    });
    begins_with_status
        || lower.trim() == "error"
        || ERROR_TITLES.iter().any(|error| lower.contains(error))
}

/// What stands in the first `<title>`, its entities for the usual signs resolved.
fn title_of(html: &str) -> Option<String> {
    // ASCII lower case keeps positions.
    let lower = html.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let from = tag + lower.get(tag..)?.find('>')? + 1;
    let to = from + lower.get(from..)?.find("</title")?;
    let text = html.get(from..to)?;
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::observation::Outcome;

    fn outcome(html: &str, wanted: Option<&str>) -> Outcome {
        let reply = Reply {
            status: 200,
            headers: http::HeaderMap::new(),
            body: html.as_bytes().to_vec(),
        };
        of_html(&reply, wanted).outcome
    }

    #[test]
    fn error_pages_with_200_are_found_by_their_title() {
        for title in [
            "502 Bad Gateway",
            "Error",
            "Service Unavailable",
            "404 – Page",
        ] {
            let html = format!("<!DOCTYPE html><html><head><title>{title}</title></head></html>");
            let found = outcome(&html, None);
            assert!(
                matches!(&found, Outcome::Failed(why) if why.contains(title)),
                "{found:?}"
            );
        }
        for title in [
            "OpenMetadata",
            "Bills of 2024",
            "500px gallery",
            "4041 Main Street",
        ] {
            let html = format!("<html><head><TITLE lang=en>\n {title}</TITLE></head></html>");
            assert_eq!(outcome(&html, None), Outcome::Passed, "{title}");
        }
    }

    #[test]
    fn the_title_is_compared_as_people_read_it() {
        let html = "<html><title>Policy &amp; Data\n  Portal</title></html>";
        assert_eq!(outcome(html, Some("policy & data portal")), Outcome::Passed);
        let found = outcome(html, Some("Grafana"));
        assert!(matches!(&found, Outcome::Failed(why) if why.contains("Policy & Data Portal")));
        assert!(matches!(outcome("{}", None), Outcome::Failed(why) if why.contains("no HTML")));
    }
}
