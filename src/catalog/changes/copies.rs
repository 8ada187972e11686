//! What the comparison of copies tells: lineage that came or went, and what no event and no
//! version told.

use super::{Change, ChangeKind};
use crate::{
    answer::time,
    catalog::snapshot::{Difference, DifferenceKind},
};

/// The clocks of a server and of this machine differ a little.
const SLACK: i64 = time::MINUTE;

/// The changes of these differences, those left out that events or versions told. `until`: the
/// end of the window, milliseconds since 1970.
pub fn of_differences(differences: &[Difference], told: &[Change], until: i64) -> Vec<Change> {
    differences
        .iter()
        .filter(|difference| !is_told(difference, told))
        .map(|difference| change(difference, until))
        .collect()
}

fn change(difference: &Difference, until: i64) -> Change {
    let (after, before) = (
        difference.after.as_millisecond(),
        difference.before.as_millisecond(),
    );
    Change {
        at: before.min(until),
        kind: kind(difference.kind),
        subject: difference.fqn.clone(),
        what: format!(
            "{} (seen between {} and {})",
            words(difference),
            time::text(after),
            time::text(before)
        ),
        by: None,
    }
}

fn kind(kind: DifferenceKind) -> ChangeKind {
    use DifferenceKind as K;
    match kind {
        K::ColumnCame | K::ColumnGone | K::ColumnType => ChangeKind::Schema,
        K::EdgeCame | K::EdgeGone | K::EdgeColumns => ChangeKind::Lineage,
        K::EntityCame
        | K::EntityGone
        | K::EntityDeleted
        | K::EntityRestored
        | K::Owners
        | K::Tags
        | K::Terms
        | K::Tier
        | K::Domains
        | K::Description => ChangeKind::Entity,
    }
}

/// An edge is told by both its ends, whatever the words of the difference say.
fn words(difference: &Difference) -> String {
    let what = super::words::short(&difference.what);
    let Some(other) = &difference.other else {
        return what;
    };
    match difference.kind {
        DifferenceKind::EdgeCame => format!("lineage from {other} added"),
        DifferenceKind::EdgeGone => format!("lineage from {other} removed"),
        DifferenceKind::EdgeColumns => format!("columns of the lineage from {other}: {what}"),
        _ => what,
    }
}

/// Whether an event or a version told it: the same thing, the same subject, within that time.
fn is_told(difference: &Difference, told: &[Change]) -> bool {
    let after = difference.after.as_millisecond() - SLACK;
    let before = difference.before.as_millisecond() + SLACK;
    let words = words_of_events(difference);
    told.iter().any(|change| {
        change.subject == difference.fqn
            && (after..=before).contains(&change.at)
            && words.iter().any(|word| change.what.contains(word.as_str()))
    })
}

/// How an event or a version would tell it. OpenMetadata has no events of lineage.
fn words_of_events(difference: &Difference) -> Vec<String> {
    use DifferenceKind as K;
    let words: &[&str] = match difference.kind {
        K::EdgeCame | K::EdgeGone | K::EdgeColumns => &[],
        K::EntityCame => &["created"],
        K::EntityGone => &["deleted"],
        K::EntityDeleted => &["deleted (can be restored)"],
        K::EntityRestored => &["restored"],
        K::Owners => &["owner: ", "owners: "],
        // A tier and a term are tags to a version.
        K::Tags | K::Terms | K::Tier => &["tags: "],
        K::Domains => &["domain: ", "domains: "],
        K::Description => &["description: "],
        K::ColumnCame | K::ColumnGone | K::ColumnType => {
            return column(&difference.what)
                .map(|name| vec![format!("column {name} "), format!("column {name}:")])
                .unwrap_or_default();
        }
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The column that a difference names: `column total: int became bigint`, `column total came`.
fn column(what: &str) -> Option<&str> {
    let rest = what.strip_prefix("column ")?;
    rest.split([':', ' '])
        .next()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(kind: DifferenceKind, what: &str, other: Option<&str>) -> Difference {
        Difference {
            after: "2026-01-01T00:00:00Z".parse().unwrap(),
            before: "2026-01-02T00:00:00Z".parse().unwrap(),
            kind,
            fqn: "pg.db.s.bills".into(),
            entity_type: "table".into(),
            what: what.into(),
            other: other.map(str::to_owned),
        }
    }

    fn told(at: &str, subject: &str, what: &str) -> Change {
        let at: jiff::Timestamp = at.parse().unwrap();
        Change {
            at: at.as_millisecond(),
            kind: ChangeKind::Entity,
            subject: subject.into(),
            what: what.into(),
            by: None,
        }
    }

    fn shown(difference: Difference, told: &[Change]) -> Vec<String> {
        let changes = of_differences(&[difference], told, i64::MAX);
        changes.into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn an_edge_is_told_with_its_other_end_and_the_time_between_two_copies() {
        let edge = difference(DifferenceKind::EdgeCame, "", Some("pg.db.s.raw"));
        assert_eq!(
            shown(edge.clone(), &[]),
            [
                "lineage from pg.db.s.raw added (seen between 2026-01-01T00:00:00Z and 2026-01-02T00:00:00Z)"
            ]
        );
        let changes = of_differences(
            std::slice::from_ref(&edge),
            &[],
            edge.after.as_millisecond() + 5,
        );
        assert_eq!(changes[0].at, edge.after.as_millisecond() + 5);
        assert_eq!(changes[0].kind, ChangeKind::Lineage);
    }

    #[test]
    fn what_an_event_told_is_not_told_twice() {
        let owners = difference(DifferenceKind::Owners, "owners: a became b", None);
        let column = difference(
            DifferenceKind::ColumnType,
            "column total: int became bigint",
            None,
        );
        let noon = "2026-01-01T12:00:00Z";
        let bills = "pg.db.s.bills";
        for (difference, event, is_told) in [
            (&owners, told(noon, bills, "owners: + b"), true),
            (&owners, told(noon, bills, "tags: + b"), false),
            (&owners, told(noon, "pg.db.s.votes", "owners: + b"), false),
            (
                &owners,
                told("2026-01-03T00:00:00Z", bills, "owners: + b"),
                false,
            ),
            (
                &column,
                told(noon, bills, "column total: type INT -> BIGINT"),
                true,
            ),
            (
                &column,
                told(noon, bills, "column total_paid added (INT)"),
                false,
            ),
        ] {
            let changes = shown(difference.clone(), std::slice::from_ref(&event));
            assert_eq!(changes.is_empty(), is_told, "{event:?}");
        }
    }
}
