//! The least that makes an MCP server of rmcp: one tool with a fixed answer, over stdio or HTTP.
//!
//! `benches/server.rs` measures openpolicy-mcp beside it; it is not shipped.

use std::{error::Error, sync::Arc};

use axum::serve::ListenerExt;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        stdio,
        streamable_http_server::{
            StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
        },
    },
};
use serde_json::json;

#[derive(Clone)]
struct Minimal;

impl ServerHandler for Minimal {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({"type": "object", "properties": {"query": {"type": "string"}}});
        let schema = schema.as_object().cloned().unwrap_or_default();
        let tool = Tool::new("look", "Looks something up.", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let fields = json!({
            "source": "nowhere", "as_of": "2026-11-21T13:20:29Z", "total": 1, "returned": 1,
            "complete": true,
            "hits": {"columns": ["fqn", "type", "why"], "rows": [["a.b.c.d", "table", "name"]]}
        });
        let text = "source: nowhere, as of 2026-11-21T13:20:29Z\n1 of 1\na.b.c.d  table  name";
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(fields);
        Ok(result.into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(address) = std::env::args().nth(1) else {
        Minimal.serve(stdio()).await?.waiting().await?;
        return Ok(());
    };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let service = StreamableHttpService::new(
        || Ok(Minimal),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("http://{}/mcp", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // As openpolicy-mcp does: else replies wait for acknowledgements.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, axum::Router::new().route_service("/mcp", service)).await?;
    Ok(())
}
