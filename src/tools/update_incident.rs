//! `update_incident`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, schema,
};

pub const TOOL: Tool = Tool {
    name: "update_incident",
    title: "Update incident",
    description: "",
    toolset: Toolset::CatalogWrite,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || schema::result(&[], &[]),
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {}

async fn call(_context: &Context, sent: Value) -> Outcome {
    let Arguments {} = arguments::read(sent)?;
    Err(ToolError::new(ErrorCode::Internal, "not built yet"))
}
