//! Reads the lines of several services side by side.

use futures::future::join_all;

use super::cursor::Place;
use crate::{
    observe::logs::{self, Filter, Line, Secrets},
    platform::Service,
    runtime::{LogQuery, Problem, Runtime},
};

/// Lines that one call reads of all its services together.
const MOST_LINES: usize = 100_000;

/// What was read of all services, oldest line first.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub lines: Vec<Line>,
    /// Where each service's next page goes on, in the order of the services.
    pub positions: Vec<String>,
    /// Lines of the window that are older than what was read.
    pub older: u64,
    pub has_newer: bool,
    /// Services that could be looked at.
    pub looked_at: usize,
    pub missing: Vec<String>,
    pub could_not_look: Vec<String>,
    pub problem: Option<Problem>,
}

pub(super) async fn all(
    runtime: &dyn Runtime,
    services: &[&Service],
    filter: &Filter,
    place: &Place,
) -> Read {
    let limit = (MOST_LINES / services.len().max(1)).max(1_000);
    let queries: Vec<LogQuery> = services
        .iter()
        .enumerate()
        .map(|(position, service)| LogQuery {
            service: service.name.clone(),
            since: filter.since,
            cursor: place
                .from
                .get(position)
                .filter(|from| !from.is_empty())
                .cloned(),
            limit,
        })
        .collect();
    let pages = join_all(queries.iter().map(|query| runtime.logs(query))).await;
    let secrets = Secrets::default();
    let mut read = Read::default();
    for (position, (service, page)) in services.iter().zip(pages).enumerate() {
        match page {
            Ok(page) => {
                read.looked_at += 1;
                read.older += page.older;
                read.has_newer |= page.has_newer && place.until.is_none();
                let told = page
                    .missing
                    .iter()
                    .map(|what| format!("{}: {what}", service.name));
                read.missing.extend(told);
                read.positions.push(page.cursor.unwrap_or_default());
                let lines = logs::read(&service.name, &page.lines, &secrets);
                read.lines.extend(lines);
            }
            Err(problem) => {
                // It begins where it would have begun.
                let from = place.from.get(position).cloned().unwrap_or_default();
                read.positions.push(from);
                read.could_not_look
                    .push(format!("{}: {problem}", service.name));
                read.problem = Some(problem);
            }
        }
    }
    if let Some(until) = place.until {
        read.lines.retain(|line| line.at.as_millisecond() <= until);
    }
    read.lines.sort_by_key(|line| line.at);
    read
}
