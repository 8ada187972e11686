//! Prompts of the suite.

use rmcp::{
    ErrorData,
    model::{
        ContentBlock, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument,
        PromptMessage, ResourceContents, Role,
    },
};

use super::tools::PICTURE;

/// Name, description and arguments.
const PROMPTS: &[(&str, &str, &[&str])] = &[
    ("test_input_required_result_prompt", "Asks first", &[]),
    (
        "test_prompt_with_arguments",
        "Says its arguments",
        &["arg1", "arg2"],
    ),
    (
        "test_prompt_with_embedded_resource",
        "Carries a resource",
        &["resourceUri"],
    ),
    ("test_prompt_with_image", "Carries a picture", &[]),
    ("test_simple_prompt", "Says one sentence", &[]),
];

pub fn listed() -> Vec<Prompt> {
    PROMPTS
        .iter()
        .map(|(name, what, arguments)| {
            let arguments: Vec<_> = arguments
                .iter()
                .map(|argument| {
                    PromptArgument::new(*argument)
                        .with_description("Any text")
                        .with_required(true)
                })
                .collect();
            Prompt::new(
                *name,
                Some(*what),
                (!arguments.is_empty()).then_some(arguments),
            )
        })
        .collect()
}

pub fn get(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| {
        let arguments = request.arguments.as_ref();
        arguments
            .and_then(|arguments| arguments.get(name)?.as_str())
            .unwrap_or_default()
    };
    let says = |text: String| PromptMessage::new_text(Role::User, text);
    let carries = |content| PromptMessage::new(Role::User, content);
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.".into())],
        "test_prompt_with_arguments" => vec![says(format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))],
        "test_prompt_with_embedded_resource" => vec![
            carries(ContentBlock::resource(
                ResourceContents::text(
                    "Embedded resource content for testing.",
                    argument("resourceUri"),
                )
                .with_mime_type("text/plain"),
            )),
            says("Please process the embedded resource above.".into()),
        ],
        "test_prompt_with_image" => vec![
            carries(ContentBlock::image(PICTURE, "image/png")),
            says("Please analyze the image above.".into()),
        ],
        other => {
            return Err(ErrorData::invalid_params(
                format!("there is no prompt `{other}`"),
                None,
            ));
        }
    };
    Ok(GetPromptResult::new(messages))
}
