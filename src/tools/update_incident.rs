//! `update_incident`: acknowledge, assign or resolve the incident of a failing test.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, schema, subject,
};
use crate::{
    answer::{Answer, Budget, time as times},
    catalog::{
        Catalog, CatalogError, EntityType, Reference,
        quality::{Incident, IncidentState, Incidents, Resolution, latest_states},
        scope::{Scope, Target},
    },
};

pub const TOOL: Tool = Tool {
    name: "update_incident",
    title: "Update incident",
    description: "Acknowledges, assigns or resolves the incident of a failing test; shows the \
                  change first unless dry_run is false.",
    toolset: Toolset::CatalogWrite,
    effect: Effect::Write {
        destructive: false,
        idempotent: false,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["test", "state", "applied"],
            &[
                ("test", schema::string()),
                ("state", schema::object()),
                ("applied", schema::boolean()),
                ("next_step", schema::string()),
                ("note", schema::string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN or id of the test case.
    test: String,
    action: Action,
    /// User name, for assign.
    assignee: Option<String>,
    /// Why, for resolve.
    reason: Option<Reason>,
    /// What was found, for resolve.
    comment: Option<String>,
    /// Only show what would change (default true).
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Acknowledge,
    Assign,
    Resolve,
}

/// `testCaseFailureReason` of the server's OpenAPI document (1.12.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Reason {
    FalsePositive,
    MissingData,
    Duplicates,
    OutOfBounds,
    Other,
}

impl Reason {
    fn wire_name(self) -> &'static str {
        match self {
            Self::FalsePositive => "FalsePositive",
            Self::MissingData => "MissingData",
            Self::Duplicates => "Duplicates",
            Self::OutOfBounds => "OutOfBounds",
            Self::Other => "Other",
        }
    }
}

/// A user, as incidents name them.
struct Assignee {
    id: String,
    name: String,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let arguments: Arguments = arguments::read(sent)?;
    check(&arguments)?;
    if let Some(comment) = &arguments.comment {
        arguments::check_text("comment", comment)?;
    }
    let catalog = context.catalog()?.fresh();
    let is_dry = arguments.dry_run.unwrap_or(true);
    if let (Catalog::Snapshot(_), false) = (&catalog, is_dry) {
        return Err(ToolError::of_local_copy());
    }
    let test = test_of(&catalog, &arguments.test).await?;
    let before = open_incident(context, &catalog, &test).await?;
    let (resolution, assignee) = resolution(&catalog, &arguments).await?;
    let allowed = transition(&before, &resolution, assignee.as_ref());

    let mut answer = Answer::new(Budget::DEFAULT);
    subject::put_source(&mut answer, &catalog);
    answer.put("test", test.fqn.clone());
    match allowed {
        Ok(()) => {}
        Err(why) => {
            answer.put("state", json!({"before": describe(&before)}));
            answer.put("applied", false);
            answer.put("note", why);
            return Ok(answer);
        }
    }
    let mut planned = Incident {
        state: resolution.state(),
        assignee: assignee.map(|user| user.name),
        reason: None,
        comment: None,
        ..before.clone()
    };
    if let Resolution::Resolved { reason, comment } = &resolution {
        planned.reason = Some(reason.clone());
        planned.comment = Some(comment.clone());
    }
    if is_dry {
        answer.put(
            "state",
            json!({"before": describe(&before), "after": describe_planned(&planned)}),
        );
        answer.put("applied", false);
        answer.put("next_step", subject::after_dry_run(&catalog));
        return Ok(answer);
    }
    let written = catalog.update_incident(&test.fqn, &resolution).await?;
    // What OpenMetadata has now, not what it answered.
    let mut after = match incidents_of(context, &catalog, &test).await {
        Ok(mut states) => {
            states.retain(|incident| incident.id == before.id);
            match states.into_iter().next() {
                Some(state) if state.at >= written.at => state,
                _ => {
                    answer.warn("not confirmed: reading back does not show the new state yet");
                    written
                }
            }
        }
        Err(error) => {
            answer.warn(format!(
                "written, but could not be read back: {}",
                error.message
            ));
            written
        }
    };
    // Only the id comes back of the assignee.
    if after.state == IncidentState::Assigned && planned.assignee.is_some() {
        after.assignee = planned.assignee;
    }
    answer.put("applied", after.state == resolution.state());
    answer.put(
        "state",
        json!({"before": describe(&before), "after": describe(&after)}),
    );
    Ok(answer)
}

/// What the arguments of an action need, before anything is asked.
fn check(arguments: &Arguments) -> Result<(), ToolError> {
    let misplaced = |argument: &str, right: &str| {
        ToolError::invalid(
            argument,
            format!("`{argument}` does not belong to this action"),
            format!("leave it away, or give action {right}"),
        )
    };
    match arguments.action {
        Action::Assign if arguments.assignee.is_none() => {
            return Err(ToolError::invalid(
                "assignee",
                "`assignee` is missing",
                "give the user name of who takes it",
            ));
        }
        Action::Resolve if arguments.reason.is_none() => {
            return Err(ToolError::invalid(
                "reason",
                "`reason` is missing",
                "give one of: FalsePositive, MissingData, Duplicates, OutOfBounds, Other",
            ));
        }
        Action::Resolve if arguments.comment.is_none() => {
            return Err(ToolError::invalid(
                "comment",
                "`comment` is missing",
                "say in a few words what was found",
            ));
        }
        _ => {}
    }
    if arguments.action != Action::Assign && arguments.assignee.is_some() {
        return Err(misplaced("assignee", "assign"));
    }
    if arguments.action != Action::Resolve {
        if arguments.reason.is_some() {
            return Err(misplaced("reason", "resolve"));
        }
        if arguments.comment.is_some() {
            return Err(misplaced("comment", "resolve"));
        }
    }
    Ok(())
}

async fn test_of(catalog: &Catalog, written: &str) -> Result<Target, ToolError> {
    let mut reference = Reference::parse(written).map_err(about("test"))?;
    reference
        .entity_type
        .get_or_insert_with(|| EntityType::new("testCase"));
    if reference.entity_type != Some(EntityType::new("testCase")) {
        return Err(ToolError::invalid(
            "test",
            format!("{} is not a test case", arguments::quoted(written)),
            "give the FQN of a test; get_data_quality lists them",
        ));
    }
    let summary = catalog.resolve(&reference).await.map_err(about("test"))?;
    Ok(Target::of(&summary))
}

fn about(argument: &'static str) -> impl Fn(CatalogError) -> ToolError {
    move |error| ToolError::of_name(argument, error)
}

async fn incidents_of(
    context: &Context,
    catalog: &Catalog,
    test: &Target,
) -> Result<Vec<Incident>, ToolError> {
    let until = subject::time_of(context, catalog) + times::DAY;
    let scope = Scope::Entity(test.clone());
    let found = catalog
        .incidents(&scope, 0, until, context.deadline())
        .await?;
    match found {
        Incidents::Known { states, .. } => {
            let mut latest = latest_states(states);
            latest.retain(|incident| incident.test == test.fqn);
            Ok(latest)
        }
        Incidents::Unsupported => Err(ToolError::new(
            ErrorCode::UnsupportedVersion,
            match catalog {
                Catalog::Live(_) => "this version of OpenMetadata has no incidents",
                Catalog::Snapshot(_) => "this copy holds no incidents",
            },
        )
        .then("get_data_quality shows the tests and their results")),
    }
}

/// The newest incident of the test, in whatever state.
async fn open_incident(
    context: &Context,
    catalog: &Catalog,
    test: &Target,
) -> Result<Incident, ToolError> {
    let states = incidents_of(context, catalog, test).await?;
    states.into_iter().next().ok_or_else(|| {
        ToolError::new(
            ErrorCode::NotFound,
            format!("the test {} has no incident", test.fqn),
        )
        .about("test")
        .then("an incident opens when a test fails; get_data_quality lists those that are open")
    })
}

async fn resolution(
    catalog: &Catalog,
    arguments: &Arguments,
) -> Result<(Resolution, Option<Assignee>), ToolError> {
    Ok(match arguments.action {
        Action::Acknowledge => (Resolution::Acknowledged, None),
        Action::Assign => {
            let user = user_of(catalog, arguments.assignee.as_deref().unwrap_or_default()).await?;
            (
                Resolution::Assigned {
                    assignee: user.id.clone(),
                },
                Some(user),
            )
        }
        Action::Resolve => (
            Resolution::Resolved {
                reason: arguments
                    .reason
                    .map(Reason::wire_name)
                    .unwrap_or_default()
                    .to_owned(),
                comment: arguments.comment.clone().unwrap_or_default(),
            },
            None,
        ),
    })
}

async fn user_of(catalog: &Catalog, written: &str) -> Result<Assignee, ToolError> {
    let mut reference = Reference::parse(written).map_err(about("assignee"))?;
    reference
        .entity_type
        .get_or_insert_with(|| EntityType::new("user"));
    let user = catalog
        .resolve(&reference)
        .await
        .map_err(about("assignee"))?;
    if user.entity_type.as_str() != "user" {
        return Err(ToolError::invalid(
            "assignee",
            format!("`{}` is a {}", user.fqn, user.entity_type),
            "give a user: incidents go to persons",
        ));
    }
    Ok(Assignee {
        id: user.id,
        name: user.name,
    })
}

/// Whether the change makes sense from where the incident is; else why not.
fn transition(
    before: &Incident,
    wanted: &Resolution,
    assignee: Option<&Assignee>,
) -> Result<(), String> {
    match (before.state, wanted) {
        (IncidentState::Resolved, _) => Err(format!(
            "no open incident: the last one was resolved at {}; a new one opens when the test \
             fails again",
            times::text(before.at)
        )),
        (IncidentState::Ack, Resolution::Acknowledged) => {
            Err("already acknowledged: nothing to do".into())
        }
        (IncidentState::Assigned, Resolution::Acknowledged) => {
            Err("already assigned, which is more than acknowledged: nothing to do".into())
        }
        (IncidentState::Assigned, Resolution::Assigned { assignee: id })
            if before.assignee.as_deref().is_some_and(|name| {
                name == id || assignee.is_some_and(|user| user.name == name)
            }) =>
        {
            Err("already assigned to this user: nothing to do".into())
        }
        (IncidentState::New | IncidentState::Ack | IncidentState::Assigned, _) => Ok(()),
    }
}

fn describe(incident: &Incident) -> Value {
    let mut state = described(incident);
    state.insert("at".into(), times::text(incident.at).into());
    Value::Object(state)
}

/// A state that is not yet: without a time.
fn describe_planned(incident: &Incident) -> Value {
    Value::Object(described(incident))
}

fn described(incident: &Incident) -> Map<String, Value> {
    let mut state = Map::new();
    state.insert("state".into(), incident.state.as_str().into());
    let parts = [
        ("severity", &incident.severity),
        ("assignee", &incident.assignee),
        ("reason", &incident.reason),
        ("comment", &incident.comment),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            state.insert(name.into(), value.clone().into());
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_incidents_change_and_only_forward() {
        let incident = |state, assignee: Option<&str>| Incident {
            id: "i".into(),
            test: "t".into(),
            state,
            severity: None,
            at: 0,
            assignee: assignee.map(str::to_owned),
            by: None,
            reason: None,
            comment: None,
        };
        let assign = Resolution::Assigned {
            assignee: "id-1".into(),
        };
        let resolve = Resolution::Resolved {
            reason: "Other".into(),
            comment: "c".into(),
        };
        let acknowledge = Resolution::Acknowledged;
        let user = Assignee {
            id: "id-1".into(),
            name: "Maria Santos".into(),
        };
        use IncidentState::{Ack, Assigned, New, Resolved};
        for (state, to, wanted, allowed) in [
            (New, None, &acknowledge, true),
            (New, None, &assign, true),
            (New, None, &resolve, true),
            (Ack, None, &acknowledge, false),
            (Ack, None, &assign, true),
            (Assigned, Some("id-1"), &assign, false),
            (Assigned, Some("Maria Santos"), &assign, false),
            (Assigned, Some("id-2"), &assign, true),
            (Assigned, Some("id-2"), &acknowledge, false),
            (Assigned, None, &resolve, true),
            (Resolved, None, &acknowledge, false),
            (Resolved, None, &assign, false),
            (Resolved, None, &resolve, false),
        ] {
            let told = transition(&incident(state, to), wanted, Some(&user));
            assert_eq!(told.is_ok(), allowed, "{state:?} {to:?} {wanted:?}");
        }
    }
}
