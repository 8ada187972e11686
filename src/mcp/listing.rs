//! How a tool stands in `tools/list`: as its contract says it.

use std::sync::Arc;

use rmcp::model::{Tool as Listed, ToolAnnotations};

use crate::{
    settings::Answers,
    tools::{Effect, Tool, contract},
};

/// One entry of `tools/list`.
pub fn listed(tool: &Tool, answers: Answers) -> Listed {
    let (is_read_only, is_destructive, is_idempotent) = match tool.effect {
        Effect::Read => (true, false, true),
        Effect::Write {
            destructive,
            idempotent,
        } => (false, destructive, idempotent),
    };
    let listed = Listed::new(tool.name, tool.description, Arc::new((tool.arguments)()))
        .with_title(tool.title)
        .with_annotations(
            ToolAnnotations::with_title(tool.title)
                .read_only(is_read_only)
                .destructive(is_destructive)
                .idempotent(is_idempotent)
                .open_world(false),
        );
    match answers {
        Answers::Both => listed.with_raw_output_schema(Arc::new(contract::output_schema(tool))),
        Answers::Text => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools;

    #[test]
    fn a_tool_is_listed_as_its_contract_says() {
        for tool in tools::all() {
            let both = serde_json::to_value(listed(tool, Answers::Both)).unwrap();
            assert_eq!(both, contract::of(tool), "{}", tool.name);
            let text = serde_json::to_value(listed(tool, Answers::Text)).unwrap();
            assert_eq!(text.get("outputSchema"), None);
        }
    }
}
