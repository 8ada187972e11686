//! Looks at the snapshot that would answer while OpenMetadata is away.

use jiff::Timestamp;

use super::Check;
use crate::{
    answer::time,
    catalog::snapshot::{Held, Snapshot},
    settings::{CatalogMode, Identity, SnapshotUse},
};

const NAME: &str = "snapshot";

const HOW_TO_COPY: &str = "run `openpolicy-mcp sync` to copy the catalog anew";

/// In a week owners, schemas and lineage have changed: older is worth a word.
const OLD: i64 = 7 * time::DAY;

/// Whether there is a snapshot, how old, and whether it is sound. Reads all of the file.
pub fn look(held: &Held, identity: Identity, how: SnapshotUse, now: Timestamp) -> Check {
    if identity == Identity::Caller {
        return Check::skipped(
            NAME,
            "none is used: each caller brings a token, and a snapshot shows what one token may see",
        );
    }
    match held {
        Held::Absent if how.answers == CatalogMode::Snapshot => Check::failed(
            NAME,
            "there is none of this catalog and this credential, and it alone is to answer",
            HOW_TO_COPY,
        ),
        Held::Absent => Check {
            advice: Some("run `openpolicy-mcp sync` to have one".into()),
            ..Check::skipped(
                NAME,
                "there is none of this catalog and this credential: while OpenMetadata is away \
                 nothing is answered",
            )
        },
        Held::Unusable(why) => Check::warning(NAME, why.as_str(), HOW_TO_COPY),
        Held::Open(snapshot) => sound(snapshot, how, now),
    }
}

fn sound(snapshot: &Snapshot, how: SnapshotUse, now: Timestamp) -> Check {
    if let Some(damage) = snapshot.damage() {
        snapshot.found_damaged();
        return Check::failed(NAME, format!("the file is damaged: {damage}"), HOW_TO_COPY);
    }
    let head = snapshot.head();
    let age = now.as_millisecond() - snapshot.as_of().as_millisecond();
    let copied: u64 = head.counts.iter().map(|count| count.copied).sum();
    let mut finding = format!(
        "of {} ({} old), taken as {} and of this server{}",
        time::text(snapshot.as_of().as_millisecond()),
        time::length(age),
        head.identity.as_deref().unwrap_or("nobody"),
        match head.version.as_str() {
            "" => String::new(),
            version => format!(" when that was {version}"),
        }
    );
    if copied > 0 {
        finding.push_str(&format!("; {copied} entities"));
    }
    finding.push_str(match how.answers {
        CatalogMode::Live => "; not used (--catalog live)",
        CatalogMode::Snapshot => "; it alone answers (--catalog snapshot)",
        CatalogMode::Auto => "",
    });
    if how.for_everyone {
        finding.push_str("; callers with a token of their own see it too");
    }
    if age > OLD {
        return Check::warning(NAME, finding, "run `openpolicy-mcp sync`: it is old");
    }
    Check::ok(NAME, finding)
}
