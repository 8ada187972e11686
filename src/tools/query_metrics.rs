//! `query_metrics`: a question in PromQL to the user's Prometheus, cut to what a reader can use.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, schema, time,
};
use crate::{
    answer::{Answer, Budget, time as times},
    observe::{
        Prometheus, fit,
        prometheus::{Found, Span},
    },
    platform::quantity,
};

const NAME: &str = "query_metrics";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Query metrics",
    description: "PromQL, or a metric that the platform file names, at one time or over a span; \
                  thinned out to fit, with low, high, mean and last of all points.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["query", "series", "total", "returned", "complete"],
            &[
                ("query", schema::string()),
                ("window", schema::object()),
                ("labels", schema::object()),
                ("series", schema::list(schema::object())),
                ("points", schema::object()),
                ("total", schema::integer()),
                ("returned", schema::integer()),
                ("complete", schema::boolean()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// PromQL, or the name of a metric of the platform file.
    query: String,
    /// Begin of a span: 1h or a time. Without it: now alone.
    from: Option<String>,
    /// Now (default), or as `from`.
    to: Option<String>,
    /// Between two points, as 30s.
    step: Option<String>,
}

/// Points that are asked for where the caller gives no step.
const POINTS: u32 = 60;

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let watch = context.platform()?;
    let platform = watch.platform();
    let Some(endpoint) = &platform.prometheus else {
        return Err(ToolError::new(
            ErrorCode::Unavailable,
            "the platform file names no Prometheus",
        )
        .then("add `prometheus: { url: … }` to the platform file"));
    };
    let named = platform
        .metrics
        .iter()
        .find(|(name, _)| *name == asked.query.trim());
    let query = named.map_or(asked.query.as_str(), |(_, query)| query.as_str());
    let now = context.now.as_millisecond();
    let from = time::past("from", asked.from.as_deref(), now)?;
    let to = time::past("to", asked.to.as_deref(), now)?;
    let step = match &asked.step {
        Some(step) => Some(quantity::duration(step).map_err(|error| {
            ToolError::invalid(
                "step",
                error.to_string(),
                "give a duration such as 30s or 5m",
            )
        })?),
        None => None,
    };
    let moment = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap_or(context.now);
    let prometheus = Prometheus::new(endpoint, None)?;
    let timeout = context
        .deadline()
        .saturating_duration_since(Instant::now())
        .min(Duration::from_secs(30));
    let (found, window) = match from {
        None => (
            prometheus.at(query, to.map(moment), timeout).await?,
            json!({"at": times::text(to.unwrap_or(now))}),
        ),
        Some(from) => {
            let to = to.unwrap_or(now);
            if from >= to {
                return Err(ToolError::invalid(
                    "to",
                    "`to` does not come after `from`",
                    "give an earlier `from` or a later `to`",
                ));
            }
            let span = Span::new(moment(from), moment(to), step, POINTS);
            let window = json!({"from": times::text(from), "to": times::text(to),
                                "step": format!("{}s", span.step.as_secs())});
            (prometheus.over(query, span, timeout).await?, window)
        }
    };
    Ok(answered(query, window, &found))
}

fn answered(query: &str, window: Value, found: &Found) -> Answer {
    let mut answer = Answer::new(Budget::DEFAULT);
    answer.put("query", query).put("window", window);
    for warning in &found.warnings {
        answer.warn(format!("Prometheus says: {warning}"));
    }
    let fitted = fit::fit(&found.series, answer.room());
    let labels: serde_json::Map<String, Value> = fitted
        .shared
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    answer.put("labels", labels);
    if fitted.points < fitted.points_of {
        answer.put(
            "points",
            json!({"of_each": fitted.points_of, "shown": fitted.points}),
        );
    }
    let series: Vec<Value> = fitted.series.iter().map(fit::Kept::to_value).collect();
    answer
        .put("total", fitted.total)
        .put("returned", series.len())
        .put("complete", fitted.is_complete());
    if !fitted.is_complete() {
        answer.warn("not all series fit: aggregate (sum by …, topk) or select fewer by labels");
    }
    if series.is_empty() {
        answer.warn("nothing matches: the metric does not exist, or has no value in this window");
    }
    answer.put_list("series", series);
    answer
}
