//! The tools: what they are called, what they take, and the one list of them.
//!
//! A tool is one file: argument type, result schema, handler. Its contract stands in
//! `tools/<name>.json` and a test holds the two together.

pub mod arguments;
pub mod asking;
pub mod context;
pub mod contract;
pub mod error;
mod hurt;
mod pages;
pub mod pipelines;
pub mod platform;
pub mod run;
pub mod schema;
pub mod subject;
pub mod time;

mod analyze_impact;
mod check_health;
mod control_deployment;
mod control_ingestion;
mod deploy_phase;
pub mod deployment;
mod edit_lineage;
mod entity_view;
mod find_lineage_path;
mod find_root_cause;
mod get_alerts;
mod get_changes;
mod get_data_quality;
mod get_deployment;
mod get_entity;
mod get_ingestion;
mod get_lineage;
mod get_logs;
mod get_platform;
mod get_resources;
mod get_service;
mod lineage;
mod plan_deployment;
mod query_metrics;
mod read_openmetadata;
mod roll_back;
mod search_entities;
mod stop_services;
mod update_entity;
mod update_incident;

use std::{future::Future, pin::Pin};

use serde_json::{Map, Value};

pub use context::{Caller, Context, Person, Surroundings};
pub use error::{ErrorCode, ToolError};

use crate::answer::Answer;

/// What a call gives: an answer or an error, each with a structured and a text form.
pub type Outcome = Result<Answer, ToolError>;

/// A handler's future. It borrows the context for the length of the call.
pub type Call<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One tool.
pub struct Tool {
    /// `snake_case`, 40 characters at most.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// For the model that chooses: what it answers, in few words.
    pub description: &'static str,
    pub toolset: Toolset,
    pub effect: Effect,
    /// Portable JSON Schema of the arguments.
    pub arguments: fn() -> Map<String, Value>,
    /// JSON Schema of the structured result.
    pub result: fn() -> Map<String, Value>,
    pub call: for<'a> fn(&'a Context, Value) -> Call<'a>,
}

/// Which tools stand together and are switched on together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Toolset {
    Catalog,
    CatalogWrite,
    Platform,
    Deploy,
}

impl Toolset {
    pub const ALL: [Toolset; 4] = [
        Self::Catalog,
        Self::CatalogWrite,
        Self::Platform,
        Self::Deploy,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::CatalogWrite => "catalog-write",
            Self::Platform => "platform",
            Self::Deploy => "deploy",
        }
    }
}

/// What a call does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write {
        /// May take something away that cannot be had back by another call.
        destructive: bool,
        /// The same call again changes nothing more.
        idempotent: bool,
    },
}

/// Whether a tool asks Prometheus, which a platform file may name.
pub fn needs_prometheus(tool: &Tool) -> bool {
    tool.name == query_metrics::TOOL.name
}

/// Every tool, sorted by name.
pub fn all() -> &'static [&'static Tool] {
    ALL
}

/// The tool of this name.
pub fn find(name: &str) -> Option<&'static Tool> {
    ALL.iter().find(|tool| tool.name == name).copied()
}

const ALL: &[&Tool] = &[
    &analyze_impact::TOOL,
    &check_health::TOOL,
    &control_deployment::TOOL,
    &control_ingestion::TOOL,
    &deploy_phase::TOOL,
    &edit_lineage::TOOL,
    &find_lineage_path::TOOL,
    &find_root_cause::TOOL,
    &get_alerts::TOOL,
    &get_changes::TOOL,
    &get_data_quality::TOOL,
    &get_deployment::TOOL,
    &get_entity::TOOL,
    &get_ingestion::TOOL,
    &get_lineage::TOOL,
    &get_logs::TOOL,
    &get_platform::TOOL,
    &get_resources::TOOL,
    &get_service::TOOL,
    &plan_deployment::TOOL,
    &query_metrics::TOOL,
    &read_openmetadata::TOOL,
    &roll_back::TOOL,
    &search_entities::TOOL,
    &stop_services::TOOL,
    &update_entity::TOOL,
    &update_incident::TOOL,
];
