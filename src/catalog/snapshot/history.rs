//! What changed between one copy and the next, as the snapshot keeps it.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Snapshot, SnapshotError, storage};
use crate::catalog::CatalogError;

/// One difference between two copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// It happened after this copy was begun …
    pub after: Timestamp,
    /// … and before this one was finished.
    pub before: Timestamp,
    pub kind: DifferenceKind,
    /// FQN of what changed; of an edge that which is downstream.
    pub fqn: String,
    pub entity_type: String,
    /// What happened, in words: `column total: int became bigint`. Text of the catalog is in it.
    pub what: String,
    /// The other end of an edge.
    pub other: Option<String>,
}

/// What kind of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    EntityCame,
    /// Not in the catalog any more.
    EntityGone,
    /// Marked as deleted; it can be restored.
    EntityDeleted,
    EntityRestored,
    ColumnCame,
    ColumnGone,
    ColumnType,
    Owners,
    Tags,
    Terms,
    Tier,
    Domains,
    Description,
    EdgeCame,
    EdgeGone,
    /// The columns of an edge.
    EdgeColumns,
}

impl DifferenceKind {
    pub const ALL: [Self; 16] = [
        Self::EntityCame,
        Self::EntityGone,
        Self::EntityDeleted,
        Self::EntityRestored,
        Self::ColumnCame,
        Self::ColumnGone,
        Self::ColumnType,
        Self::Owners,
        Self::Tags,
        Self::Terms,
        Self::Tier,
        Self::Domains,
        Self::Description,
        Self::EdgeCame,
        Self::EdgeGone,
        Self::EdgeColumns,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::EntityCame => "entity_came",
            Self::EntityGone => "entity_gone",
            Self::EntityDeleted => "entity_deleted",
            Self::EntityRestored => "entity_restored",
            Self::ColumnCame => "column_came",
            Self::ColumnGone => "column_gone",
            Self::ColumnType => "column_type",
            Self::Owners => "owners",
            Self::Tags => "tags",
            Self::Terms => "terms",
            Self::Tier => "tier",
            Self::Domains => "domains",
            Self::Description => "description",
            Self::EdgeCame => "edge_came",
            Self::EdgeGone => "edge_gone",
            Self::EdgeColumns => "edge_columns",
        }
    }
}

pub(super) const TABLE: &str = "
CREATE TABLE difference (
    id INTEGER PRIMARY KEY, after INTEGER NOT NULL, before INTEGER NOT NULL, kind TEXT NOT NULL,
    type TEXT NOT NULL, fqn TEXT NOT NULL, other TEXT, what TEXT NOT NULL);
";

pub(super) const INDEXES: &str = "
CREATE INDEX difference_before ON difference (before);
CREATE INDEX difference_fqn ON difference (fqn);
CREATE INDEX difference_other ON difference (other) WHERE other IS NOT NULL;
";

/// Whose differences are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    Everything,
    /// This entity, and edges that begin or end at it.
    Entity(&'a str),
    /// This service (or database, schema) and everything whose FQN begins with it.
    Below(&'a str),
}

/// Differences that were found, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    pub rows: Vec<Difference>,
    /// Of all that fit, also where `rows` were cut.
    pub total: usize,
}

