//! Takes secrets out of lines that services wrote, whatever their shape.
//!
//! Rather a word too much than a password too few: what is masked here was most likely a secret,
//! and the line stays readable.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use secrecy::SecretString;

use crate::logs::Mask;

/// What stands where a secret stood.
pub const MASKED: &str = "<masked>";

/// Masks by look, and known secrets by their value.
pub struct Secrets {
    known: Mask,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// A shape of a secret: where it matches, the groups `before` and `after` stay.
struct Shape {
    pattern: Regex,
    /// A word that the line has to hold, in lower case: most lines hold none.
    hint: &'static [&'static str],
}

const NAMES: &str = r"pass(?:word|wd|phrase|code)?|pwd|secrets?|token|jwt|api[_-]?keys?|access[_-]?keys?|secret[_-]?keys?|private[_-]?keys?|account[_-]?key|signing[_-]?key|encryption[_-]?key|fernet[_-]?key|credentials?|connection[_-]?string|dsn|x-amz-signature|x-amz-security-token|signature|sig|session[_-]?id|sessionid|csrf|otp|pin";

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shapes: [(&str, &'static [&'static str]); 12] = [
        // A whole key on one line.
        (
            r"-----BEGIN[A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END[A-Z0-9 ]*PRIVATE KEY-----|$)",
            &["private key"],
        ),
        // scheme://user:password@host; the password may hold @ and, if it ends before a host, /.
        (
            r#"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"'<>]*:)[^\s"'<>/]+(?P<after>@)"#,
            &["://"],
        ),
        (
            r#"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"'<>]+:)[^\s"'<>@]*[^\s"'<>@0-9/][^\s"'<>@]*(?P<after>@[\w.-]+)"#,
            &["://"],
        ),
        // scheme://token@host
        (
            r#"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/:@"'<>]{16,}(?P<after>@)"#,
            &["://"],
        ),
        (
            r"(?P<before>jdbc:oracle:\w+:[^\s/]+/)[^\s@]+(?P<after>@)",
            &["jdbc:oracle"],
        ),
        // Cookies and authorization headers to the end of the value.
        (
            r#"(?i)(?P<before>\b(?:set-)?cookie["']?\s*[:=]\s*)[^\r\n]+"#,
            &["cookie"],
        ),
        (
            r#"(?i)(?P<before>\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:\w+\s+)?)[^\s"',}\]]{4,}"#,
            &["authorization"],
        ),
        (
            r"(?i)(?P<before>\b(?:bearer|basic|digest|apikey|negotiate)\s+)[A-Za-z0-9\-_.~+/=]{8,}",
            &["bearer", "basic", "digest", "apikey", "negotiate"],
        ),
        // Keys that tell themselves by how they begin (as their issuers document it).
        (
            r"\b(?:(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{10,}|npm_[A-Za-z0-9]{20,}|dop_v1_[a-f0-9]{20,}|hf_[A-Za-z0-9]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dapi[a-f0-9]{32}|pypi-[A-Za-z0-9_-]{20,}|hv[sb]\.[A-Za-z0-9_-]{20,})",
            &[
                "akia", "asia", "agpa", "aida", "aroa", "anpa", "gh", "glpat", "xox", "sk", "rk_",
                "aiza", "ya29", "npm_", "dop_v1", "hf_", "sg.", "dapi", "pypi", "hv",
            ],
        ),
        (r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_=-]*)+", &["eyj"]),
        // SQL: IDENTIFIED BY '…', PASSWORD '…'; Redis: AUTH …, requirepass ….
        (
            r#"(?i)(?P<before>\b(?:identified\s+by|password)\s+)(?:'[^']*'|"[^"]*")"#,
            &["identified", "password"],
        ),
        (
            r"(?P<before>\b(?:AUTH|requirepass|masterauth|REQUIREPASS)\s+)\S{4,}",
            &["auth", "requirepass"],
        ),
    ];
    shapes
        .into_iter()
        .filter_map(|(pattern, hint)| {
            Some(Shape {
                pattern: Regex::new(pattern).ok()?,
                hint,
            })
        })
        .collect()
});

/// `password=…`, `"apiKey": "…"`, `--token …`, `DB_PASSWORD: …`, also escaped inside a JSON text.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(&format!(
        r#"(?i)(?P<name>[\w.-]*?(?:\b|_|-|\.|[a-z])(?:{NAMES})[\w.-]*?)(?P<sign>\\?["']?\s*(?:=>|=|:)\s*|\\?["']?\s+is\s+(?:\\?["'])?|\s+)(?P<value>\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}})\]"']+)"#
    ))
    .ok()
});

