//! Traffic of a phase: a route, two subsets, and weights that grow.

use super::{place_of, value};
use crate::platform::{
    model::Traffic,
    problem::quoted,
    quantity::Percent,
    raw::{RawPhase, RawPlatform, RawTraffic},
    read::{Placed, Reader},
};

/// Steps of one phase: each has a gate, and nobody waits for more of them.
const MOST_STEPS: usize = 20;

/// How requests go over, where the phase says that they do.
pub fn traffic(raw: &RawPhase, platform: &RawPlatform, reader: &mut Reader<'_>) -> Option<Traffic> {
    let Placed { place, value: raw } = raw.traffic.as_ref()?;
    let runtime = platform.runtime.as_ref().map(|runtime| &runtime.value);
    if runtime.is_none_or(|runtime| runtime.kubernetes.is_none()) {
        reader.problem(
            *place,
            "only the runtime `kubernetes` has traffic to shift",
            "remove `traffic`, or deploy to a cluster that has Istio",
        );
    }
    let route = required(&raw.virtual_service, "virtual_service", raw, reader);
    let (from, to) = (
        required(&raw.from, "from", raw, reader),
        required(&raw.to, "to", raw, reader),
    );
    let virtual_service = checked(route, is_object_name, OBJECT_EXPECTED, reader);
    let from = checked(from, is_subset, SUBSET_EXPECTED, reader);
    let subset = checked(to, is_subset, SUBSET_EXPECTED, reader);
    if let (Some(from), Some(to)) = (&from, &subset)
        && from == to
    {
        reader.problem(
            place_of(&raw.to, raw.place),
            format!("`from` and `to` are both {}", quoted(to)),
            "name the subset that gets the requests",
        );
    }
    let weights = weights(raw, reader);
    Some(Traffic {
        virtual_service: virtual_service?,
        from: from?,
        to: subset?,
        weights,
        promote: value(&raw.promote).unwrap_or_default(),
    })
}

fn required<'a>(
    written: &'a Option<Placed<String>>,
    key: &str,
    raw: &RawTraffic,
    reader: &mut Reader<'_>,
) -> Option<&'a Placed<String>> {
    if written.is_none() {
        reader.problem(
            raw.place,
            format!("`{key}` is missing"),
            "write `{ virtual_service: …, from: v1, to: v2, weights: [10, 50, 100] }`",
        );
    }
    written.as_ref()
}

fn checked(
    written: Option<&Placed<String>>,
    is_right: fn(&str) -> bool,
    expected: &str,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let written = written?;
    if !is_right(&written.value) {
        reader.problem(
            written.place,
            format!("{} cannot be such a name", quoted(&written.value)),
            expected,
        );
    }
    Some(written.value.clone())
}

const OBJECT_EXPECTED: &str = "use small letters, digits, `-` and `.`, as in `api-gateway-vs`";

/// The name of an object of a cluster (RFC 1123 subdomain).
fn is_object_name(name: &str) -> bool {
    let is_label = |label: &str| {
        is_framed(label)
            && label
                .chars()
                .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

const SUBSET_EXPECTED: &str = "use letters, digits and `-`, at most 63, as in `v2`";

/// The name of a subset, as Istio takes it.
fn is_subset(name: &str) -> bool {
    name.len() <= 63
        && is_framed(name)
        && name
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || one == '-')
}

/// Whether it is something, and neither begins nor ends with `-`.
fn is_framed(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-')
}

fn weights(raw: &RawTraffic, reader: &mut Reader<'_>) -> Vec<u8> {
    const EXPECTED: &str = "write whole percents from 1 to 100 that grow, as `[10, 50, 100]`; \
                            `[100]` is blue-green";
    let written = raw.weights.as_ref().map(|weights| &weights.value);
    let mut weights: Vec<u8> = Vec::new();
    for written in written.into_iter().flatten() {
        match whole(written.value) {
            None => {
                let wrong = format!("{} is no weight", written.value);
                reader.problem(written.place, wrong, EXPECTED);
            }
            Some(weight) if weights.last().is_some_and(|last| *last >= weight) => {
                let last = weights.last().copied().unwrap_or_default();
                let wrong = format!("{weight} % comes after {last} %");
                reader.problem(written.place, wrong, EXPECTED);
            }
            Some(weight) => weights.push(weight),
        }
    }
    if written.is_none_or(Vec::is_empty) {
        let place = place_of(&raw.weights, raw.place);
        reader.problem(place, "`weights` are missing", EXPECTED);
    }
    if weights.len() > MOST_STEPS {
        let place = place_of(&raw.weights, raw.place);
        let wrong = format!(
            "{} weights stand here, more than {MOST_STEPS}",
            weights.len()
        );
        reader.problem(place, wrong, "");
        weights.truncate(MOST_STEPS);
    }
    weights
}

fn whole(share: Percent) -> Option<u8> {
    (1..=100u8).find(|weight| f64::from(*weight) == share.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_cluster_and_istio_take() {
        for (name, is_object, is_right_subset) in [
            ("api-gateway-vs", true, true),
            ("api.gateway", true, false),
            ("V2", false, true),
            ("v2", true, true),
            ("-v2", false, false),
            ("v2-", false, false),
            ("a..b", false, false),
            ("a/b", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_object_name(name), is_object, "{name}");
            assert_eq!(is_subset(name), is_right_subset, "{name}");
        }
    }

    #[test]
    fn only_whole_percents_are_weights() {
        assert_eq!(whole(Percent(10.0)), Some(10));
        assert_eq!(whole(Percent(100.0)), Some(100));
        for share in [0.0, 0.5, 10.5, 101.0] {
            assert_eq!(whole(Percent(share)), None, "{share}");
        }
    }
}
