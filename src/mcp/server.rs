//! The edge of every call: deadline, cancellation, span, panic guard, and the two forms of a reply.
//!
//! One value of `McpServer` answers all transports and all callers. It keeps no session: whatever
//! a call needs comes with the call, but for the questions that it put to persons.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rmcp::model::{CallToolResult, ContentBlock, Tool as Listed};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{Lazy, LazyCatalogs, Selection, asking::PutQuestions, listing};
use crate::{
    answer::clean,
    health::Watch,
    settings::Answers,
    tools::{
        Caller, Context, Effect, ErrorCode, Outcome, Surroundings, Tool, ToolError,
        arguments::near, error::Retry, run,
    },
};

/// The MCP service. Cheap to clone.
#[derive(Clone)]
pub struct McpServer {
    inner: Arc<Inner>,
}

struct Inner {
    listing: RwLock<Arc<Listing>>,
    answers: Answers,
    catalogs: Arc<LazyCatalogs>,
    platform: Option<Followed>,
    longest_call: Duration,
    put: Arc<PutQuestions>,
}

/// What is listed, until the platform file says otherwise.
struct Listing {
    selection: Selection,
    listed: OnceLock<Vec<Listed>>,
    /// The platform that it was made for.
    basis: Option<Arc<Watch>>,
}

/// Which tools are listed with a platform.
type Choose = Arc<dyn Fn(&Watch) -> Selection + Send + Sync>;

/// A platform whose file may change.
#[derive(Clone)]
struct Followed {
    platform: Arc<Lazy<Watch>>,
    choose: Choose,
    /// Told when other tools are listed than before.
    relisted: watch::Sender<()>,
}

impl McpServer {
    pub fn new(selection: Selection, answers: Answers, catalogs: Arc<LazyCatalogs>) -> Self {
        Self {
            inner: Arc::new(Inner {
                listing: RwLock::new(Arc::new(Listing {
                    selection,
                    listed: OnceLock::new(),
                    basis: None,
                })),
                answers,
                catalogs,
                platform: None,
                longest_call: Context::LONGEST_CALL,
                put: Arc::default(),
            }),
        }
    }

    /// The same server with a platform, which is opened when a call first needs it. `choose` says
    /// which tools are listed where its file has changed.
    pub fn with_platform(
        self,
        platform: Arc<Lazy<Watch>>,
        choose: impl Fn(&Watch) -> Selection + Send + Sync + 'static,
    ) -> Self {
        self.altered(|inner| {
            inner.platform = Some(Followed {
                platform,
                choose: Arc::new(choose),
                relisted: watch::Sender::default(),
            });
        })
    }

    /// The same server with another bound on the length of a call.
    pub fn with_longest_call(self, longest_call: Duration) -> Self {
        self.altered(|inner| inner.longest_call = longest_call)
    }

    fn altered(self, alter: impl FnOnce(&mut Inner)) -> Self {
        let inner = &self.inner;
        let mut altered = Inner {
            listing: RwLock::new(self.listing()),
            answers: inner.answers,
            catalogs: Arc::clone(&inner.catalogs),
            platform: inner.platform.clone(),
            longest_call: inner.longest_call,
            put: Arc::clone(&inner.put),
        };
        alter(&mut altered);
        Self {
            inner: Arc::new(altered),
        }
    }

    fn listing(&self) -> Arc<Listing> {
        let listing = self.inner.listing.read();
        Arc::clone(&listing.unwrap_or_else(PoisonError::into_inner))
    }

    /// The tools that are listed now.
    pub fn selection(&self) -> Selection {
        self.listing().selection.clone()
    }

    /// Told when other tools are listed than before; none where that never happens.
    pub(super) fn relisted(&self) -> Option<watch::Receiver<()>> {
        let followed = self.inner.platform.as_ref()?;
        Some(followed.relisted.subscribe())
    }

    /// The platform as its file says now, with the tools that are listed for it.
    pub(super) async fn platform(&self) -> Option<Result<Arc<Watch>, ToolError>> {
        let followed = self.inner.platform.as_ref()?;
        let platform = followed.platform.get().await;
        if let Ok(watch) = &platform {
            self.list_for(watch, followed);
        }
        Some(platform)
    }

