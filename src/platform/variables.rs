//! `${VAR}` in texts: which variables they name, and what becomes of them.

use std::collections::BTreeMap;

/// Our own credentials: no file may send them anywhere or show them.
const OWN: &[&str] = &[
    "OPENMETADATA_TOKEN",
    "OPENMETADATA_TOKEN_FILE",
    "OPENMETADATA_EMAIL",
    "OPENMETADATA_PASSWORD",
    "OPENMETADATA_PASSWORD_FILE",
    "OPENPOLICY_HTTP_TOKEN",
    "OPENPOLICY_HTTP_TOKEN_FILE",
    "OPENPOLICY_STORE",
];
/// Defaults inside defaults: `${A:-${B:-c}}`.
const DEEPEST: usize = 8;

/// The variables that a file may read.
#[derive(Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    is_withheld: bool,
}

impl std::fmt::Debug for Variables {
    /// Values may be secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.values.keys().collect();
        formatter
            .debug_struct("Variables")
            .field("names", &names)
            .finish()
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<Pairs: IntoIterator<Item = (String, String)>>(pairs: Pairs) -> Self {
        Self {
            values: pairs.into_iter().collect(),
            is_withheld: false,
        }
    }
}

impl Variables {
    /// Those of this process; what is no UTF-8 is left away.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The same names, without the values: what a file reads that nobody has trusted yet.
    pub fn withheld(&self) -> Self {
        Self {
            values: self.values.clone(),
            is_withheld: true,
        }
    }

    /// These, and `others` where these do not say.
    pub fn or(&self, others: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all = self.clone();
        for (name, value) in others {
            all.values.entry(name).or_insert(value);
        }
        all
    }

    fn look_up(&self, name: &str, own: Own) -> Result<Option<&str>, NoValue> {
        if own == Own::Forbidden && OWN.contains(&name) {
            return Err(NoValue::Own(name.to_owned()));
        }
        match self.values.get(name) {
            Some(_) if self.is_withheld => Err(NoValue::Withheld(name.to_owned())),
            value => Ok(value.map(String::as_str)),
        }
    }
}

/// Whether a text may name our own credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    Forbidden,
    /// Where the catalog itself is configured.
    Allowed,
}

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoValue {
    /// Not set, and without a default; with the message of `${VAR:?message}`.
    Missing {
        name: String,
        message: Option<String>,
    },
    /// Set, but the file is not trusted yet.
    Withheld(String),
    /// A credential of ours.
    Own(String),
}

/// A text with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// As it stands in the file.
    pub written: String,
    pub value: Result<String, NoValue>,
    /// Names of the variables whose values stand in it.
    pub variables: Vec<String>,
    /// A default of a variable stands in it.
    pub has_default: bool,
}

impl Expanded {
    /// A text as it is.
    pub fn literal(text: &str) -> Self {
        Self {
            written: text.to_owned(),
            value: Ok(text.to_owned()),
            variables: Vec::new(),
            has_default: false,
        }
    }

    /// For showing: its value, or what is written where there is none or it came from outside.
    pub fn shown(&self) -> &str {
        match &self.value {
            Ok(value) if self.variables.is_empty() => value,
            _ => &self.written,
        }
    }
}

/// How texts name variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `${VAR}`; a `$` that begins nothing is a `$`, since regular expressions end with one.
    Platform,
    /// Also `$VAR`; a variable that is missing is empty.
    Compose,
}

/// What is wrong with the form of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotATemplate(pub String);

/// Replaces the variables of a text.
pub fn expand(
    written: &str,
    variables: &Variables,
    own: Own,
    syntax: Syntax,
) -> Result<Expanded, NotATemplate> {
    let mut expansion = Expansion {
        variables,
        own,
        syntax,
        used: Vec::new(),
        has_default: false,
        none: None,
    };
    let value = expansion.text(written, 0)?;
    Ok(Expanded {
        written: written.to_owned(),
        value: match expansion.none {
            None => Ok(value),
            Some(reason) => Err(reason),
        },
        variables: expansion.used,
        has_default: expansion.has_default,
    })
}

struct Expansion<'a> {
    variables: &'a Variables,
    own: Own,
    syntax: Syntax,
    used: Vec<String>,
    has_default: bool,
    /// The first reason why there is no value.
    none: Option<NoValue>,
}

