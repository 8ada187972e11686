//! The edge of every call: deadline, cancellation, span, panic guard, and the two forms of a reply.
//!
//! One value of `McpServer` answers all transports and all callers. It keeps no session: whatever
//! a call needs comes with the call.

use std::{
    borrow::Cow,
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams,
        CompleteResult, ContentBlock, CustomRequest, CustomResult, GetPromptRequestParams,
        GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProgressToken,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, Tool as Listed,
    },
    service::{Peer, RequestContext},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{LazyCatalogs, Selection, listing, parameters, prompts, resources};
use crate::{
    answer::clean,
    settings::Answers,
    tools::{
        Caller, Context, Effect, ErrorCode, Outcome, Tool, ToolError, arguments::near, error::Retry,
    },
};

/// The MCP service. Cheap to clone.
#[derive(Clone)]
pub struct McpServer {
    inner: Arc<Inner>,
}

struct Inner {
    selection: Selection,
    answers: Answers,
    catalogs: Arc<LazyCatalogs>,
    longest_call: Duration,
    listed: OnceLock<Vec<Listed>>,
}

/// The OpenMetadata token of a caller, as a transport hands it on. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct CallerToken(pub SecretString);

/// The transport that a call came over, for logs.
#[derive(Clone, Copy, Debug)]
pub struct CameOver(pub &'static str);

impl McpServer {
    pub fn new(selection: Selection, answers: Answers, catalogs: Arc<LazyCatalogs>) -> Self {
        Self {
            inner: Arc::new(Inner {
                selection,
                answers,
                catalogs,
                longest_call: Context::LONGEST_CALL,
                listed: OnceLock::new(),
            }),
        }
    }

    /// The same server with another bound on the length of a call.
    pub fn with_longest_call(self, longest_call: Duration) -> Self {
        let inner = &self.inner;
        Self {
            inner: Arc::new(Inner {
                selection: inner.selection.clone(),
                answers: inner.answers,
                catalogs: Arc::clone(&inner.catalogs),
                longest_call,
                listed: OnceLock::new(),
            }),
        }
    }

    pub fn selection(&self) -> &Selection {
        &self.inner.selection
    }

    pub fn catalogs(&self) -> &Arc<LazyCatalogs> {
        &self.inner.catalogs
    }

    /// Every listed tool, made once.
    fn listed(&self) -> &[Listed] {
        self.inner.listed.get_or_init(|| {
            let tools = self.inner.selection.listed().iter();
            tools
                .map(|tool| listing::listed(tool, self.inner.answers))
                .collect()
        })
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
        let tool = match self.tool(name) {
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

    fn tool(&self, name: &str) -> Result<&'static Tool, ToolError> {
        let selection = &self.inner.selection;
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
        let work = async move {
            let context = Context::new(catalogs.get().await?, caller);
            (tool.call)(&context, arguments).await
        };
        let work = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
        tokio::select! {
            ended = tokio::time::timeout(self.inner.longest_call, work) => match ended {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(ToolError::new(
                    ErrorCode::Internal,
                    format!("`{}` failed by a fault of this server", tool.name),
                )
                .then("the server's log says where; other calls are not affected")),
                Err(_) => Err(timed_out(tool, self.inner.longest_call)),
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

    /// `call` with what the protocol hands over: caller, cancellation, a span, progress.
    async fn call_of_request(
        &self,
        name: &str,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let caller = caller(context);
        let over = came_over(context);
        let span = tracing::info_span!(
            "call",
            tool = %clean::text(name, 60),
            over,
            identity = if caller.openmetadata_token.is_some() { "caller" } else { "server" },
            id = %context.id,
        );
        let call = self
            .call(name, arguments, caller, &context.ct)
            .instrument(span);
        // A plain JSON answer has no room for anything before it.
        let token = (over != "http").then(|| context.meta.get_progress_token());
        let Some(token) = token.flatten() else {
            return call.await;
        };
        tokio::select! {
            result = call => result,
            never = self.tell_progress(&context.peer, token) => match never {},
        }
    }

    /// Tells now and then that a call still runs: clients start their own time-out again. How much
    /// of the work is done nobody knows, so it counts the seconds.
    async fn tell_progress(&self, peer: &Peer<RoleServer>, token: ProgressToken) -> Infallible {
        let longest = self.inner.longest_call;
        let begun = Instant::now();
        loop {
            tokio::time::sleep(longest / 10).await;
            let progress =
                ProgressNotificationParam::new(token.clone(), begun.elapsed().as_secs_f64())
                    .with_total(longest.as_secs_f64())
                    .with_message("still working");
            // A client that is gone is noticed elsewhere.
            let _ = peer.notify_progress(progress).await;
        }
    }
}

fn timed_out(tool: &Tool, longest: Duration) -> ToolError {
    let seconds = longest.as_secs_f32();
    match tool.effect {
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

/// What a transport put beside the request: over HTTP it stands in the request's own extensions.
fn beside<T: Clone + Send + Sync + 'static>(context: &RequestContext<RoleServer>) -> Option<T> {
    context.extensions.get::<T>().cloned().or_else(|| {
        context
            .extensions
            .get::<axum::http::request::Parts>()
            .and_then(|parts| parts.extensions.get::<T>().cloned())
    })
}

/// Who calls, by what came with the request.
pub(super) fn caller(context: &RequestContext<RoleServer>) -> Caller {
    Caller {
        openmetadata_token: beside::<CallerToken>(context).map(|token| token.0),
    }
}

fn came_over(context: &RequestContext<RoleServer>) -> &'static str {
    beside::<CameOver>(context).map_or("stdio", |over| over.0)
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_prompts()
                .enable_resources()
                .enable_completions()
                .build(),
        )
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
        .with_server_info(
            Implementation::new("openpolicy-mcp", env!("CARGO_PKG_VERSION"))
                .with_title("openpolicy-mcp"),
        )
        .with_instructions(prompts::INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let listed = ListToolsResult::with_all_items(self.listed().to_vec());
        // Whoever lists tools calls one soon: open the catalog while the client reads the list.
        let catalogs = Arc::clone(&self.inner.catalogs);
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_THE_LIST).await;
            if let Err(error) = catalogs.get().await {
                tracing::warn!(reason = %error.message, "The catalog could not be opened");
            }
        });
        Ok(listed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.map_or(Value::Null, Value::Object);
        Ok(self
            .call_of_request(&request.name, arguments, &context)
            .await
            .into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::listed()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        Ok(prompts::get(&request.name, &arguments, self.selection())?.into())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            resources::templates(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = resources::read(self, &request.uri, caller(&context), &context.ct);
        let span = tracing::info_span!("read", over = came_over(&context), id = %context.id);
        Ok(read.instrument(span).await?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let completed = resources::complete(self, &request, caller(&context), &context.ct);
        let span = tracing::info_span!("complete", over = came_over(&context), id = %context.id);
        Ok(completed.instrument(span).await)
    }

    /// Requests that have no type here: unknown methods, and known ones with parameters that could
    /// not be read (the protocol library hands both over alike).
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match parameters::of_unread(&request.method, request.params) {
            parameters::Unread::Call { name, arguments } => {
                let mut result = self.call_of_request(&name, arguments, &context).await;
                let is_new = context
                    .protocol_version()
                    .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
                if !is_new {
                    result.result_type = None;
                }
                serde_json::to_value(result)
                    .map(CustomResult::new)
                    .map_err(|_| ErrorData::internal_error("the result could not be written", None))
            }
            parameters::Unread::Refused(error) => Err(error),
        }
    }
}

/// Long enough for the list to be on its way.
const AFTER_THE_LIST: Duration = Duration::from_millis(20);
