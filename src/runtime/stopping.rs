//! Stops services in waves, those that need others first: the same for every runtime.

use std::collections::HashMap;

use futures::future::{BoxFuture, FutureExt as _, join_all};

use super::{Problem, Stopped, Usage, order, values::StoppedOutcome};
use crate::platform::{Bytes, Platform, ServiceName};

/// Stops each by `stop_one`; the answers are in the order asked. Where the platform does not know one of
/// them nothing is stopped.
pub(super) async fn in_waves<'a>(
    platform: &Platform,
    services: &'a [ServiceName],
    stop_one: impl Fn(&'a ServiceName) -> BoxFuture<'a, Stopped>,
) -> Result<Vec<Stopped>, Problem> {
    for name in services {
        order::service(platform, name)?;
    }
    let mut done: Vec<Stopped> = Vec::new();
    for wave in order::waves(platform, services).into_iter().rev() {
        let of_wave = services.iter().filter(|name| wave.contains(name));
        done.extend(join_all(of_wave.map(&stop_one)).await);
    }
    done.sort_by_key(|stopped| services.iter().position(|name| *name == stopped.service));
    Ok(done)
}

/// The same, where what they use was looked at before: that is what becomes free.
pub(super) async fn in_waves_after<'a>(
    platform: &Platform,
    services: &'a [ServiceName],
    usages: Vec<Usage>,
    stop_one: impl Fn(&'a ServiceName) -> BoxFuture<'a, Result<StoppedOutcome, Problem>>,
) -> Result<Vec<Stopped>, Problem> {
    let used: HashMap<ServiceName, Option<Bytes>> = usages
        .into_iter()
        .map(|usage| (usage.service, usage.memory))
        .collect();
    let stop = |name: &'a ServiceName| {
        let freed = used.get(name).copied().flatten();
        let stopping = stop_one(name);
        async move {
            Stopped {
                service: name.clone(),
                outcome: stopping.await.unwrap_or_else(StoppedOutcome::Failed),
                freed,
            }
        }
        .boxed()
    };
    in_waves(platform, services, stop).await
}
