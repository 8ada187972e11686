//! Finds what to compare between two copies, and keeps what was found: a copy and the one before
//! it (attached as `old`).

use jiff::{Timestamp, ToSpan};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{
    Difference, DifferenceKind, Head, SnapshotError,
    compare::{self, Look},
    history,
};
use crate::catalog::model::EntityType;

/// Differences older than this are forgotten. OpenMetadata's own events reach back 7 days by
/// default; a quarter covers what people ask for (`since the last release`).
const KEPT_DAYS: i64 = 90;

/// Rows that are kept, the oldest forgotten first: about 300 bytes each, so 30 MB at most, where
/// the snapshot of a catalog that makes so many has several hundred.
const MOST: usize = 100_000;

/// How many differences a copy found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    pub kept: usize,
    /// More than are kept.
    pub dropped: usize,
}

/// Carries over what was found before, adds what is new, forgets what is old.
pub(super) fn write(
    connection: &Connection,
    head: &mut Head,
    skip: &[String],
) -> Result<Found, SnapshotError> {
    let old = Head::read_from(connection, "old")?;
    let now = Timestamp::now();
    let oldest = now
        .checked_sub((KEPT_DAYS * 24).hours())
        .unwrap_or(old.as_of);
    let mut since = old.changes_since.unwrap_or(old.as_of);
    if since < oldest {
        since = oldest;
    }
    connection.execute(
        "INSERT INTO main.difference (after, before, kind, type, fqn, other, what)
         SELECT after, before, kind, type, fqn, other, what FROM old.difference
         WHERE before >= ?1 ORDER BY id",
        [oldest.as_millisecond()],
    )?;
    let mut writer = Writer {
        connection,
        after: old.as_of,
        before: now,
        found: Found::default(),
    };
    writer.came_and_gone(skip)?;
    writer.changed()?;
    writer.edges()?;
    let found = writer.found;
    // The oldest go where there are too many; what is known begins after them then.
    let cut: Option<i64> = connection.query_row(
        "SELECT max(before) FROM main.difference WHERE id <=
             (SELECT max(id) FROM main.difference) - ?1",
        [i64::try_from(MOST).unwrap_or(i64::MAX)],
        |row| row.get(0),
    )?;
    if let Some(cut) = cut {
        connection.execute(
            "DELETE FROM main.difference WHERE before <= ?1 AND before < ?2",
            [cut, now.as_millisecond()],
        )?;
        if let Ok(cut) = Timestamp::from_millisecond(cut) {
            since = since.max(cut.min(old.as_of));
        }
    }
    if found.dropped > 0 {
        head.notes.push(format!(
            "{} differences between this copy and the one before are not kept one by one: only \
             the first {}",
            found.dropped, found.kept
        ));
    }
    head.changes_since = Some(since);
    Ok(found)
}

struct Writer<'a> {
    connection: &'a Connection,
    after: Timestamp,
    before: Timestamp,
    found: Found,
}

/// Entities that stand in one copy only. `?`: the two schemas.
const ONLY_IN: &str = "SELECT n.type, n.fqn, n.summary ->> '$.id' FROM {here}.entity n
    WHERE NOT EXISTS (SELECT 1 FROM {there}.entity o
        WHERE o.fqn_folded = n.fqn_folded AND o.fqn = n.fqn AND o.type = n.type)
    ORDER BY n.id";

/// Entities that stand in both and are not the same to the letter.
const CHANGED: &str = "SELECT n.type, n.fqn
    FROM main.entity n JOIN old.entity o
        ON o.fqn_folded = n.fqn_folded AND o.fqn = n.fqn AND o.type = n.type
    WHERE n.summary <> o.summary OR n.columns <> o.columns OR EXISTS (
        SELECT 1 FROM main.document d JOIN old.document e
            ON e.kind = d.kind AND e.key = d.key AND e.type = d.type
        WHERE d.kind = 'entity' AND d.key = n.fqn AND d.type = n.type AND d.body <> e.body)
    ORDER BY n.id";

