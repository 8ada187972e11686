//! Faults, each with its place and the right form, all of them at once.

use super::Folder;

/// A file that is right but for what is added.
fn faults(text: &str) -> Vec<String> {
    Folder::with(text).faults()
}

#[test]
fn each_fault_is_told_with_its_place_and_the_right_form() {
    for (text, expected) in [
        (
            "platform: p\nservices: { db: { memroy: 1Gi } }\n",
            "2:19: `memroy` is no key of this place; did you mean `memory`?",
        ),
        (
            "platform: p\nservices: { db: { memory: 1Xi } }\n",
            "2:27: `1Xi` is not a size like 512Mi or a range like 256Mi-512Mi",
        ),
        (
            "platform: p\nservices: { db: { memory: 1Gi-512Mi } }\n",
            "2:27: the range `1Gi-512Mi` ends before it begins; write the smaller end first",
        ),
        (
            "platform: p\nservices: { db: { port: 70000 } }\n",
            "2:25: `70000` is not a port from 1 to 65535",
        ),
        (
            "platform: p\nservices:\n  db: {}\n  api: { needs: [dbb] }\n",
            "4:18: there is no service `dbb`; did you mean `db`?",
        ),
        (
            "platform: p\nservices:\n  a: { needs: [b] }\n  b: { needs: [c] }\n  c: { needs: [a] }\n",
            "3:15: these need each other in a circle: a -> b -> c -> a; take one of these dependencies \
             away: none of them could start first",
        ),
        (
            "platform: p\nservices: { a: { needs: [a] } }\n",
            "2:25: `a` needs itself; leave it away",
        ),
        (
            "platform: p\nservices: { db: { probe: { http: \"http://x/\", tcp: \"x:1\" } } }\n",
            "2:26: a probe has one kind, and http and tcp stand here; keep one of them",
        ),
        (
            "platform: p\nservices: { db: { probe: { tcp: \"x:1\", status: 200 } } }\n",
            "2:48: `status` belongs to probes of kind http; leave it away: this one is of kind tcp",
        ),
        (
            "platform: p\nservices: { db: { probe: { timeout: 3s } } }\n",
            "2:26: the probe does not say what it looks at; write one of http, page, tcp, postgres, redis, \
             amqp, search_engine, openmetadata, airflow, process",
        ),
        (
            "platform: p\nservices: { db: { probe: { postgres: \"postgresql://u:pw@h:1/d\" } } }\n",
            "2:38: a password stands in the file itself; put it into the environment (`${VAR}`), or use \
             `password` or `password_file`",
        ),
        (
            "platform: p\nservices: { db: { probe: { tcp: localhost } } }\n",
            "2:33: `localhost` is no `host:port`; write it like `localhost:5432`",
        ),
        (
            "platform: p\nservices: { db: { image: \"db:${TAG:?set it to a release}\" , port: \"${PORT}\"} }\n",
            "2:67: the variable PORT is not set; set it, or write `${PORT:-default}`",
        ),
        (
            "platform: p\nservices: { db: { image: \"${OPENMETADATA_TOKEN}\" } }\n",
            "2:26: `${OPENMETADATA_TOKEN}` is a credential of this server; name a variable of your own; \
             only `catalog.openmetadata` may use it",
        ),
        (
            "platform: p\nservices: { db: {} }\nphases: [{ name: one, steps: [[db]] }, { name: two, steps: [[db]] }]\n",
            "3:62: `db` is deployed in phase `one` already; a service stands in one step of one phase",
        ),
        (
            "platform: p\nservices: { db: {} }\nphases: [{ name: one, gate: { stable_for: 20m, timeout: 10m } }]\n",
            "3:43: the gate has to hold for longer than it may take; make `stable_for` shorter than `timeout`",
        ),
        (
            "platform: p\nservices: { db: {} }\nalerts: [{ name: A, when: { response_above: 2s, errors_above: 5% } }]\n",
            "3:27: a rule has one condition; write one of response_above, errors_above, window, memory_above, \
             cpu_above, ingestion_failures_above, older_than; another condition is another rule",
        ),
        (
            "platform: p\nservices: { db: {} }\nrollback_when: { memory_above: 140% }\n",
            "3:32: `140%` is not a percentage like 85%",
        ),
        (
            "platform: p\nenvironment: prod\nservices: { db: {} }\n",
            "2:14: `prod` is not known here; did you mean `production`?",
        ),
        (
            "platform: p\nservices: { db: {}, DB: {} }\n",
            "2:21: `DB` differs from the service in line 2 in its capitals alone; give one of them another name",
        ),
        (
            "platform: p\nservices: { a: { aliases: [x] }, b: { aliases: [x] } }\n",
            "2:48: `x` is a name of `b` and of `a`; keep it for one of them",
        ),
        (
            "platform: p\nservices: { \"a b\": {} }\n",
            "2:13: `a b` is no name of a service; use letters, digits, `-`, `_` and `.`, at most 63, and begin \
             with a letter or a digit",
        ),
        (
            "platform: p\nservices: { a: { needs: all } }\n",
            "2:25: `a` needs all services of the phases before, and is in no phase; put it into a phase, or name \
             what it needs",
        ),
        (
            "platform: p\nruntime: { compose: { files: [none.yaml] } }\nservices: { db: {} }\n",
            "2:31: `none.yaml`: the file cannot be read: No such file or directory (os error 2)",
        ),
        (
            "services: { db: {} }\n",
            "1:1: `platform` is missing; write `platform: its-name`",
        ),
        (
            "platform: p\n",
            "1:1: the platform has no services; write them under `services`, or name a Compose file under `runtime`",
        ),
        (
            "- a\n",
            "1:1: a list stands here; write a mapping of platform",
        ),
        (
            "",
            "1:1: the file is empty; write `platform: name` and `services`",
        ),
        (
            "platform: p\nservices: { db: {} }\n---\na: 1\n",
            "4:1: a second document begins here (`---`); a platform file is one document",
        ),
        ("platform: [\n", "this is no YAML"),
        (
            "platform: p\nplatform: q\nservices: { a: {} }\n",
            "2:1: `platform` stands here a second time (first in line 1); keep one of them",
        ),
    ] {
        let found = faults(text);
        assert!(
            found
                .iter()
                .any(|fault| fault == expected || fault.contains(expected)),
            "{text}\nexpected: {expected}\n   found: {}",
            found.join("\n          ")
        );
    }
}

