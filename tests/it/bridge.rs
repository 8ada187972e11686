//! Both sides in one answer: services that fail and the data that they hurt, data that is wrong
//! and the service that did it.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{Catalogs, Credential, Settings},
    health::Outcome,
    tools::{Caller, Context},
};
use serde_json::json;

use crate::support::{
    calls::call,
    scripted_platform::{context, with_failures},
};

const BILLS: &str = "table:openpolicy_pg.openpolicy.core.bills";

#[tokio::test]
async fn a_database_that_is_down_names_the_data_and_the_owners_that_it_hurts() {
    let (watch, _) = with_failures();
    let told = call(&context(&watch), "check_health", json!({})).await;
    let cause = &told.fields["causes"][0];
    assert_eq!(cause["service"], "postgres");
    let hurts = &cause["hurts"];
    assert_eq!(hurts["datasets"], json!(["openpolicy_pg"]));
    let affected = hurts["affected"].as_u64().expect("a count");
    let impact = json!({"service": "postgres"});
    let impact = call(&context(&watch), "analyze_impact", impact).await;
    assert_eq!(impact.fields["affected"]["total"].as_u64(), Some(affected));
    assert!(
        hurts["dashboards"].to_string().contains("superset."),
        "{hurts}"
    );
    assert!(!hurts["owners"].as_array().expect("owners").is_empty());
}

#[tokio::test]
async fn the_impact_of_a_platform_service_is_what_stops_and_all_that_is_downstream() {
    let (watch, _) = with_failures();
    let context = context(&watch);
    let told = call(
        &context,
        "analyze_impact",
        json!({"service": "p-postgres-1"}),
    )
    .await;
    assert_eq!(told.fields["of"]["platform_service"], "postgres");
    assert_eq!(told.fields["of"]["stops"], json!(["api", "web", "etl"]));
    let of_catalog = call(
        &context,
        "analyze_impact",
        json!({"service": "openpolicy_pg"}),
    )
    .await;
    for field in ["affected", "notify", "dashboards", "total"] {
        assert_eq!(told.fields[field], of_catalog.fields[field], "{field}");
    }
    // A service without datasets says that it does not know, not that there is no harm.
    let told = call(&context, "analyze_impact", json!({"service": "redis"})).await;
    assert!(told.warnings().contains("is not known"), "{}", told.text);
}

#[tokio::test]
async fn bad_data_names_the_service_that_carries_it() {
    let (watch, scripted) = with_failures();
    let context = context(&watch);
    let told = call(&context, "find_root_cause", json!({"entity": BILLS})).await;
    let first = &told.rows("causes")[0];
    assert_eq!(
        (&first["kind"], &first["subject"], &first["distance"]),
        (&json!("down_service"), &json!("postgres"), &json!(0))
    );
    scripted.lock().expect("the script").outcomes.clear();
    call(&context, "check_health", json!({"refresh": true})).await;
    let told = call(&context, "find_root_cause", json!({"entity": BILLS})).await;
    let kinds = told.column("causes", "kind");
    assert!(!kinds.contains(&json!("down_service")), "{kinds:?}");
}

#[tokio::test]
async fn a_failing_service_names_what_is_below_it() {
    let (watch, _) = with_failures();
    let told = call(
        &context(&watch),
        "find_root_cause",
        json!({"service": "web"}),
    )
    .await;
    let causes = told.rows("causes");
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0]["subject"], "postgres");
    assert_eq!(causes[0]["distance"], 2);
    assert!(told.text.contains("refused"), "{}", told.text);
}

#[tokio::test]
async fn the_timeline_tells_what_services_became_beside_what_happened_to_the_data() {
    let (watch, scripted) = with_failures();
    let context = context(&watch);
    call(&context, "check_health", json!({"refresh": true})).await;
    scripted.lock().expect("the script").outcomes.clear();
    call(&context, "check_health", json!({"refresh": true})).await;
    let told = call(&context, "get_changes", json!({"service": "postgres"})).await;
    let rows = told.rows("changes");
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["subject"], &rows[0]["what"]),
        (&json!("health"), &json!("postgres"), &json!("down -> up"))
    );
    assert!(rows.iter().any(|row| row["kind"] != "health"), "{rows:?}");
    let told = call(&context, "get_changes", json!({"kinds": ["health"]})).await;
    assert_eq!(told.fields["total"], 4);
    let told = call(
        &context,
        "get_changes",
        json!({"entity": BILLS, "kinds": ["health"]}),
    )
    .await;
    assert_eq!(told.fields["total"], 1);
}

#[tokio::test]
async fn a_catalog_that_is_away_is_said_and_the_health_is_told_all_the_same() {
    let (watch, scripted) = with_failures();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let settings = Settings {
        url,
        credential: Credential::Token("a.b.c".into()),
        ..Settings::default()
    };
    let catalogs = Arc::new(Catalogs::of_openmetadata(&settings).expect("an address"));
    let context = Context::new(catalogs, Caller::default()).with_platform(Some(Ok(watch)));
    let told = call(&context, "check_health", json!({})).await;
    let hurts = &told.fields["causes"][0]["hurts"];
    assert_eq!(hurts["datasets"], json!(["openpolicy_pg"]));
    assert!(hurts["could_not_look"].is_string(), "{hurts}");
    assert_eq!(hurts.get("affected"), None);
    let unread = Outcome::CouldNotLook("no network".into());
    scripted
        .lock()
        .expect("the script")
        .outcomes
        .insert(5432, unread);
    let told = call(&context, "check_health", json!({"refresh": true})).await;
    assert_eq!(told.fields["counts"]["unknown"], 1);
}
