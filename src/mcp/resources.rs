//! Entities, services and runs as resources, and completions of their names.
//!
//! Both ask the tools, so that the same rights, bounds and cleaning apply.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ReadResourceResult,
        ResourceContents, ResourceTemplate,
    },
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{McpServer, Selection};
use crate::{
    answer::clean,
    catalog::EntityType,
    tools::{Caller, ErrorCode, ToolError, arguments::near},
};

const SCHEME: &str = "openmetadata://";

/// A person waits for a completion while typing.
const LONGEST_COMPLETION: Duration = Duration::from_secs(5);

/// What stands behind the scheme of the platform: kind, tool, its argument.
const OF_PLATFORM: &[(&str, &str, &str)] = &[
    ("platform", "get_platform", ""),
    ("service", "get_service", "service"),
    ("run", "get_deployment", "run"),
];

const PLATFORM_SCHEME: &str = "openpolicy://";

/// The kinds of resources that the listed tools can read.
pub fn templates(selection: &Selection) -> Vec<ResourceTemplate> {
    let all = [
        (
            "get_entity",
            "openmetadata://{type}/{fqn}",
            "entity",
            "Entity",
            "An entity of the catalog by type and fully qualified name",
        ),
        (
            "get_platform",
            "openpolicy://platform",
            "platform",
            "Platform",
            "The platform at a glance",
        ),
        (
            "get_service",
            "openpolicy://service/{service}",
            "service",
            "Service",
            "A service of the platform by name or container name",
        ),
        (
            "get_deployment",
            "openpolicy://run/{run}",
            "run",
            "Run",
            "A run of a deployment by its number",
        ),
    ];
    all.into_iter()
        .filter(|(tool, ..)| selection.find(tool).is_some())
        .map(|(_, uri, name, title, description)| {
            ResourceTemplate::new(uri, name)
                .with_title(title)
                .with_description(description)
                .with_mime_type("application/json")
        })
        .collect()
}

/// The longest URI that is repeated in an error, in bytes.
const LONGEST_ECHO: usize = 2000;

/// An entity as JSON, as `get_entity` answers it. An error names the URI in its data: a client may
/// have several reads under way.
pub async fn read(
    server: &McpServer,
    uri: &str,
    caller: Caller,
    cancelled: &CancellationToken,
) -> Result<ReadResourceResult, ErrorData> {
    let read = match uri.strip_prefix(PLATFORM_SCHEME) {
        Some(rest) => of_platform(server, uri, rest, caller, cancelled).await,
        None => entity(server, uri, caller, cancelled).await,
    };
    read.map_err(|mut error| {
        let data = error.data.get_or_insert_with(|| json!({}));
        if let Value::Object(data) = data
            && uri.len() <= LONGEST_ECHO
        {
            data.insert("uri".into(), uri.into());
        }
        error
    })
}

async fn of_platform(
    server: &McpServer,
    uri: &str,
    rest: &str,
    caller: Caller,
    cancelled: &CancellationToken,
) -> Result<ReadResourceResult, ErrorData> {
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((_, tool, argument)) = OF_PLATFORM
        .iter()
        .find(|(known, _, argument)| *known == kind && argument.is_empty() == name.is_empty())
    else {
        return Err(ErrorData::invalid_params(
            format!(
                "`{}` is no resource of this server; they are openpolicy://platform, \
                 openpolicy://service/{{service}}, openpolicy://run/{{run}}",
                clean::text(uri, 200)
            ),
            None,
        ));
    };
    let Ok(name) = percent_encoding::percent_decode_str(name).decode_utf8() else {
        let what = "the name in the URI is not UTF-8";
        return Err(ErrorData::invalid_params(what, None));
    };
    let mut arguments = json!({});
    if !argument.is_empty() {
        arguments[*argument] = name.into_owned().into();
    }
    let answer = server
        .outcome(tool, arguments, caller, cancelled)
        .await
        .map_err(protocol_error)?;
    let text = Value::Object(answer.structured()).to_string();
    Ok(ReadResourceResult::new(vec![
        ResourceContents::text(text, uri).with_mime_type("application/json"),
    ]))
}

async fn entity(
    server: &McpServer,
    uri: &str,
    caller: Caller,
    cancelled: &CancellationToken,
) -> Result<ReadResourceResult, ErrorData> {
    let (entity_type, fqn) = parsed(uri)?;
    let arguments = json!({ "entities": [format!("{entity_type}:{fqn}")] });
    let answer = server
        .outcome("get_entity", arguments, caller, cancelled)
        .await
        .map_err(protocol_error)?;
    let structured = answer.structured();
    if rows(&structured, "entities").is_empty() {
        return Err(ErrorData::resource_not_found(
            format!("there is no {entity_type} `{}`", clean::text(&fqn, 200)),
            Some(json!({ "missing": structured.get("missing") })),
        ));
    }
    let text = Value::Object(structured).to_string();
    Ok(ReadResourceResult::new(vec![
        ResourceContents::text(text, uri).with_mime_type("application/json"),
    ]))
}

