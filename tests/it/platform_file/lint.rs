//! What a file contradicts, as a sentence that a person understands.

use openpolicy_mcp::platform;

use super::Folder;

fn findings(text: &str) -> Vec<String> {
    platform::lint(&Folder::with(text).load())
        .into_iter()
        .map(|finding| {
            let place = finding.place;
            format!(
                "{}:{} {} {}",
                place.line, place.column, finding.code, finding.message
            )
        })
        .collect()
}

#[test]
fn each_contradiction_is_a_finding_at_its_place() {
    let probe = "probe: { process: true }";
    for (text, expected) in [
        (
            format!("services: {{ a: {{ port: 80, {probe} }}, b: {{ port: 80, {probe} }} }}\n"),
            "2:67 port-used-twice port 80 is used by `a` and `b`: on one host only one of them can have it",
        ),
        (
            "services: { a: {} }\n".to_owned(),
            "2:13 no-probe `a` has no probe: whether it is healthy is not known",
        ),
        (
            format!("services: {{ a: {{ needs: [b], {probe} }}, b: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{}} }}, {{ name: two, steps: [[b]], gate: {{}} }}]\n"),
            "2:25 dependency-in-later-phase `a` of phase `one` needs `b`, which comes in phase `two`: its gate waits for something that is not there",
        ),
        (
            format!("services: {{ a: {{ {probe} }}, b: {{ needs: [c], {probe} }}, c: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{}} }}, {{ name: two, steps: [[b, c]], gate: {{}} }}]\n"),
            "2:58 dependency-in-same-step `b` needs `c` and starts together with it: it may fail until that is up",
        ),
        (
            format!("services: {{ a: {{ {probe} }}, b: {{ needs: all, {probe} }}, c: {{ needs: [b], {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{}} }}, {{ name: two, steps: [[b], [c]], gate: {{}} }}]\n"),
            "2:58 cycle-through-all `b` needs all services, and `c` need it: a circle; 'all' is taken as the services of earlier phases",
        ),
        (
            format!("services: {{ a: {{ memory: 2Gi, {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{}}, budget: {{ memory: 1GB }} }}]\n"),
            "3:55 budget-exceeded the limits through phase `one` add up to 2Gi memory, more than its budget of 1Gi",
        ),
        (
            format!("capacity: {{ memory: 1Gi }}\nservices: {{ a: {{ memory: 2Gi, {probe} }} }}\n"),
            "2:11 capacity-exceeded all limits add up to 2Gi memory, more than the capacity of 1Gi",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{ healthy: 3 }} }}]\n"),
            "3:43 gate-cannot-pass the gate of phase `one` cannot pass: it wants 3 healthy services, and there are 1 by then",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{ catalog: {{ fresher_than: 1h }} }} }}]\n"),
            "3:43 gate-cannot-pass the gate of phase `one` cannot pass: it looks at the catalog, and no service of the phase has datasets",
        ),
        (
            format!("capacity: {{ memory: 8Gi }}\nservices: {{ a: {{ memory: 1Gi, {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{ memory_below: 40% }} }}]\n"),
            "4:43 gate-cannot-fail `memory` below 40% in the gate of phase `one` cannot fail: the limits add up to 12.5%",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{ memory_below: 90% }} }}]\nrollback_when: {{ memory_above: 85% }}\n"),
            "3:43 trigger-below-gate the gate of phase `one` lets memory up to 90% pass, and above 85% the run is rolled back",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nrollback_when: {{ errors_above: 100% }}\n"),
            "3:32 trigger-cannot-fire the trigger on errors above 100% cannot fire: all of it is 100%",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nphases: [{{ name: one, steps: [[a]], gate: {{}} }}]\nrollback_when: {{ unhealthy_above: 20% }}\n"),
            "4:35 trigger-of-one-service one unhealthy service alone is above 20% and rolls back in phase `one` (1 of 1 is 100%)",
        ),
        (
            format!("services: {{ a: {{ {probe} }} }}\nalerts: [{{ name: Full, when: {{ memory_above: 80% }} }}]\n"),
            "3:10 alert-cannot-fire the alert `Full` cannot fire: no service that it watches has a limit of memory",
        ),
        (
            "services: { om: { probe: { openmetadata: \"http://om:8585\" }, documented_path: /health } }\n".to_owned(),
            "2:79 documented-path-answers-anything `om` answers /health with its web page (HTML, status 200) whatever its health; the probe asks /api/v1/system/status",
        ),
        (
            format!("minimal: [a]\nservices: {{ a: {{ needs: [b], {probe} }}, b: {{ {probe} }} }}\n"),
            "2:10 minimal-incomplete `a` of the minimal set needs `b`, which is not in it",
        ),
        (
            format!("services: {{ a: {{ needs: [b], {probe} }}, b: {{ essential: false, {probe} }} }}\n"),
            "2:25 essential-needs-inessential `a` is essential and needs `b`, which an emergency stops first",
        ),
        (
            format!("standards: {{ ports: 9000-9099, requires: [limits] }}\nservices: {{ a: {{ port: 80, {probe} }} }}\n"),
            "3:13 standard-missed `a` misses the standards: port 80 is not one of 9000-9099; it has no limit of memory or CPU",
        ),
        (
            format!("stated: [{{ services: 25, text: \"all 25 services\" }}]\nservices: {{ a: {{ {probe} }} }}\n"),
            "2:22 stated-services-differ the document states 25 services (\"all 25 services\"); the platform lists 1",
        ),
        (
            format!("stated: [{{ memory: 1.15Gi }}]\nservices: {{ a: {{ memory: 1152Mi, {probe} }} }}\n"),
            "2:20 stated-total-differs the document states 1.15Gi memory; the limits of the platform add up to 1.125Gi",
        ),
        (
            format!("capacity: {{ memory: 8Gi }}\nstated: [{{ memory_share: 45% }}]\nservices: {{ a: {{ memory: 5888Mi, {probe} }} }}\n"),
            "3:26 stated-share-differs the document states 45% of memory in use; the limits of the platform make it 71.9%",
        ),
        (
            format!("stated: [{{ chain: [a, b] }}]\nservices: {{ a: {{ {probe} }}, b: {{ {probe} }} }}\n"),
            "2:19 stated-chain-differs by the document's chain `b` needs `a`; the services themselves do not say so",
        ),
        (
            "services: { a: { probe: { redis: \"redis://h\", password: \"${P:-open}\" } } }\n".to_owned(),
            "2:57 password-in-default the default of a variable holds a password of `a`: for development only",
        ),
    ] {
        let text = format!("platform: p\n{text}");
        let found = findings(&text);
        assert!(
            found.iter().any(|finding| finding == expected),
            "{text}\nexpected: {expected}\n   found: {}",
            found.join("\n          ")
        );
    }
}

