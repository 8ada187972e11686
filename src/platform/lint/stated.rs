//! Sentences of a document against what the rest of the file adds up to.

mod service;

use std::time::Duration;

use super::{
    Linter,
    amounts::{self, Replicas, Sum},
    listed,
    written::{CPU, MEMORY, PERCENT, Stated, Units},
};
use crate::platform::{
    model::Service, problem::quoted, raw::RawStatement, read::Placed, standards,
};

pub fn look(linter: &mut Linter<'_>) {
    let all: Vec<&Service> = linter.platform.services.iter().collect();
    let loaded = linter.loaded;
    for statement in loaded.raw.stated.iter().flat_map(|stated| &stated.value) {
        let about = About {
            whole: "the platform".to_owned(),
            own: all.clone(),
            so_far: all.clone(),
        };
        about.statement(statement, linter);
        duration(statement, linter);
        compliance(statement, linter);
        chain(statement, linter);
    }
    chains_leave_out(linter);
    for (number, phase, raw) in linter.phases() {
        let about = About {
            whole: format!("phase `{}`", phase.name),
            own: linter.services_of(phase),
            so_far: linter.services_through(number),
        };
        for statement in raw.stated.iter().flat_map(|stated| &stated.value) {
            about.statement(statement, linter);
            about.services_named(statement, number, linter);
            chain(statement, linter);
        }
    }
    for (name, service) in loaded
        .raw
        .services
        .iter()
        .flat_map(|services| &services.value.0)
    {
        let found = all.iter().find(|other| other.name.0 == name.value);
        let stated = service.stated.iter().flat_map(|stated| &stated.value);
        for statement in stated {
            if let Some(found) = found {
                service::look(found, statement, linter);
            }
        }
    }
}

/// The words of the document, where they stand there.
fn words(text: Option<&Placed<String>>) -> String {
    text.map(|text| format!(" ({})", quoted(&text.value).replace('`', "\"")))
        .unwrap_or_default()
}

/// What a statement is about.
struct About<'a> {
    whole: String,
    own: Vec<&'a Service>,
    /// With all phases before.
    so_far: Vec<&'a Service>,
}

