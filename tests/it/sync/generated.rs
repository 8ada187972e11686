//! Copies of generated catalogs: change, interruption, lies, and two at once.

use std::{
    io::Read as _,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use openpolicy_mcp::{
    catalog::{
        Catalogs, Settings, Snapshot,
        snapshot::{DifferenceKind, Kind, Of, Part},
        sync::{self, Mode, Options, Place, Progress, Summary, SyncError},
    },
    settings::{Credential, Identity, OpenMetadataSettings},
};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    place,
    synthetic::{Synthetic, World, fqn},
};

struct Bench {
    server: Synthetic,
    folder: tempfile::TempDir,
    options: Options,
}

impl Bench {
    fn new(world: World) -> Self {
        Self {
            server: Synthetic::start(world),
            folder: tempfile::tempdir().expect("a folder"),
            options: Options {
                pause: Duration::from_millis(1),
                page: 50,
                ..Options::default()
            },
        }
    }

    fn of(tables: usize) -> Self {
        Self::new(World {
            tables,
            edges_of_each: 3,
            tests: 5,
            ..World::default()
        })
    }

    fn place(&self) -> Place {
        let settings = OpenMetadataSettings {
            url: self.server.url(),
            credential: Credential::None,
            ca_file: None,
            identity: Identity::Server,
        };
        place(self.folder.path(), &settings)
    }

    async fn copy(&self) -> Result<Summary, SyncError> {
        let settings = Settings {
            url: self.server.url(),
            net: openpolicy_mcp::net::Settings {
                first_pause: Duration::from_millis(1),
                ..openpolicy_mcp::net::Settings::default()
            },
            ..Settings::default()
        };
        let catalogs = Catalogs::of_openmetadata(&settings).unwrap();
        let client = Arc::clone(catalogs.own_client().unwrap());
        let (progress, _seen) = watch::channel(Progress::default());
        sync::copy(&client, &self.place(), &self.options, &progress).await
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.place().snapshot()).expect("a finished copy")
    }

    /// The real command, not waited for.
    fn command(&self, arguments: &[&str]) -> Child {
        self.prepared(arguments).spawn().expect("the binary")
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::support::bin());
        command
            .arg("sync")
            .args(["--url", &self.server.url(), "--state"])
            .arg(self.folder.path())
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.prepared(arguments).output().expect("the binary")
    }

    /// What was found since the first copy, oldest first.
    fn differences(&self) -> Vec<(DifferenceKind, String)> {
        let snapshot = self.snapshot();
        let found = snapshot
            .differences(
                Of::Everything,
                "2020-01-01T00:00:00Z".parse().unwrap(),
                "2100-01-01T00:00:00Z".parse().unwrap(),
                1000,
            )
            .unwrap();
        assert_eq!(found.total, found.rows.len());
        found
            .rows
            .into_iter()
            .map(|row| (row.kind, row.fqn))
            .collect()
    }
}

