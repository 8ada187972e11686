//! What only entities of one type have: charts of a dashboard, tasks of a pipeline, …

use serde_json::{Map, Value, json};

use super::{
    fqn,
    model::EntityType,
    wire::{self, one_or_many, text},
};

/// Entities or parts that belong to an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Members {
    /// `charts`, `tasks`, `tables`, …
    pub name: &'static str,
    pub items: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// FQN where it has one, else its name.
    pub fqn: String,
    /// Where members are of several types.
    pub entity_type: Option<String>,
    /// What else is worth a word: display name, state.
    pub note: Option<String>,
}

/// Short facts by name, in the order in which they are worth reading.
pub fn facts_of(entity_type: &EntityType, document: &Value) -> Map<String, Value> {
    let mut facts = Map::new();
    for (name, pointer) in short_facts(entity_type.as_str()) {
        if let Some(value) = document.pointer(pointer).and_then(plain) {
            facts.insert((*name).to_owned(), value);
        }
    }
    if let Some(service_type) = text(document, "serviceType") {
        facts.insert("service_type".into(), service_type.into());
    }
    match entity_type.as_str() {
        "pipeline" | "ingestionPipeline" => {
            if let Some(run) = last_run(document) {
                facts.insert("last_run".into(), run);
            }
        }
        "testCase" => {
            if let Some(result) = document.get("testCaseResult").filter(|r| r.is_object()) {
                let mut last = Map::new();
                put(&mut last, "status", text(result, "testCaseStatus"));
                put(&mut last, "at", time(result.get("timestamp")));
                put(&mut last, "result", text(result, "result"));
                facts.insert("last_result".into(), last.into());
            }
            let parameters: Vec<String> = document
                .get("parameterValues")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|pair| {
                    Some(format!("{}={}", text(pair, "name")?, text(pair, "value")?))
                })
                .collect();
            if !parameters.is_empty() {
                facts.insert("parameters".into(), parameters.into());
            }
        }
        "table" => {
            for name in ["Regular", "Unprocessed"] {
                facts.retain(|_, value| value.as_str() != Some(name));
            }
            if let Some(partition) = document.pointer("/tablePartition/columns") {
                let columns: Vec<String> = partition
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|column| text(column, "columnName"))
                    .collect();
                if !columns.is_empty() {
                    facts.insert("partitioned_by".into(), columns.into());
                }
            }
        }
        _ => {}
    }
    facts
}

