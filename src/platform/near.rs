//! Names that a misspelt one was meant to be.

/// The nearest of `names`, where one is near enough to be a slip of the pen.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Bytes; no misspelt name is longer, and comparing long texts takes long.
    const LONGEST_SLIP: usize = 100;
    if written.is_empty() || written.len() > LONGEST_SLIP {
        return None;
    }
    let folded = fold(written);
    let mut best: Option<(f64, &str)> = None;
    for name in names {
        let other = fold(name);
        let mut score = strsim::normalized_damerau_levenshtein(&folded, &other);
        let is_part = folded.len() >= 3
            && other.len() >= 3
            && (other.starts_with(&folded) || folded.starts_with(&other));
        if is_part {
            score = score.max(0.7);
        }
        if score >= 0.6 && best.is_none_or(|(so_far, _)| score > so_far) {
            best = Some((score, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `Memory-Limit` and `memory_limit` are one word.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = [
            "memory",
            "memory_reserved",
            "needs",
            "port",
            "ports",
            "probe",
        ];
        for (written, meant) in [
            ("memroy", Some("memory")),
            ("Memory", Some("memory")),
            ("memory-reserved", Some("memory_reserved")),
            ("need", Some("needs")),
            ("prt", Some("port")),
            ("volumes", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, keys), meant, "{written}");
        }
    }
}
