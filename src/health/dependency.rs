//! Who is the cause and who is only blocked: a pure function of what each service is by itself.
//!
//! A service that fails because something that it needs fails is `blocked`, and the deepest
//! failing service below it is the cause. A dependency that could not be looked at explains
//! nothing: who needs it stays `down`.

use std::collections::{BTreeMap, BTreeSet};

use super::observation::Verdict;

/// What is concluded of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    pub verdict: Verdict,
    /// The causes below it, where it is blocked; sorted.
    pub blocked_by: Vec<String>,
}

/// A failing service that nothing below it explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub service: String,
    /// Who is blocked by it, directly or not; sorted.
    pub blocks: Vec<String>,
}

/// What each service is by itself, and what it needs.
pub type Own<'a> = BTreeMap<&'a str, (Verdict, Vec<&'a str>)>;

/// What is concluded of every service. The order in which they were looked at plays no part.
pub fn concluded(own: &Own<'_>) -> BTreeMap<String, Conclusion> {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    own.iter()
        .map(|(service, (verdict, _))| {
            let below = causes_below(service, own, &mut known, &mut BTreeSet::new());
            let conclusion = if *verdict == Verdict::Down && !below.is_empty() {
                Conclusion {
                    verdict: Verdict::Blocked,
                    blocked_by: below.into_iter().map(str::to_owned).collect(),
                }
            } else {
                Conclusion {
                    verdict: *verdict,
                    blocked_by: Vec::new(),
                }
            };
            ((*service).to_owned(), conclusion)
        })
        .collect()
}

/// Every cause, the one that blocks most first.
pub fn causes(conclusions: &BTreeMap<String, Conclusion>) -> Vec<Cause> {
    let mut blocks: BTreeMap<&str, Vec<String>> = conclusions
        .iter()
        .filter(|(_, conclusion)| conclusion.verdict == Verdict::Down)
        .map(|(service, _)| (service.as_str(), Vec::new()))
        .collect();
    for (service, conclusion) in conclusions {
        for cause in &conclusion.blocked_by {
            blocks.entry(cause).or_default().push(service.clone());
        }
    }
    let mut causes: Vec<Cause> = blocks
        .into_iter()
        .map(|(service, blocks)| Cause {
            service: service.to_owned(),
            blocks,
        })
        .collect();
    // By name within the same count: the map was sorted and the sort is stable.
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.blocks.len()));
    causes
}

/// Whether a service keeps those that need it from working.
fn is_in_the_way(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Down | Verdict::Starting)
}

/// The deepest services below this one that are in the way, along those that are in the way.
fn causes_below<'a>(
    service: &'a str,
    own: &Own<'a>,
    known: &mut BTreeMap<&'a str, BTreeSet<&'a str>>,
    path: &mut BTreeSet<&'a str>,
) -> BTreeSet<&'a str> {
    if let Some(found) = known.get(service) {
        return found.clone();
    }
    // A platform has no cycle; whoever hands one in gets an end.
    if !path.insert(service) {
        return BTreeSet::new();
    }
    let needs = own.get(service).map_or(&[][..], |(_, needs)| needs);
    let mut found = BTreeSet::new();
    for need in needs {
        if own
            .get(need)
            .is_some_and(|(verdict, _)| is_in_the_way(*verdict))
        {
            let below = causes_below(need, own, known, path);
            if below.is_empty() {
                found.insert(*need);
            } else {
                found.extend(below);
            }
        }
    }
    path.remove(service);
    known.insert(service, found.clone());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own<'a>(services: &[(&'a str, Verdict, &[&'a str])]) -> Own<'a> {
        services
            .iter()
            .map(|(name, verdict, needs)| (*name, (*verdict, needs.to_vec())))
            .collect()
    }

    #[test]
    fn a_database_under_dependents_is_the_one_cause() {
        use Verdict::{Down, Up};
        let conclusions = concluded(&own(&[
            ("db", Down, &[]),
            ("api", Down, &["db", "redis"]),
            ("web", Down, &["api"]),
            ("redis", Up, &[]),
            ("mail", Down, &["redis"]),
        ]));
        assert_eq!(conclusions["web"].verdict, Verdict::Blocked);
        assert_eq!(conclusions["web"].blocked_by, ["db"]);
        // Its dependency is well: it is a cause of its own.
        assert_eq!(conclusions["mail"].verdict, Down);
        let causes = causes(&conclusions);
        assert_eq!(causes[0].service, "db");
        assert_eq!(causes[0].blocks, ["api", "web"]);
        assert_eq!(causes[1].service, "mail");
        assert_eq!(causes.len(), 2);
    }

    #[test]
    fn what_could_not_be_looked_at_explains_nothing() {
        use Verdict::{Down, Starting, Unknown};
        let conclusions = concluded(&own(&[
            ("db", Unknown, &[]),
            ("api", Down, &["db"]),
            ("queue", Starting, &[]),
            ("etl", Down, &["queue"]),
        ]));
        assert_eq!(conclusions["api"].verdict, Down);
        assert_eq!(conclusions["etl"].blocked_by, ["queue"]);
    }

    #[test]
    fn a_cycle_that_is_handed_in_ends() {
        use Verdict::Down;
        let conclusions = concluded(&own(&[("a", Down, &["b"]), ("b", Down, &["a"])]));
        assert_eq!(conclusions.len(), 2);
    }

    proptest! {
        /// A failing service below any number of dependents, themselves in any order of names and
        /// any shape without cycles: one cause, everyone else blocked by it.
        #[test]
        fn a_cascade_is_one_cause(
            order in Just((0..21usize).collect::<Vec<_>>()).prop_shuffle(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 20),
        ) {
            let names: Vec<String> = order.iter().map(|number| format!("s{number:02}")).collect();
            let mut all = Own::new();
            all.insert(&names[0], (Verdict::Down, Vec::new()));
            for (position, pick) in (1..names.len()).zip(&picks) {
                let need = names[pick.index(position)].as_str();
                all.insert(&names[position], (Verdict::Down, vec![need]));
            }
            let conclusions = concluded(&all);
            let causes = causes(&conclusions);
            prop_assert_eq!(causes.len(), 1);
            prop_assert_eq!(&causes[0].service, &names[0]);
            prop_assert_eq!(causes[0].blocks.len(), 20);
        }
    }
}
