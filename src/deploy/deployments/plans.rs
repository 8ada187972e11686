//! Plans: made, kept, looked up again, and held against what has changed since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;

use super::{DeployError, Deployments};
use crate::{
    deploy::{
        book::{self, Reading},
        checks::Facts,
        event::Event,
        metered,
        plan::{Kind, Plan, PlannedPhase, Restore, ShiftBack},
        planning::{self, Chosen, Loose, Material},
        rollback,
    },
    health::Verdict,
    observe::machine::Machine,
    platform::{Phase, ServiceName, model::Capacity},
    runtime::Divided,
    store::{Journal, JournalError},
};

impl Deployments {
    /// Plans phases and keeps the plan.
    pub async fn plan_phases(
        &self,
        phases: &[&Phase],
        deadline: Instant,
    ) -> Result<Arc<Plan>, DeployError> {
        self.plan(&Chosen::Phases(phases.to_vec()), deadline).await
    }

    /// Plans some services as one step after the other.
    pub async fn plan_services(
        &self,
        name: &str,
        services: Vec<ServiceName>,
        deadline: Instant,
    ) -> Result<Arc<Plan>, DeployError> {
        let loose = Loose {
            name: name.to_owned(),
            services,
        };
        self.plan(&Chosen::Services(loose), deadline).await
    }

    async fn plan(&self, chosen: &Chosen<'_>, deadline: Instant) -> Result<Arc<Plan>, DeployError> {
        let plan = self.made(chosen, Timestamp::now(), deadline).await?;
        self.keep(plan).await
    }

    async fn keep(&self, mut plan: Plan) -> Result<Arc<Plan>, DeployError> {
        self.with_journal(move |journal| {
            let (now, expires) = (
                plan.created_at.as_millisecond(),
                plan.expires_at.as_millisecond(),
            );
            journal.add_plan(&plan.target.clone(), expires, now, |id| {
                plan.id = id;
                Ok((plan.digest(), serde_json::to_string(&plan)?))
            })?;
            Ok(Arc::new(plan))
        })
        .await
    }

    pub(super) async fn made(
        &self,
        chosen: &Chosen<'_>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Plan, DeployError> {
        let runtime = self.runtime()?;
        let platform = self.watch.platform();
        let names: Vec<ServiceName> = match chosen {
            Chosen::Phases(phases) => phases
                .iter()
                .flat_map(|phase| phase.steps.iter().flatten().cloned())
                .collect(),
            Chosen::Services(loose) => loose.services.clone(),
        };
        let all: Vec<ServiceName> = platform
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        let target = runtime.target().await?;
        let routes = self.routes(chosen).await?;
        let desired = runtime.resolve(&names).await?;
        let observed = runtime
            .observe(&all)
            .await
            .map_err(|problem| problem.to_string());
        let left = {
            let target = target.clone();
            self.with_journal(move |journal| Ok(journal.left(&target)?))
                .await?
        };
        let machine = Machine::of(platform, Some(runtime)).await;
        let (unwell, told, facts) = tokio::join!(
            self.unwell(deadline),
            runtime.readiness(&desired),
            self.facts(&machine)
        );
        let facts = Facts {
            runtime: Some(told.map_err(|problem| problem.to_string())),
            ..facts
        };
        Ok(planning::plan(
            chosen,
            Material {
                platform,
                capacity: Capacity {
                    memory: machine.memory,
                    cpu: machine.cpu,
                    ..platform.capacity
                },
                target,
                now,
                desired,
                observed,
                routes,
                left,
                unwell,
                facts,
            },
        ))
    }

    /// The routes of the phases that shift traffic, by the name of the phase. Where one cannot be
    /// shifted there is no plan: nothing of its phase would be worth beginning.
    async fn routes(&self, chosen: &Chosen<'_>) -> Result<BTreeMap<String, Divided>, DeployError> {
        let mut routes = BTreeMap::new();
        let Chosen::Phases(phases) = chosen else {
            return Ok(routes);
        };
        for phase in phases {
            let Some(traffic) = &phase.traffic else {
                continue;
            };
            let route = self.runtime()?.traffic(traffic, true).await;
            let route = route.map_err(|problem| DeployError::NoTraffic {
                phase: phase.name.clone(),
                problem,
            })?;
            routes.insert(phase.name.clone(), route);
        }
        Ok(routes)
    }

    /// Services that are not well now, as far as that can be seen in time.
    async fn unwell(&self, deadline: Instant) -> Vec<ServiceName> {
        let services: Vec<_> = self.watch.platform().services.iter().collect();
        let Ok(checked) = self.watch.check(&services, false, deadline).await else {
            return Vec::new();
        };
        checked
            .health
            .services
            .iter()
            .filter(|service| !matches!(service.verdict, Verdict::Up | Verdict::Degraded))
            .map(|service| ServiceName(service.name.clone()))
            .collect()
    }