#[test]
fn all_faults_of_a_file_come_at_once_in_its_order() {
    let found = faults(
        "platform: p\n\
         colour: blue\n\
         services:\n\
         \x20 db: { memory: much, port: x }\n\
         \x20 api: { needs: [nothing], probe: { http: \"ftp://x/\" } }\n\
         phases:\n\
         \x20 - { name: 1, steps: [[web]] }\n",
    );
    assert_eq!(
        found,
        [
            "2:1: `colour` is no key of this place; known here: platform, extends, title, version, environment, capacity, \
             runtime, catalog, prometheus, alertmanager, objectives, groups, services, phases, rollback_when, \
             alerts, minimal, backup, standards, metrics, env, toolsets, store, stated",
            "4:17: `much` is not a size like 512Mi or a range like 256Mi-512Mi",
            "4:29: `x` is not a port from 1 to 65535",
            "5:18: there is no service `nothing`; name one that stands under `services`",
            "5:43: `ftp://x/` is no address; write `http://host:port/…`",
            "7:13: `1` is a number, and phases are also named by their number; give it a word",
            "7:25: there is no service `web`; name one that stands under `services`",
        ]
    );
}

#[test]
fn a_variable_that_only_a_probe_needs_is_no_fault_of_the_file() {
    let loaded = Folder::with(
        "platform: p\nservices: { db: { probe: { postgres: \"${DATABASE_URL:?ask the team for it}\" } } }\n",
    )
    .load();
    let probe = loaded.platform.services[0].probe.as_ref().expect("a probe");
    assert_eq!(probe.kind.name(), "postgres");
    assert!(
        format!("{:?}", probe.kind)
            .contains("the variable DATABASE_URL is not set: `ask the team for it`"),
        "{:?}",
        probe.kind
    );
}