/// Whether the copy has all of a catalog of so many tables.
fn assert_whole(snapshot: &Snapshot, tables: usize) {
    assert_eq!(snapshot.names(Kind::Entity).unwrap().len(), tables);
    assert_eq!(snapshot.names(Kind::SearchDocument).unwrap().len(), tables);
    assert_eq!(snapshot.lineage().unwrap().node_count(), tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_copy_reads_what_changed_and_tells_it() {
    let bench = Bench::of(400);
    let full = bench.copy().await.expect("a copy");
    assert_eq!(full.mode, Mode::Full);
    assert_whole(&bench.snapshot(), 400);
    bench.server.take_requests();

    bench.server.change(|world| {
        world.changed.insert(17);
        world.gone.insert(399);
        world.deleted.insert(398);
        world.cut.insert(200);
        world.tables = 402;
        world.failing.insert(2);
    });
    let summary = bench.copy().await.expect("a second copy");
    assert_eq!(summary.mode, Mode::Incremental);
    assert_eq!(summary.head.notes, Vec::<String>::new());
    let requests = bench.server.take_requests();
    let of = |beginning: &str| -> usize {
        let path = format!("/api/v1/{beginning}");
        requests
            .iter()
            .filter(|request| request.starts_with(&path))
            .count()
    };
    // One changed and two new ones; lists of tables are not read.
    assert_eq!(of("tables/"), 3, "{requests:#?}");
    assert_eq!(of("tables?"), 1, "the total alone: {requests:#?}");
    // The results of the one test whose state changed.
    assert_eq!(of("dataQuality/testCases/testCaseResults/"), 1);

    let mut found = bench.differences();
    found.sort();
    let edges_gone = found
        .iter()
        .filter(|(kind, _)| *kind == DifferenceKind::EdgeGone)
        .count();
    let edges_came = found
        .iter()
        .filter(|(kind, _)| *kind == DifferenceKind::EdgeCame)
        .count();
    assert!(
        edges_gone >= 2,
        "of the gone table and the one that is cut: {found:?}"
    );
    assert!(edges_came >= 2, "of the new tables: {found:?}");
    for expected in [
        (DifferenceKind::ColumnCame, fqn(17)),
        (DifferenceKind::EntityGone, fqn(399)),
        (DifferenceKind::EntityDeleted, fqn(398)),
        (DifferenceKind::EntityCame, fqn(400)),
        (DifferenceKind::EntityCame, fqn(401)),
        (DifferenceKind::EdgeGone, fqn(200)),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    let snapshot = bench.snapshot();
    let head = snapshot.head();
    assert_eq!(head.changes_since, Some(full.head.as_of));
    let entities = head.part(Part::Entities);
    assert_eq!(entities.in_full, Some(full.head.as_of));
    assert_eq!(entities.incrementally, Some(head.as_of));
    assert_eq!(head.part(Part::Lineage).in_full, Some(head.as_of));
    let table = snapshot.document(Kind::Entity, &fqn(17)).unwrap().unwrap();
    assert_eq!(table["columns"].as_array().unwrap().len(), 11);

    // What was found is kept by the next copy, and nothing new is found.
    let third = bench.copy().await.expect("a third copy");
    assert_eq!(third.differences.kept, 0);
    let mut kept = bench.differences();
    kept.sort();
    assert_eq!(kept, found);
    assert_eq!(bench.snapshot().head().changes_since, Some(full.head.as_of));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_failed_is_gone_on_with() {
    let bench = Bench::of(600);
    // The version, and two pages of the scan.
    bench.server.change(|world| world.broken_from = Some(4));
    let error = bench.copy().await.expect_err("the server went away");
    assert!(matches!(error, SyncError::Catalog { .. }), "{error}");
    assert!(!bench.place().snapshot().exists());
    bench.server.take_requests();
    bench.server.change(|world| world.broken_from = None);
    let summary = bench.copy().await.expect("the rest");
    assert!(
        summary
            .remarks
            .iter()
            .any(|remark| remark.starts_with("goes on with")),
        "{:?}",
        summary.remarks
    );
    let requests = bench.server.take_requests();
    let scan: Vec<&String> = requests
        .iter()
        .filter(|request| request.contains("search/query"))
        .collect();
    assert!(scan.iter().all(|request| request.contains("search_after=")));
    assert_whole(&bench.snapshot(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_lies_about_is_said() {
    let bench = Bench::of(200);
    bench.server.change(|world| world.lie = 7);
    let summary = bench.copy().await.expect("a copy");
    assert_eq!(
        summary.head.notes,
        ["the search index said 207 assets and handed out 200"]
    );
    assert_whole(&bench.snapshot(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_repeat_are_noticed() {
    let bench = Bench::of(200);
    bench.server.change(|world| world.repeats = true);
    let error = bench
        .copy()
        .await
        .expect_err("lineage would cost a call an entity");
    let SyncError::NeedsApproval { calls, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(calls, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_being_rebuilt_does_not_replace_a_copy() {
    let bench = Bench::of(200);
    bench.copy().await.expect("a copy");
    bench.server.change(|world| world.unindexed.extend(20..200));
    let error = bench
        .copy()
        .await
        .expect_err("most of the index is missing");
    assert!(
        matches!(
            error,
            SyncError::ThinIndex {
                found: 20,
                there: 200
            }
        ),
        "{error}"
    );
    assert_whole(&bench.snapshot(), 200);
    bench.server.change(|world| world.unindexed.clear());
    bench.copy().await.expect("a copy");
    assert_whole(&bench.snapshot(), 200);
    assert_eq!(bench.differences(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_does_not_know_is_read_from_the_database() {
    let bench = Bench::of(200);
    bench.copy().await.expect("a copy");
    bench.server.change(|world| {
        world.unindexed.insert(5);
    });
    bench.copy().await.expect("a copy");
    // It is there, though without its own edges, and is not told as gone.
    assert_eq!(bench.snapshot().names(Kind::Entity).unwrap().len(), 200);
    let found = bench.differences();
    assert!(
        found
            .iter()
            .all(|(kind, _)| *kind == DifferenceKind::EdgeGone),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_changes_under_the_scan_stays_consistent() {
    let bench = Bench::of(300);
    bench.server.change(|world| {
        world.then.insert(3, |world| {
            world.gone.insert(3);
            world.changed.insert(290);
            world.tables = 310;
        });
    });
    let summary = bench.copy().await.expect("a copy");
    let tables = summary
        .head
        .counts
        .iter()
        .find(|count| count.entity_type == "table")
        .expect("a count");
    assert_eq!((tables.said, tables.copied), (Some(309), 309));
    // The next copy agrees with the server again.
    bench.copy().await.expect("a copy");
    assert_whole(&bench.snapshot(), 309);
}

#[test]
fn kill_at_any_moment_leaves_the_old_copy_whole_and_the_new_one_resumable() {
    let bench = Bench::of(1500);
    assert!(bench.run(&[]).status.success());
    let before = std::fs::read(bench.place().snapshot()).unwrap();
    let requests = {
        let count = bench.server.take_requests().len();
        bench.server.change(|world| {
            world.changed.extend((0..1500).step_by(2));
        });
        count
    };
    for kill_at in 1..=requests + 4 {
        bench.server.take_requests();
        let mut child = bench.command(&["--full"]);
        // Past the last request the kill falls into the work on the file.
        bench
            .server
            .wait_for_requests_or(kill_at, || child.try_wait().expect("a state").is_some());
        let _ = child.kill();
        let ended = child.wait().expect("an end");
        if ended.success() {
            break;
        }
        assert!(
            std::fs::read(bench.place().snapshot()).unwrap() == before,
            "the copy before was touched at request {kill_at}"
        );
    }
    let output = bench.run(&["--json"]);
    assert!(output.status.success(), "{output:?}");
    let snapshot = bench.snapshot();
    assert_whole(&snapshot, 1500);
    let table = snapshot.document(Kind::Entity, &fqn(2)).unwrap().unwrap();
    assert_eq!(table["columns"].as_array().unwrap().len(), 11);
}

#[test]
fn the_second_is_told_who_copies() {
    let bench = Bench::of(50);
    bench.server.change(|world| world.held_from = Some(2));
    let mut first = bench.command(&[]);
    bench.server.wait_for_requests(2);
    let second = bench.run(&[]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&format!("process {}", first.id())), "{said}");
    assert!(said.contains("since 20"), "{said}");
    bench.server.change(|world| world.held_from = None);
    let ended = first.wait().expect("an end");
    let mut said = String::new();
    first
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(ended.success(), "{said}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_and_what_was_read_is_kept() {
    let bench = Bench::of(2000);
    bench.server.change(|world| world.held_from = Some(3));
    let mut child = bench.command(&[]);
    bench.server.wait_for_requests(3);
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signalled.expect("kill").success());
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("what was read is kept"), "{said}");
    bench.server.change(|world| world.held_from = None);
    let output = bench.run(&["--json"]);
    assert!(output.status.success());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        answer["remarks"].to_string().contains("goes on with"),
        "{answer}"
    );
    assert_whole(&bench.snapshot(), 2000);
}

/// A file may not grow beyond a bound, as on a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_the_copy_before_stays() {
    let bench = Bench::of(30);
    assert!(bench.run(&[]).status.success());
    let before = std::fs::read(bench.place().snapshot()).unwrap();
    bench.server.change(|world| world.tables = 3000);
    // In blocks of 1,024 bytes; a write beyond fails instead of ending the process.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$@\"";
    let prepared = bench.prepared(&["--full"]);
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(prepared.get_program())
        .args(prepared.get_args())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is the disk full?"), "{said}");
    assert!(std::fs::read(bench.place().snapshot()).unwrap() == before);
    assert!(bench.run(&["--full"]).status.success());
    assert_whole(&bench.snapshot(), 3000);
}

#[test]
fn serve_keeps_the_snapshot_fresh() {
    let bench = Bench::of(50);
    let state = bench.folder.path().to_str().expect("a path").to_owned();
    let url = bench.server.url();
    let mut server = crate::support::server::Server::start(
        &[
            "serve",
            "--http",
            "127.0.0.1:0",
            "--url",
            &url,
            "--state",
            &state,
            "--sync-every",
            "1h",
        ],
        &[],
    );
    let address = server.listens();
    server.logs_until("Copied the catalog into the snapshot");
    assert_whole(&bench.snapshot(), 50);
    let metrics = crate::support::server::http(address, "GET", "/metrics", &[], "").body;
    assert!(
        metrics.contains("openpolicy_snapshot_copies_total{outcome=\"ok\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("openpolicy_snapshot_entities 5"),
        "{metrics}"
    );
}

#[test]
fn bad_usage_is_told_with_what_would_be_right() {
    let bench = Bench::of(1);
    for (arguments, said) in [
        (&["sync"][..], "OPENMETADATA_URL"),
        (&["sync", "--url", "localhost:1"], "http://localhost:1"),
        (&["serve", "--sync-every", "soon"], "15m"),
        (&["serve", "--sync-every", "1s"], "shorter than"),
    ] {
        let output = Command::new(crate::support::bin())
            .args(arguments)
            .env_clear()
            .env("OPENPOLICY_STATE", bench.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code().is_some_and(|code| code > 0),
            "{arguments:?}"
        );
        assert!(
            stderr.contains(said) || said == "15m" && stderr.contains("duration"),
            "{stderr}"
        );
    }
}
