//! `get_lineage`: what is up- and downstream of an entity or a column, counted exactly.

mod columns;
mod listing;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, Outcome, Tool, Toolset, arguments, lineage,
    schema::{self, integer, list, object, string, table},
};
use crate::{
    answer::{Answer, Budget},
    catalog::{
        graph::{Direction, Graph, NodeIndex, cycles::cycles},
        lineage::Reach,
    },
};

pub const TOOL: Tool = Tool {
    name: "get_lineage",
    title: "Get lineage",
    description: "What an entity (or column) is made of and what is made of it, hop by hop; counts \
                  are exact also where the list is cut. Depth is negative upstream.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = schema::paged("nodes");
        fields.extend([
            ("root", object()),
            (
                "counts",
                json!({"type": "object", "description": "upstream and downstream count each direction \
                    by itself; by_type counts each entity once; a node that is both (a cycle) is listed \
                    once, at its nearest"}),
            ),
            ("cycles", list(list(string()))),
            ("more_beyond", list(string())),
            (
                "edges",
                json!({"type": "object", "description": "only with details: from and to are positions \
                    in the whole list of nodes, in which the root is row 0; each edge stands on the page \
                    of its later end", "properties": {"columns": list(string()), "rows": list(list(json!({})))}}),
            ),
            ("column", object()),
            ("columns", table()),
            ("table_level_only", object()),
            ("depth", integer()),
        ]);
        schema::result(
            &["root", "counts", "nodes", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN, type:fqn, id or page URL.
    entity: String,
    /// Default both.
    direction: Option<Way>,
    /// Hops; default 3, with column 10.
    #[schemars(range(min = 1, max = 10))]
    depth: Option<u32>,
    /// List only these types; the walk goes through all.
    types: Option<Vec<String>>,
    /// One column, or * for all: where it comes from and lands.
    column: Option<String>,
    /// Also edges with columns, pipeline, SQL.
    details: Option<bool>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    Upstream,
    Downstream,
    Both,
}

impl Way {
    fn directions(self) -> &'static [Direction] {
        match self {
            Self::Upstream => &[Direction::Upstream],
            Self::Downstream => &[Direction::Downstream],
            Self::Both => &[Direction::Upstream, Direction::Downstream],
        }
    }
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, scope): (Arguments, _) = arguments::read_paged("get_lineage", sent)?;
    let start = scope.position(asked.cursor.as_deref())?;
    let types = lineage::entity_types("types", asked.types.as_deref().unwrap_or_default())?;
    let directions = asked.direction.unwrap_or(Way::Both).directions();
    let catalog = context.catalog()?;
    let (entity, column) = match asked.column.as_deref() {
        None => {
            // A column is not an entity to OpenMetadata, but people name it like one.
            let end = lineage::end(&catalog, "entity", &asked.entity).await?;
            (end.entity, end.column.map(columns::Wanted::One))
        }
        Some(written) => {
            let entity = lineage::entity(&catalog, "entity", &asked.entity).await?;
            let wanted = if written == "*" {
                columns::Wanted::All
            } else {
                let column = lineage::column(&catalog, &entity, "column", written).await?;
                columns::Wanted::One(column)
            };
            (entity, Some(wanted))
        }
    };
    let depth = asked.depth.unwrap_or(if column.is_some() { 10 } else { 3 });
    let mut reach = Reach::default();
    for direction in directions {
        match direction {
            Direction::Upstream => reach.upstream = depth,
            Direction::Downstream => reach.downstream = depth,
        }
    }
    let mut collected = catalog.lineage(&entity, reach, context.deadline()).await?;

    // A caller who says how many gets them, up to the hard cap.
    let mut answer = Answer::new(if asked.limit.is_some() {
        Budget::HARD
    } else {
        Budget::DEFAULT
    });
    answer.put(
        "root",
        json!({"fqn": entity.fqn, "type": entity.entity_type.as_str()}),
    );
    lineage::put_provenance(&mut answer, &catalog, &collected, depth);
    if let Some(why) = lineage::without_lineage(entity.entity_type.as_str()) {
        answer.warn(why);
    }
    let mut listing = match &column {
        None => listing::of_entities(&collected, directions, depth),
        Some(wanted) => columns::put(&mut answer, &collected, wanted, directions, depth),
    };
    answer.put("counts", listing.counts(&collected.graph));
    if column.is_none() {
        let mut members: Vec<_> = listing.rows.iter().map(|row| row.node).collect();
        members.extend(collected.root);
        put_cycles(&mut answer, &collected.graph, &members);
    }
    answer.put("more_beyond", listing.more_beyond.clone());
    listing.keep_types(&collected.graph, &types);
    let details = asked.details.unwrap_or(false);
    if details {
        listing.add_root(collected.root);
        let edges = listing.edges(&collected.graph);
        let missing = catalog
            .add_sql(&mut collected, &edges, context.deadline())
            .await;
        if missing > 0 {
            answer.warn(format!("the SQL of {missing} edges was not read"));
        }
    }
    listing.put(
        answer,
        &collected,
        &listing::Page {
            scope: &scope,
            start,
            limit: asked.limit,
            details,
        },
    )
}

/// Names the cycles among these nodes, and says where not all are named.
fn put_cycles(answer: &mut Answer, graph: &Graph, members: &[NodeIndex]) {
    const MOST: usize = 5;
    const MOST_NAMES: usize = 8;
    let groups = cycles(graph, members);
    let named: Value = groups
        .iter()
        .take(MOST)
        .map(|group| lineage::names(graph, group, MOST_NAMES))
        .collect();
    answer.put("cycles", named);
    if groups.len() > MOST {
        answer.warn(format!(
            "there are {} cycles, {MOST} are named",
            groups.len()
        ));
    }
}