impl Expansion<'_> {
    fn text(&mut self, written: &str, depth: usize) -> Result<String, NotATemplate> {
        if depth > DEEPEST {
            return Err(NotATemplate(format!(
                "more than {DEEPEST} defaults stand inside each other"
            )));
        }
        let mut value = String::new();
        let mut rest = written;
        while let Some(at) = rest.find('$') {
            value.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                value.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing_brace(after)
                    .ok_or_else(|| NotATemplate("`${` is never closed by `}`".to_owned()))?;
                let replaced = self.expression(&after[..end], depth)?;
                value.push_str(&replaced);
                rest = &after[end + 1..];
            } else {
                let name = match self.syntax {
                    Syntax::Platform => "",
                    Syntax::Compose => name_at_the_start(rest),
                };
                if name.is_empty() {
                    value.push('$');
                } else {
                    let found = self.value_of(name);
                    value.push_str(&found.unwrap_or_default());
                    rest = &rest[name.len()..];
                }
            }
        }
        value.push_str(rest);
        Ok(value)
    }

    /// What stands between the braces.
    fn expression(&mut self, written: &str, depth: usize) -> Result<String, NotATemplate> {
        let name = name_at_the_start(written);
        let rest = &written[name.len()..];
        let fault = || {
            NotATemplate(format!(
                "`${{{written}}}` is none of `${{VAR}}`, `${{VAR:-default}}`, `${{VAR:?message}}`"
            ))
        };
        if name.is_empty() {
            return Err(fault());
        }
        if rest.is_empty() {
            let found = self.value_of(name);
            if found.is_none() && self.none.is_none() && self.syntax == Syntax::Platform {
                self.none = Some(NoValue::Missing {
                    name: name.to_owned(),
                    message: None,
                });
            }
            return Ok(found.unwrap_or_default());
        }
        // With a colon an empty variable counts as missing.
        let (counts_empty, rest) = match rest.strip_prefix(':') {
            Some(rest) => (false, rest),
            None => (true, rest),
        };
        let mut operators = rest.chars();
        let operator = operators.next().ok_or_else(fault)?;
        let operand = operators.as_str();
        let found = self
            .value_of(name)
            .filter(|value| counts_empty || !value.is_empty());
        match (operator, found) {
            ('-' | '?', Some(value)) => Ok(value),
            ('-', None) if self.none.is_some() => Ok(String::new()),
            ('-', None) => {
                self.has_default = true;
                self.text(operand, depth + 1)
            }
            ('?', None) => {
                if self.none.is_none() {
                    self.none = Some(NoValue::Missing {
                        name: name.to_owned(),
                        message: Some(operand.trim().to_owned()).filter(|text| !text.is_empty()),
                    });
                }
                Ok(String::new())
            }
            ('+', Some(_)) => self.text(operand, depth + 1),
            ('+', None) => Ok(String::new()),
            _ => Err(fault()),
        }
    }

    fn value_of(&mut self, name: &str) -> Option<String> {
        match self.variables.look_up(name, self.own) {
            Ok(None) => None,
            Ok(Some(value)) => {
                self.used.push(name.to_owned());
                Some(value.to_owned())
            }
            Err(reason) => {
                self.used.push(name.to_owned());
                self.none.get_or_insert(reason);
                None
            }
        }
    }
}

/// Where the brace that was opened before `text` is closed.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

fn name_at_the_start(text: &str) -> &str {
    let is_first = |character: char| character.is_ascii_alphabetic() || character == '_';
    if !text.starts_with(is_first) {
        return "";
    }
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [
            ("HOST", "db"),
            ("EMPTY", ""),
            ("OPENMETADATA_TOKEN", "secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
    }

    fn value(written: &str) -> Result<String, NoValue> {
        expand(written, &variables(), Own::Forbidden, Syntax::Platform)
            .expect(written)
            .value
    }

    #[test]
    fn variables_are_replaced_as_compose_replaces_them() {
        for (written, expected) in [
            ("tcp://${HOST}:5432", "tcp://db:5432"),
            ("${PORT:-8000}", "8000"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:-${B:-${HOST}}}", "db"),
            ("${HOST:+is set}", "is set"),
            ("${A:+is set}", ""),
            ("^ok$", "^ok$"),
            ("$HOST", "$HOST"),
            ("$${HOST}", "${HOST}"),
            ("a{b}c", "a{b}c"),
            ("${HOST:?needed}", "db"),
        ] {
            assert_eq!(value(written).as_deref(), Ok(expected), "{written}");
        }
        let compose = expand(
            "$HOST-${NONE}",
            &variables(),
            Own::Forbidden,
            Syntax::Compose,
        );
        assert_eq!(compose.expect("a text").value.as_deref(), Ok("db-"));
    }

    #[test]
    fn what_is_missing_is_named_and_our_own_credentials_are_never_read() {
        assert_eq!(
            value("${NONE:?set it to the database}"),
            Err(NoValue::Missing {
                name: "NONE".into(),
                message: Some("set it to the database".into())
            })
        );
        for hidden in [
            "${OPENMETADATA_TOKEN}",
            "http://x/${OPENMETADATA_TOKEN:-y}",
            "${A:-${OPENMETADATA_TOKEN}}",
            "${OPENMETADATA_TOKEN:+${HOST}}",
        ] {
            assert!(matches!(value(hidden), Err(NoValue::Own(_))), "{hidden}");
        }
        let withheld = variables().withheld();
        let shown = expand("${HOST}", &withheld, Own::Forbidden, Syntax::Platform);
        let shown = shown.expect("a text");
        assert_eq!(shown.value, Err(NoValue::Withheld("HOST".into())));
        assert_eq!(shown.shown(), "${HOST}");
        assert!(!format!("{:?}", variables()).contains("secret"));
    }

    #[test]
    fn broken_forms_are_told() {
        for broken in [
            "${",
            "${}",
            "${HOST",
            "${1}",
            "${A:}",
            "${A!x}",
            "${A:-${B}",
        ] {
            let result = expand(broken, &variables(), Own::Forbidden, Syntax::Platform);
            assert!(result.is_err(), "{broken}");
        }
    }
}
