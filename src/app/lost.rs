//! Takes back runs whose driver was lost, where their platform file says so.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    deploy::{DeployError, Deployments, requests::Verb},
    health::Watch,
    platform::model::OnDriverLoss,
};

/// Between two looks: a driver that is lost has left things as they are, so nothing is urgent.
const EVERY: Duration = Duration::from_secs(15);

/// Looks until `until`. Of several servers each looks; the journal takes one word.
pub(super) async fn run(watch: Arc<Watch>, until: CancellationToken) {
    let mut told = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = until.cancelled() => return,
        }
        if let Err(error) = look(&watch).await {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                tracing::warn!(reason = error, "Lost drivers are not looked for");
                told = Some(error);
            }
        }
    }
}

async fn look(watch: &Arc<Watch>) -> Result<(), DeployError> {
    let rolls_back = |watch: &Watch| {
        let mut phases = watch.platform().phases.iter();
        phases.any(|phase| phase.on_driver_loss == OnDriverLoss::Rollback)
    };
    if watch.runtime().is_err() || watch.site().is_none() || !rolls_back(watch) {
        return Ok(());
    }
    let deployments = Deployments::of(watch).await?;
    let target = deployments.target().await?;
    let Some(open) = deployments.open_run(&target).await? else {
        return Ok(());
    };
    let seen = deployments.look(open.id).await?;
    let phase = seen.reading.state.phase_at_work();
    let says_so = phase
        .and_then(|phase| seen.reading.plan.phases.get(phase))
        .is_some_and(|phase| phase.on_driver_loss == OnDriverLoss::Rollback);
    if !seen.is_interrupted() || !says_so {
        return Ok(());
    }
    tracing::warn!(run = open.id, "Its driver was lost: the run is taken back");
    let reason = "its driver was lost, and the phase says `on_driver_loss: rollback`";
    deployments
        .ask(
            open.id,
            Verb::Abort,
            crate::deploy::BY_THE_FILE,
            Some(reason),
        )
        .await
}