impl Writer<'_> {
    fn add(
        &mut self,
        kind: DifferenceKind,
        (entity_type, fqn): (&str, &str),
        what: String,
        other: Option<String>,
    ) -> Result<(), SnapshotError> {
        if self.found.kept >= MOST {
            self.found.dropped += 1;
            return Ok(());
        }
        self.found.kept += 1;
        history::insert(
            self.connection,
            &Difference {
                after: self.after,
                before: self.before,
                kind,
                fqn: fqn.to_owned(),
                entity_type: entity_type.to_owned(),
                what,
                other,
            },
        )
    }

    fn came_and_gone(&mut self, skip: &[String]) -> Result<(), SnapshotError> {
        for (kind, here, there) in [
            (DifferenceKind::EntityCame, "main", "old"),
            (DifferenceKind::EntityGone, "old", "main"),
        ] {
            let sql = ONLY_IN.replace("{here}", here).replace("{there}", there);
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let entity_type: String = row.get(0)?;
                if skip.contains(&entity_type) {
                    continue;
                }
                let fqn: String = row.get(1)?;
                let id: Option<String> = row.get(2)?;
                // The same id under another name was renamed or moved.
                let other = match id {
                    Some(id) => self.name_of(there, &id, &entity_type)?,
                    None => None,
                };
                let what = match (&other, kind) {
                    (Some(other), DifferenceKind::EntityCame) => format!("was called {other}"),
                    (Some(other), _) => format!("is called {other} now"),
                    (None, DifferenceKind::EntityCame) => "is new".to_owned(),
                    (None, _) => "is not in the catalog any more".to_owned(),
                };
                self.add(kind, (&entity_type, &fqn), what, other)?;
            }
        }
        Ok(())
    }

    fn name_of(
        &self,
        schema: &str,
        id: &str,
        entity_type: &str,
    ) -> Result<Option<String>, SnapshotError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT key FROM {schema}.document
             WHERE kind IN ('search', 'entity', 'test_case', 'ingestion_pipeline')
                 AND id = ?1 AND type = ?2 LIMIT 1"
        ))?;
        let mut rows = statement.query([id, entity_type])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }

    fn changed(&mut self) -> Result<(), SnapshotError> {
        let mut statement = self.connection.prepare(CHANGED)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (entity_type, fqn): (String, String) = (row.get(0)?, row.get(1)?);
            let (Some(before), Some(after)) = (
                self.look("old", &entity_type, &fqn)?,
                self.look("main", &entity_type, &fqn)?,
            ) else {
                continue;
            };
            for (kind, what) in compare::entities(&before, &after) {
                self.add(kind, (&entity_type, &fqn), what, None)?;
            }
        }
        Ok(())
    }

    fn look(
        &self,
        schema: &str,
        entity_type: &str,
        fqn: &str,
    ) -> Result<Option<Look>, SnapshotError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT body FROM {schema}.document
             WHERE kind IN ('search', 'entity', 'test_case', 'ingestion_pipeline')
                 AND key = ?1 AND type = ?2 ORDER BY kind = 'search' DESC"
        ))?;
        let mut rows = statement.query([fqn, entity_type])?;
        let mut documents: Vec<Value> = Vec::new();
        while let Some(row) = rows.next()? {
            documents.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
        }
        Ok(Look::of(&EntityType::new(entity_type), &documents))
    }

    fn edges(&mut self) -> Result<(), SnapshotError> {
        for (kind, here, there) in [
            (DifferenceKind::EdgeCame, "main", "old"),
            (DifferenceKind::EdgeGone, "old", "main"),
        ] {
            let columns = "from_type, from_fqn, to_type, to_fqn";
            let mut statement = self.connection.prepare(&format!(
                "SELECT {columns} FROM {here}.edge EXCEPT SELECT {columns} FROM {there}.edge
                 ORDER BY to_fqn, from_fqn"
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (from_type, from): (String, String) = (row.get(0)?, row.get(1)?);
                let (to_type, to): (String, String) = (row.get(2)?, row.get(3)?);
                let what = match kind {
                    DifferenceKind::EdgeCame => format!("comes from {from_type} {from} now"),
                    _ => format!("does not come from {from_type} {from} any more"),
                };
                self.add(kind, (&to_type, &to), what, Some(from))?;
            }
        }
        let mut statement = self.connection.prepare(
            "SELECT n.to_type, n.to_fqn, n.from_type, n.from_fqn, o.body, n.body
             FROM main.edge n JOIN old.edge o ON o.to_fqn = n.to_fqn AND o.from_fqn = n.from_fqn
                 AND o.to_type = n.to_type AND o.from_type = n.from_type
                 AND o.pipeline IS n.pipeline
             WHERE n.body <> o.body ORDER BY n.to_fqn, n.from_fqn",
        )?;
        let mut rows = statement.query(params![])?;
        while let Some(row) = rows.next()? {
            let before: Value = serde_json::from_str(&row.get::<_, String>(4)?)?;
            let after: Value = serde_json::from_str(&row.get::<_, String>(5)?)?;
            let Some(what) = compare::edge_columns(&before, &after) else {
                continue;
            };
            let (to_type, to, from): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(3)?);
            let what = format!("columns from {from}: {what}");
            self.add(
                DifferenceKind::EdgeColumns,
                (&to_type, &to),
                what,
                Some(from),
            )?;
        }
        Ok(())
    }
}