/// Names of facts and where they stand.
fn short_facts(entity_type: &str) -> &'static [(&'static str, &'static str)] {
    match entity_type {
        "table" => &[("table_type", "/tableType"), ("file_format", "/fileFormat")],
        "dashboard" => &[
            ("dashboard_type", "/dashboardType"),
            ("source_url", "/sourceUrl"),
        ],
        "chart" => &[("chart_type", "/chartType"), ("source_url", "/sourceUrl")],
        "dashboardDataModel" => &[("model_type", "/dataModelType")],
        "pipeline" => &[
            ("schedule", "/scheduleInterval"),
            ("state", "/state"),
            ("source_url", "/sourceUrl"),
        ],
        "ingestionPipeline" => &[
            ("pipeline_type", "/pipelineType"),
            ("schedule", "/airflowConfig/scheduleInterval"),
            ("enabled", "/enabled"),
            ("deployed", "/deployed"),
        ],
        "topic" => &[
            ("schema_type", "/messageSchema/schemaType"),
            ("partitions", "/partitions"),
            ("replication", "/replicationFactor"),
            ("cleanup", "/cleanupPolicies"),
        ],
        "mlmodel" => &[
            ("algorithm", "/algorithm"),
            ("target", "/target"),
            ("server", "/server"),
            ("dashboard", "/dashboard/fullyQualifiedName"),
        ],
        "container" => &[
            ("path", "/prefix"),
            ("formats", "/fileFormats"),
            ("objects", "/numberOfObjects"),
            ("size_bytes", "/size"),
            ("parent", "/parent/fullyQualifiedName"),
        ],
        "searchIndex" => &[("index_type", "/indexType")],
        "storedProcedure" => &[
            ("procedure_type", "/storedProcedureType"),
            ("language", "/storedProcedureCode/language"),
        ],
        "apiEndpoint" => &[("method", "/requestMethod"), ("endpoint", "/endpointURL")],
        "apiCollection" => &[("endpoint", "/endpointURL")],
        "metric" => &[
            ("metric_type", "/metricType"),
            ("granularity", "/granularity"),
            ("unit", "/unitOfMeasurement"),
            ("language", "/metricExpression/language"),
        ],
        "glossary" => &[("terms_in_it", "/termCount"), ("used", "/usageCount")],
        "glossaryTerm" => &[
            ("status", "/entityStatus"),
            ("status", "/status"),
            ("synonyms", "/synonyms"),
            ("glossary", "/glossary/fullyQualifiedName"),
            ("parent", "/parent/fullyQualifiedName"),
            ("used", "/usageCount"),
        ],
        "classification" => &[
            ("tags_in_it", "/termCount"),
            ("mutually_exclusive", "/mutuallyExclusive"),
            ("disabled", "/disabled"),
        ],
        "tag" => &[
            ("classification", "/classification/fullyQualifiedName"),
            ("disabled", "/disabled"),
            ("used", "/usageCount"),
        ],
        "domain" => &[
            ("domain_type", "/domainType"),
            ("parent", "/parent/fullyQualifiedName"),
        ],
        "user" => &[
            ("email", "/email"),
            ("is_admin", "/isAdmin"),
            ("is_bot", "/isBot"),
        ],
        "team" => &[("team_type", "/teamType"), ("email", "/email")],
        "testCase" => &[
            ("entity", "/entityFQN"),
            ("entity_link", "/entityLink"),
            ("definition", "/testDefinition/fullyQualifiedName"),
            ("status", "/testCaseStatus"),
        ],
        "testSuite" => &[
            ("entity", "/basicEntityReference/fullyQualifiedName"),
            ("tests_total", "/summary/total"),
            ("tests_failed", "/summary/failed"),
        ],
        "dataContract" => &[
            ("entity_type", "/entity/type"),
            ("entity", "/entity/fullyQualifiedName"),
            ("status", "/entityStatus"),
        ],
        _ => &[],
    }
}

/// Text, numbers, `true`, and lists of texts; what says nothing is left away.
fn plain(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if !text.is_empty() && text != "Unprocessed" => Some(value.clone()),
        Value::Number(_) | Value::Bool(true) => Some(value.clone()),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            Some(value.clone())
        }
        _ => None,
    }
}

fn last_run(document: &Value) -> Option<Value> {
    // One object, or a list from 2.0 on.
    let run = one_or_many(document, "pipelineStatus", "pipelineStatuses").next()?;
    let mut fields = Map::new();
    put(
        &mut fields,
        "state",
        text(run, "executionStatus").or_else(|| text(run, "pipelineState")),
    );
    put(&mut fields, "at", time(run.get("timestamp")));
    (!fields.is_empty()).then(|| fields.into())
}

