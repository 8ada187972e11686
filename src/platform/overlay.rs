//! One platform file laid over another: what an environment has of its own, over what all share.
//!
//! As Compose lays files over each other: mappings are joined key by key, anything else replaces;
//! `!override` replaces a mapping as a whole, `!reset` takes a key away.

use super::yaml::{Entry, Node, Value};

/// `over` laid over `base`; every value keeps the place where it was written.
pub fn laid_over(base: Node, over: Node) -> Node {
    let replaces = over.tag.as_deref() == Some("override");
    match (base.value, over.value) {
        (Value::Map(base), Value::Map(over_entries)) if !replaces => Node {
            place: over.place,
            tag: base_tag(over.tag),
            value: Value::Map(joined(base, over_entries)),
        },
        (_, value) => Node {
            place: over.place,
            tag: base_tag(over.tag),
            value,
        },
    }
}

/// The tags that speak to this file are done with.
fn base_tag(tag: Option<String>) -> Option<String> {
    tag.filter(|tag| tag != "override")
}

/// Keys in the order of the base, new ones behind them.
fn joined(mut base: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    for entry in over {
        let at = base.iter().position(|one| one.key == entry.key);
        let is_reset = entry.value.tag.as_deref() == Some("reset");
        match at {
            Some(at) if is_reset => {
                base.remove(at);
            }
            Some(at) => {
                let below = base.remove(at);
                let value = laid_over(below.value, entry.value);
                base.insert(at, Entry { value, ..entry });
            }
            None if is_reset => {}
            None => base.push(entry),
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::super::{problem::FileId, yaml};
    use super::*;

    fn tree(text: &str, file: u32) -> Node {
        let (mut documents, problems) = yaml::documents(text, FileId(file)).expect("YAML");
        assert_eq!(problems, []);
        documents.remove(0)
    }

    /// As one line, without places.
    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(shown).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key, shown(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[test]
    fn mappings_join_and_all_else_replaces() {
        for (base, over, result) in [
            ("a: 1\nb: 2", "b: 3\nc: 4", "{a: 1, b: 3, c: 4}"),
            ("a: { x: 1, y: 2 }", "a: { y: 3 }", "{a: {x: 1, y: 3}}"),
            ("a: [1, 2]", "a: [3]", "{a: [3]}"),
            ("a: { x: 1 }", "a: !override { y: 2 }", "{a: {y: 2}}"),
            ("a: { x: 1 }\nb: 2", "a: !reset", "{b: 2}"),
            ("a: { x: 1, y: 2 }", "a: { x: !reset null }", "{a: {y: 2}}"),
            ("a: 1", "b: !reset null", "{a: 1}"),
            ("a: { x: 1 }", "a: text", "{a: text}"),
            ("a: text", "a: { x: 1 }", "{a: {x: 1}}"),
        ] {
            let laid = laid_over(tree(base, 1), tree(over, 0));
            assert_eq!(shown(&laid), result, "{base} + {over}");
        }
    }

    #[test]
    fn every_value_knows_its_file() {
        let laid = laid_over(tree("a: { x: 1, y: 2 }", 1), tree("\na: { y: 3 }", 0));
        let x = laid.at(&["a", "x"]).expect("x").place;
        let y = laid.at(&["a", "y"]).expect("y").place;
        assert_eq!((x.file, x.line), (FileId(1), 1));
        assert_eq!((y.file, y.line), (FileId(0), 2));
    }
}