#[test]
fn no_fault_repeats_a_secret() {
    let found = Folder::with(
        "platform: p\n\
         store: \"${STORE}\"\n\
         services:\n\
         \x20 a: { probe: { postgres: \"${DB}\" } }\n\
         \x20 b: { probe: { http: \"http://me:secret-in-file@\" } }\n\
         prometheus: { url: \"http://h\", token: secret-in-file }\n",
    )
    .variable("STORE", "mysql://u:secret-of-env@h/d")
    .variable("DB", "secret-of-env")
    .faults()
    .join("\n");
    assert!(found.contains("2:8: `${STORE}` is no address"), "{found}");
    assert!(found.contains("4:27: `${DB}` is no address"), "{found}");
    assert!(!found.contains("secret-"), "{found}");
}

#[test]
fn files_that_are_no_platform_files_are_refused_before_they_cost_anything() {
    let bomb = (1..12).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, level| {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("{text}a{level}: &a{level} [{items}]\n")
        },
    );
    assert!(faults(&bomb)[0].contains("values, repeated ones included"));
    let found = faults(&format!("platform: {}\n", "x".repeat(3 << 20)));
    assert!(found[0].contains("more than 2048 kB"), "{found:?}");
}

#[test]
fn traffic_needs_a_cluster_two_subsets_and_weights_that_grow() {
    let with = |runtime: &str, traffic: &str| {
        faults(&format!(
            "platform: p\nruntime: {{ {runtime}: {{}} }}\nphases:\n  - name: one\n    traffic: {{ {traffic} }}\n"
        ))
    };
    let right = "virtual_service: api-vs, from: v1, to: v2, weights: [10, 50%, 100]";
    let whole =
        "write whole percents from 1 to 100 that grow, as `[10, 50, 100]`; `[100]` is blue-green";
    let example = "write `{ virtual_service: …, from: v1, to: v2, weights: [10, 50, 100] }`";
    for runtime in ["process", "compose"] {
        let found = with(runtime, right);
        let expected = "5:14: only the runtime `kubernetes` has traffic to shift; remove `traffic`, \
                        or deploy to a cluster that has Istio";
        assert!(found.contains(&expected.to_owned()), "{found:?}");
    }
    for (change, expected) in [
        (("to: v2", "two: v2"), "5:51: `two` is no key of this place; did you mean `to`?".to_owned()),
        (("from: v1, ", ""), format!("5:14: `from` is missing; {example}")),
        (("v2", "v1"), "5:55: `from` and `to` are both `v1`; name the subset that gets the requests".into()),
        (("v2", "v_2"), "5:55: `v_2` cannot be such a name; use letters, digits and `-`, at most 63, as in `v2`".into()),
        (("api-vs", "API/vs"), "5:33: `API/vs` cannot be such a name; use small letters, digits, `-` and `.`, as in `api-gateway-vs`".into()),
        (("[10, 50%, 100]", "[]"), format!("5:68: `weights` are missing; {whole}")),
        (("10, ", "0, "), format!("5:69: 0% is no weight; {whole}")),
        (("10, ", "33.3, "), format!("5:69: 33.3% is no weight; {whole}")),
        (("50%", "10"), format!("5:73: 10 % comes after 10 %; {whole}")),
        (("100]", "101]"), "5:78: `101` is not a percentage like 85%".into()),
        (("100]", "100], promote: persn"), "5:93: `persn` is not known here; did you mean `person`?".into()),
    ] {
        let found = with("kubernetes", &right.replacen(change.0, change.1, 1));
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    let folder = Folder::with(&format!(
        "platform: p\nruntime: {{ kubernetes: {{}} }}\nservices: {{ a: {{}} }}\nphases:\n  - {{ name: one, traffic: {{ {right} }} }}\n"
    ));
    let traffic = folder.load().platform.phases[0].traffic.clone();
    assert_eq!(traffic.expect("traffic").weights, [10, 50, 100]);
}
