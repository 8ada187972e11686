//! Reads the arguments `entity` and `service`, and the time that a catalog's answers are true of.

use super::{Context, ErrorCode, ToolError};
use crate::{
    answer::Answer,
    catalog::{
        Catalog, CatalogError, Reference,
        scope::{Scope, Target},
        search::{FilterName, Named},
    },
};

/// What a call is about: one of both arguments, or everything without them.
pub async fn scope(
    catalog: &Catalog,
    entity: Option<&str>,
    service: Option<&str>,
) -> Result<Scope, ToolError> {
    match (entity, service) {
        (None, None) => Ok(Scope::Everything),
        (Some(_), Some(_)) => Err(ToolError::invalid(
            "service",
            "both `entity` and `service` are given",
            "give one of them; everything of a service is asked for by `service` alone",
        )),
        (Some(entity), None) => resolved(catalog, "entity", entity).await.map(Scope::Entity),
        (None, Some(service)) => self::service(catalog, service).await.map(Scope::Entity),
    }
}

/// The service that this names.
pub async fn service(catalog: &Catalog, written: &str) -> Result<Target, ToolError> {
    let target = match resolved(catalog, "service", written).await {
        Err(error) if error.code == ErrorCode::NotFound => {
            return Err(near_services(catalog, written, error).await);
        }
        target => target?,
    };
    if target.is_service() {
        return Ok(target);
    }
    Err(ToolError::invalid(
        "service",
        format!(
            "`{}` is a {}, not a service",
            target.fqn, target.entity_type
        ),
        "give the name of a service, or this name as `entity`",
    ))
}

/// Of near names only those of services: no other can be given as `service`.
pub async fn near_services(catalog: &Catalog, written: &str, error: ToolError) -> ToolError {
    let name = FilterName {
        argument: "service",
        name: written.trim().to_owned(),
    };
    match catalog.named(&name).await {
        Ok(Named::Unknown(near_ones)) => error.did_you_mean(near_ones),
        Ok(Named::Known | Named::Unclear) | Err(_) => error,
    }
}

/// The entity that this names, as the value of an argument.
pub async fn resolved(
    catalog: &Catalog,
    argument: &str,
    written: &str,
) -> Result<Target, ToolError> {
    let about = |error: CatalogError| ToolError::of_name(argument, error);
    let reference = Reference::parse(written).map_err(about)?;
    let summary = catalog.resolve(&reference).await.map_err(about)?;
    Ok(Target::of(&summary))
}

/// The time that answers of this catalog are true of, milliseconds since 1970: now, or when the
/// copy was taken.
pub fn time_of(context: &Context, catalog: &Catalog) -> i64 {
    match catalog {
        Catalog::Live(_) => context.now.as_millisecond(),
        Catalog::Snapshot(snapshot) => snapshot.as_of().as_millisecond(),
    }
}

/// What to do after a write that only showed what it would do.
pub fn after_dry_run(catalog: &Catalog) -> &'static str {
    match catalog {
        Catalog::Live(_) => "nothing was sent; repeat with dry_run false to apply it",
        Catalog::Snapshot(_) => "a snapshot cannot be changed: this is the difference alone",
    }
}

/// Says where the answer comes from, where that is not the running OpenMetadata.
pub fn put_source(answer: &mut Answer, catalog: &Catalog) {
    if let Some(as_of) = catalog.as_of() {
        answer.put("source", catalog.source());
        answer.put("as_of", as_of);
    }
}