/// Type and FQN of a resource.
fn parsed(uri: &str) -> Result<(String, String), ErrorData> {
    let invalid = |what: String, data: Option<Value>| Err(ErrorData::invalid_params(what, data));
    let Some((entity_type, fqn)) = uri
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.split_once('/'))
        .filter(|(entity_type, fqn)| !entity_type.is_empty() && !fqn.is_empty())
    else {
        return invalid(
            format!(
                "`{}` is no resource of this server; they are openmetadata://{{type}}/{{fqn}}",
                clean::text(uri, 200)
            ),
            None,
        );
    };
    if !EntityType::known().any(|known| known == entity_type) {
        return invalid(
            format!("there is no entity type `{}`", clean::text(entity_type, 60)),
            Some(json!({ "did_you_mean": near(entity_type, EntityType::known()) })),
        );
    }
    match percent_encoding::percent_decode_str(fqn).decode_utf8() {
        Ok(fqn) => Ok((entity_type.to_owned(), fqn.into_owned())),
        Err(_) => invalid("the name in the URI is not UTF-8".into(), None),
    }
}

fn protocol_error(error: ToolError) -> ErrorData {
    let data = Some(Value::Object(error.structured()));
    match error.code {
        ErrorCode::NotFound => ErrorData::resource_not_found(error.message, data),
        ErrorCode::InvalidArgument | ErrorCode::Ambiguous => {
            ErrorData::invalid_params(error.message, data)
        }
        _ => ErrorData::internal_error(error.message, data),
    }
}

/// Values for what a person is typing. Empty where the catalog could not be asked: a completion
/// has no place for an error.
pub async fn complete(
    server: &McpServer,
    request: &CompleteRequestParams,
    caller: Caller,
    cancelled: &CancellationToken,
) -> CompleteResult {
    let written = request.argument.value.trim();
    let values = match request.argument.name.as_str() {
        "type" => EntityType::known()
            .filter(|known| starts_with(known, written))
            .map(str::to_owned)
            .collect(),
        "fqn" | "entity" if !written.is_empty() => {
            let mut arguments = json!({ "query": written, "limit": 20 });
            if let Some(entity_type) = request
                .context
                .as_ref()
                .and_then(|context| context.get_argument("type"))
            {
                arguments["types"] = json!([entity_type]);
            }
            let search = server.outcome("search_entities", arguments, caller, cancelled);
            match tokio::time::timeout(LONGEST_COMPLETION, search).await {
                Ok(Ok(answer)) => nearest(column(&answer.structured(), "hits", "fqn"), written),
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        }
        "service" | "phase" | "run" => {
            let (tool, arguments, table, column_of) = match request.argument.name.as_str() {
                "service" => ("get_platform", json!({}), "services", "name"),
                "phase" => ("get_platform", json!({}), "phases", "phase"),
                _ => ("get_deployment", json!({ "history": true }), "runs", "run"),
            };
            let asking = server.outcome(tool, arguments, caller, cancelled);
            match tokio::time::timeout(LONGEST_COMPLETION, asking).await {
                Ok(Ok(answer)) => column(&answer.structured(), table, column_of)
                    .into_iter()
                    .filter(|name| starts_with(name, written))
                    .collect(),
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    let mut values = values;
    let has_more = values.len() > CompletionInfo::MAX_VALUES;
    values.truncate(CompletionInfo::MAX_VALUES);
    CompleteResult::new(CompletionInfo::with_pagination(values, None, has_more).unwrap_or_default())
}

fn starts_with(name: &str, written: &str) -> bool {
    name.get(..written.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(written))
}

/// Names that begin as written first, the rest in the order of the search.
fn nearest(mut names: Vec<String>, written: &str) -> Vec<String> {
    names.sort_by_key(|name| !starts_with(name, written));
    names
}

fn rows<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    match fields.get(name) {
        Some(Value::Object(table)) => table.get("rows").and_then(Value::as_array),
        Some(Value::Array(items)) => Some(items),
        _ => None,
    }
    .map_or(&[], Vec::as_slice)
}

/// One column of a table of an answer, with the prefix of the table put back.
fn column(fields: &Map<String, Value>, name: &str, column: &str) -> Vec<String> {
    let table = fields.get(name).and_then(Value::as_object);
    let Some(position) = table
        .and_then(|table| table.get("columns"))
        .and_then(Value::as_array)
        .and_then(|columns| columns.iter().position(|name| name == column))
    else {
        return Vec::new();
    };
    let prefix = table
        .and_then(|table| table.get("prefix"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    rows(fields, name)
        .iter()
        .filter_map(|row| match row.get(position)? {
            Value::String(cell) => Some(format!("{prefix}{cell}")),
            Value::Number(cell) => Some(cell.to_string()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_a_type_and_an_encoded_name() {
        let read = |uri: &str| parsed(uri).map_err(|error| error.message.into_owned());
        assert_eq!(
            read("openmetadata://table/pg.db.core.a%2Fb"),
            Ok(("table".into(), "pg.db.core.a/b".into()))
        );
        assert!(
            read("openmetadata://tabel/x")
                .unwrap_err()
                .contains("tabel")
        );
        assert!(read("file:///etc/passwd").is_err());
        assert!(read("openmetadata://table/").is_err());
        assert!(read("openmetadata://table/%ff").is_err());
    }

    #[test]
    fn names_that_begin_as_written_come_first() {
        let names = vec!["a.bills".to_owned(), "bills.x".to_owned()];
        assert_eq!(nearest(names, "Bil"), ["bills.x", "a.bills"]);
    }
}
