//! Takes out of documents what others say of themselves: prose of tags, services and owners, and
//! addresses. A tier alone repeats 500 bytes in each table. Pure.

use serde_json::{Map, Value};

/// The same without what repeats.
pub fn trimmed(mut document: Value) -> Value {
    if let Value::Object(fields) = &mut document {
        fields.shift_remove("href");
        fields.values_mut().for_each(inner);
    }
    document
}

fn inner(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(inner),
        Value::Object(fields) => {
            if repeats(fields) {
                for name in ["description", "href", "style"] {
                    fields.shift_remove(name);
                }
            }
            fields.values_mut().for_each(inner);
        }
        _ => {}
    }
}

/// Whether this names another entity: a label, or a reference.
fn repeats(fields: &Map<String, Value>) -> bool {
    let is_text = |name: &str| fields.get(name).is_some_and(Value::is_string);
    is_text("tagFQN") || (is_text("id") && is_text("type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keeps_what_an_entity_says_of_itself() {
        let document = json!({
            "id": "1", "type": "x", "description": "mine", "href": "http://om",
            "tier": {"tagFQN": "Tier.Tier1", "description": "long"},
            "owners": [{"id": "2", "type": "team", "name": "a", "description": "theirs"}],
            "columns": [{"name": "c", "description": "of the column",
                "tags": [{"tagFQN": "PII.None", "description": "long"}]}],
        });
        assert_eq!(
            trimmed(document),
            json!({
                "id": "1", "type": "x", "description": "mine",
                "tier": {"tagFQN": "Tier.Tier1"},
                "owners": [{"id": "2", "type": "team", "name": "a"}],
                "columns": [{"name": "c", "description": "of the column",
                    "tags": [{"tagFQN": "PII.None"}]}],
            })
        );
    }
}
