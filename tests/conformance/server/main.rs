//! The server that the MCP conformance suite asks for, on the transports of openpolicy-mcp.
//!
//! The suite wants tools, resources and prompts of fixed names (`test_simple_text`), which the
//! product does not have. Here they stand behind the very code that carries the product, so that
//! what the suite finds wrong is wrong with our transports. An example target: nothing that is
//! shipped holds it.
#![expect(
    deprecated,
    reason = "sampling and logging go with 2026-07-28; the suite asks older protocols for them"
)]

mod input;
mod legacy;
mod prompts;
mod resources;
mod tools;

use std::sync::Arc;

use axum::Router;
use openpolicy_mcp::{
    mcp::{guard::Guard, http, stdio},
    settings::HttpSettings,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        CompletionInfo, GetPromptRequestParams, GetPromptResponse, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What the suite asks the server to change while it watches.
#[derive(Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

/// The service. It keeps nothing but who watches.
#[derive(Clone)]
struct Fixture {
    changes: Arc<broadcast::Sender<Change>>,
}

/// `conformance` serves over stdio, `conformance ADDRESS [sessions]` over HTTP and SSE.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Fixture {
        changes: Arc::new(broadcast::channel(16).0),
    };
    let shutdown = CancellationToken::new();
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        return Ok(stdio::serve(server, shutdown).await?);
    };
    let ends = shutdown.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        terminate.recv().await;
        ends.cancel();
    });
    let mut settings = HttpSettings::new(address.parse()?);
    settings.sessions = arguments.next().as_deref() == Some("sessions");
    let guard = Guard::new(&settings)?;
    let (listener, _) = http::bind(settings.address).await?;
    http::serve(listener, guard, &settings, server, Router::new(), shutdown).await;
    Ok(())
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_tool_list_changed()
                .enable_prompts()
                .enable_prompts_list_changed()
                .enable_resources()
                .enable_resources_subscribe()
                .enable_completions()
                .enable_logging()
                .build(),
        )
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
        .with_server_info(Implementation::new("conformance", "1"))
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        ProtocolVersion::KNOWN_VERSIONS.into()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::listed().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::listed()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(answer) = input::call(&request, &context) {
            return answer;
        }
        if let Some(answer) = legacy::call(&request, &context).await {
            return answer;
        }
        let change = match request.name.as_ref() {
            "test_trigger_tool_change" => Some(Change::Tools),
            "test_trigger_prompt_change" => Some(Change::Prompts),
            _ => None,
        };
        if let Some(change) = change {
            // Nobody may be watching.
            let _ = self.changes.send(change);
        }
        tools::call(&request, &context).await.map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::listed()))
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
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(&request.uri)?.into())
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
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        match input::prompt(&request, &context) {
            Some(answer) => answer,
            None => prompts::get(&request).map(Into::into),
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["test", "testing", "other"].map(str::to_owned).into_iter();
        let values = words.filter(|word| word.starts_with(&request.argument.value));
        CompletionInfo::with_all_values(values.collect())
            .map(CompleteResult::new)
            .map_err(|error| ErrorData::internal_error(error, None))
    }

    async fn set_level(
        &self,
        _: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // Without a memory of its own: every message here is of the level `info` or above.
        Ok(())
    }

    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return Ok(()),
            };
            let Ok(change) = change else { return Ok(()) };
            // What was not asked for is not sent: the sink refuses it.
            let _ = match change {
                Change::Tools => context.sink().notify_tool_list_changed().await,
                Change::Prompts => context.sink().notify_prompt_list_changed().await,
            };
        }
    }
}
