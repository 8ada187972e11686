//! The planned platform against the tables of its document.

use std::time::Duration;

use openpolicy_mcp::platform::{
    Bytes, MilliCpu, Percent, Platform,
    model::{Condition, Environment, Phase},
};

use super::{
    document::{Document, Section, between, number},
    names, needs, platform, service,
};

/// A phase of the document: its own section with those of its batches.
fn sections(document: &Document) -> Vec<(usize, Vec<&Section>)> {
    let mut phases: Vec<(usize, Vec<&Section>)> = Vec::new();
    for section in document.sections() {
        if section.heading.starts_with("Phase ") && section.heading.contains("Priority") {
            phases.push((number(&section.heading) as usize, vec![section]));
        } else if section.heading.starts_with("Batch ")
            && let Some((_, sections)) = phases.last_mut()
        {
            sections.push(section);
        }
    }
    phases
}

fn value(sections: &[&Section], label: &str) -> String {
    sections
        .iter()
        .find_map(|section| section.value(label))
        .expect(label)
}

fn minutes(number: f64) -> Duration {
    Duration::from_secs_f64(number * 60.0)
}

/// `15-20 minutes`
fn range(text: &str) -> (Duration, Duration) {
    let (from, to) = text.split_once('-').expect(text);
    (minutes(number(from)), minutes(number(to)))
}

fn memory_below(phase: &Phase) -> Option<f64> {
    phase.gate.iter().find_map(|condition| match condition {
        Condition::MemoryBelow(share) => Some(share.0),
        _ => None,
    })
}

#[test]
fn every_service_has_the_memory_cpu_port_and_dependencies_of_its_table() {
    for file in ["planned/platform.yaml", "planned/cluster.yaml"] {
        is_that_of_the_tables(&platform(file));
    }
}

fn is_that_of_the_tables(platform: &Platform) {
    let document = Document::of("planned");
    let mut rows = 0;
    let mut before: Vec<String> = Vec::new();
    for (_, sections) in sections(&document) {
        let mut own = Vec::new();
        for row in sections.iter().flat_map(|section| section.rows()) {
            let [name, memory, cpu, port, dependencies, ..] = row.as_slice() else {
                panic!("{row:?}");
            };
            let service = service(platform, name);
            assert_eq!(service.memory, Bytes::parse(memory).ok(), "{name}");
            assert_eq!(service.cpu, MilliCpu::parse(cpu).ok(), "{name}");
            assert_eq!(service.ports, [number(port) as u16], "{name}");
            let expected: Vec<&str> = match dependencies.as_str() {
                "None" => Vec::new(),
                "All services" => before.iter().map(String::as_str).collect(),
                some => some.split(", ").collect(),
            };
            assert_eq!(needs(service), expected, "{name}");
            own.push(name.clone());
            rows += 1;
        }
        before.append(&mut own);
    }
    assert_eq!(rows, 26);
    assert_eq!(platform.services.len(), rows);
}

#[test]
fn phases_have_the_batches_order_times_and_gates_of_the_document() {
    let document = Document::of("planned");
    let platform = platform("planned/platform.yaml");
    let sections = sections(&document);
    assert_eq!(platform.phases.len(), sections.len());
    for (number_of_phase, sections) in sections {
        let phase = &platform.phases[number_of_phase - 1];
        let heading = &sections[0].heading;
        assert_eq!(
            phase.title.as_deref(),
            between(heading, ": ", " (Priority"),
            "{heading}"
        );
        assert_eq!(
            phase.priority.map(f64::from),
            between(heading, "Priority ", ")").map(number)
        );
        let tables: Vec<Vec<String>> = sections
            .iter()
            .map(|section| {
                section
                    .rows()
                    .into_iter()
                    .map(|row| row[0].clone())
                    .collect()
            })
            .filter(|names: &Vec<String>| !names.is_empty())
            .collect();
        let order = value(&sections, "Deployment Order");
        let steps: Vec<Vec<String>> = if order.starts_with("Sequential") {
            tables.concat().into_iter().map(|name| vec![name]).collect()
        } else {
            assert!(order.starts_with("Parallel"), "{order}");
            if let Some(batches) = between(&order, "(", " batches") {
                assert_eq!(tables.len() as f64, number(batches), "{heading}");
            }
            tables
        };
        assert_eq!(
            phase
                .steps
                .iter()
                .map(|step| names(step))
                .collect::<Vec<_>>(),
            steps,
            "{heading}"
        );
        assert_eq!(
            steps.concat().len() as f64,
            number(&value(&sections, "Services")),
            "{heading}"
        );
        assert_eq!(
            phase.expected,
            Some(range(&value(&sections, "Expected Duration"))),
            "{heading}"
        );
        assert!(phase.gate.contains(&Condition::Healthy(None)), "{heading}");
        // The gate stands in the execution plan, among the criteria and, but for phase 4, in the
        // expected outcomes.
        let execution = document.section(&format!("Phase {number_of_phase} Execution"));
        let validation = execution.value("Validation").expect(heading);
        let below = between(&validation, "usage <", "%").map(number);
        assert_eq!(memory_below(phase), below, "{heading}");
        let criterion = document
            .section("Success Criteria")
            .value(&format!("Phase {number_of_phase}"))
            .expect(heading);
        assert_eq!(
            between(&criterion, "<", "%").map(number),
            below,
            "{heading}"
        );
    }
}

