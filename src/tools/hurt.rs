//! What failing services do to the data, as answers of the platform tools tell it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Context, platform};
use crate::{
    answer::Answer,
    bridge::impact::{self, Carried, Hurt},
    catalog::{Catalog, CatalogError},
};

/// Of a call about the platform the catalog gets so much time at most.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// Dashboards, owners and datasets that are named.
const MOST_NAMES: usize = 6;

/// What is hurt where these services fail, as one field; null where they carry no data.
///
/// The catalog may be away just because of that: then its copy tells, or the answer says that
/// nobody could look.
pub async fn told(answer: &mut Answer, context: &Context, services: &[&str]) -> Value {
    let Ok(watch) = context.platform() else {
        return Value::Null;
    };
    let carried = impact::carried_by(watch.platform(), services.iter().copied());
    if carried.is_empty() {
        return Value::Null;
    }
    let deadline = context.deadline().min(Instant::now() + LONGEST_LOOK);
    let names = datasets(&carried);
    match of_carried(answer, context, carried, deadline).await {
        Ok(hurt) => fields(&hurt, names),
        Err(error) => json!({"datasets": names, "could_not_look": error.to_string()}),
    }
}

async fn of_carried(
    answer: &mut Answer,
    context: &Context,
    carried: Vec<Carried>,
    deadline: Instant,
) -> Result<Hurt, CatalogError> {
    let catalog = match context.catalog() {
        Ok(catalog) => catalog,
        Err(error) => {
            return Err(CatalogError::Unavailable {
                message: error.message,
            });
        }
    };
    let asked = impact::hurt_by(&catalog, carried.clone(), deadline);
    let first = match tokio::time::timeout_at(deadline.into(), asked).await {
        Ok(Ok(hurt)) => {
            say_source(answer, &catalog);
            return Ok(hurt);
        }
        Ok(Err(error)) => error,
        Err(_) => CatalogError::Unavailable {
            message: format!(
                "the catalog did not answer within {} s",
                LONGEST_LOOK.as_secs()
            ),
        },
    };
    let Some(copy) = context.spare() else {
        return Err(first);
    };
    let hurt = impact::hurt_by(&copy, carried, context.deadline()).await?;
    answer.warn(format!("{first}: datasets are told from the snapshot"));
    say_source(answer, &copy);
    Ok(hurt)
}

/// When the catalog's part was true, where that is not now.
fn say_source(answer: &mut Answer, catalog: &Catalog) {
    if let Some(as_of) = catalog.as_of() {
        answer.put("catalog_as_of", as_of);
    }
}

fn datasets(carried: &[Carried]) -> Value {
    let names: Vec<String> = carried
        .iter()
        .map(|carried| carried.dataset.clone())
        .collect();
    platform::some(&names, MOST_NAMES)
}

fn fields(hurt: &Hurt, names: Value) -> Value {
    let mut told = json!({"datasets": names, "affected": hurt.total});
    if hurt.is_at_least {
        told["affected_is_at_least"] = true.into();
    }
    if !hurt.by_type.is_empty() {
        told["by_type"] = json!(hurt.by_type);
    }
    if !hurt.dashboards.is_empty() {
        told["dashboards"] = platform::some(&hurt.dashboards, MOST_NAMES);
    }
    let owners: Vec<String> = hurt
        .owners
        .iter()
        .map(|(owner, count)| format!("{owner} ({count})"))
        .collect();
    if !owners.is_empty() {
        told["owners"] = platform::some(&owners, MOST_NAMES);
    }
    if hurt.owners_unread > 0 {
        told["owners_not_read_of"] = hurt.owners_unread.into();
    }
    if !hurt.missed.is_empty() {
        told["could_not_look"] = platform::some(&hurt.missed, MOST_NAMES);
    }
    told
}
