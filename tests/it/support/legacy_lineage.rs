//! Answers `/lineage/{type}/name/{fqn}` and its form by id, over the edges that were recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::documents::{Document, Documents, TYPES};
use super::entities;
use super::recordings::Version;
use super::wire::{Answer, Seen};

/// `path` is what follows `/api/v1/`.
pub fn answer(version: Version, path: &str, seen: &Seen) -> Option<Answer> {
    let path = path.strip_prefix("lineage/")?;
    let Some((entity_type, rest)) = path.split_once('/') else {
        return unknown_root(version, path, seen);
    };
    if !rest.starts_with("name/") && !entities::is_uuid(rest) {
        // The old server takes any two parts for a type and an id; the new one has more routes.
        let is_old = version == Version::V1_2_0 && !rest.contains('/');
        let message = format!("Invalid UUID string: {rest}");
        return is_old.then(|| Answer::json(400, &json!({ "code": 400, "message": message })));
    }
    let documents = Documents::of(version);
    let (root, asked) = match rest.strip_prefix("name/") {
        Some(name) => (documents.by_name(entity_type, name), name),
        None => (documents.by_id(rest), rest),
    };
    let depth = |name: &str| {
        seen.parameter(name)
            .map_or(Some(1), |text| text.parse::<usize>().ok())
    };
    let (up, down) = (depth("upstreamDepth")?, depth("downstreamDepth")?);
    if up > 3 || down > 3 {
        let recording = version.recording("lineage/legacy-d4");
        let texts = ["upstreamDepth", "downstreamDepth"]
            .into_iter()
            .zip([up, down]);
        let too_deep: Vec<String> = texts
            .filter(|(_, depth)| *depth > 3)
            .map(|(name, _)| format!("query param {name} must be less than or equal to 3"))
            .collect();
        let message = format!("[{}]", too_deep.join(", "));
        return Some(Answer::json(
            recording.status,
            &json!({ "code": 400, "message": message }),
        ));
    }
    let Some(root) = root else {
        return Some(entities::missing(entity_type, asked));
    };
    let edges = Edges::of(version);
    let mut walk = Walk {
        edges,
        nodes: Vec::new(),
        found: Vec::new(),
    };
    walk.go(&root.id, up, Direction::Up);
    let upstream = std::mem::take(&mut walk.found);
    walk.go(&root.id, down, Direction::Down);
    let downstream = std::mem::take(&mut walk.found);
    let mut seen_nodes = BTreeSet::new();
    let nodes: Option<Vec<Value>> = walk
        .nodes
        .iter()
        .filter(|id| seen_nodes.insert((*id).clone()))
        .map(|id| Some(reference(version, documents.by_id(id)?)))
        .collect();
    Some(Answer::json(
        200,
        &json!({
            "entity": reference(version, root),
            "nodes": nodes?,
            "upstreamEdges": upstream,
            "downstreamEdges": downstream,
        }),
    ))
}

/// An unknown name is the one thing about getLineage that can be told without recording it.
fn unknown_root(version: Version, path: &str, seen: &Seen) -> Option<Answer> {
    let recording = version.recording("lineage/get-missing");
    let name = seen.parameter("fqn")?;
    let is_known = Documents::of(version)
        .all
        .iter()
        .any(|document| document.name() == name);
    if is_known || path != "getLineage" {
        return None;
    }
    let text = recording.response.to_string();
    let named = text.replace(
        "openpolicy_pg.openpolicy.core.nope",
        &name.replace('"', "\\\""),
    );
    Some(Answer::json(
        recording.status,
        &serde_json::from_str(&named).ok()?,
    ))
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Depth first and without looking back, as the server walks: meshes and cycles give duplicates.
struct Walk<'a> {
    edges: &'a Edges,
    nodes: Vec<String>,
    found: Vec<Value>,
}