    fn list_for(&self, watch: &Arc<Watch>, followed: &Followed) {
        let listing = self.listing();
        let is_basis = |basis: &Arc<Watch>| Arc::ptr_eq(basis, watch);
        if listing.basis.as_ref().is_some_and(is_basis) {
            return;
        }
        let selection = (followed.choose)(watch);
        let is_same = selection.lists_the_same(&listing.selection);
        let newest = Listing {
            selection,
            listed: OnceLock::new(),
            basis: Some(Arc::clone(watch)),
        };
        let held = self.inner.listing.write();
        *held.unwrap_or_else(PoisonError::into_inner) = Arc::new(newest);
        if !is_same {
            followed.relisted.send_replace(());
        }
    }

    /// Questions that went out in the place of an answer.
    pub(super) fn put_questions(&self) -> &PutQuestions {
        &self.inner.put
    }

    pub(super) fn longest_call(&self) -> Duration {
        self.inner.longest_call
    }

    pub fn catalogs(&self) -> &Arc<LazyCatalogs> {
        &self.inner.catalogs
    }

    /// Every listed tool, made once.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let held = self.listing();
        let listed = held.listed.get_or_init(|| {
            let tools = held.selection.listed().iter();
            tools
                .map(|tool| listing::listed(tool, self.inner.answers))
                .collect()
        });
        listed.clone()
    }

    /// Calls a tool by name and hands over both forms, whatever happens to the handler.
    pub async fn call(
        &self,
        name: &str,
        arguments: Value,
        caller: Caller,
        cancelled: &CancellationToken,
    ) -> CallToolResult {
        self.result(self.outcome(name, arguments, caller, cancelled).await)
    }

    /// The outcome of a call: an answer or an error, within the deadline, once and for all callers
    /// counted and logged here.
    pub(super) async fn outcome(
        &self,
        name: &str,
        arguments: Value,
        caller: Caller,
        cancelled: &CancellationToken,
    ) -> Outcome {
        let tool = match self.tool(name).await {
            Ok(tool) => tool,
            Err(error) => {
                tracing::info!(code = error.code.as_str(), "A call named no listed tool");
                count("unknown", error.code.as_str());
                return Err(error);
            }
        };
        let started = Instant::now();
        let in_flight = metrics::gauge!("openpolicy_tool_calls_in_flight");
        in_flight.increment(1);
        // Counts down on every way out: this future may be dropped where it stands.
        let _running = OnDrop(|| in_flight.decrement(1));
        let outcome = self.run(tool, arguments, caller, cancelled).await;
        let elapsed = started.elapsed();
        let code = match &outcome {
            Ok(_) => "ok",
            Err(error) => error.code.as_str(),
        };
        count(tool.name, code);
        metrics::histogram!("openpolicy_tool_call_duration_seconds", "tool" => tool.name)
            .record(elapsed.as_secs_f64());
        let elapsed_ms = elapsed.as_millis() as u64;
        match &outcome {
            Ok(_) => tracing::info!(elapsed_ms, "A call was answered"),
            Err(error) => {
                // Messages quote what others wrote: no line breaks into the log.
                let reason = clean::text(&error.message, 300);
                tracing::info!(code, elapsed_ms, reason, "A call had no answer");
            }
        }
        outcome
    }

    async fn tool(&self, name: &str) -> Result<&'static Tool, ToolError> {
        if let Some(tool) = self.listing().selection.find(name) {
            return Ok(tool);
        }
        if crate::tools::find(name).is_some() {
            // The platform file may have changed since.
            self.platform().await;
        }
        let listing = self.listing();
        let selection = &listing.selection;
        if let Some(tool) = selection.find(name) {
            return Ok(tool);
        }
        let quoted = clean::text(name, 60);
        if let Some(how) = selection.how_to_list(name) {
            return Err(ToolError::new(
                ErrorCode::NotFound,
                format!("the tool `{quoted}` is not listed on this server"),
            )
            .then(how));
        }
        let names = || selection.listed().iter().map(|tool| tool.name);
        Err(
            ToolError::new(ErrorCode::NotFound, format!("there is no tool `{quoted}`"))
                .did_you_mean(near(name, names()))
                .then(format!(
                    "tools are: {}",
                    names().collect::<Vec<_>>().join(", ")
                )),
        )
    }

    /// Runs the handler in a task of its own, so that neither a panic nor a handler that blocks
    /// keeps the reply back, and dropping this future ends the work.
    async fn run(
        &self,
        tool: &'static Tool,
        arguments: Value,
        caller: Caller,
        cancelled: &CancellationToken,
    ) -> Outcome {
        let catalogs = Arc::clone(&self.inner.catalogs);
        let server = self.clone();
        let longest = self.inner.longest_call;
        let only_shows = shows_only(&arguments);
        let work = async move {
            let begun = Instant::now();
            let catalogs = catalogs.get().await?;
            // A platform file with faults is told to the calls that need it, and to no other.
            let platform = server.platform().await;
            let left = longest.saturating_sub(begun.elapsed());
            let surroundings = Surroundings {
                catalogs,
                platform,
                caller,
            };
            run::run(tool, surroundings, left, arguments).await
        };
        let work = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
        tokio::select! {
            ended = tokio::time::timeout(longest, work) => match ended {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(ToolError::new(
                    ErrorCode::Internal,
                    format!("`{}` failed by a fault of this server", tool.name),
                )
                .then("the server's log says where; other calls are not affected")),
                Err(_) => Err(timed_out(tool, longest, only_shows)),
            },
            () = cancelled.cancelled() => Err(ToolError::new(
                ErrorCode::Timeout,
                "the call was cancelled by the client",
            )),
        }
    }

    fn result(&self, outcome: Outcome) -> CallToolResult {
        let (structured, text, is_error) = match &outcome {
            Ok(answer) => (answer.structured(), answer.text(), false),
            Err(error) => (error.structured(), error.text(), true),
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.is_error = Some(is_error);
        if self.inner.answers == Answers::Both {
            result.structured_content = Some(Value::Object(structured));
        }
        result
    }
}