impl About<'_> {
    fn statement(&self, statement: &RawStatement, linter: &mut Linter<'_>) {
        let said = words(statement.text.as_ref());
        self.numbers_of_services(statement, &said, linter);
        let own = &self.own;
        let so_far = &self.so_far;
        let one = Replicas::One;
        let memory = |services: &[&Service]| amounts::memory(services, one);
        let cpu = |services: &[&Service]| amounts::cpu(services, one);
        let capacity = linter.platform.capacity;
        let sums = [
            (&statement.memory, "memory", memory(own), MEMORY),
            (&statement.memory_so_far, "memory", memory(so_far), MEMORY),
            (&statement.cpu, "CPU", cpu(own), CPU),
            (&statement.cpu_so_far, "CPU", cpu(so_far), CPU),
            (
                &statement.storage,
                "storage",
                amounts::storage(own, one),
                MEMORY,
            ),
        ];
        for (written, what, sum, units) in sums {
            if let Some(written) = written {
                self.sum(written, what, sum, units, &said, linter);
            }
        }
        let shares = [
            (
                &statement.memory_share,
                "memory",
                memory(so_far),
                capacity.memory.map(|it| it.0),
                false,
            ),
            (
                &statement.memory_free_share,
                "memory",
                memory(so_far),
                capacity.memory.map(|it| it.0),
                true,
            ),
            (
                &statement.cpu_share,
                "CPU",
                cpu(so_far),
                capacity.cpu.map(|it| it.0),
                false,
            ),
            (
                &statement.cpu_free_share,
                "CPU",
                cpu(so_far),
                capacity.cpu.map(|it| it.0),
                true,
            ),
        ];
        for (written, what, sum, capacity, is_free) in shares {
            let (Some(written), Some(capacity)) = (written, capacity) else {
                continue;
            };
            if sum.silent > 0 || capacity == 0 {
                continue;
            }
            let used = sum.amount as f64 / capacity as f64 * 100.0;
            let share = if is_free { 100.0 - used } else { used };
            let Some(stated) = Stated::parse(&written.value, PERCENT) else {
                not_understood(written, linter);
                continue;
            };
            if !stated.holds(share) {
                let free = if is_free { "free" } else { "in use" };
                linter.warn(
                    "stated-share-differs",
                    written.place,
                    format!(
                        "the document states {} of {what} {free}{said}; the limits of {} make it {}",
                        written.value.trim(),
                        self.whole,
                        stated.show(share)
                    ),
                );
            }
        }
    }

    fn numbers_of_services(&self, statement: &RawStatement, said: &str, linter: &mut Linter<'_>) {
        let excepted: Vec<String> = statement
            .except
            .iter()
            .flat_map(|except| &except.value)
            .map(|name| name.value.to_lowercase())
            .collect();
        for name in statement.except.iter().flat_map(|except| &except.value) {
            if linter.platform.service(&name.value).is_none() {
                unknown_service(name, linter);
            }
        }
        let count = |services: &[&Service]| {
            services
                .iter()
                .filter(|service| !excepted.contains(&service.name.0.to_lowercase()))
                .count()
        };
        let own = count(&self.own);
        if let Some(stated) = &statement.services
            && stated.value as usize != own
        {
            linter.warn(
                "stated-services-differ",
                stated.place,
                format!(
                    "the document states {} services{said}; {} lists {own}",
                    stated.value, self.whole
                ),
            );
        }
        let so_far = count(&self.so_far);
        if let Some(stated) = &statement.services_so_far
            && stated.value as usize != so_far
        {
            linter.warn(
                "stated-services-differ",
                stated.place,
                format!(
                    "the document states {} services so far{said}; with {} there are {so_far}",
                    stated.value, self.whole
                ),
            );
        }
    }

    fn sum(
        &self,
        written: &Placed<String>,
        what: &str,
        sum: Sum,
        units: Units,
        said: &str,
        linter: &mut Linter<'_>,
    ) {
        let Some(stated) = Stated::parse(&written.value, units) else {
            not_understood(written, linter);
            return;
        };
        let actual = sum.amount as f64;
        let shown = stated.show(actual);
        if sum.silent == 0 && !stated.holds(actual) {
            linter.warn(
                "stated-total-differs",
                written.place,
                format!(
                    "the document states {} {what}{said}; the limits of {} add up to {shown}",
                    written.value.trim(),
                    self.whole
                ),
            );
        } else if sum.silent > 0
            && sum.silent < self.own.len()
            && actual > stated.number * stated.unit
        {
            linter.warn(
                "stated-total-differs",
                written.place,
                format!(
                    "the document states {} {what}{said}; the limits of {} add up to at least {shown}",
                    written.value.trim(),
                    self.whole
                ),
            );
        }
    }

    /// `starts` and `watches` of a phase.
    fn services_named(&self, statement: &RawStatement, number: usize, linter: &mut Linter<'_>) {
        let said = words(statement.text.as_ref());
        let mut resolve = |list: &Option<Placed<Vec<Placed<String>>>>| {
            let mut found = Vec::new();
            for name in list.iter().flat_map(|list| &list.value) {
                match linter.platform.service(&name.value) {
                    Some(service) => found.push(service),
                    None => unknown_service(name, linter),
                }
            }
            found
        };
        let starts = resolve(&statement.starts);
        let watches = resolve(&statement.watches);
        if let Some(list) = &statement.starts {
            let missing: Vec<_> = self
                .own
                .iter()
                .filter(|service| !starts.iter().any(|other| other.name == service.name))
                .map(|service| &service.name)
                .collect();
            if !missing.is_empty() {
                let message = format!(
                    "the document's command{said} does not start {} of {}",
                    listed(missing),
                    self.whole
                );
                linter.warn("stated-start-misses", list.place, message);
            }
        }
        let lists = [
            (&statement.starts, starts, "starts", "stated-start-early"),
            (
                &statement.watches,
                watches,
                "looks at",
                "stated-watch-early",
            ),
        ];
        for (list, services, does, code) in lists {
            let early: Vec<_> = services
                .iter()
                .filter(|service| {
                    let phase = linter.phase_of.get(&service.name).map(|(phase, _)| *phase);
                    phase.is_none_or(|phase| phase > number)
                })
                .map(|service| &service.name)
                .collect();
            if let (Some(list), false) = (list, early.is_empty()) {
                let message = format!(
                    "in {} the document{said} {does} {}, deployed only later",
                    self.whole,
                    listed(early)
                );
                linter.warn(code, list.place, message);
            }
        }
    }
}

fn unknown_service(name: &Placed<String>, linter: &mut Linter<'_>) {
    linter.warn(
        "stated-service-unknown",
        name.place,
        format!(
            "the document names {}, which is no service of the platform",
            quoted(&name.value)
        ),
    );
}

fn not_understood(written: &Placed<String>, linter: &mut Linter<'_>) {
    linter.warn(
        "stated-not-understood",
        written.place,
        format!(
            "{} is no amount that can be compared",
            quoted(&written.value)
        ),
    );
}