#[test]
fn a_file_without_contradictions_has_no_findings() {
    let found = findings(
        "platform: p\n\
         capacity: { memory: 4Gi, cpu: 4 }\n\
         stated: [{ services: 2 }, { memory: 3Gi }, { memory_share: 75% }, { chain: [db, api] }]\n\
         services:\n\
         \x20 db: { memory: 2Gi, cpu: 1, port: 5432, probe: { tcp: \"localhost:5432\" } }\n\
         \x20 api: { memory: 1Gi, cpu: 1, port: 80, needs: [db], probe: { http: \"http://localhost/\" } }\n\
         phases:\n\
         \x20 - { name: one, steps: [[db], [api]], gate: { healthy: all }, budget: { memory: 3Gi, cpu: 50% } }\n\
         rollback_when: { memory_above: 70%, unhealthy_above: 60% }\n",
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn traffic_that_is_not_what_it_is_called_is_told() {
    let with = |title: &str, weights: &str| {
        let found = findings(&format!(
            "platform: p\nruntime: {{ kubernetes: {{}} }}\nservices: {{ a: {{ probe: {{ process: true }} }} }}\n\
             phases:\n  - name: one\n    title: {title}\n    steps: [[a]]\n    gate: {{}}\n    \
             traffic: {{ virtual_service: a, from: v1, to: v2, weights: {weights} }}\n"
        ));
        let of_traffic = found.into_iter().filter(|one| one.contains("canary"));
        of_traffic.collect::<Vec<_>>()
    };
    assert_eq!(with("Blue-Green deployment", "[100]"), Vec::<String>::new());
    assert_eq!(with("Canary", "[10, 100]"), Vec::<String>::new());
    assert_eq!(
        with("Blue-Green deployment", "[10, 90]"),
        [
            "9:14 canary-called-blue-green phase `one` is called blue-green, and its traffic goes over \
             by 10 %, 90 %: that is a canary",
            "9:14 canary-never-whole the traffic of phase `one` ends at 90 %: v2 never gets all of a",
        ]
    );
}
