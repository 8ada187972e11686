//! Which existing names a misspelt one may have meant.

use super::fqn;

/// At most three names, the nearest first: another case, forgotten quotes, a name given without
/// what stands before it, spelling.
pub fn near_names<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    // A dot too many at an end is a slip of the hand.
    let folded = written.trim_matches('.').to_lowercase();
    let plain = without_quotes(&folded);
    let (parent, last) = split(&plain);
    let mut scored: Vec<(f64, &str)> = names
        .filter(|name| *name != written)
        .filter_map(|name| {
            let other = name.to_lowercase();
            let other_plain = without_quotes(&other);
            let (other_parent, other_last) = split(&other_plain);
            let score = if other == folded {
                4.0
            } else if other_plain == plain {
                3.0
            } else if other_plain.ends_with(&format!(".{plain}")) {
                2.0
            } else {
                // Cheap first: most names differ much in their last part already.
                let longer = last.len().max(other_last.len());
                if last.len().abs_diff(other_last.len()) * 5 > longer * 2 {
                    return None;
                }
                let of_last = strsim::normalized_damerau_levenshtein(last, other_last);
                if of_last < 0.6 {
                    return None;
                }
                let of_parent = if parent == other_parent {
                    1.0
                } else {
                    strsim::normalized_damerau_levenshtein(parent, other_parent)
                };
                // The same place, another spelling; or the same name at a place much alike.
                if of_parent >= 0.8 {
                    of_last
                } else if of_last >= 0.999 && of_parent >= 0.4 {
                    0.5 + of_parent / 2.0
                } else if parent.is_empty() && of_last >= 0.75 {
                    of_last - 0.2
                } else {
                    return None;
                }
            };
            Some((score, name))
        })
        .collect();
    scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn without_quotes(name: &str) -> String {
    fqn::parts(name).join(".")
}

fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "pg.db.core.bills",
        "pg.db.core.Bills",
        "pg.db.core.\"votes.2025\"",
        "pg.db.core.members",
        "pg.db.scrapers.raw_bills",
        "kafka.bill-events",
    ];

    fn near(written: &str) -> Vec<String> {
        near_names(written, NAMES.into_iter())
    }

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(
            near("pg.db.core.BILLS")[..2],
            ["pg.db.core.Bills", "pg.db.core.bills"]
        );
        assert_eq!(
            near("pg.db.core.votes.2025")[0],
            "pg.db.core.\"votes.2025\""
        );
        assert_eq!(near("bills")[..2], ["pg.db.core.Bills", "pg.db.core.bills"]);
        assert_eq!(near("pg.db.core.membres"), ["pg.db.core.members"]);
        assert_eq!(near("pg.db.scrapers.members"), ["pg.db.core.members"]);
        assert!(near("warehouse.DW.MART.orphan").is_empty());
        assert!(!near("pg.db.core.bills").contains(&"pg.db.core.bills".to_owned()));
    }
}
