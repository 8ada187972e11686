//! Resources of the suite.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use super::tools::PICTURE;

pub fn listed() -> Vec<Resource> {
    [
        ("static-binary", "image/png"),
        ("static-text", "text/plain"),
        ("watched-resource", "text/plain"),
    ]
    .map(|(name, kind)| {
        Resource::new(format!("test://{name}"), name)
            .with_description("A resource of the suite")
            .with_mime_type(kind)
    })
    .into()
}

pub fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("test://template/{id}/data", "template")
            .with_description("A resource with an id")
            .with_mime_type("application/json"),
    ]
}

pub fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        "test://static-text" => {
            ResourceContents::text("This is the content of the static text resource.", uri)
                .with_mime_type("text/plain")
        }
        "test://watched-resource" => {
            ResourceContents::text("Watched", uri).with_mime_type("text/plain")
        }
        "test://static-binary" => ResourceContents::blob(PICTURE, uri).with_mime_type("image/png"),
        _ => {
            let id = uri
                .strip_prefix("test://template/")
                .and_then(|rest| rest.strip_suffix("/data"))
                .ok_or_else(|| {
                    ErrorData::resource_not_found("no such resource", Some(json!({ "uri": uri })))
                })?;
            let text = json!({
                "id": id, "templateTest": true, "data": format!("Data for ID: {id}"),
            });
            ResourceContents::text(text.to_string(), uri).with_mime_type("application/json")
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}