    /// What is known beside services, for the checklists.
    pub async fn facts(&self, machine: &Machine) -> Facts {
        let platform = self.watch.platform();
        Facts {
            monitoring: Some(match self.watch.not_kept() {
                None => Ok(()),
                Some(reason) => Err(reason.to_owned()),
            }),
            findings: self.watch.findings().len(),
            available: machine.available,
            machine: machine.provenance(),
            prometheus: metered::answers(platform).await,
            has_alertmanager: platform.alertmanager.is_some(),
            runtime: None,
        }
    }

    /// A kept plan.
    pub async fn kept(&self, digest: &str) -> Result<Kept, DeployError> {
        let id = Plan::id_in(digest).ok_or_else(|| DeployError::NotADigest(digest.to_owned()))?;
        let row = self
            .with_journal(move |journal| journal.plan(id)?.ok_or(DeployError::NoPlan(id)))
            .await?;
        let plan: Plan = serde_json::from_str(&row.body).map_err(JournalError::from)?;
        if row.digest != digest.trim() {
            return Err(DeployError::Stale(format!(
                "plan {id} has another digest ({})",
                row.digest
            )));
        }
        Ok(Kept { plan, run: row.run })
    }

    /// Whether everything is still as it was when the plan was made.
    pub(super) async fn is_fresh(
        &self,
        plan: &Plan,
        digest: &str,
        deadline: Instant,
    ) -> Result<(), DeployError> {
        let stale = |why: String| Err(DeployError::Stale(why));
        if plan.is_expired(Timestamp::now()) {
            return stale(format!("it expired at {}", plan.expires_at));
        }
        if plan.kind == Kind::RollBack {
            let newest = self.runs(&plan.target, None, 1).await?.0;
            let made_before = newest
                .first()
                .is_some_and(|run| run.created > plan.created_at.as_millisecond());
            return match made_before {
                true => stale("another run began since".into()),
                false => Ok(()),
            };
        }
        let platform = self.watch.platform();
        let chosen = match (plan.is_loose, plan.phases.first()) {
            (true, Some(loose)) => Chosen::Services(Loose {
                name: loose.name.clone(),
                services: loose.services().cloned().collect(),
            }),
            _ => {
                let known = |planned: &PlannedPhase| platform.phase(&planned.name);
                let phases: Option<Vec<&Phase>> = plan.phases.iter().map(known).collect();
                match phases {
                    Some(phases) => Chosen::Phases(phases),
                    None => {
                        return stale(
                            "the platform file has not all of its phases any more".into(),
                        );
                    }
                }
            }
        };
        let mut again = self.made(&chosen, plan.created_at, deadline).await?;
        again.id = plan.id;
        if again.digest() == digest.trim() {
            return Ok(());
        }
        stale(difference(plan, &again))
    }

    /// Plans to take back a run (with those after it), or everything since another one.
    pub async fn plan_rollback(
        &self,
        run: Option<i64>,
        to: Option<i64>,
        phases: Option<&[&Phase]>,
        deadline: Instant,
    ) -> Result<Arc<Plan>, DeployError> {
        let target = self.target().await?;
        let oldest = match (run, to) {
            (Some(run), _) => run,
            (None, Some(to)) => to + 1,
            (None, None) => {
                self.newest(&target)
                    .await?
                    .ok_or_else(|| DeployError::NothingToDo {
                        run: 0,
                        reason: "nothing was deployed here yet".into(),
                    })?
            }
        };
        let named = run.or(to).unwrap_or(oldest);
        let known = self.run(named).await?;
        if known.target != target {
            return Err(DeployError::NothingToDo {
                run: named,
                reason: format!("it was on {}, this is {target}", known.target),
            });
        }
        let runs = {
            let target = target.clone();
            self.with_journal(move |journal| ways_back(journal, &target, oldest))
                .await?
        };
        let count = runs.len();
        let (restores, shifts): (Vec<_>, Vec<_>) = runs
            .into_iter()
            .map(|way| ((way.run, way.restores), (way.run, way.shifts)))
            .unzip();
        let mut restores = rollback::chain(&restores);
        let mut shifts = rollback::chain_of_shifts(&shifts);
        if let Some(phases) = phases {
            let services: BTreeSet<ServiceName> = phases
                .iter()
                .flat_map(|phase| phase.steps.iter().flatten().cloned())
                .collect();
            restores = rollback::only(restores, &services);
            shifts.retain(|shift| phases.iter().any(|phase| phase.name == shift.phase));
        }
        if restores.is_empty() && shifts.is_empty() {
            return Err(DeployError::NothingToDo {
                run: named,
                reason: "it left nothing to take back".into(),
            });
        }
        let unwell = self.unwell(deadline).await;
        let platform = self.watch.platform();
        let mut plan = planning::plan_of_rollback(
            platform,
            target,
            (restores, shifts),
            unwell,
            Timestamp::now(),
        );
        if run.is_some() && count > 1 {
            plan.warnings
                .push(format!("{} newer runs are taken back with it", count - 1));
        }
        self.keep(plan).await
    }
}