#[test]
fn the_execution_plan_starts_in_the_order_of_the_steps() {
    let document = Document::of("planned");
    let platform = platform("planned/platform.yaml");
    let first: Vec<String> = document
        .section("Phase 1 Execution")
        .lines()
        .filter_map(|line| between(&line, "Deploy ", " (").map(str::to_owned))
        .collect();
    assert_eq!(
        first,
        platform.phases[0]
            .steps
            .iter()
            .flat_map(|step| names(step))
            .collect::<Vec<_>>()
    );
    for number in 2..=5 {
        let section = document.section(&format!("Phase {number} Execution"));
        let batches: Vec<Vec<String>> = section
            .lines()
            .filter(|line| line.contains(". Deploy "))
            .filter_map(|line| {
                let short = between(&line, "(", ")")?;
                Some(short.split(", ").map(str::to_owned).collect())
            })
            .collect();
        let steps = &platform.phases[number - 1].steps;
        assert_eq!(batches.len(), steps.len(), "phase {number}");
        for (batch, step) in batches.iter().zip(steps) {
            assert_eq!(batch.len(), step.len(), "phase {number}");
            // Short names: `database`, `notifications`.
            for (short, name) in batch.iter().zip(names(step)) {
                let short = short.trim_end_matches('s');
                assert!(name.starts_with(short), "{short} is not {name}");
            }
        }
    }
}

#[test]
fn capacity_triggers_priorities_and_outcomes_are_those_of_the_document() {
    let document = Document::of("planned");
    let platform = platform("planned/platform.yaml");
    assert_eq!(platform.environment, Environment::Development);
    let plan = document.section("Total Resource Requirements");
    let capacity = plan.value("Cluster Capacity").expect("a capacity");
    assert_eq!(
        platform.capacity.memory,
        Bytes::parse(capacity.split(' ').next().unwrap_or_default()).ok()
    );
    assert_eq!(
        platform.capacity.cpu,
        between(&capacity, ", ", " CPU").and_then(|cpu| MilliCpu::parse(cpu).ok())
    );
    for (phase, row) in platform.phases.iter().zip(plan.rows()) {
        let services: usize = phase.steps.iter().map(Vec::len).sum();
        assert_eq!(services as f64, number(&row[1]), "{}", phase.name);
        assert_eq!(phase.priority_word.as_deref(), Some(row[4].as_str()));
    }
    let triggers = document.section("Rollback Triggers");
    let above = |label: &str| number(&triggers.value(label).expect(label));
    let expected = [
        Condition::MemoryAbove(Percent(above("Resource Usage"))),
        Condition::UnhealthyAbove(Percent(above("Service Failures"))),
        Condition::MeanResponseAbove(Duration::from_millis(above("Performance Issues") as u64)),
        Condition::ErrorsAbove(Percent(above("Error Rate"))),
    ];
    assert_eq!(platform.rollback_when.len(), expected.len());
    for condition in expected {
        assert!(platform.rollback_when.contains(&condition), "{condition:?}");
    }
    let mut words = vec![None; 5];
    for section in document
        .sections()
        .iter()
        .filter(|s| s.heading.contains("(After Phase"))
    {
        let phase = number(&section.heading) as usize;
        let status = section.value("Platform Status").expect("a status");
        words[phase - 1] = Some(status.clone());
        let given = platform.phases[phase - 1]
            .status_word
            .clone()
            .expect("a word");
        assert!(status.starts_with(&given), "{status} is not {given}");
        let running = section.value("Services Running").expect("a count");
        let so_far: usize = platform.phases[..phase]
            .iter()
            .flat_map(|phase| &phase.steps)
            .map(Vec::len)
            .sum();
        assert_eq!(so_far as f64, number(&running), "{running}");
        let share = between(&running, "(", "%").map(number).expect("a share");
        assert_eq!((so_far as f64 / 26.0 * 100.0).round(), share, "{running}");
        let memory = section.value("Resource Usage").expect("a share");
        assert_eq!(
            memory_below(&platform.phases[phase - 1]),
            Some(number(&memory))
        );
    }
    // None is given for phase 4.
    assert_eq!(words.iter().filter(|word| word.is_none()).count(), 1);
    assert!(platform.phases[3].status_word.is_none());
}

/// By arithmetic of its own: which totals of the document are not the sums of its tables. The
/// linter has to find the same.
#[test]
fn only_the_memory_of_phase_2_does_not_add_up() {
    let document = Document::of("planned");
    let platform = platform("planned/platform.yaml");
    let mut wrong = Vec::new();
    for (phase, sections) in sections(&document) {
        let label = format!("Total Phase {phase} Resources");
        let total = value(&sections, &label);
        let (memory, cpu) = total.split_once(", ").expect("two totals");
        let services = || {
            platform.phases[phase - 1]
                .steps
                .iter()
                .flatten()
                .map(|name| service(&platform, &name.0))
        };
        let bytes: u64 = services().filter_map(|s| s.memory).map(|m| m.0).sum();
        let cores: u64 = services().filter_map(|s| s.cpu).map(|c| c.0).sum();
        let amount = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        if Bytes::parse(&amount(memory)).map(|m| m.0) != Ok(bytes) {
            wrong.push(format!(
                "phase {phase}: {} is {}",
                amount(memory),
                Bytes(bytes)
            ));
        }
        if MilliCpu::parse(&amount(cpu)).map(|c| c.0) != Ok(cores) {
            wrong.push(format!("phase {phase}: {} is {cores}m", amount(cpu)));
        }
    }
    assert_eq!(wrong, ["phase 2: 1.15Gi is 1.1Gi"]);
}
