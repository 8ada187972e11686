//! Dependencies that lead back to where they begin.

use std::collections::HashMap;

use super::services::source;
use crate::platform::{
    model::{Service, ServiceName},
    read::Reader,
};

/// A problem for each cycle of direct dependencies, told once and with all its services.
pub fn report(services: &[Service], reader: &mut Reader<'_>) {
    for cycle in cycles(services) {
        let Some(first) = cycle.first().and_then(|at| services.get(*at)) else {
            continue;
        };
        let mut path: Vec<&str> = cycle
            .iter()
            .filter_map(|at| services.get(*at))
            .map(|service| service.name.0.as_str())
            .collect();
        path.push(&first.name.0);
        let place = source(first, "needs").unwrap_or_default();
        let (wrong, right) = if cycle.len() == 1 {
            (
                format!("`{}` needs itself", first.name),
                "leave it away".to_owned(),
            )
        } else {
            (
                format!("these need each other in a circle: {}", path.join(" -> ")),
                "take one of these dependencies away: none of them could start first".to_owned(),
            )
        };
        reader.problem(place, wrong, right);
    }
}

/// One cycle for each group of services that need each other, in the order of the file.
fn cycles(services: &[Service]) -> Vec<Vec<usize>> {
    let positions: HashMap<&ServiceName, usize> = services
        .iter()
        .enumerate()
        .map(|(position, service)| (&service.name, position))
        .collect();
    let needs: Vec<Vec<usize>> = services
        .iter()
        .map(|service| {
            service
                .needs
                .iter()
                .filter_map(|name| positions.get(name).copied())
                .collect()
        })
        .collect();
    // Depth first without recursion: a chain may be as long as there are services.
    let mut state = vec![State::New; services.len()];
    let mut found = Vec::new();
    for start in 0..services.len() {
        if state.get(start) != Some(&State::New) {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        mark(&mut state, start, State::OnPath);
        while let Some((at, next)) = path.last_mut() {
            let following = needs.get(*at).and_then(|needs| needs.get(*next)).copied();
            *next += 1;
            match following {
                None => {
                    mark(&mut state, *at, State::Done);
                    path.pop();
                }
                Some(needed) => match state.get(needed) {
                    Some(State::New) => {
                        mark(&mut state, needed, State::OnPath);
                        path.push((needed, 0));
                    }
                    Some(State::OnPath) => {
                        let cycle = path
                            .iter()
                            .map(|(at, _)| *at)
                            .skip_while(|at| *at != needed)
                            .collect();
                        found.push(cycle);
                    }
                    _ => {}
                },
            }
        }
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    OnPath,
    Done,
}

fn mark(states: &mut [State], at: usize, state: State) {
    if let Some(slot) = states.get_mut(at) {
        *slot = state;
    }
}
