//! The five reference platforms: they load, they say what their documents say, and the linter finds
//! what the documents contradict in themselves.

mod alerts;
mod compose;
mod document;
mod environments;
mod findings;
mod kubernetes;
mod metadata;
mod planned;
mod readme;
mod v4;

use std::path::{Path, PathBuf};

use openpolicy_mcp::platform::{
    Loaded, Platform, Service, ServiceName, TrustedDigests, Variables, load,
};
use secrecy::{ExposeSecret as _, SecretString};

/// Every platform file below `platforms/`.
const FILES: [&str; 11] = [
    "metadata/platform.yaml",
    "kubernetes/platform.yaml",
    "kubernetes/cluster.yaml",
    "kubernetes/canary.yaml",
    "environments/platform.yaml",
    "environments/production.yaml",
    "environments/cluster.yaml",
    "environments/cluster-production.yaml",
    "v4/platform.yaml",
    "planned/platform.yaml",
    "planned/cluster.yaml",
];

/// Those of them that Compose files carry.
fn on_one_machine() -> impl Iterator<Item = &'static str> {
    let is_on_one = |file: &&str| !file.contains("cluster") && !file.contains("canary");
    FILES.into_iter().filter(is_on_one)
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("platforms")
        .join(file)
}

/// A platform file that is trusted, with no variable set.
fn loaded(file: &str) -> Loaded {
    let path = path(file);
    let variables = Variables::default();
    let first = load(&path, &variables, &TrustedDigests::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let trusted = TrustedDigests {
        given: vec![first.digest],
        ..TrustedDigests::default()
    };
    load(&path, &variables, &trusted).unwrap_or_else(|problems| panic!("{problems}"))
}

fn platform(file: &str) -> Platform {
    loaded(file).platform
}

fn service<'a>(platform: &'a Platform, name: &str) -> &'a Service {
    platform
        .service(name)
        .unwrap_or_else(|| panic!("no service {name}"))
}

fn names(names: &[ServiceName]) -> Vec<String> {
    names.iter().map(|name| name.0.clone()).collect()
}

fn needs(service: &Service) -> Vec<&str> {
    service.needs.iter().map(|name| name.0.as_str()).collect()
}

/// The path of an address.
fn path_of(url: &SecretString) -> String {
    let url = url.expose_secret();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/')
        .map(|at| rest[at..].to_owned())
        .unwrap_or_default()
}

#[test]
fn every_platform_loads_trusted_and_not() {
    for file in FILES {
        let loaded = loaded(file);
        assert!(!loaded.platform.services.is_empty(), "{file}");
        for service in &loaded.platform.services {
            assert!(
                service.probe.is_some(),
                "{file}: {} has no probe",
                service.name
            );
        }
    }
}