impl Walk<'_> {
    fn go(&mut self, id: &str, depth: usize, direction: Direction) {
        if depth == 0 {
            return;
        }
        let next: Vec<String> = self
            .edges
            .at(id, direction)
            .iter()
            .map(|edge| {
                self.found.push(edge.shown());
                match direction {
                    Direction::Up => edge.from.clone(),
                    Direction::Down => edge.to.clone(),
                }
            })
            .collect();
        self.nodes.extend(next.iter().cloned());
        for id in next {
            self.go(&id, depth - 1, direction);
        }
    }
}

#[derive(Clone)]
struct Edge {
    from: String,
    to: String,
    details: Value,
}

impl Edge {
    fn shown(&self) -> Value {
        json!({ "fromEntity": self.from, "toEntity": self.to, "lineageDetails": self.details })
    }
}

#[derive(Default)]
struct Edges {
    into: BTreeMap<String, Vec<Edge>>,
    out_of: BTreeMap<String, Vec<Edge>>,
}

impl Edges {
    fn of(version: Version) -> &'static Edges {
        static NEW: OnceLock<Edges> = OnceLock::new();
        static OLD: OnceLock<Edges> = OnceLock::new();
        match version {
            Version::V1_12_6 => NEW.get_or_init(new_edges),
            Version::V1_2_0 => OLD.get_or_init(old_edges),
        }
    }

    fn at(&self, id: &str, direction: Direction) -> &[Edge] {
        let side = match direction {
            Direction::Up => &self.into,
            Direction::Down => &self.out_of,
        };
        side.get(id).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, edge: Edge) {
        let out = self.out_of.entry(edge.from.clone()).or_default();
        if out.iter().any(|known| known.to == edge.to) {
            return;
        }
        out.push(edge.clone());
        self.into.entry(edge.to.clone()).or_default().push(edge);
    }

    /// A pipeline stands between the ends of the edges that it makes, but only in its own lineage.
    fn add_pipelines(&mut self) {
        let edges: Vec<Edge> = self.out_of.values().flatten().cloned().collect();
        for edge in edges {
            let Some(pipeline) = edge.details.pointer("/pipeline/id").and_then(Value::as_str)
            else {
                continue;
            };
            let ends = [(&edge.from, pipeline), (&pipeline.to_owned(), &edge.to)]
                .map(|(from, to)| (from.to_string(), to.to_string()));
            let [before, after] = ends.map(|(from, to)| Edge {
                from,
                to,
                details: edge.details.clone(),
            });
            let into = self.into.entry(pipeline.to_owned()).or_default();
            if into.iter().all(|known| known.from != before.from) {
                into.push(before);
            }
            let out = self.out_of.entry(pipeline.to_owned()).or_default();
            if out.iter().all(|known| known.to != after.to) {
                out.push(after);
            }
        }
    }
}

/// The new server's documents carry every incoming edge.
fn new_edges() -> Edges {
    let mut edges = Edges::default();
    // These know the SQL of an edge, which a document only refers to.
    recorded_edges(Version::V1_12_6)
        .into_iter()
        .for_each(|edge| edges.add(edge));
    for document in &Documents::of(Version::V1_12_6).all {
        for edge in document.source["upstreamLineage"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let Some(from) = edge.pointer("/fromEntity/id").and_then(Value::as_str) else {
                continue;
            };
            edges.add(Edge {
                from: from.to_owned(),
                to: document.id.clone(),
                details: details(edge),
            });
        }
    }
    edges.add_pipelines();
    edges
}

