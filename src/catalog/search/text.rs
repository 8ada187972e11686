//! What a typed text looks for and where an entity answers it; pure, no I/O.

/// Accents and case taken away, so that `Députés` and `deputes` are the same word.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => folded.push('c'),
            'ď' | 'đ' => folded.push('d'),
            'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ĝ' | 'ğ' | 'ġ' | 'ģ' => folded.push('g'),
            'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' => folded.push('i'),
            'ĺ' | 'ļ' | 'ľ' | 'ł' => folded.push('l'),
            'ñ' | 'ń' | 'ņ' | 'ň' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => folded.push('o'),
            'ŕ' | 'ŗ' | 'ř' => folded.push('r'),
            'ś' | 'ŝ' | 'ş' | 'š' => folded.push('s'),
            'ţ' | 'ť' | 'ŧ' => folded.push('t'),
            'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            // Combining marks: an accent written as a character of its own.
            '\u{0300}'..='\u{036F}' => {}
            other => folded.push(other),
        }
    }
    folded
}

/// The words of a text, folded: runs of letters and digits, and the parts of identifiers written
/// in camel case (`billsV2` is `billsv2`, `bills`, `v2`).
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|character: char| !character.is_alphanumeric()) {
        if run.is_empty() {
            continue;
        }
        words.push(folded(run));
        let parts = camel_parts(run);
        if parts.len() > 1 {
            words.extend(parts.into_iter().map(folded));
        }
    }
    words
}

/// The parts of an identifier in camel case; the whole where it has none.
pub fn camel_parts(run: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut last: Option<char> = None;
    for (position, character) in run.char_indices() {
        if last.is_some_and(char::is_lowercase) && character.is_uppercase() {
            parts.push(&run[start..position]);
            start = position;
        }
        last = Some(character);
    }
    parts.push(&run[start..]);
    parts
}

/// What somebody typed into a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// As written, trimmed.
    pub written: String,
    /// Folded words to look for, each once, without those of camel parts.
    pub words: Vec<String>,
    /// Words that the typed text ended with `*`: what begins so counts.
    pub is_prefix: bool,
    /// All in quotes: the words stand side by side.
    pub is_phrase: bool,
}

impl Typed {
    /// `None` where there is no word in it.
    pub fn parse(text: &str) -> Option<Self> {
        let written = text.trim();
        let mut words: Vec<String> = Vec::new();
        for run in written.split(|character: char| !character.is_alphanumeric()) {
            let word = folded(run);
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        (!words.is_empty()).then(|| Self {
            words,
            is_prefix: written.ends_with('*'),
            is_phrase: inner_of_quotes(written).is_some(),
            written: written.to_owned(),
        })
    }

    /// The last step of what looks like a path: `bills` of `core:bills` or `core.bills`.
    pub fn last_of_path(&self) -> Option<Typed> {
        if self.is_phrase || self.written.contains(char::is_whitespace) {
            return None;
        }
        let (_, last) = self.written.rsplit_once([':', '.', '/', '>'])?;
        Typed::parse(last)
    }

    /// For the server's query parser: nothing that it could take for syntax or stumble over,
    /// except `*` and one pair of quotes around the whole.
    ///
    /// Unbalanced quotes and parentheses are 500 there, a bare colon finds nothing, an unescaped
    /// slash is 500 on old servers (recorded: `search/unbalanced-*`, `colon`, `slash-old`).
    pub fn for_server(&self) -> String {
        match inner_of_quotes(&self.written) {
            Some(inner) => format!("\"{}\"", harmless(&inner.replace('*', " "))),
            None => harmless(&self.written),
        }
    }
}

/// What stands inside quotes that go round the whole.
fn inner_of_quotes(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.is_empty() && !inner.contains('"')).then_some(inner)
}