fn duration(statement: &RawStatement, linter: &mut Linter<'_>) {
    let Some(stated) = &statement.duration else {
        return;
    };
    let phases = &linter.platform.phases;
    if phases.is_empty() || phases.iter().any(|phase| phase.expected.is_none()) {
        return;
    }
    let expected = || phases.iter().filter_map(|phase| phase.expected);
    let from: Duration = expected().map(|(from, _)| from).sum();
    let to: Duration = expected().map(|(_, to)| to).sum();
    let range = stated.value;
    if (range.from, range.to) != (from, to) {
        let said = words(statement.text.as_ref());
        linter.warn(
            "stated-duration-differs",
            stated.place,
            format!(
                "the document states {} in all{said}; the phases add up to {}",
                minutes(range.from, range.to),
                minutes(from, to)
            ),
        );
    }
}

fn minutes(from: Duration, to: Duration) -> String {
    let minutes = |duration: Duration| duration.as_secs() / 60;
    if from == to {
        format!("{} minutes", minutes(from))
    } else {
        format!("{} to {} minutes", minutes(from), minutes(to))
    }
}

/// `24/25`, or `96%`.
fn compliance(statement: &RawStatement, linter: &mut Linter<'_>) {
    let Some(written) = &statement.compliant else {
        return;
    };
    let Some(actual) = standards::compliance(linter.platform) else {
        linter.note(
            "stated-compliance-unmeasured",
            written.place,
            "the document states a compliance, and the file has no `standards`".to_owned(),
        );
        return;
    };
    let holds = match written.value.split_once('/') {
        Some((part, whole)) => {
            let number = |text: &str| text.trim().parse::<usize>().ok();
            number(part) == Some(actual.compliant()) && number(whole) == Some(actual.measured)
        }
        None => match Stated::parse(&written.value, PERCENT) {
            Some(stated) => stated.holds(actual.share().0),
            None => {
                not_understood(written, linter);
                return;
            }
        },
    };
    if !holds {
        let said = words(statement.text.as_ref());
        linter.warn(
            "stated-compliance-differs",
            written.place,
            format!(
                "the document states {} compliant{said}; by the standards of the file it is {}/{} ({})",
                written.value.trim(),
                actual.compliant(),
                actual.measured,
                actual.share()
            ),
        );
    }
}

/// Each of a chain is the dependency of the next.
fn chain(statement: &RawStatement, linter: &mut Linter<'_>) {
    let Some(chain) = &statement.chain else {
        return;
    };
    let mut missing = Vec::new();
    for pair in chain.value.windows(2) {
        let [before, after] = pair else {
            continue;
        };
        let found = (
            linter.platform.service(&before.value),
            linter.platform.service(&after.value),
        );
        match found {
            (Some(before), Some(after)) => {
                if !after.needs.contains(&before.name) {
                    missing.push(format!("`{}` needs `{}`", after.name, before.name));
                }
            }
            (None, _) => unknown_service(before, linter),
            (_, None) => unknown_service(after, linter),
        }
    }
    if !missing.is_empty() {
        let said = words(statement.text.as_ref());
        linter.warn(
            "stated-chain-differs",
            chain.place,
            format!(
                "by the document's chain{said} {}; the services themselves do not say so",
                missing.join(", and ")
            ),
        );
    }
}

/// Dependencies between services of the chains that no chain leads along.
fn chains_leave_out(linter: &mut Linter<'_>) {
    let stated = linter.loaded.raw.stated.iter().flat_map(|it| &it.value);
    let chains: Vec<_> = stated.filter_map(|it| it.chain.as_ref()).collect();
    let Some(place) = chains.first().map(|chain| chain.place) else {
        return;
    };
    let platform = linter.platform;
    let named = |name: &Placed<String>| platform.service(&name.value).map(|it| &it.name);
    let steps: Vec<_> = chains
        .iter()
        .flat_map(|chain| chain.value.windows(2))
        .filter_map(|pair| match pair {
            [before, after] => Some((named(before)?, named(after)?)),
            _ => None,
        })
        .collect();
    for service in &platform.services {
        if !steps.iter().any(|(_, after)| *after == &service.name) {
            continue;
        }
        // Everything from which a chain leads here.
        let mut before = vec![&service.name];
        let mut at = 0;
        while let Some(name) = before.get(at).copied() {
            for (earlier, later) in &steps {
                if *later == name && !before.contains(earlier) {
                    before.push(earlier);
                }
            }
            at += 1;
        }
        for need in service.needs.iter().filter(|need| !before.contains(need)) {
            linter.warn(
                "stated-chain-differs",
                place,
                format!(
                    "`{}` needs `{need}`, and none of the document's chains leads from one to the other",
                    service.name
                ),
            );
        }
    }
}
