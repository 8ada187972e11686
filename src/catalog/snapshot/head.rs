//! What a snapshot says of itself: whence, whose, how old, how complete.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{FORMAT, SnapshotError};

/// The head of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// When the copy was begun: what changed later may or may not be in it.
    pub as_of: Timestamp,
    /// Of the OpenMetadata that was copied; empty where that is not known.
    pub version: String,
    /// Address of the server; none for a copy that was not taken from a server by `sync`.
    pub url: Option<String>,
    /// Whose credential it was taken with; see `sync::Place`.
    pub identity: Option<String>,
    /// By type, in the order of the names.
    pub counts: Vec<Count>,
    /// When each part was last read.
    pub parts: BTreeMap<Part, LastRead>,
    /// From when on `Snapshot::changes` knows what changed; none before there were two copies.
    pub changes_since: Option<Timestamp>,
    /// What the copy could not read or found odd, in words.
    pub notes: Vec<String>,
}

/// How many entities of a type there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub entity_type: String,
    /// By the server's own count; none where it did not tell.
    pub said: Option<u64>,
    pub copied: u64,
}

/// What is read together, and so is of one age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Entities,
    Lineage,
    /// Test cases and their results.
    Tests,
    Incidents,
    /// Ingestion pipelines, their runs, and runs of pipelines.
    Runs,
}

impl Part {
    pub const ALL: [Self; 5] = [
        Self::Entities,
        Self::Lineage,
        Self::Tests,
        Self::Incidents,
        Self::Runs,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entities => "entities",
            Self::Lineage => "lineage",
            Self::Tests => "tests",
            Self::Incidents => "incidents",
            Self::Runs => "runs",
        }
    }
}

/// When a part was last read. Neither: this server does not have it, or it could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastRead {
    /// Everything, anew.
    pub in_full: Option<Timestamp>,
    /// What had changed since the copy before, where that was later.
    pub incrementally: Option<Timestamp>,
}

impl LastRead {
    /// The later of both.
    pub fn at(self) -> Option<Timestamp> {
        self.in_full.max(self.incrementally)
    }
}

impl Head {
    /// A copy of which only this is known.
    pub fn of(as_of: Timestamp, version: &str) -> Self {
        Self {
            as_of,
            version: version.to_owned(),
            url: None,
            identity: None,
            counts: Vec::new(),
            parts: BTreeMap::new(),
            changes_since: None,
            notes: Vec::new(),
        }
    }

    pub fn part(&self, part: Part) -> LastRead {
        self.parts.get(&part).copied().unwrap_or_default()
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), SnapshotError> {
        let counts: Vec<Value> = self
            .counts
            .iter()
            .map(|count| json!([count.entity_type, count.said, count.copied]))
            .collect();
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|(part, read)| {
                let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
                json!([part.as_str(), time(read.in_full), time(read.incrementally)])
            })
            .collect();
        let mut rows = vec![
            ("format", FORMAT.to_owned()),
            ("as_of", self.as_of.to_string()),
            ("version", self.version.clone()),
            ("counts", Value::from(counts).to_string()),
            ("parts", Value::from(parts).to_string()),
            ("notes", Value::from(self.notes.clone()).to_string()),
        ];
        let optional = [
            ("url", self.url.clone()),
            ("identity", self.identity.clone()),
            ("changes_since", self.changes_since.map(|at| at.to_string())),
        ];
        rows.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        for (name, value) in rows {
            connection.execute(
                "INSERT OR REPLACE INTO head (name, value) VALUES (?1, ?2)",
                params![name, value],
            )?;
        }
        Ok(())
    }

    pub(super) fn read(connection: &Connection) -> Result<Self, SnapshotError> {
        Self::read_from(connection, "main")
    }

    /// The head of a snapshot that is attached under this name, which is one of ours.
    pub(super) fn read_from(connection: &Connection, schema: &str) -> Result<Self, SnapshotError> {
        let mut statement = connection
            .prepare(&format!("SELECT name, value FROM {schema}.head"))
            .map_err(|_| SnapshotError::NoTime)?;
        let rows: BTreeMap<String, String> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let text = |name: &str| rows.get(name).map(String::as_str);
        if text("format").ok_or(SnapshotError::NoTime)? != FORMAT {
            return Err(SnapshotError::OtherFormat);
        }
        let list = |name: &str| -> Result<Vec<Value>, SnapshotError> {
            Ok(text(name)
                .map(serde_json::from_str)
                .transpose()?
                .unwrap_or_default())
        };
        let counts = list("counts")?;
        let parts = list("parts")?;
        let notes = list("notes")?;
        Ok(Self {
            as_of: text("as_of").and_then(time).ok_or(SnapshotError::NoTime)?,
            version: text("version").unwrap_or_default().to_owned(),
            url: text("url").map(str::to_owned),
            identity: text("identity").map(str::to_owned),
            counts: counts.iter().filter_map(count).collect(),
            parts: parts.iter().filter_map(part).collect(),
            changes_since: text("changes_since").and_then(time),
            notes: notes
                .iter()
                .filter_map(|note| note.as_str().map(str::to_owned))
                .collect(),
        })
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn count(row: &Value) -> Option<Count> {
    Some(Count {
        entity_type: row[0].as_str()?.to_owned(),
        said: row[1].as_u64(),
        copied: row[2].as_u64()?,
    })
}

fn part(row: &Value) -> Option<(Part, LastRead)> {
    let name = row[0].as_str()?;
    let part = Part::ALL.into_iter().find(|part| part.as_str() == name)?;
    Some((
        part,
        LastRead {
            in_full: row[1].as_str().and_then(time),
            incrementally: row[2].as_str().and_then(time),
        },
    ))
}
