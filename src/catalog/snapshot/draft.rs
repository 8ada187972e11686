//! A snapshot in the making: a file in which each step is whole or absent, whenever it is
//! interrupted.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{Head, Kind, Snapshot, SnapshotError, build, differences};
use crate::store::private;

/// A copy that is not finished. Everything that was written stays, also after `kill -9`.
pub struct Draft {
    connection: Connection,
    path: PathBuf,
    /// The copy before, where there is one that can be read: attached as `old`.
    has_old: bool,
}

/// What is written in one step, with the note of how far that is.
#[derive(Default)]
pub struct Batch {
    pub documents: Vec<Document>,
    /// Entries to add at the end of a list.
    pub appended: Vec<(Kind, String, Vec<Value>)>,
    pub notes: Vec<(String, String)>,
}

pub struct Document {
    pub kind: Kind,
    pub key: String,
    /// Empty where the kind says enough.
    pub entity_type: String,
    pub body: Value,
}

/// An entity by what one asks for it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub entity_type: String,
    pub fqn: String,
    pub id: String,
}

/// How far the copy is. Gone when it is finished.
const NOTES: &str =
    "CREATE TABLE progress (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

/// Written ahead, so that a step is whole or absent after the process or the machine went down.
const CAREFUL: &str = "PRAGMA journal_mode = wal; PRAGMA synchronous = normal;
    PRAGMA temp_store = file; PRAGMA cache_size = -8000; PRAGMA wal_autocheckpoint = 2000;";