fn harmless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' => plain.push_str("\\/"),
            '(' | ')' | '{' | '}' | '[' | ']' | '"' | ':' | '^' | '~' | '!' | '=' | '<' | '>'
            | '&' | '|' | '+' | '\\' | '?' => plain.push(' '),
            other if other.is_control() => plain.push(' '),
            other => plain.push(other),
        }
    }
    let words = plain.split_whitespace().filter_map(|word| {
        // A word may not begin with `-` (not), and signs alone are no word. A leading `*` is slow
        // and finds no more than the words do.
        let word = word.trim_start_matches(['-', '*']);
        match word {
            "AND" | "OR" | "NOT" | "TO" => Some(word.to_lowercase()),
            word if word.chars().any(char::is_alphanumeric) => Some(word.to_owned()),
            _ => None,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The texts of an entity that a search looks into.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    pub name: &'a str,
    pub display_name: Option<&'a str>,
    pub fqn: &'a str,
    pub description: Option<&'a str>,
    pub columns: Vec<&'a str>,
}

/// Why an entity answers what was typed, in a few words: `exact name`, `name`, `display name`,
/// `column ballot`, `description`, `path`, `similar name`, `similar`, `other field`.
///
/// The server is tolerant of spelling; what does not hold the words as they were typed is
/// `similar`.
pub fn why(typed: &Typed, fields: &Fields<'_>) -> String {
    let wanted = folded(&typed.written);
    let wanted = wanted.trim_matches(['"', '*']);
    if typed.written == fields.name || typed.written == fields.fqn {
        return "exact name".to_owned();
    }
    if wanted == folded(fields.name) || wanted == folded(fields.fqn) {
        return "name, other case".to_owned();
    }
    // The strongest first.
    let mut reasons: Vec<(u8, String)> = Vec::new();
    let mut add = |strength: u8, reason: String| {
        if !reasons.iter().any(|(_, known)| *known == reason) {
            reasons.push((strength, reason));
        }
    };
    let name_words = words(fields.name);
    let display_words = fields.display_name.map(words).unwrap_or_default();
    let description_words = fields.description.map(words).unwrap_or_default();
    let path_words = words(fields.fqn);
    for word in &typed.words {
        let holds = |texts: &[String]| texts.iter().any(|text| is_form_of(word, text));
        let is_near = |texts: &[String]| texts.iter().any(|text| is_similar(word, text));
        if holds(&name_words) {
            add(0, "name".into());
        } else if holds(&display_words) {
            add(1, "display name".into());
        } else if let Some(column) = fields.columns.iter().find(|column| holds(&words(column))) {
            add(2, format!("column {column}"));
        } else if holds(&description_words) {
            add(3, "description".into());
        } else if holds(&path_words) {
            add(4, "path".into());
        } else if is_near(&name_words) || is_near(&display_words) {
            add(5, "similar name".into());
        } else if is_near(&description_words)
            || fields.columns.iter().any(|column| is_near(&words(column)))
        {
            add(6, "similar".into());
        }
    }
    if reasons.is_empty() {
        return "other field".to_owned();
    }
    reasons.sort();
    let strongest: Vec<String> = reasons.into_iter().take(2).map(|(_, it)| it).collect();
    strongest.join(", ")
}

/// The same word, or one the beginning of the other but for an ending of up to two letters.
fn is_form_of(word: &str, text: &str) -> bool {
    let (short, long) = if word.len() <= text.len() {
        (word, text)
    } else {
        (text, word)
    };
    word == text
        || (short.chars().count() >= 3
            && long
                .strip_prefix(short)
                .is_some_and(|ending| matches!(ending, "s" | "es" | "e" | "x" | "d" | "ed")))
}

/// As far as the server's fuzziness goes: one change in words of 3 to 5 letters, two in longer.
fn is_similar(word: &str, text: &str) -> bool {
    let letters = word.chars().count();
    let changes = match letters {
        0..3 => return false,
        3..6 => 1,
        _ => 2,
    };
    // A stem is shared: `representatives`, `representation`.
    let shared = word
        .chars()
        .zip(text.chars())
        .take_while(|(a, b)| a == b)
        .count();
    strsim::osa_distance(word, text) <= changes || (shared >= 5 && shared * 4 >= letters * 3)
}

/// Names near to what was typed, nearest first, `most` at most. Names that hold it come before
/// names that only look alike.
pub fn nearest<'a>(
    typed: &str,
    names: impl Iterator<Item = (&'a str, &'a str)>,
    most: usize,
) -> Vec<String> {
    let wanted = folded(typed);
    let mut scored: Vec<(f64, &str)> = Vec::new();
    for (name, shown) in names {
        let name = folded(name);
        let mut score = likeness(&wanted, &name);
        for part in name.split(|character: char| !character.is_alphanumeric()) {
            score = score.max(likeness(&wanted, part) - 0.02);
        }
        if wanted.len() >= 3 && name.contains(&wanted) {
            score = score.max(0.95);
        }
        if score >= 0.8 {
            scored.push((score, shown));
        }
    }
    scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    let mut seen = std::collections::HashSet::new();
    scored
        .into_iter()
        .filter(|(_, name)| seen.insert(*name))
        .take(most)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// 0 to 1. What begins otherwise or is much longer is not compared: a large catalog is read whole
/// for a suggestion.
fn likeness(wanted: &str, name: &str) -> f64 {
    let starts = |text: &str| {
        let mut letters = text.chars();
        (letters.next(), letters.next())
    };
    let ((first, second), (other_first, other_second)) = (starts(wanted), starts(name));
    let begins_alike = first == other_first || second == other_second || first == other_second;
    if !begins_alike || name.len() > wanted.len() * 2 + 2 || wanted.len() > name.len() * 2 + 2 {
        return 0.0;
    }
    strsim::jaro_winkler(wanted, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(text: &str) -> Typed {
        Typed::parse(text).unwrap()
    }

    #[test]
    fn what_people_type_reaches_the_server_as_words() {
        for (written, sent) in [
            ("core:bills", "core bills"),
            ("bills \"", "bills"),
            ("(bills", "bills"),
            ("motions/amendments", "motions\\/amendments"),
            ("votes.2025", "votes.2025"),
            ("\"votes.2025\"", "\"votes.2025\""),
            ("bills AND NOT votes", "bills and not votes"),
            ("-bills", "bills"),
            ("bil*", "bil*"),
            ("C:\\temp", "C temp"),
            ("raw-dumps", "raw-dumps"),
        ] {
            assert_eq!(typed(written).for_server(), sent);
        }
        assert_eq!(Typed::parse(" ::( "), None);
    }

    #[test]
    fn says_why_an_entity_matched() {
        let fields = Fields {
            name: "raw_bills",
            display_name: None,
            fqn: "pg.openpolicy.scrapers.raw_bills",
            description: Some("Scraped from municipal sites"),
            columns: vec!["id", "ballotKind"],
        };
        assert_eq!(why(&typed("raw_bills"), &fields), "exact name");
        assert_eq!(why(&typed("Raw_Bills"), &fields), "name, other case");
        assert_eq!(why(&typed("bill"), &fields), "name");
        assert_eq!(why(&typed("ballot"), &fields), "column ballotKind");
        assert_eq!(why(&typed("municipal"), &fields), "description");
        assert_eq!(why(&typed("scrapers"), &fields), "path");
        assert_eq!(why(&typed("bilsl"), &fields), "similar name");
        assert_eq!(why(&typed("zebra"), &fields), "other field");
    }

    #[test]
    fn near_names_do_not_mind_accents() {
        let names = ["bills", "votes", "députés_élus"].map(|name| (name, name));
        assert_eq!(nearest("deputes", names.into_iter(), 3), ["députés_élus"]);
        assert_eq!(nearest("bilsl", names.into_iter(), 3), ["bills"]);
    }

    proptest! {
        /// Whatever is typed, the server's parser meets words, `*`, escaped slashes and at most
        /// one pair of quotes around everything.
        #[test]
        fn never_sends_syntax(text in "\\PC{0,60}") {
            let Some(typed) = Typed::parse(&text) else { return Ok(()) };
            let sent = typed.for_server();
            prop_assert!(!sent.is_empty());
            let quotes = sent.matches('"').count();
            prop_assert!(quotes == 0 || (quotes == 2 && sent.starts_with('"') && sent.ends_with('"') && sent.len() > 2));
            let without_slashes = sent.replace("\\/", "");
            let is_syntax = without_slashes.contains(['/', '\\', '(', ')', '{', '}', '[', ']', ':', '^', '~', '!', '<', '>', '&', '|', '+', '?', '=']);
            prop_assert!(!is_syntax, "{}", sent);
            for word in sent.split_whitespace() {
                prop_assert!(!word.starts_with(['-', '*']));
                prop_assert!(!["AND", "OR", "NOT", "TO"].contains(&word));
            }
        }

        #[test]
        fn reasons_are_found_for_anything(text in "\\PC{0,40}", name in "\\PC{1,20}") {
            let Some(typed) = Typed::parse(&text) else { return Ok(()) };
            let fields = Fields { name: &name, fqn: &name, ..Fields::default() };
            prop_assert!(!why(&typed, &fields).is_empty());
        }
    }
}
