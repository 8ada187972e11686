//! The tables, lists and commands of a document, as its fixture has them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One of the five documents.
pub struct Document {
    sections: Vec<Section>,
}

/// A heading with the lines below it.
pub struct Section {
    /// Without `#`, `*` and the space around.
    pub heading: String,
    lines: Vec<String>,
}

impl Document {
    /// The document of the reference platform of this name.
    pub fn of(platform: &str) -> Self {
        let text = fs::read_to_string(path_of(platform)).expect("a document");
        let mut sections: Vec<Section> = Vec::new();
        let mut is_code = false;
        for line in text.lines() {
            is_code ^= line.starts_with("```");
            match sections.last_mut() {
                _ if line.starts_with('#') && !is_code => sections.push(Section {
                    heading: plain(line.trim_start_matches('#')),
                    lines: Vec::new(),
                }),
                Some(section) => section.lines.push(line.to_owned()),
                None => panic!("{platform}: a document begins with a heading"),
            }
        }
        Self { sections }
    }

    /// The only section whose heading begins so.
    pub fn section(&self, beginning: &str) -> &Section {
        let mut found = self.sections_of(beginning);
        let section = found.next().expect(beginning);
        assert!(found.next().is_none(), "two sections `{beginning}`");
        section
    }

    /// The sections whose headings begin so, in order.
    pub fn sections_of(&self, beginning: &str) -> impl Iterator<Item = &Section> {
        self.sections
            .iter()
            .filter(move |section| section.heading.starts_with(beginning))
    }

    /// All of them, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }
}

impl Section {
    /// The cells of a table, without its first two lines.
    pub fn rows(&self) -> Vec<Vec<String>> {
        self.lines
            .iter()
            .filter(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| {
                let line = line.trim().trim_matches('|');
                line.split('|').map(plain).collect()
            })
            .collect()
    }

    /// Lines of code that are no comments.
    pub fn code(&self) -> Vec<&str> {
        let mut is_code = false;
        let mut code = Vec::new();
        for line in &self.lines {
            if line.starts_with("```") {
                is_code = !is_code;
            } else if is_code && !line.trim_start().starts_with('#') && !line.trim().is_empty() {
                code.push(line.as_str());
            }
        }
        code
    }

    /// What follows `**label**:`, without emphasis.
    pub fn value(&self, label: &str) -> Option<String> {
        self.lines.iter().find_map(|line| {
            let line = plain(line.trim_start().trim_start_matches("- "));
            let rest = line.strip_prefix(label)?.strip_prefix(':')?;
            Some(rest.trim().to_owned())
        })
    }

    /// The lines without emphasis.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.lines.iter().map(|line| plain(line))
    }
}

/// Where the document of this platform lies.
pub fn path_of(platform: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/documents")
        .join(format!("{platform}.md"))
}

fn plain(text: &str) -> String {
    text.replace("**", "").replace('`', "").trim().to_owned()
}

/// What stands between two texts, the nearest of them.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside.trim())
}

/// The first number of a text.
pub fn number(text: &str) -> f64 {
    let from = text.find(|c: char| c.is_ascii_digit()).expect(text);
    let rest = &text[from..];
    let to = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest[..to].trim_end_matches('.').parse().expect(text)
}

/// `API Gateway` as names are written here: `api-gateway`.
pub fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}
