//! What filters ask of every entity of a snapshot, two bytes each, in memory.

use rusqlite::Connection;

use crate::catalog::{
    CatalogError, EntityType,
    search::{Missing, Question},
    snapshot::storage,
};

pub const IS_ASSET: u8 = 1;
pub const IS_DELETED: u8 = 1 << 1;
pub const HAS_OWNER: u8 = 1 << 2;
pub const HAS_DESCRIPTION: u8 = 1 << 3;
pub const HAS_TIER: u8 = 1 << 4;
pub const HAS_TAGS: u8 = 1 << 5;
pub const HAS_DOMAIN: u8 = 1 << 6;
pub const HAS_TERM: u8 = 1 << 7;

/// Facts by the id of the entity; ids are 1 to n without gaps but for what has no name.
pub struct Facts {
    types: Vec<EntityType>,
    /// Position in `types`, and flags. Position 0 of the list is no entity.
    rows: Vec<(u8, u8)>,
}

/// Which entities pass, by what `Facts` knows.
pub struct Sieve<'a> {
    facts: &'a Facts,
    types: Vec<u8>,
    is_any_type: bool,
    wanted: u8,
    unwanted: u8,
}

impl Facts {
    pub fn read(connection: &Connection) -> Result<Self, CatalogError> {
        let mut types = vec![EntityType::new("")];
        let mut statement = connection
            .prepare("SELECT name FROM type ORDER BY id")
            .map_err(storage)?;
        let names = statement
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(storage)?;
        for name in names {
            types.push(EntityType::new(name.map_err(storage)?));
        }
        let mut rows = vec![(0, 0)];
        let mut statement = connection
            .prepare("SELECT id, type, flags FROM fact ORDER BY id")
            .map_err(storage)?;
        let mut found = statement.query([]).map_err(storage)?;
        while let Some(row) = found.next().map_err(storage)? {
            let Ok(id) = usize::try_from(row.get::<_, i64>(0).map_err(storage)?) else {
                continue;
            };
            // A type beyond the 255th counts as no type: filters by type do not find it.
            let entity_type = row.get::<_, i64>(1).map_err(storage)?;
            let flags = row.get(2).map_err(storage)?;
            rows.resize(id + 1, (0, IS_DELETED));
            rows[id] = (u8::try_from(entity_type).unwrap_or(0), flags);
        }
        Ok(Self { types, rows })
    }

    /// All ids are smaller.
    pub fn bound(&self) -> usize {
        self.rows.len()
    }

    /// Ids of all entities, in the order of their names.
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        (1..self.rows.len()).filter_map(|id| i64::try_from(id).ok())
    }

    pub fn sieve(&self, question: &Question) -> Sieve<'_> {
        let mut sieve = Sieve {
            facts: self,
            types: Vec::new(),
            is_any_type: question.types.is_empty(),
            wanted: 0,
            unwanted: 0,
        };
        for (position, entity_type) in self.types.iter().enumerate() {
            if question.types.contains(entity_type) {
                sieve.types.extend(u8::try_from(position));
            }
        }
        if sieve.is_any_type {
            sieve.wanted |= IS_ASSET;
        }
        if question.deleted {
            sieve.wanted |= IS_DELETED;
        } else {
            sieve.unwanted |= IS_DELETED;
        }
        for missing in &question.filters.missing {
            sieve.unwanted |= match missing {
                Missing::Owner => HAS_OWNER,
                Missing::Description => HAS_DESCRIPTION,
                Missing::Tier => HAS_TIER,
                Missing::Tags => HAS_TAGS,
                Missing::Domain => HAS_DOMAIN,
                Missing::Term => HAS_TERM,
            };
        }
        sieve
    }
}

impl Sieve<'_> {
    pub fn lets_through(&self, id: i64) -> bool {
        let row = usize::try_from(id)
            .ok()
            .and_then(|id| self.facts.rows.get(id));
        row.is_some_and(|(entity_type, flags)| {
            *entity_type != 0
                && flags & self.wanted == self.wanted
                && flags & self.unwanted == 0
                && (self.is_any_type || self.types.contains(entity_type))
        })
    }
}
