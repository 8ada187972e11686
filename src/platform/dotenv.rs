//! `.env` files, as Compose reads them: names and values, one a line.

/// The variables of a file; lines that are none are left away, as Compose warns about them itself.
pub fn variables(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if line.starts_with('#') {
                return None;
            }
            let (name, value) = line.split_once('=')?;
            let name = name.trim();
            let is_name = !name.is_empty()
                && name.chars().all(|character| {
                    character.is_ascii_alphanumeric() || "_.-".contains(character)
                });
            is_name.then(|| (name.to_owned(), unquoted(value.trim())))
        })
        .collect()
}

/// Quotes go, and so does a comment behind an unquoted value.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return rest[..end].to_owned();
        }
    }
    value.split(" #").next().unwrap_or(value).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let text = "# comment\nA=1\nexport B = two words # why\nC=\"x # y\"\nD='z'\nE=\nno\n=x\n";
        let read = variables(text);
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            read,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "x # y"),
                ("D", "z"),
                ("E", "")
            ]
        );
    }
}
