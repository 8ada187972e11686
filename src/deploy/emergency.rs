//! Which services an emergency stops. Pure.
//!
//! What is not essential goes, most memory first, until the platform is below the limit. An
//! essential service goes only where somebody names it.

use crate::platform::{Bytes, ServiceName};

/// A service as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub service: ServiceName,
    pub is_essential: bool,
    pub is_running: bool,
    /// None: not known.
    pub memory: Option<Bytes>,
}

/// What is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These, whatever they are.
    Named(Vec<ServiceName>),
    /// So many that the memory of all is below this.
    Below(Bytes),
    All,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// In the order in which they are to go.
    pub stop: Vec<Standing>,
    /// Of everything that was measured, what stands outside included.
    pub before: Bytes,
    /// What would be left, as far as it was measured.
    pub after: Bytes,
    /// What stopping all that may be stopped does not free.
    pub still_needed: Option<Bytes>,
    /// Essential services that could be named, most memory first; told where more is needed.
    pub could_be_named: Vec<Standing>,
    /// Running services whose memory is not known.
    pub unmeasured: usize,
}

/// Chooses. `outside`: memory beside the services that counts with them.
pub fn choose(services: &[Standing], outside: Bytes, wanted: &Wanted) -> Choice {
    let running: Vec<&Standing> = services.iter().filter(|one| one.is_running).collect();
    let memory = |one: &Standing| one.memory.unwrap_or_default().0;
    let before = outside.0 + running.iter().map(|one| memory(one)).sum::<u64>();
    let mut left = before;
    let mut choice = Choice {
        before: Bytes(before),
        unmeasured: running.iter().filter(|one| one.memory.is_none()).count(),
        ..Choice::default()
    };
    match wanted {
        Wanted::Named(names) => {
            choice.stop = names
                .iter()
                .filter_map(|name| running.iter().find(|one| one.service == *name))
                .map(|one| (*one).clone())
                .collect();
            left -= choice.stop.iter().map(memory).sum::<u64>();
        }
        Wanted::All => {
            choice.stop = by_memory(&running, |_| true);
            left -= choice.stop.iter().map(memory).sum::<u64>();
        }
        Wanted::Below(limit) => {
            for one in by_memory(&running, |one| !one.is_essential && one.memory.is_some()) {
                if left < limit.0 {
                    break;
                }
                left -= memory(&one);
                choice.stop.push(one);
            }
            if left >= limit.0 {
                // Below, not at.
                choice.still_needed = Some(Bytes(left - limit.0 + 1));
                choice.could_be_named = by_memory(&running, |one| one.is_essential);
            }
        }
    }
    choice.after = Bytes(left);
    choice
}

/// Most memory first; by name where it is the same.
fn by_memory(running: &[&Standing], filter: impl Fn(&Standing) -> bool) -> Vec<Standing> {
    let mut chosen: Vec<Standing> = running
        .iter()
        .filter(|one| filter(one))
        .map(|one| (*one).clone())
        .collect();
    chosen.sort_by(|one, other| {
        let by_memory = other.memory.cmp(&one.memory);
        by_memory.then_with(|| one.service.cmp(&other.service))
    });
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Name, whether it is essential, mebibytes; none: not running.
    fn services() -> Vec<Standing> {
        [
            ("db", true, Some(400)),
            ("kibana", false, Some(200)),
            ("elasticsearch", false, Some(500)),
            ("logstash", false, Some(200)),
            ("page", false, None),
        ]
        .map(|(name, is_essential, memory)| Standing {
            service: ServiceName(name.into()),
            is_essential,
            is_running: memory.is_some(),
            memory: memory.map(|memory: u64| Bytes(memory * MIB)),
        })
        .to_vec()
    }

    fn named(names: &[&str]) -> Wanted {
        Wanted::Named(names.iter().map(|one| ServiceName((*one).into())).collect())
    }

    #[test]
    fn what_is_not_essential_goes_first_and_no_more_than_is_needed() {
        let below = |mebibytes: u64| Wanted::Below(Bytes(mebibytes * MIB));
        // 1,300 MiB run, 100 stand outside.
        for (wanted, stopped, after, still_needed) in [
            (below(1_500), vec![], 1_400, None),
            (below(1_400), vec!["elasticsearch"], 900, None),
            (below(900), vec!["elasticsearch", "kibana"], 700, None),
            (
                below(600),
                vec!["elasticsearch", "kibana", "logstash"],
                500,
                None,
            ),
            (
                below(300),
                vec!["elasticsearch", "kibana", "logstash"],
                500,
                Some(200 * MIB + 1),
            ),
            (named(&["db", "page"]), vec!["db"], 1_000, None),
            (named(&["nobody"]), vec![], 1_400, None),
            (
                Wanted::All,
                vec!["elasticsearch", "db", "kibana", "logstash"],
                100,
                None,
            ),
        ] {
            let choice = choose(&services(), Bytes(100 * MIB), &wanted);
            let names: Vec<&str> = choice
                .stop
                .iter()
                .map(|one| one.service.0.as_str())
                .collect();
            assert_eq!(names, stopped, "{wanted:?}");
            assert_eq!(choice.before, Bytes(1_400 * MIB));
            assert_eq!(choice.after, Bytes(after * MIB), "{wanted:?}");
            assert_eq!(choice.still_needed.map(|one| one.0), still_needed);
            assert_eq!(choice.could_be_named.len(), still_needed.iter().count());
        }
    }

    #[test]
    fn memory_that_is_not_known_is_not_stopped_for_and_is_said() {
        let mut services = services();
        services[2].memory = None;
        let choice = choose(&services, Bytes(0), &Wanted::Below(Bytes(600 * MIB)));
        assert_eq!(choice.unmeasured, 1);
        assert_eq!(choice.stop.len(), 2, "kibana and logstash");
        assert_eq!(choice.after, Bytes(400 * MIB));
    }
}