/// A plan, and the run that used it.
pub struct Kept {
    pub plan: Plan,
    pub run: Option<i64>,
}

/// What leads back to before one run.
struct WayBack {
    run: i64,
    restores: Vec<Restore>,
    shifts: Vec<ShiftBack>,
}

/// What leads back to before each run of a target from one on, newest first.
fn ways_back(journal: &Journal, target: &str, oldest: i64) -> Result<Vec<WayBack>, DeployError> {
    let (rows, _) = journal.runs(target, None, usize::MAX)?;
    let mut runs = Vec::new();
    for row in rows.iter().filter(|row| row.id >= oldest) {
        let reading = book::read(journal, row.id)?;
        runs.push(WayBack {
            run: row.id,
            restores: taken_back(row.id, &reading),
            shifts: shifted_back(row.id, &reading),
        });
    }
    Ok(runs)
}

/// What leads back to before a run: what it touched, unless it took that back itself.
fn taken_back(run: i64, reading: &Reading) -> Vec<Restore> {
    match reading.plan.kind {
        Kind::Deploy => reading
            .state
            .to_restore(&reading.plan, run)
            .into_iter()
            .filter(|restore| !matches!(reading.state.restored.get(&restore.service), Some(None)))
            .collect(),
        // What a rollback found is what leads back to before it.
        Kind::RollBack => reading
            .entries
            .iter()
            .rev()
            .filter_map(|entry| match &entry.event {
                Event::RestoreBegun {
                    service,
                    now: Some(now),
                } => Some(Restore {
                    service: service.clone(),
                    before: now.clone(),
                    run,
                }),
                _ => None,
            })
            .collect(),
    }
}

/// How traffic goes back to before a run: what it shifted, unless it took that back itself.
fn shifted_back(run: i64, reading: &Reading) -> Vec<ShiftBack> {
    let (plan, state) = (&reading.plan, &reading.state);
    let shifts = state.to_unshift(plan, run);
    match plan.kind {
        Kind::Deploy => {
            let all = shifts.into_iter().enumerate();
            all.filter(|(at, _)| !matches!(state.unshifted.get(at), Some(None)))
                .map(|(_, shift)| shift)
                .collect()
        }
        // What a rollback found is how it was before it.
        Kind::RollBack => {
            let found = reading.entries.iter().rev().filter_map(|entry| {
                let Event::UnshiftBegun {
                    index,
                    now: Some(now),
                } = &entry.event
                else {
                    return None;
                };
                let shift = shifts.get(*index)?;
                Some(ShiftBack {
                    ours: vec![shift.before],
                    before: *now,
                    run,
                    ..shift.clone()
                })
            });
            found.collect()
        }
    }
}

/// What is not as it was, in words.
fn difference(plan: &Plan, again: &Plan) -> String {
    if plan.target != again.target {
        return format!("it is for {}, this is {}", plan.target, again.target);
    }
    let mut changed: Vec<String> = Vec::new();
    for desired in &plan.desired {
        match again.desired(&desired.service) {
            None => changed.push(format!("{} is gone", desired.service)),
            Some(now) if now.digest != desired.digest => {
                changed.push(format!("{} has another configuration", desired.service));
            }
            Some(now) if now.image_id != desired.image_id => {
                changed.push(format!("{} has another image", desired.service));
            }
            Some(_) => {}
        }
    }
    for phase in &plan.phases {
        let is_same = |other: &&PlannedPhase| other.name == phase.name;
        let other = again.phases.iter().find(is_same);
        if let (Some(then), Some(now)) =
            (&phase.traffic, other.and_then(|one| one.traffic.as_ref()))
            && then.was != now.was
        {
            changed.push(format!(
                "{} divided requests {} and now does {}",
                then.traffic.virtual_service, then.was, now.was
            ));
        }
        for change in &phase.changes {
            let now = again.change(&change.service).map(|one| one.action);
            if let Some(now) = now
                && now != change.action
            {
                changed.push(format!(
                    "{} was to {}, now it would {}",
                    change.service,
                    change.action.as_str(),
                    now.as_str()
                ));
            }
        }
    }
    match changed.is_empty() {
        true => "the phases, gates or triggers of the platform file changed".into(),
        false => changed.join("; "),
    }
}
