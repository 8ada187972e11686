//! Passwords that stand in a platform file as the default of a variable.

use super::Linter;
use crate::platform::{
    problem::quoted,
    raw::{ProbeOrNone, RawService},
    read::Placed,
    variables::Expanded,
};

pub fn look(linter: &mut Linter<'_>) {
    let mut found = Vec::new();
    let raw = linter
        .loaded
        .raw
        .services
        .iter()
        .flat_map(|services| &services.value.0);
    for (name, service) in raw {
        let RawService { probe, .. } = service;
        let Some(Placed {
            value: ProbeOrNone::Probe(probe),
            ..
        }) = probe
        else {
            continue;
        };
        let in_address = [
            &probe.http,
            &probe.postgres,
            &probe.redis,
            &probe.amqp,
            &probe.search_engine,
            &probe.management,
        ];
        for text in in_address.into_iter().flatten() {
            if user_has_default(&text.value) {
                found.push((text.place, name.value.clone()));
            }
        }
        if let Some(password) = &probe.password
            && has_default(&password.value.written)
        {
            found.push((password.place, name.value.clone()));
        }
    }
    for (place, name) in found {
        linter.note(
            "password-in-default",
            place,
            format!(
                "the default of a variable holds a password of {}: for development only",
                quoted(&name)
            ),
        );
    }
}

fn has_default(written: &str) -> bool {
    written.split("${").skip(1).any(|rest| {
        rest.split_once(":-")
            .is_some_and(|(_, default)| !default.starts_with('}'))
    })
}

/// A default that stands before the `@`, or is itself an address with a password.
fn user_has_default(text: &Expanded) -> bool {
    let Some((before, _)) = text.written.rsplit_once('@') else {
        return false;
    };
    before.rsplit_once(':').is_some_and(|(rest, _)| {
        has_default(before) && (rest.contains("://") || before.contains("://"))
    })
}