impl Draft {
    /// A new one, in place of what lies there.
    pub fn create(path: &Path, notes: &[(&str, &str)]) -> Result<Self, SnapshotError> {
        remove(path)?;
        // The files beside it take the mode of this one.
        private::new_file(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(CAREFUL)?;
        connection.execute_batch("BEGIN")?;
        build::create_tables(&connection)?;
        connection.execute_batch(NOTES)?;
        connection.execute_batch(build::EARLY_INDEXES)?;
        let draft = Self {
            connection,
            path: path.to_owned(),
            has_old: false,
        };
        for (name, value) in notes {
            draft.set_note(name, value)?;
        }
        draft.connection.execute_batch("COMMIT")?;
        Ok(draft)
    }

    /// One that was interrupted; none where there is none, or none that can be used.
    pub fn open(path: &Path) -> Option<Self> {
        if !path.is_file() {
            return None;
        }
        let connection = Connection::open(path).ok()?;
        connection.execute_batch(CAREFUL).ok()?;
        let draft = Self {
            connection,
            path: path.to_owned(),
            has_old: false,
        };
        draft.note("format").ok().flatten().map(|_| draft)
    }

    /// The copy before, to carry over from and to compare with.
    pub fn attach(&mut self, old: &Path) -> Result<(), SnapshotError> {
        let Some(old) = old.to_str() else {
            return Ok(());
        };
        self.connection
            .execute("ATTACH DATABASE ?1 AS old", [old])?;
        self.has_old = true;
        Ok(())
    }

    pub fn note(&self, name: &str) -> Result<Option<String>, SnapshotError> {
        Ok(self
            .connection
            .prepare_cached("SELECT value FROM progress WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }

    pub fn set_note(&self, name: &str, value: &str) -> Result<(), SnapshotError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO progress (name, value) VALUES (?1, ?2)")?
            .execute([name, value])?;
        Ok(())
    }

    /// Notes whose name begins so.
    pub fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, SnapshotError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, value FROM progress WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
        )?;
        let rows = statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes all of it or nothing.
    pub fn write(&mut self, batch: &Batch) -> Result<(), SnapshotError> {
        self.connection.execute_batch("BEGIN")?;
        if let Err(error) = self.write_parts(batch) {
            // Already done by SQLite where the disk is full.
            let _ = self.connection.execute_batch("ROLLBACK");
            return Err(error);
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    fn write_parts(&self, batch: &Batch) -> Result<(), SnapshotError> {
        for document in &batch.documents {
            let kind = document.kind.as_str();
            let body = document.body.to_string();
            build::put(
                &self.connection,
                kind,
                &document.key,
                &document.entity_type,
                &body,
            )?;
        }
        for (kind, key, entries) in &batch.appended {
            let known: Option<String> = self
                .connection
                .prepare_cached(
                    "SELECT body FROM document WHERE kind = ?1 AND key = ?2 AND type = ''",
                )?
                .query_row([kind.as_str(), key], |row| row.get(0))
                .optional()?;
            let mut list: Vec<Value> = match known {
                Some(known) => serde_json::from_str(&known)?,
                None => Vec::new(),
            };
            list.extend(entries.iter().cloned());
            let body = Value::from(list).to_string();
            build::put(&self.connection, kind.as_str(), key, "", &body)?;
        }
        for (name, value) in &batch.notes {
            self.set_note(name, value)?;
        }
        Ok(())
    }

    /// Takes over from the copy before what the search index says is as it was: same id, name and
    /// version, not changed later, not deleted.
    pub fn carry_entities(&mut self, entity_type: &str) -> Result<(), SnapshotError> {
        if !self.has_old {
            return Ok(());
        }
        self.connection.execute(
            "INSERT OR IGNORE INTO main.document (kind, key, type, id, body)
             SELECT o.kind, o.key, o.type, o.id, o.body
             FROM main.document s JOIN old.document o
                 ON o.kind = 'entity' AND o.key = s.key AND o.type = s.type AND o.id = s.id
             WHERE s.kind = 'search' AND s.type = ?1
                 AND coalesce(s.body ->> '$.deleted', 0) NOT IN (1, 'true')
                 AND (s.body ->> '$.version') IS (o.body ->> '$.version')
                 AND coalesce(s.body ->> '$.updatedAt', 0) <= coalesce(o.body ->> '$.updatedAt', 0)",
            [entity_type],
        )?;
        Ok(())
    }

    /// Takes over from the copy before the lists of those whose own document says that nothing
    /// new came: equal in all of these JSON paths. `of`: the kind and type of the own documents.
    pub fn carry_lists(
        &mut self,
        lists: Kind,
        of: (Kind, &str),
        paths: &[&str],
    ) -> Result<(), SnapshotError> {
        if !self.has_old {
            return Ok(());
        }
        let is_equal: String = paths
            .iter()
            .map(|path| format!(" AND (n.body -> '{path}') IS (o.body -> '{path}')"))
            .collect();
        self.connection.execute(
            &format!(
                "INSERT OR IGNORE INTO main.document (kind, key, type, id, body)
                 SELECT l.kind, l.key, l.type, l.id, l.body
                 FROM main.document n
                 JOIN old.document o ON o.kind = n.kind AND o.key = n.key AND o.type = n.type
                 JOIN old.document l ON l.kind = ?1 AND l.key = n.key
                 WHERE n.kind = ?2 AND n.type = ?3{is_equal}"
            ),
            params![lists.as_str(), of.0.as_str(), of.1],
        )?;
        Ok(())
    }

    /// Takes over the lineage of what did not change (old servers alone, where lineage costs one
    /// call an entity).
    pub fn carry_lineage(&mut self, entity_type: &str) -> Result<(), SnapshotError> {
        if !self.has_old {
            return Ok(());
        }
        self.connection.execute(
            "INSERT OR IGNORE INTO main.document (kind, key, type, id, body)
             SELECT o.kind, o.key, o.type, o.id, o.body
             FROM main.document n
             JOIN old.document o ON o.kind = 'search' AND o.key = n.key AND o.type = n.type
                 AND o.id = n.id
             WHERE n.kind = 'entity' AND n.type = ?1
                 AND (n.body ->> '$.version') IS (o.body ->> '$.version')",
            [entity_type],
        )?;
        Ok(())
    }

    /// Entities of a type that have a document of one kind and none of another, in order.
    pub fn lacking(
        &self,
        have: Kind,
        lack: Kind,
        entity_type: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Named>, SnapshotError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT s.type, s.key, coalesce(s.id, '') FROM document s
             WHERE s.kind = ?1 AND s.type = ?3 AND s.key > ?4
                 AND coalesce(s.body ->> '$.deleted', 0) NOT IN (1, 'true')
                 AND NOT EXISTS (SELECT 1 FROM document e
                     WHERE e.kind = ?2 AND e.key = s.key AND e.type IN (s.type, ''))
             ORDER BY s.key LIMIT ?5",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(
            params![have.as_str(), lack.as_str(), entity_type, after, limit],
            |row| {
                Ok(Named {
                    entity_type: row.get(0)?,
                    fqn: row.get(1)?,
                    id: row.get(2)?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Entities of a type whose lineage is not known yet, with their documents.
    pub fn without_lineage(
        &self,
        entity_type: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, SnapshotError> {
        let mut found = Vec::new();
        for named in self.lacking(
            Kind::Entity,
            Kind::SearchDocument,
            entity_type,
            after,
            limit,
        )? {
            let body: String = self
                .connection
                .prepare_cached(
                    "SELECT body FROM document WHERE kind = 'entity' AND key = ?1 AND type = ?2",
                )?
                .query_row([&named.fqn, entity_type], |row| row.get(0))?;
            found.push((named.fqn, serde_json::from_str(&body)?));
        }
        Ok(found)
    }

    /// Forgets all documents of a kind, and how far they were read.
    pub fn forget(&mut self, kind: Kind, note: &str) -> Result<(), SnapshotError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM document WHERE kind = ?1", [kind.as_str()])?;
        transaction.execute("DELETE FROM progress WHERE name = ?1", [note])?;
        transaction.commit()?;
        Ok(())
    }

    /// How many documents of a kind and type there are; of search documents those that are not
    /// deleted.
    pub fn count(&self, kind: Kind, entity_type: &str) -> Result<u64, SnapshotError> {
        let count: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM document WHERE kind = ?1 AND type = ?2
                 AND (kind <> 'search' OR coalesce(body ->> '$.deleted', 0) NOT IN (1, 'true'))",
            )?
            .query_row([kind.as_str(), entity_type], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// How many documents of a kind there are.
    pub fn count_all(&self, kind: Kind) -> Result<u64, SnapshotError> {
        let count: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM document WHERE kind = ?1")?
            .query_row([kind.as_str()], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The FQN of an entity whose id is known.
    pub fn name_of(&self, id: &str) -> Result<Option<String>, SnapshotError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT key FROM document WHERE kind IN ('entity', 'search') AND id = ?1 LIMIT 1",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?)
    }

    /// Indexes everything, notes what changed since the copy before, and takes its place at
    /// `target`: from one moment to the next. `skip`: types that were not read this time, of which
    /// nothing can be said to be gone.
    pub fn finish(
        mut self,
        mut head: Head,
        target: &Path,
        skip: &[String],
    ) -> Result<Finished, SnapshotError> {
        // A try that was interrupted left nothing: it is one transaction.
        let transaction = self.connection.transaction()?;
        build::index_all(&transaction)?;
        let mut found = differences::Found::default();
        if self.has_old {
            found = differences::write(&transaction, &mut head, skip)?;
        }
        let edges: i64 =
            transaction.query_row("SELECT count(*) FROM edge", [], |row| row.get(0))?;
        head.write(&transaction)?;
        transaction.execute_batch("DROP TABLE progress")?;
        transaction.commit()?;
        if self.has_old {
            self.connection.execute_batch("DETACH DATABASE old")?;
        }
        self.connection
            .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(truncate);")?;
        // One file again, which needs nothing beside it.
        self.connection
            .query_row("PRAGMA journal_mode = delete", [], |row| {
                row.get::<_, String>(0)
            })?;
        self.connection
            .close()
            .map_err(|(_, error)| SnapshotError::Storage(error))?;
        File::open(&self.path)?.sync_all()?;
        // Whole before it is named: what cannot be opened never takes the place of what can.
        drop(Snapshot::open(&self.path)?);
        fs::rename(&self.path, target)?;
        #[cfg(unix)]
        if let Some(folder) = target.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Finished {
            edges: u64::try_from(edges).unwrap_or_default(),
            differences: found,
            head,
        })
    }
}

/// What became of it.
pub struct Finished {
    pub head: Head,
    pub edges: u64,
    pub differences: differences::Found,
}

/// Removes a draft and what SQLite keeps beside it.
pub fn remove(path: &Path) -> Result<(), SnapshotError> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
