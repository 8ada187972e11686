//! What a call of `get_entity` asks for: its sections with defaults filled in, and where it goes on.

use super::{Arguments, Section};
use crate::{answer::cursor::CursorError, catalog::sections::Part, tools::entity_view::View};

pub(super) const DEFAULT_COLUMNS: usize = 50;
const DEFAULT_MEMBERS: usize = 20;
/// A cursor's position holds the entity, whether its columns are flat, and the column.
const COLUMN_BITS: u32 = 24;

/// What the call asks for, defaults filled in.
pub(super) struct Wanted {
    pub(super) view: View,
    pub(super) parts: Vec<(&'static str, Part)>,
    pub(super) is_default: bool,
    pub(super) is_all: bool,
    pub(super) has_columns_named: bool,
    pub(super) filter: Vec<String>,
    pub(super) most_columns: usize,
}

impl Wanted {
    pub(super) fn of(arguments: &Arguments, is_next_page: bool) -> Self {
        let sections = arguments.sections.clone().unwrap_or_default();
        let all = sections.contains(&Section::All);
        let is_default = sections.is_empty();
        let has = |section: Section| all || sections.contains(&section);
        let or_default = |section: Section| is_default || has(section);
        let filter: Vec<String> = arguments
            .columns
            .iter()
            .flatten()
            .map(|name| name.trim().to_lowercase())
            .collect();
        let mut parts = vec![
            ("quality", Section::Quality, Part::Quality),
            ("contract", Section::Contract, Part::Contract),
            ("profile", Section::Profile, Part::Profile),
            ("queries", Section::Queries, Part::Queries),
            ("versions", Section::Versions, Part::Versions),
        ];
        parts.retain(|(_, section, _)| has(*section));
        if sections.contains(&Section::Sample) {
            parts.push(("sample", Section::Sample, Part::Sample));
        }
        let mut view = View {
            details: has(Section::Summary),
            summary: or_default(Section::Summary),
            owners: or_default(Section::Owners) || has(Section::Summary),
            tags: or_default(Section::Tags) || has(Section::Summary),
            members: or_default(Section::Members),
            columns: or_default(Section::Columns) || !filter.is_empty(),
            usage: or_default(Section::Usage),
            zero_usage: sections.contains(&Section::Usage),
            joins: has(Section::Joins),
            definition: or_default(Section::Definition),
            custom_properties: or_default(Section::CustomProperties),
            says_none: !is_default && !all,
            most_members: arguments.limit.unwrap_or(DEFAULT_MEMBERS),
            tokens: 0,
        };
        if is_next_page {
            // The rest of the columns and nothing twice.
            parts.clear();
            view = View {
                columns: true,
                ..View::default()
            };
        }
        Self {
            view,
            parts: parts
                .into_iter()
                .map(|(name, _, part)| (name, part))
                .collect(),
            is_default,
            is_all: all,
            has_columns_named: sections.contains(&Section::Columns) || !filter.is_empty(),
            filter,
            most_columns: arguments.limit.unwrap_or(DEFAULT_COLUMNS),
        }
    }
}

/// Where a cursor goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) entity: usize,
    /// No nested columns: the server's own column pages count as we do.
    pub(super) is_flat: bool,
    pub(super) column: usize,
}

impl Position {
    pub(super) fn of(position: u64, arguments: &Arguments) -> Result<Self, CursorError> {
        let entity = (position >> (COLUMN_BITS + 1)) as usize;
        if entity >= arguments.entities.len() {
            return Err(CursorError::Malformed);
        }
        Ok(Self {
            entity,
            is_flat: (position >> COLUMN_BITS) & 1 == 1,
            column: (position & ((1 << COLUMN_BITS) - 1)) as usize,
        })
    }

    pub(super) fn number(self) -> u64 {
        ((self.entity as u64) << (COLUMN_BITS + 1))
            | (u64::from(self.is_flat) << COLUMN_BITS)
            | self.column as u64
    }
}
