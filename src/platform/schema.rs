//! JSON Schema of a platform file, from the same declarations that read it.

use serde_json::{Value, json};

use super::{raw::RawPlatform, read::Read as _};

/// The schema, as schema/platform.schema.json has it.
pub fn schema() -> Value {
    let mut schema = RawPlatform::schema();
    if let Some(object) = schema.as_object_mut() {
        // What is laid over another file has its name from there.
        let either = json!([{ "required": ["platform"] }, { "required": ["extends"] }]);
        object.insert("anyOf".to_owned(), either);
        let mut whole = serde_json::Map::new();
        whole.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        whole.insert("title".to_owned(), json!("Platform file of openpolicy-mcp"));
        whole.extend(std::mem::take(object));
        *object = whole;
    }
    schema
}
