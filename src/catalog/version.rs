//! Versions of OpenMetadata and what each can do.

use std::fmt;

/// Version of an OpenMetadata server; compares by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Out of `/system/version`: `1.12.6`, `1.2.0-SNAPSHOT`, `1.13`. What stands after the numbers
    /// is not looked at: a build before a release counts as that release.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = text
            .split(['.', '-', '+'])
            .map_while(|part| part.parse::<u16>().ok());
        Some(Self::new(
            numbers.next()?,
            numbers.next()?,
            numbers.next().unwrap_or(0),
        ))
    }

    fn is_at_least(self, major: u16, minor: u16) -> bool {
        self >= Self::new(major, minor, 0)
    }

    /// `owners` is a list; one `owner` before (release notes 1.5; 1.2.0 recorded with one).
    pub fn has_many_owners(self) -> bool {
        self.is_at_least(1, 5)
    }

    /// `domains` is a list; one `domain` before (release notes of about 1.9; 1.2.0 recorded with
    /// one). What reads both forms does not need to ask.
    pub fn has_many_domains(self) -> bool {
        self.is_at_least(1, 9)
    }

    /// The alias `dataAsset` spans every kind of asset (recorded on 1.12.6; on 1.2.0 it is
    /// `no such index`). Between the two not recorded: fall back to `all` on
    /// `CatalogError::Unsupported`.
    pub fn has_data_asset_index(self) -> bool {
        self.is_at_least(1, 3)
    }

    /// `search_after` pages through everything (recorded on 1.12.6; on 1.2.0 it is ignored and the
    /// first page comes again). Between the two not recorded: whoever pages has to notice a page
    /// that repeats.
    pub fn has_search_after(self) -> bool {
        self.is_at_least(1, 5)
    }

    /// Search documents carry `upstreamLineage` with the edges that come in (recorded on 1.12.6,
    /// absent on 1.2.0). Up to 1.6 lineage in search had another form (`lineage`).
    pub fn has_lineage_in_search(self) -> bool {
        self.is_at_least(1, 7)
    }

    /// `/lineage/getLineage` answers with maps of nodes and edges; up to 1.6 only
    /// `/lineage/{type}/name/{fqn}` is of use.
    pub fn has_lineage_maps(self) -> bool {
        self.is_at_least(1, 7)
    }

    /// `If-Match` with a version guards a PATCH (recorded on 1.12.6). 1.2.0 ignores it and
    /// overwrites; there a JSON Patch `test` on `/version` is the guard. Between the two not
    /// recorded: an `ETag` in the answer to a GET is the sign, and both guards together do no harm.
    pub fn has_if_match(self) -> bool {
        self.is_at_least(1, 12)
    }

    /// Incidents of test cases (`testCaseIncidentStatus`; absent on 1.2.0, recorded on 1.12.6).
    pub fn has_incidents(self) -> bool {
        self.is_at_least(1, 3)
    }

    /// `/tables/name/{fqn}/columns` pages through columns (absent on 1.2.0, recorded on 1.12.6).
    pub fn has_column_pages(self) -> bool {
        self.is_at_least(1, 8)
    }

    /// `/system/status` and `/system/health`; before, `/health-check` at the root.
    pub fn has_system_status(self) -> bool {
        self.is_at_least(1, 3)
    }

    /// Data contracts with results (NOTES: 1.9).
    pub fn has_contracts(self) -> bool {
        self.is_at_least(1, 9)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_say() {
        assert_eq!(Version::parse("1.12.6"), Some(Version::new(1, 12, 6)));
        assert_eq!(
            Version::parse("1.2.0-SNAPSHOT"),
            Some(Version::new(1, 2, 0))
        );
        assert_eq!(Version::parse("1.13"), Some(Version::new(1, 13, 0)));
        assert_eq!(Version::parse("latest"), None);
        assert!(Version::new(1, 12, 0) > Version::new(1, 9, 9));
    }
}