/// Words that a name without `=` or `:` behind it is followed by in a sentence.
const HINTS: [&str; 14] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "jwt",
    "key",
    "credential",
    "connection",
    "dsn",
    "auth",
    "sig",
    "session",
    "csrf",
    "otp",
];

impl Secrets {
    pub fn new(known: &[SecretString]) -> Self {
        Self {
            known: Mask::new(known),
        }
    }

    /// The text without secrets.
    pub fn masked(&self, text: &str) -> String {
        let mut text = self.known.masked(text);
        for shape in SHAPES.iter() {
            let lower = text.to_ascii_lowercase();
            if shape.hint.iter().any(|hint| lower.contains(hint)) {
                let masked = shape.pattern.replace_all(&text, |found: &Captures<'_>| {
                    let part = |name| found.name(name).map_or("", |part| part.as_str());
                    format!("{}{MASKED}{}", part("before"), part("after"))
                });
                text = masked.into_owned();
            }
        }
        let lower = text.to_ascii_lowercase();
        if HINTS.iter().any(|hint| lower.contains(hint))
            && let Some(named) = NAMED.as_ref()
        {
            text = named.replace_all(&text, by_name).into_owned();
        }
        text
    }
}

/// Whether what stands behind a name is its secret.
fn by_name(found: &Captures<'_>) -> String {
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    let (name, sign, value) = (part("name"), part("sign"), part("value"));
    let whole = || format!("{name}{sign}{value}");
    let bare = value.trim_matches(|character| matches!(character, '"' | '\'' | '\\'));
    // A blank alone: only behind a flag, else it is a sentence.
    if sign.trim().is_empty() && !name.starts_with('-') {
        return whole();
    }
    let lower = name.to_ascii_lowercase();
    let is_sentence = sign.contains("is") && bare.len() < 6;
    let says_nothing = bare.is_empty()
        || bare.starts_with(MASKED)
        || matches!(
            bare.to_ascii_lowercase().as_str(),
            "null" | "none" | "true" | "false" | "undefined" | "nil"
        );
    // `tokens=512`, `pass: 12 fail: 0`, `keys: 7`: amounts.
    let is_amount = bare.len() <= 6
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !["password", "passwd", "passcode", "pwd", "otp", "pin"]
            .iter()
            .any(|word| lower.contains(word));
    // `primary_key=id`, `sort_key: name`, `signature: f(x)`, `ping: ok` are no credentials.
    let is_word = ["ping", "pins", "spin", "opinion", "compass", "bypass"]
        .iter()
        .any(|word| lower.contains(word))
        || (lower == "pass" && bare.len() < 6);
    if is_sentence || says_nothing || is_amount || is_word {
        return whole();
    }
    let quote = |end: &str| {
        ["\\\"", "\"", "'"]
            .into_iter()
            .find(|quote| end.starts_with(quote))
            .unwrap_or_default()
            .to_owned()
    };
    let quote = quote(value);
    format!("{name}{sign}{quote}{MASKED}{quote}")
}

/// A private key that goes over several lines.
#[derive(Debug, Default)]
pub struct KeyBlock {
    is_inside: bool,
    lines: u32,
}

impl KeyBlock {
    /// An end that was never written must not hide the rest of the log.
    const LONGEST: u32 = 120;

