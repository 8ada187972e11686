//! Plans of the scripted world, and runs of them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use openpolicy_mcp::{
    deploy::{
        Event, Plan,
        book::{self, Reading},
        plan::{ChangeAction, Kind, PlannedAction, PlannedHook, PlannedPhase, ServiceChange, Sums},
    },
    platform::{
        Percent, ServiceName,
        model::{Condition, Environment, OnDriverLoss, OnFailure},
    },
    store::{Journal, journal::Begun},
};

use super::world::desired;

pub fn journal() -> Arc<Journal> {
    Arc::new(Journal::in_memory().expect("a journal"))
}

/// Waits for something in the journal, by the clock of the test.
pub async fn until(journal: &Journal, run: i64, wanted: impl Fn(&Event) -> bool) {
    loop {
        let reading = read(journal, run);
        if reading.entries.iter().any(|entry| wanted(&entry.event)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn name(service: &str) -> ServiceName {
    ServiceName(service.to_owned())
}

/// A phase of these steps, whose gate wants all of them up.
pub fn phase(title: &str, steps: &[&[&str]]) -> PlannedPhase {
    let steps: Vec<Vec<ServiceName>> = steps
        .iter()
        .map(|step| step.iter().map(|service| name(service)).collect())
        .collect();
    let changes = steps.iter().flatten().map(|service| ServiceChange {
        service: service.clone(),
        action: ChangeAction::Create,
        image_before: None,
        image: None,
        drift: None,
        irreversible: None,
        not_restored: Vec::new(),
        problem: None,
    });
    PlannedPhase {
        name: title.to_owned(),
        changes: changes.collect(),
        steps,
        gate: vec![
            Condition::Healthy(None),
            Condition::MemoryBelow(Percent(80.0)),
        ],
        stable_for: Duration::from_secs(3),
        gate_timeout: Duration::from_secs(60),
        window: Duration::from_secs(300),
        before: Vec::new(),
        after: Vec::new(),
        traffic: None,
        on_failure: OnFailure::Rollback,
        on_driver_loss: OnDriverLoss::Wait,
        needs_approval: false,
        status_word: None,
        expected: None,
        sums: Sums::default(),
    }
}

pub fn hook(command: &str, has_check: bool) -> PlannedHook {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    PlannedHook {
        action: PlannedAction::Exec {
            service: name("db"),
            command: words(command),
        },
        check: has_check.then(|| words(&format!("check {command}"))),
        timeout: Duration::from_secs(10),
    }
}

/// Every service in this version.
pub fn plan(phases: Vec<PlannedPhase>, version: u64) -> Plan {
    let desired = phases
        .iter()
        .flat_map(|phase| phase.steps.iter().flatten())
        .map(|service| desired(&service.0, version))
        .collect();
    Plan {
        id: 0,
        kind: Kind::Deploy,
        platform: "world".into(),
        target: "world".into(),
        environment: Environment::Development,
        created_at: Timestamp::now(),
        expires_at: Timestamp::now() + Duration::from_secs(1_800),
        phases,
        is_loose: false,
        desired,
        deployed: Vec::new(),
        triggers: vec![Condition::MemoryAbove(Percent(85.0))],
        trigger_hold: Duration::from_secs(10),
        trigger_window: Duration::from_secs(300),
        backups: Vec::new(),
        restores: Vec::new(),
        shifts: Vec::new(),
        warnings: Vec::new(),
        preflight: Vec::new(),
        unwell: Vec::new(),
    }
}

/// Five phases of two to three services in one or two steps.
pub fn five_phases() -> Vec<PlannedPhase> {
    vec![
        phase("infrastructure", &[&["db"], &["cache", "queue"]]),
        phase("core", &[&["api", "worker"]]),
        phase("data", &[&["etl"], &["lake"]]),
        phase("business", &[&["bills", "votes"]]),
        phase("frontend", &[&["web"], &["proxy"]]),
    ]
}

/// Begins the run of a plan.
pub fn begin(journal: &Arc<Journal>, mut plan: Plan) -> i64 {
    let now = Timestamp::now().as_millisecond();
    let target = plan.target.clone();
    let id = journal
        .add_plan(&target, now + 1_000_000, now, |id| {
            plan.id = id;
            Ok((plan.digest(), serde_json::to_string(&plan)?))
        })
        .expect("a plan");
    let created = Event::Created {
        by: "a test".into(),
        reason: None,
        awaits_approval: false,
    };
    let body = serde_json::to_string(&created).expect("an event");
    match journal.begin(id, "world", now, &body, "running") {
        Ok(Begun::New(run)) => run,
        other => panic!("no run: {other:?}"),
    }
}

pub fn read(journal: &Journal, run: i64) -> Reading {
    book::read(journal, run).expect("a run that can be read")
}

pub fn status(journal: &Journal, run: i64) -> &'static str {
    read(journal, run).state.status.as_str()
}

pub fn ask(journal: &Journal, run: i64, verb: &str) {
    journal
        .ask(run, 0, verb, "a test", None)
        .expect("it is asked");
}
