//! In which order services start: what they need first.

use std::collections::HashSet;

use super::{Desired, Problem};
use crate::platform::{Platform, Service, ServiceName};

/// The service of this name, as the platform file writes it.
pub(super) fn service<'a>(
    platform: &'a Platform,
    name: &ServiceName,
) -> Result<&'a Service, Problem> {
    let mut services = platform.services.iter();
    services
        .find(|service| service.name == *name)
        .ok_or_else(|| Problem::NoSuchService(name.0.clone()))
}

/// What is applied, in waves. Where the platform does not know one of them nothing is.
pub(super) fn waves_of<'a>(
    platform: &Platform,
    desired: &'a [Desired],
) -> Result<Vec<Vec<&'a Desired>>, Problem> {
    let names: Vec<ServiceName> = desired.iter().map(|one| one.service.clone()).collect();
    for name in &names {
        service(platform, name)?;
    }
    let of = |name: &ServiceName| desired.iter().find(|one| one.service == *name);
    Ok(waves(platform, &names)
        .iter()
        .map(|wave| wave.iter().filter_map(of).collect())
        .collect())
}

/// The services in waves: each needs only services of earlier waves (or ones not asked for).
/// Within a wave the order of the platform file holds. Names that the platform does not know are
/// in no wave.
pub fn waves(platform: &Platform, asked: &[ServiceName]) -> Vec<Vec<ServiceName>> {
    let asked: HashSet<&ServiceName> = asked.iter().collect();
    let mut left: Vec<&Service> = platform
        .services
        .iter()
        .filter(|service| asked.contains(&service.name))
        .collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let waiting: HashSet<&ServiceName> = left.iter().map(|service| &service.name).collect();
        let (wave, rest): (Vec<&Service>, Vec<&Service>) = left
            .iter()
            .copied()
            .partition(|service| !service.needs.iter().any(|need| waiting.contains(need)));
        if wave.is_empty() {
            // A cycle, which a valid platform does not have: all at once is better than never.
            waves.push(left.iter().map(|service| service.name.clone()).collect());
            break;
        }
        waves.push(wave.iter().map(|service| service.name.clone()).collect());
        left = rest;
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first_and_the_order_of_the_file_holds() {
        let name = |name: &str| ServiceName(name.to_owned());
        let mut platform = Platform::default();
        for (service, needs) in [
            ("page", vec!["api"]),
            ("db", vec![]),
            ("queue", vec![]),
            ("api", vec!["db", "queue"]),
        ] {
            let mut service = Service::named(service);
            service.needs = needs.into_iter().map(name).collect();
            platform.services.push(service);
        }
        let all: Vec<_> = platform
            .services
            .iter()
            .map(|one| one.name.clone())
            .collect();
        assert_eq!(
            waves(&platform, &all),
            [
                vec![name("db"), name("queue")],
                vec![name("api")],
                vec![name("page")]
            ]
        );
        // What is not asked for is not waited for.
        assert_eq!(
            waves(&platform, &[name("page"), name("db")]),
            [vec![name("page"), name("db")]]
        );
    }
}
