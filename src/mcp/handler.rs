//! MCP's requests, answered by the edge and its neighbours.

use std::{
    borrow::Cow,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, GetPromptRequestParams, GetPromptResponse, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ProgressToken, ProtocolVersion, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig, ServerResult,
    },
    service::{NotificationContext, Peer, RequestContext},
};
use secrecy::SecretString;
use serde_json::Value;
use tracing::Instrument;

use super::{
    McpServer,
    asking::{Asking, Brought},
    parameters, prompts, resources,
};
use crate::{
    answer::clean,
    tools::{Caller, asking::Asks},
};

/// The OpenMetadata token of a caller, as a transport hands it on. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct CallerToken(pub SecretString);

/// The transport that a call came over, for logs.
#[derive(Clone, Copy, Debug)]
pub struct CameOver(pub &'static str);

/// Stands beside a request whose answer has to be a single message.
#[derive(Clone, Copy, Debug)]
pub struct AnswersOnce;

impl McpServer {
    /// `call` with what the protocol hands over: caller, cancellation, a span, progress, and what the
    /// person at the client says.
    async fn call_of_request(
        &self,
        name: &str,
        arguments: Value,
        context: &RequestContext<RoleServer>,
        brought: Brought,
    ) -> CallToolResponse {
        let mut caller = caller(context);
        let (asks, questions) = Asks::new();
        let asking = Asking::of(context, brought, self.put_questions());
        caller.asks = asking.is_possible().then_some(asks);
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
        // A client that takes nothing but a plain JSON answer leaves no room for anything before it.
        let has_room = beside::<AnswersOnce>(context).is_none();
        let token = context.meta.get_progress_token().filter(|_| has_room);
        let progress = async {
            match token {
                Some(token) => self.tell_progress(&context.peer, token).await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            result = call => result,
            never = progress => match never {},
            never = asking.serve(questions) => match never {},
        };
        asking.instead_of(result)
    }

    /// Tells now and then that a call still runs: clients start their own time-out again. How much
    /// of the work is done nobody knows, so it counts the seconds.
    async fn tell_progress(&self, peer: &Peer<RoleServer>, token: ProgressToken) -> Infallible {
        let longest = self.longest_call();
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

/// What a transport put beside the request: over HTTP it stands in the request's own extensions.
pub(super) fn beside<T: Clone + Send + Sync + 'static>(
    context: &RequestContext<RoleServer>,
) -> Option<T> {
    context.extensions.get::<T>().cloned().or_else(|| {
        context
            .extensions
            .get::<axum::http::request::Parts>()
            .and_then(|parts| parts.extensions.get::<T>().cloned())
    })
}

/// Who calls, by what came with the request.
fn caller(context: &RequestContext<RoleServer>) -> Caller {
    Caller {
        openmetadata_token: beside::<CallerToken>(context).map(|token| token.0),
        person: None,
        asks: None,
    }
}

fn came_over(context: &RequestContext<RoleServer>) -> &'static str {
    beside::<CameOver>(context).map_or("stdio", |over| over.0)
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_completions()
            .build();
        if self.relisted().is_some()
            && let Some(tools) = &mut capabilities.tools
        {
            tools.list_changed = Some(true);
        }
        ServerConfig::new(capabilities)
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
        let listed = ListToolsResult::with_all_items(self.listed());
        // Whoever lists tools calls one soon: open the catalog while the client reads the list.
        let catalogs = Arc::clone(self.catalogs());
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_THE_LIST).await;
            if let Err(error) = catalogs.get().await {
                tracing::warn!(reason = %error.message, "The catalog could not be opened");
            }
        });
        Ok(listed)
    }

    /// Tells this client when other tools are listed, for as long as it is there.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let Some(mut relisted) = self.relisted() else {
            return;
        };
        let server = self.clone();
        tokio::spawn(async move {
            while !context.peer.is_transport_closed() {
                tokio::time::sleep(LOOK_AT_THE_FILE).await;
                server.platform().await;
                if relisted.has_changed().unwrap_or_default() {
                    relisted.mark_unchanged();
                    // A client that is gone is noticed above.
                    let _ = context.peer.notify_tool_list_changed().await;
                }
            }
        });
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.map_or(Value::Null, Value::Object);
        let brought = Brought {
            responses: request.input_responses.unwrap_or_default(),
            state: request.request_state,
        };
        Ok(self
            .call_of_request(&request.name, arguments, &context, brought)
            .await)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::listed(
            &self.selection(),
        )))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        Ok(prompts::get(&request.name, &arguments, &self.selection())?.into())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            resources::templates(&self.selection()),
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
        let is_new = context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        match parameters::of_unread(&request.method, request.params, is_new) {
            parameters::Unread::Call { name, arguments } => {
                // What a call came with beside its arguments was not read: nothing was brought.
                let brought = Brought::default();
                let called = self.call_of_request(&name, arguments, &context, brought);
                let written = match called.await {
                    CallToolResponse::Complete(mut result) => {
                        if !is_new {
                            result.result_type = None;
                        }
                        serde_json::to_value(result)
                    }
                    other => serde_json::to_value(ServerResult::from(other)),
                };
                written
                    .map(CustomResult::new)
                    .map_err(|_| ErrorData::internal_error("the result could not be written", None))
            }
            parameters::Unread::Refused(error) => Err(error),
        }
    }
}

/// How often a client that may be told is told of a changed platform file.
const LOOK_AT_THE_FILE: Duration = Duration::from_secs(2);

/// Long enough for the list to be on its way.
const AFTER_THE_LIST: Duration = Duration::from_millis(20);