    /// The line without its part of a key; none where it holds none.
    pub fn masked(&mut self, line: &str) -> Option<String> {
        if self.is_inside {
            self.lines += 1;
            let (is_end, rest) = match line.find("-----END") {
                Some(at) => {
                    let rest = &line[at + 8..];
                    (true, rest.split_once("-----").map_or("", |(_, rest)| rest))
                }
                None => (false, ""),
            };
            self.is_inside = !is_end && self.lines < Self::LONGEST;
            return Some(format!("{MASKED}{rest}"));
        }
        let start = line.find("-----BEGIN")?;
        let label = &line[start..];
        if !label.contains("PRIVATE KEY") || label.contains("-----END") {
            return None;
        }
        self.is_inside = true;
        self.lines = 0;
        Some(format!("{}{MASKED}", &line[..start]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_many_shapes_are_masked() {
        let secrets = Secrets::new(&["a-known-secret".into()]);
        // Each secret holds HIDE or is listed whole; what stays readable is the second.
        for (text, kept) in [
            (
                "postgresql://app:HIDE@db:5432/x",
                "postgresql://app:<masked>@db:5432/x",
            ),
            (
                "redis://:HIDEme@cache:6379/0",
                "redis://:<masked>@cache:6379/0",
            ),
            (
                "amqp://u:HI@DE@mq:5672/vhost ok",
                "amqp://u:<masked>@mq:5672/vhost ok",
            ),
            ("mysql://u:HIDE/er@h/db", "mysql://u:<masked>@h/db"),
            (
                "clone https://HIDE0123456789abcdef@git.example/x",
                "clone https://<masked>@git.example/x",
            ),
            (
                "jdbc:oracle:thin:scott/HIDE@h:1521",
                "jdbc:oracle:thin:scott/<masked>@h:1521",
            ),
            (
                "Authorization: Bearer HIDE.abc-def",
                "Authorization: Bearer <masked>",
            ),
            (
                "authorization=Basic dXNlcjpISURF",
                "authorization=Basic <masked>",
            ),
            (
                "sent Basic dXNlcjpISURFHIDE to it",
                "sent Basic <masked> to it",
            ),
            (
                "jwt eyJhbGciOiJIUzI1NiJ9.eyJISURFIjoxfQ.c2ln end",
                "jwt <masked> end",
            ),
            ("key AKIAHIDEHIDEHIDEHIDE used", "key <masked> used"),
            (
                "aws_secret_access_key = wJalrHIDE/K7MDENG+bPx",
                "aws_secret_access_key = <masked>",
            ),
            (
                "token ghp_HIDEHIDEHIDEHIDEHIDE1234 bad",
                "token <masked> bad",
            ),
            ("using sk-proj-HIDEHIDEHIDEHIDE", "using <masked>"),
            ("slack xoxb-123-HIDEHIDE", "slack <masked>"),
            ("password=HIDE user=bob", "password=<masked> user=bob"),
            ("DB_PASSWORD: 'HIDE it'", "DB_PASSWORD: '<masked>'"),
            ("PGPASSWORD=HIDE psql", "PGPASSWORD=<masked> psql"),
            ("passwd=123456 x", "passwd=<masked> x"),
            (
                r#"{"user":"bob","password":"HI\"DE","n":1}"#,
                r#"{"user":"bob","password":"<masked>","n":1}"#,
            ),
            (
                r#"{"clientSecret": "HIDE", "apiKey":"HIDE"}"#,
                r#"{"clientSecret": "<masked>", "apiKey":"<masked>"}"#,
            ),
            (
                r#"msg="{\"password\":\"HIDE\",\"a\":1}""#,
                r#"msg="{\"password\":\"<masked>\",\"a\":1}""#,
            ),
            ("{'secret_key': 'HIDE'}", "{'secret_key': '<masked>'}"),
            (
                "run --password HIDE --port 5",
                "run --password <masked> --port 5",
            ),
            ("run --api-key=HIDE", "run --api-key=<masked>"),
            (
                "Server=h;User Id=sa;Password=HIDE;Encrypt=no",
                "Server=h;User Id=sa;Password=<masked>;Encrypt=no",
            ),
            (
                "AccountKey=HIDE+abc==;EndpointSuffix=x",
                "AccountKey=<masked>;EndpointSuffix=x",
            ),
            ("GET /x?token=HIDE&page=2", "GET /x?token=<masked>&page=2"),
            (
                "GET /b?X-Amz-Signature=HIDE&x=1",
                "GET /b?X-Amz-Signature=<masked>&x=1",
            ),
            ("Set-Cookie: session=HIDE; Path=/", "Set-Cookie: <masked>"),
            (
                "CREATE USER a IDENTIFIED BY 'HIDE'",
                "CREATE USER a IDENTIFIED BY <masked>",
            ),
            (
                "ALTER ROLE a PASSWORD 'HIDE'",
                "ALTER ROLE a PASSWORD <masked>",
            ),
            ("> AUTH HIDEHIDE", "> AUTH <masked>"),
            ("fernet_key=HIDE=", "fernet_key=<masked>"),
            (
                "-----BEGIN PRIVATE KEY-----\\nHIDE\\n-----END PRIVATE KEY----- x",
                "<masked> x",
            ),
            ("the password is HIDEHIDE", "the password is <masked>"),
            ("found a-known-secret here", "found <masked> here"),
        ] {
            let masked = secrets.masked(text);
            assert_eq!(masked, kept, "{text}");
            assert!(!masked.contains("HIDE"), "{masked}");
        }
    }

    #[test]
    fn ordinary_lines_stay_as_they_are() {
        let secrets = Secrets::default();
        for text in [
            "GET /api/v1/bills/7 200 12 ms user=3",
            "password authentication failed for user \"app\"",
            "token expired, sign in again",
            "used max_tokens=512 and tokens: 17",
            "pass: 12 fail: 0",
            "http://localhost:9016/health answered 200",
            "see https://example.org/a:b/c@d",
            "could not connect to server at 10.0.0.5:5432",
            "secret: null, password: false",
            "12:30:45 the key was not found",
            "basic checks passed",
        ] {
            assert_eq!(secrets.masked(text), text);
        }
    }
}