impl Snapshot {
    /// Differences that may have happened in this time: between copies of which the later was
    /// begun at or after `since` and the earlier at or before `until`. `Head::changes_since` says
    /// from when on they are known at all.
    pub fn differences(
        &self,
        of: Of<'_>,
        since: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Differences, CatalogError> {
        // `.` is followed by `/` in the order of bytes: everything that begins with `fqn.`.
        let (condition, first, last) = match of {
            Of::Everything => ("?1 = ?2", String::new(), String::new()),
            Of::Entity(fqn) => ("(fqn = ?1 OR other = ?2)", fqn.to_owned(), fqn.to_owned()),
            Of::Below(fqn) => (
                "(fqn = substr(?1, 1, length(?1) - 1) OR (fqn >= ?1 AND fqn < ?2))",
                format!("{fqn}."),
                format!("{fqn}/"),
            ),
        };
        let from = format!("FROM difference WHERE {condition} AND before >= ?3 AND after <= ?4");
        let connection = self.connection()?;
        let bounds = params![first, last, since.as_millisecond(), until.as_millisecond()];
        let total: i64 = connection
            .prepare_cached(&format!("SELECT count(*) {from}"))
            .and_then(|mut statement| statement.query_row(bounds, |row| row.get(0)))
            .map_err(storage)?;
        let mut statement = connection
            .prepare_cached(&format!(
                "SELECT after, before, kind, type, fqn, other, what {from}
                 ORDER BY before DESC, id LIMIT ?5"
            ))
            .map_err(storage)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(
                params![
                    first,
                    last,
                    since.as_millisecond(),
                    until.as_millisecond(),
                    limit
                ],
                difference,
            )
            .map_err(storage)?;
        Ok(Differences {
            rows: rows
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()
                .map_err(storage)?,
            total: usize::try_from(total).unwrap_or_default(),
        })
    }
}

/// None for a kind that this version does not know.
fn difference(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Difference>> {
    let kind: String = row.get(2)?;
    let Some(kind) = DifferenceKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
    else {
        return Ok(None);
    };
    let time = |index: usize| -> rusqlite::Result<Timestamp> {
        Ok(Timestamp::from_millisecond(row.get(index)?).unwrap_or_default())
    };
    Ok(Some(Difference {
        after: time(0)?,
        before: time(1)?,
        kind,
        entity_type: row.get(3)?,
        fqn: row.get(4)?,
        other: row.get(5)?,
        what: row.get(6)?,
    }))
}

/// Writes one difference.
pub(super) fn insert(
    connection: &Connection,
    difference: &Difference,
) -> Result<(), SnapshotError> {
    connection
        .prepare_cached(
            "INSERT INTO difference (after, before, kind, type, fqn, other, what)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            difference.after.as_millisecond(),
            difference.before.as_millisecond(),
            difference.kind.as_str(),
            difference.entity_type,
            difference.fqn,
            difference.other,
            difference.what,
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::snapshot::{Builder, Head};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn finds_what_changed_by_entity_by_service_and_by_time() {
        let mut builder = Builder::in_memory().unwrap();
        let mut add = |fqn: &str, other: Option<&str>, before: &str| {
            builder
                .add_difference(&Difference {
                    after: at("2026-01-01T00:00:00Z"),
                    before: at(before),
                    kind: DifferenceKind::EdgeCame,
                    fqn: fqn.into(),
                    entity_type: "table".into(),
                    what: "something".into(),
                    other: other.map(str::to_owned),
                })
                .unwrap();
        };
        add("pg.db.a", Some("pg.db.b"), "2026-01-02T00:00:00Z");
        add("pg.db.c", None, "2026-01-03T00:00:00Z");
        add("pgx.db.a", None, "2026-01-04T00:00:00Z");
        let snapshot = builder
            .finish_as(&Head::of(at("2026-01-05T00:00:00Z"), "1.12.6"))
            .unwrap();
        let found = |of: Of<'_>, since: &str, until: &str| -> Vec<String> {
            let found = snapshot.differences(of, at(since), at(until), 10).unwrap();
            assert_eq!(found.total, found.rows.len());
            found.rows.into_iter().map(|row| row.fqn).collect()
        };
        let (first, last) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        assert_eq!(
            found(Of::Everything, first, last),
            ["pgx.db.a", "pg.db.c", "pg.db.a"]
        );
        assert_eq!(found(Of::Below("pg"), first, last), ["pg.db.c", "pg.db.a"]);
        assert_eq!(found(Of::Below("pg.db.c"), first, last), ["pg.db.c"]);
        assert_eq!(found(Of::Entity("pg.db.b"), first, last), ["pg.db.a"]);
        assert_eq!(
            found(Of::Everything, "2026-01-03T12:00:00Z", last),
            ["pgx.db.a"]
        );
        assert!(found(Of::Everything, first, "2025-01-01T00:00:00Z").is_empty());
        let cut = snapshot
            .differences(Of::Everything, at(first), at(last), 1)
            .unwrap();
        assert_eq!((cut.rows.len(), cut.total), (1, 3));
    }
}
