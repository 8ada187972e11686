//! How many services keep the standards of their platform.

use secrecy::ExposeSecret as _;
use url::Url;

use super::{
    model::{Platform, ProbeKind, Service, ServiceName, Standards},
    quantity::Percent,
};

/// Services against the standards.
#[derive(Debug, Clone, PartialEq)]
pub struct Compliance {
    /// Services that the standards speak of.
    pub measured: usize,
    /// What each of the others misses; in the order of the file.
    pub missed: Vec<(ServiceName, Vec<String>)>,
}

impl Compliance {
    /// Services that keep all standards.
    pub fn compliant(&self) -> usize {
        self.measured - self.missed.len()
    }

    pub fn share(&self) -> Percent {
        Percent::of(self.compliant() as f64, self.measured as f64)
    }
}

/// Nothing where the file has no standards.
pub fn compliance(platform: &Platform) -> Option<Compliance> {
    let standards = platform.standards.as_ref()?;
    let mut measured = 0;
    let mut missed = Vec::new();
    for service in &platform.services {
        if standards.except.contains(&service.name) {
            continue;
        }
        measured += 1;
        let faults = faults(service, standards);
        if !faults.is_empty() {
            missed.push((service.name.clone(), faults));
        }
    }
    Some(Compliance { measured, missed })
}

fn faults(service: &Service, standards: &Standards) -> Vec<String> {
    let mut faults = Vec::new();
    if let (Some((from, to)), Some(port)) = (standards.ports, service.ports.first())
        && !(from..=to).contains(port)
    {
        faults.push(format!("port {port} is not one of {from}-{to}"));
    }
    if let Some(wanted) = &standards.health_path
        && let Some(path) = health_path(service)
        && path != *wanted
    {
        faults.push(format!("its health path is {path}, not {wanted}"));
    }
    if standards.needs_probe && service.probe.is_none() {
        faults.push("it has no probe".to_owned());
    }
    if standards.needs_limits && (service.memory.is_none() || service.cpu.is_none()) {
        faults.push("it has no limit of memory or CPU".to_owned());
    }
    if standards.needs_reservations
        && (service.memory_reserved.is_none() || service.cpu_reserved.is_none())
    {
        faults.push("nothing is reserved for it".to_owned());
    }
    if standards.needs_image && service.image.is_none() {
        faults.push("it has no image".to_owned());
    }
    faults
}

/// The path that its document gives, else the one at which its probe looks.
pub fn health_path(service: &Service) -> Option<String> {
    if let Some(path) = &service.documented_path {
        return Some(path.clone());
    }
    match service.probe.as_ref().map(|probe| &probe.kind) {
        Some(ProbeKind::Http { url, .. }) => {
            let url = Url::parse(url.expose_secret()).ok()?;
            Some(url.path().to_owned())
        }
        _ => None,
    }
}
