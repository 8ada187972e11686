//! Cuts an answer of OpenMetadata to what fits, at the borders of items, and says what was cut.

use serde_json::{Map, Value, json};

use super::{fit::fit, path::Request, select::select};
use crate::answer::budget;

/// What of an answer is shown.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    pub body: Value,
    /// Of a list.
    pub total: Option<Total>,
    /// Items of a list that are in `body`.
    pub returned: Option<u64>,
    pub complete: bool,
    /// Query parameters that read on.
    pub next: Map<String, Value>,
    /// Lists and texts inside that were cut: `{path, total, returned}`.
    pub cut: Vec<Value>,
    /// Fields that were asked for and that nothing has.
    pub absent: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub count: u64,
    pub is_lower_bound: bool,
}

impl Page {
    /// The body in at most `tokens`.
    pub fn of(
        found: Value,
        request: &Request,
        limit: Option<u32>,
        fields: &[String],
        tokens: usize,
    ) -> Self {
        let mut page = Self::default();
        let mut found = found;
        let list = List::of(&found);
        let total = list.and_then(|list| list.total(&found));
        let paging = found.get("paging").cloned();
        let mut items = list.and_then(|list| list.take(&mut found));
        let on_page = items.as_ref().map_or(0, Vec::len);
        if let Some(items) = &mut items {
            items.truncate(limit.unwrap_or(u32::MAX) as usize);
        }
        if !fields.is_empty() {
            let roots: &mut [Value] = match &mut items {
                Some(items) => items,
                None => std::slice::from_mut(&mut found),
            };
            page.absent = select(roots, fields);
            if items.is_some() {
                found = Value::Object(Map::new());
            }
        }
        let Some(mut items) = items else {
            let mut body = compact(found);
            page.cut = fit(&mut body, tokens);
            page.complete = page.cut.is_empty();
            page.body = body;
            return page;
        };
        // What stands around a list is worth less than its items.
        let mut around = compact(found);
        page.cut = fit(&mut around, tokens / 3);
        let left = tokens.saturating_sub(budget::of_value(&around));
        let mut used = 0;
        let mut kept = 0;
        items = items.into_iter().map(compact).collect();
        for item in &items {
            used += budget::of_value(item) + 1;
            if used > left && kept > 0 {
                break;
            }
            kept += 1;
        }
        items.truncate(kept);
        if used > left && kept == 1 {
            page.cut.extend(fit(&mut items[0], left));
        }
        let start = request.start();
        let end = start + kept as u64;
        page.returned = Some(kept as u64);
        let is_cut_here = kept < on_page;
        let after = paging
            .as_ref()
            .and_then(|paging| paging.get("after"))
            .and_then(Value::as_str);
        page.total = Some(total.unwrap_or(Total {
            count: start + on_page as u64,
            is_lower_bound: after.is_some(),
        }));
        let count = page.total.map_or(0, |total| total.count);
        let is_all = match request.pages_by() {
            PagesBy::Cursor => after.is_none() && !request.query.contains_key("after"),
            PagesBy::Offset(_) => end >= count,
        };
        page.complete = !is_cut_here && is_all && page.cut.is_empty();
        match request.pages_by() {
            PagesBy::Offset(name) if end < count => {
                page.next.insert(name.into(), end.to_string().into());
            }
            PagesBy::Cursor if is_cut_here => {
                // The server's cursor would skip what was cut here.
                if let Some(name) = request.limit_parameter() {
                    page.next.insert(name.into(), kept.to_string().into());
                    page.warnings.push(format!(
                        "{kept} of the {on_page} items that came are shown: name `fields`, or ask \
                         with query.{name}={kept} and go on with the `after` of that answer"
                    ));
                }
            }
            PagesBy::Cursor => {
                if let Some(after) = after {
                    page.next.insert("after".into(), after.into());
                }
            }
            PagesBy::Offset(_) => {}
        }
        page.body = match list {
            Some(list) => list.put(around, items),
            None => Value::Array(items),
        };
        page
    }
}

/// How a route goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PagesBy {
    /// `paging.after`, opaque.
    Cursor,
    /// A number of items to leave out, under this name.
    Offset(&'static str),
}

impl Request {
    fn pages_by(&self) -> PagesBy {
        if self.path.starts_with("search/") {
            PagesBy::Offset("from")
        } else if self.query.contains_key("offset") || self.path.ends_with("/columns") {
            PagesBy::Offset("offset")
        } else {
            PagesBy::Cursor
        }
    }

    /// Items before the first.
    fn start(&self) -> u64 {
        match self.pages_by() {
            PagesBy::Offset(name) => self
                .query
                .get(name)
                .and_then(|value| value.parse().ok())
                .unwrap_or(0),
            PagesBy::Cursor => 0,
        }
    }
}

/// Where the items of an answer stand.
#[derive(Debug, Clone, Copy)]
enum List {
    /// The answer is the list.
    Root,
    /// `data`, with `paging`.
    Data,
    /// `hits.hits` of a search.
    Hits,
}

impl List {
    fn of(body: &Value) -> Option<Self> {
        if body.is_array() {
            Some(Self::Root)
        } else if body.get("data").is_some_and(Value::is_array) {
            Some(Self::Data)
        } else if body.pointer("/hits/hits").is_some_and(Value::is_array) {
            Some(Self::Hits)
        } else {
            None
        }
    }