/// An edge of a search document in the words of the legacy endpoint.
fn details(edge: &Value) -> Value {
    let mut shown = Map::new();
    let names = [
        ("sqlQuery", "sqlQuery"),
        ("columns", "columnsLineage"),
        ("pipeline", "pipeline"),
        ("description", "description"),
        ("source", "source"),
        ("createdAt", "createdAt"),
        ("createdBy", "createdBy"),
        ("updatedAt", "updatedAt"),
        ("updatedBy", "updatedBy"),
    ];
    for (name, legacy) in names {
        match (edge.get(name).filter(|value| !value.is_null()), name) {
            (Some(pipeline), "pipeline") => {
                let kind = edge["pipelineEntityType"].clone();
                let mut short = json!({ "id": pipeline["id"], "type": kind });
                for name in ["name", "fullyQualifiedName", "displayName", "deleted"] {
                    short[name] = pipeline[name].clone();
                }
                shown.insert(legacy.to_owned(), short);
            }
            (Some(value), _) => {
                shown.insert(legacy.to_owned(), value.clone());
            }
            (None, "columns") => {
                shown.insert(legacy.to_owned(), json!([]));
            }
            (None, _) => {}
        }
    }
    Value::Object(shown)
}

/// What the old server's lineage answers tell, and the rest of its mesh from the new server's.
///
/// The mesh of both catalogs was made by one rule, the old one's stops at `m119`. As far as the old
/// one was recorded both have the same edges, which `tests/it/evaluator.rs` proves.
fn old_edges() -> Edges {
    let old = Documents::of(Version::V1_2_0);
    let mut edges = Edges::default();
    let mut mesh_details = json!({ "columnsLineage": [] });
    for edge in recorded_edges(Version::V1_2_0) {
        if old
            .by_id(&edge.from)
            .is_some_and(|document| document.name().contains(".MESH."))
        {
            mesh_details = edge.details.clone();
        }
        edges.add(edge);
    }
    let new = Documents::of(Version::V1_12_6);
    for edge in new_edges().out_of.values().flatten() {
        let in_old = |id: &str| old.by_name("table", new.by_id(id)?.name());
        let (Some(from), Some(to)) = (in_old(&edge.from), in_old(&edge.to)) else {
            continue;
        };
        if to.name().contains(".MESH.") {
            edges.add(Edge {
                from: from.id.clone(),
                to: to.id.clone(),
                details: mesh_details.clone(),
            });
        }
    }
    edges.add_pipelines();
    edges
}

/// The edges of every recorded legacy lineage, without those that only stand for a pipeline.
fn recorded_edges(version: Version) -> Vec<Edge> {
    let documents = Documents::of(version);
    let is_pipeline = |id: &str| {
        documents
            .by_id(id)
            .is_some_and(|document| document.text("entityType") == "pipeline")
    };
    version
        .recordings()
        .iter()
        .filter(|recording| recording.folder() == "lineage" && recording.status == 200)
        .flat_map(|recording| {
            ["upstreamEdges", "downstreamEdges"].map(|side| recording.response[side].as_array())
        })
        .flatten()
        .flatten()
        .filter_map(|edge| {
            Some(Edge {
                from: edge["fromEntity"].as_str()?.to_owned(),
                to: edge["toEntity"].as_str()?.to_owned(),
                details: edge["lineageDetails"].clone(),
            })
        })
        .filter(|edge| !is_pipeline(&edge.from) && !is_pipeline(&edge.to))
        .collect()
}

fn reference(version: Version, document: &Document) -> Value {
    let kind = document.text("entityType");
    let route = TYPES
        .iter()
        .find(|(_, name, _)| *name == kind)
        .map_or(kind, |(route, _, _)| route);
    let mut shown = json!({
        "id": document.id,
        "type": kind,
        "name": document.entity_name(),
        "fullyQualifiedName": document.name(),
    });
    // The old server shows a display name only where someone gave one.
    let is_renamed = document.text("displayName") != document.entity_name();
    for name in ["description", "displayName"] {
        let is_shown = name != "displayName" || version == Version::V1_12_6 || is_renamed;
        if let Some(value) = document
            .source
            .get(name)
            .filter(|value| !value.is_null() && is_shown)
        {
            shown[name] = value.clone();
        }
    }
    shown["deleted"] = document.is_deleted().into();
    shown["href"] = format!("http://openmetadata:8585/api/v1/{route}/{}", document.id).into();
    shown
}