/// What belongs to an entity, list by list, in the order of the document.
pub fn members_of(entity_type: &EntityType, document: &Value) -> Vec<Members> {
    let lists: &[(&'static str, &str)] = match entity_type.as_str() {
        "database" => &[("schemas", "databaseSchemas")],
        "databaseSchema" => &[("tables", "tables")],
        "dashboard" => &[("charts", "charts"), ("data_models", "dataModels")],
        "chart" => &[("dashboards", "dashboards")],
        "pipeline" => &[("tasks", "tasks")],
        "container" => &[("children", "children")],
        "apiCollection" => &[("endpoints", "apiEndpoints")],
        "metric" => &[("related", "relatedMetrics"), ("reviewers", "reviewers")],
        "query" => &[("used_in", "queryUsedIn")],
        "glossary" => &[("reviewers", "reviewers")],
        "glossaryTerm" => &[
            ("related", "relatedTerms"),
            ("children", "children"),
            ("reviewers", "reviewers"),
        ],
        "domain" => &[("children", "children"), ("experts", "experts")],
        "dataProduct" => &[("experts", "experts"), ("assets", "assets")],
        "user" => &[
            ("teams", "teams"),
            ("roles", "roles"),
            ("inherited_roles", "inheritedRoles"),
            ("owns", "owns"),
        ],
        "team" => &[
            ("users", "users"),
            ("parents", "parents"),
            ("children", "children"),
            ("owns", "owns"),
        ],
        "testSuite" => &[("tests", "tests")],
        kind if kind.ends_with("Service") => &[("ingestion_pipelines", "pipelines")],
        _ => &[],
    };
    lists
        .iter()
        .filter_map(|(name, field)| {
            let items: Vec<Member> = document
                .get(*field)?
                .as_array()?
                .iter()
                .filter_map(|item| member(name, item, document))
                .collect();
            (!items.is_empty()).then_some(Members { name, items })
        })
        .collect()
}

fn member(list: &str, item: &Value, document: &Value) -> Option<Member> {
    // Related glossary terms may stand inside a relation.
    let item = item
        .get("term")
        .filter(|term| term.is_object())
        .unwrap_or(item);
    let name = text(item, "fullyQualifiedName").or_else(|| text(item, "name"))?;
    let has_many_types = matches!(list, "owns" | "assets" | "used_in");
    let state = (list == "tasks")
        .then(|| task_state(document, &text(item, "name")?))
        .flatten();
    let last = fqn::parts(&name).pop().unwrap_or_default();
    let display = text(item, "displayName").filter(|display| *display != last);
    Some(Member {
        entity_type: has_many_types.then(|| text(item, "type")).flatten(),
        note: state.or(display),
        fqn: if list == "tasks" { last } else { name },
    })
}

fn task_state(document: &Value, task: &str) -> Option<String> {
    one_or_many(document, "pipelineStatus", "pipelineStatuses")
        .next()?
        .get("taskStatus")?
        .as_array()?
        .iter()
        .find(|state| text(state, "name").as_deref() == Some(task))
        .and_then(|state| text(state, "executionStatus"))
}

/// SQL or code that makes it: of a view, a procedure, a metric, a query.
pub fn definition_of(document: &Value) -> Option<String> {
    [
        "/schemaDefinition",
        "/viewDefinition",
        "/storedProcedureCode/code",
        "/metricExpression/code",
        "/query",
        "/sql",
        "/dataModel/sql",
    ]
    .iter()
    .find_map(|pointer| document.pointer(pointer)?.as_str())
    .filter(|code| !code.trim().is_empty())
    .map(str::to_owned)
}

/// Columns of other tables that this one is joined with, most often first.
pub fn joins_of(document: &Value) -> Vec<(String, String, u64)> {
    let mut joins: Vec<(String, String, u64)> = document
        .pointer("/joins/columnJoins")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(|join| {
            let column = text(join, "columnName").unwrap_or_default();
            join.get("joinedWith")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(move |with| {
                    Some((
                        column.clone(),
                        text(with, "fullyQualifiedName")?,
                        with.get("joinCount").and_then(Value::as_u64).unwrap_or(0),
                    ))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    joins.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.1.cmp(&b.1)));
    joins
}

/// Uses by day, week and month, and the share of entities that are used less in a month (percent).
pub fn usage_of(document: &Value) -> Option<Value> {
    let usage = document
        .get("usageSummary")
        .filter(|usage| usage.is_object())?;
    let count = |period: &str| usage.pointer(&format!("/{period}/count")).cloned();
    let mut fields = Map::new();
    for (name, period) in [
        ("day", "dailyStats"),
        ("week", "weeklyStats"),
        ("month", "monthlyStats"),
    ] {
        put(&mut fields, name, count(period));
    }
    put(
        &mut fields,
        "percentile",
        usage.pointer("/monthlyStats/percentileRank").cloned(),
    );
    put(&mut fields, "date", text(usage, "date"));
    (!fields.is_empty()).then(|| json!(fields))
}

/// Milliseconds since 1970 as RFC 3339, to the second.
pub fn time(milliseconds: Option<&Value>) -> Option<String> {
    let milliseconds = milliseconds?.as_f64()? as i64;
    jiff::Timestamp::from_second(milliseconds.div_euclid(1_000))
        .ok()
        .map(|time| time.to_string())
}

pub(super) fn put(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The custom properties of an entity.
pub fn custom_properties_of(document: &Value) -> Map<String, Value> {
    document
        .get("extension")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// FQNs of the data products that it belongs to.
pub fn data_products_of(document: &Value) -> Vec<String> {
    document
        .get("dataProducts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|product| wire::text(product, "fullyQualifiedName"))
        .collect()
}
