//! Drives a copy from the lock to the rename.

use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    Mode, Options, Place, Progress, Summary, SyncError, begin,
    lists::{End, ListState, note_of},
    plan,
    scan::Scanned,
    source::Source,
    writer::Writer,
};
use crate::{
    catalog::{
        CatalogError, Client,
        model::EntityType,
        search::filter::ASSETS,
        snapshot::{Count, Head, Kind, LastRead, Part},
    },
    store::{Lock, filesystem},
};

/// A copy that is being made.
pub(super) struct Copy<'a> {
    pub source: Source<'a>,
    pub writer: Writer,
    pub options: &'a Options,
    pub mode: Mode,
    pub as_of: Timestamp,
    /// The search index was read to its end this time.
    pub is_scanned: bool,
    progress: &'a watch::Sender<Progress>,
}

/// Copies the catalog that this client sees to its place.
///
/// May be dropped at any moment: what was written stays for the next. The copy before stays as it
/// is until the new one is whole.
pub async fn copy(
    client: &Client,
    place: &Place,
    options: &Options,
    progress: &watch::Sender<Progress>,
) -> Result<Summary, SyncError> {
    let started = Instant::now();
    if let Some(kind) = filesystem::network_of(place.folder()) {
        return Err(SyncError::Network(kind));
    }
    let _lock = Lock::take(&place.lock(), &place.holder())?;
    let failed = |error: CatalogError| SyncError::Catalog {
        stage: "the version of OpenMetadata".into(),
        error,
    };
    // Asked with the token, so that a refused one is told before anything is begun.
    let version = client.version().await.map_err(failed)?;
    let source = Source::new(client, version, options);
    let begun = {
        let (place, text, full) = (place.clone(), version.to_string(), options.full);
        tokio::task::spawn_blocking(move || begin::begin(&place, &text, full))
            .await
            .map_err(|_| SyncError::Crashed)??
    };
    let mut copy = Copy {
        source,
        writer: Writer::new(begun.draft),
        options,
        mode: begun.mode,
        as_of: begun.as_of,
        is_scanned: false,
        progress,
    };
    let parts = copy.read(begun.old.as_ref()).await?;
    let (counts, skip) = copy.counts().await?;
    copy.tell("indexes", 0, None);
    let notes = copy
        .writer
        .run(|draft| draft.notes(ODD))
        .await?
        .into_iter()
        .map(|(_, note)| note)
        .collect();
    let head = Head {
        url: Some(place.url().to_owned()),
        identity: Some(place.identity().to_owned()),
        counts,
        parts,
        notes,
        ..Head::of(begun.as_of, &version.to_string())
    };
    let requests = copy.source.requests();
    let draft = copy.writer.into_draft()?;
    let target = place.snapshot();
    let finished = tokio::task::spawn_blocking(move || draft.finish(head, &target, &skip))
        .await
        .map_err(|_| SyncError::Crashed)??;
    Ok(Summary {
        head: finished.head,
        mode: begun.mode,
        remarks: begun.remarks,
        requests,
        took: started.elapsed(),
        edges: finished.edges,
        differences: finished.differences,
        compared_with: begun.old.map(|old| old.as_of),
        bytes: std::fs::metadata(place.snapshot()).map_or(0, |file| file.len()),
        path: place.snapshot(),
    })
}

/// Begins the names of notes that go into the head.
const ODD: &str = "odd:";

/// The note that the search index cannot be scanned.
const NO_SCAN: &str = "no scan";

impl Copy<'_> {
    /// Everything, in the order in which one part needs the other. When each part was read.
    async fn read(&mut self, old: Option<&Head>) -> Result<BTreeMap<Part, LastRead>, SyncError> {
        let can_scan = self.source.version.has_lineage_in_search()
            && self.writer.note(NO_SCAN).await?.is_none();
        if can_scan {
            match self.scan().await? {
                Scanned::Whole => self.is_scanned = true,
                Scanned::Repeats => self.writer.set_note(NO_SCAN, "repeats").await?,
            }
        }
        if !self.is_scanned && !self.options.may_cost_a_call_an_entity {
            return Err(SyncError::NeedsApproval {
                version: self.source.version.to_string(),
                calls: self.lineage_calls().await?,
            });
        }
        self.lists().await?;
        if self.is_scanned {
            self.believe_index().await?;
        } else {
            self.lineage_one_by_one().await?;
        }
        let has_tests = self.tests().await?;
        let has_incidents = self.incidents().await?;
        let has_runs = self.runs().await?;
        let mut parts = BTreeMap::new();
        for (part, is_read, is_in_full) in [
            // Without a scan every list is read to its end.
            (Part::Entities, true, !self.is_scanned),
            (Part::Lineage, true, self.is_scanned),
            (Part::Tests, has_tests, false),
            (Part::Incidents, has_incidents, true),
            (Part::Runs, has_runs, false),
        ] {
            if !is_read {
                continue;
            }
            let read = if is_in_full || self.mode == Mode::Full {
                LastRead {
                    in_full: Some(self.as_of),
                    incrementally: None,
                }
            } else {
                LastRead {
                    in_full: old.and_then(|old| old.part(part).in_full),
                    incrementally: Some(self.as_of),
                }
            };
            parts.insert(part, read);
        }
        Ok(parts)
    }

    /// An index that is being rebuilt would make a copy without lineage.
    async fn believe_index(&mut self) -> Result<(), SyncError> {
        let (found, there) = self
            .writer
            .run(|draft| {
                let (mut found, mut there) = (0, 0);
                for name in ASSETS {
                    found += draft.count(Kind::SearchDocument, name)?;
                    there += draft.count(Kind::Entity, name)?;
                }
                Ok((found, there))
            })
            .await?;
        if there >= 10 && found < there / 2 {
            // What was scanned is not worth going on with.
            self.writer
                .run(|draft| draft.forget(Kind::SearchDocument, "scan"))
                .await?;
            return Err(SyncError::ThinIndex { found, there });
        }
        Ok(())
    }

    /// What the server said against what there is, by type; and types that were not read.
    async fn counts(&mut self) -> Result<(Vec<Count>, Vec<String>), SyncError> {
        self.writer
            .run(|draft| {
                let (mut counts, mut skip) = (Vec::new(), Vec::new());
                for name in EntityType::known() {
                    let state = ListState::read_from(draft.note(&note_of(name))?);
                    if state.end != Some(End::Whole) {
                        skip.push(name.to_owned());
                        continue;
                    }
                    let kind = plan::kind_of(&EntityType::new(name));
                    let copied = draft.count(kind, name)?;
                    if copied > 0 || state.total.is_some_and(|total| total > 0) {
                        counts.push(Count {
                            entity_type: name.to_owned(),
                            said: state.total,
                            copied,
                        });
                    }
                }
                counts.sort_by(|one, other| one.entity_type.cmp(&other.entity_type));
                Ok((counts, skip))
            })
            .await
    }

    /// Something that a reader of the copy should know, once for each key.
    pub async fn odd(&mut self, key: &str, what: String) -> Result<(), SyncError> {
        self.writer.set_note(&format!("{ODD}{key}"), &what).await
    }

    pub fn tell(&self, stage: &str, done: u64, total: Option<u64>) {
        self.progress.send_replace(Progress {
            stage: stage.to_owned(),
            done,
            total,
        });
    }
}