/// Whether a call of a tool that takes `dry_run` surely sends nothing: unless it is false none does.
fn shows_only(arguments: &Value) -> bool {
    match arguments {
        Value::Null => true,
        Value::Object(fields) => fields
            .get("dry_run")
            .is_none_or(|value| matches!(value, Value::Null | Value::Bool(true))),
        // Read leniently later: what it says is not known here.
        _ => false,
    }
}

fn takes_dry_run(tool: &Tool) -> bool {
    (tool.arguments)()
        .get("properties")
        .is_some_and(|properties| properties.get("dry_run").is_some())
}

fn timed_out(tool: &Tool, longest: Duration, only_shows: bool) -> ToolError {
    let seconds = longest.as_secs_f32();
    match tool.effect {
        Effect::Write { .. } if only_shows && takes_dry_run(tool) => ToolError::new(
            ErrorCode::Timeout,
            format!(
                "`{}` was ended after {seconds} s without an answer; nothing was sent",
                tool.name
            ),
        )
        .retry(Retry::Yes)
        .then("try again"),
        Effect::Read => ToolError::new(
            ErrorCode::Timeout,
            format!(
                "`{}` was ended after {seconds} s without an answer",
                tool.name
            ),
        )
        .retry(Retry::Yes)
        .then("ask for less (limit, depth, fewer sections), or try again"),
        Effect::Write { .. } => ToolError::new(
            ErrorCode::Timeout,
            format!(
                "`{}` was ended after {seconds} s; it is unknown whether it took effect",
                tool.name
            ),
        )
        .then("read the entity again before you repeat the call"),
    }
}

fn count(tool: &'static str, outcome: &'static str) {
    metrics::counter!("openpolicy_tool_calls_total", "tool" => tool, "outcome" => outcome)
        .increment(1);
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