    fn pointer(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Data => "/data",
            Self::Hits => "/hits/hits",
        }
    }

    fn take(self, body: &mut Value) -> Option<Vec<Value>> {
        let items = match body.pointer_mut(self.pointer())?.take() {
            Value::Array(items) => items,
            _ => return None,
        };
        if let Some(body) = body.as_object_mut() {
            body.remove("paging");
        }
        Some(items)
    }

    fn total(self, body: &Value) -> Option<Total> {
        let exact = |value: &Value| {
            Some(Total {
                count: value.as_u64()?,
                is_lower_bound: false,
            })
        };
        match self {
            Self::Root => None,
            Self::Data => exact(body.pointer("/paging/total")?),
            Self::Hits => {
                let total = body.pointer("/hits/total")?;
                Some(Total {
                    count: total.get("value").unwrap_or(total).as_u64()?,
                    is_lower_bound: total.get("relation").is_some_and(|is| is == "gte"),
                })
            }
        }
    }

    /// The items in their place again.
    fn put(self, around: Value, items: Vec<Value>) -> Value {
        let mut body = match around {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        match self {
            Self::Root => return Value::Array(items),
            Self::Data => {
                body.insert("data".into(), items.into());
            }
            Self::Hits => {
                // Total and items are told once.
                body.insert("hits".into(), json!({"hits": items}));
            }
        }
        Value::Object(body)
    }
}

/// Without nulls, empty lists and objects, and links that repeat id and type.
fn compact(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| name != "href")
            .map(|(name, field)| (name, compact(field)))
            .filter(|(_, field)| !is_empty(field))
            .collect(),
        Value::Array(items) => items.into_iter().map(compact).collect(),
        other => other,
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn page(path: &str, found: Value, fields: &[&str], tokens: usize) -> Page {
        let request = Request::parse(path, BTreeMap::new()).unwrap();
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        Page::of(found, &request, None, &fields, tokens)
    }

    fn items(count: usize) -> Vec<Value> {
        (0..count)
            .map(|number| json!({"name": format!("column {number}"), "nothing": null}))
            .collect()
    }

    #[test]
    fn a_whole_list_says_so() {
        let found = json!({"data": items(3), "paging": {"total": 3}});
        let page = page("tables", found, &[], 1_000);
        assert_eq!(page.body["data"][2], json!({"name": "column 2"}));
        assert!(page.complete && page.next.is_empty());
        assert_eq!(page.returned, Some(3));
    }

    #[test]
    fn the_way_on_never_skips_what_was_cut_here() {
        let found = json!({"data": items(50), "paging": {"total": 262, "after": "cursor"}});
        let whole = page("tables", found.clone(), &[], 10_000);
        assert_eq!(whole.next["after"], "cursor");
        assert!(!whole.complete);
        let cut = page("tables", found, &[], 100);
        let kept = cut.returned.unwrap();
        assert!((1..50).contains(&kept) && !cut.complete);
        // Not the server's cursor: it stands behind the 50.
        assert_eq!(cut.next.get("after"), None);
        assert_eq!(cut.next["limit"], kept.to_string());

        let found = json!({"hits": {"total": {"value": 40, "relation": "eq"}, "hits": items(30)}});
        let cut = page("search/query?from=10", found, &[], 100);
        assert_eq!(cut.next["from"], (10 + cut.returned.unwrap()).to_string());
        assert_eq!(cut.total.unwrap().count, 40);
    }

    #[test]
    fn a_long_list_inside_an_entity_is_cut_and_counted() {
        let found = json!({"name": "wide", "columns": items(300), "tags": ["a", "b"]});
        let page = page("tables/name/wide", found, &[], 500);
        assert!(budget::of_value(&page.body) <= 500 && !page.complete);
        assert_eq!(page.cut[0]["path"], "columns");
        assert_eq!(page.cut[0]["total"], 300);
        assert_eq!(page.body["tags"], json!(["a", "b"]));
        assert_eq!(
            page.cut[0]["returned"],
            page.body["columns"].as_array().unwrap().len()
        );
    }

    #[test]
    fn fits_whatever_the_shape() {
        let long = "word ".repeat(20_000);
        let many: Map<String, Value> = (0..5_000)
            .map(|number| (format!("field {number}"), number.into()))
            .collect();
        for found in [
            json!({"sql": long, "name": "a"}),
            json!([{"sql": long}, {"sql": long}]),
            json!({"deep": {"deeper": [{"sql": long}]}}),
            json!({"data": [{"columns": items(3_000)}], "paging": {"total": 1}}),
            Value::String(long.clone()),
        ] {
            let page = page("tables", found, &[], 400);
            assert!(budget::of_value(&page.body) <= 420, "{}", page.body);
            assert!(!page.complete);
        }
        let page = page("tables", many.into(), &[], 400);
        assert!(!page.complete && budget::of_value(&page.body) <= 420);
    }

    #[test]
    fn keeps_the_fields_that_were_named() {
        let found = json!({
            "name": "a",
            "owners": [{"name": "x", "id": "1"}],
            "columns": [{"name": "c", "dataType": "INT", "id": "2"}],
        });
        let named = page(
            "tables/name/a",
            found,
            &["columns.name", "columns.dataType", "tier"],
            500,
        );
        assert_eq!(
            named.body,
            json!({"columns": [{"name": "c", "dataType": "INT"}]})
        );
        assert_eq!(named.absent, ["tier"]);
        let found = json!({"hits": {"hits": [{"_source": {"name": "a", "id": "1"}}]}});
        let named = page("search/query", found, &["name"], 500);
        assert_eq!(named.body, json!({"hits": {"hits": [{"name": "a"}]}}));
    }
}
