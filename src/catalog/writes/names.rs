//! Looks up every name that a change mentions, before anything is sent.

use super::{UpdateError, Wish};
use crate::catalog::{
    Catalog, CatalogError, EntityType, Reference,
    difference::{EVERYTHING, Impossible, Known, Mode, Wanted},
    fqn,
    lookup::{Depth, Found},
    model::Name,
    reading, wire,
};

impl Catalog {
    /// Every name that the wish mentions exists, or an error says which does not.
    pub(super) async fn looked_up(&self, wish: &Wish, mode: Mode) -> Result<Wanted, UpdateError> {
        let mut wanted = Wanted {
            description: wish.description.clone(),
            display_name: wish.display_name.clone(),
            columns: wish.columns.clone(),
            ..Wanted::default()
        };
        let is_everything = |name: &str| mode == Mode::Remove && name == EVERYTHING;
        if let Some(names) = &wish.owners {
            let mut owners = Vec::new();
            for name in names {
                owners.push(if is_everything(name) {
                    everything()
                } else {
                    self.owner(name).await?
                });
            }
            wanted.owners = Some(owners);
        }
        if let Some(name) = &wish.domain {
            let name = name.trim();
            wanted.domain = Some(if is_everything(name) {
                everything()
            } else {
                self.domain(name).await?
            });
        }
        for (field, entity_type, names, found) in [
            ("tags", "tag", &wish.tags, &mut wanted.tags),
            ("terms", "glossaryTerm", &wish.terms, &mut wanted.terms),
        ] {
            let Some(names) = names else { continue };
            let mut labels = Vec::new();
            for name in names.iter().map(|name| name.trim()) {
                if field == "tags" && name.starts_with("Tier.") {
                    return Err(Impossible {
                        field: field.into(),
                        message: format!("{name} is a tier"),
                        next_step: "give it as `tier`: an entity has one tier at most".into(),
                        did_you_mean: Vec::new(),
                    }
                    .into());
                }
                // What is taken away need not exist any more.
                if mode != Mode::Remove {
                    self.must_exist(field, entity_type, name).await?;
                }
                labels.push(name.to_owned());
            }
            *found = Some(labels);
        }
        if let Some(tier) = &wish.tier {
            let name = tier_name(tier);
            if mode != Mode::Remove {
                self.must_exist("tier", "tag", &name).await?;
            }
            wanted.tier = Some(name);
        }
        Ok(wanted)
    }

    async fn must_exist(
        &self,
        field: &str,
        entity_type: &str,
        name: &str,
    ) -> Result<Found, UpdateError> {
        let reference = Reference::to(EntityType::new(entity_type), name);
        let read = match (self, &reference.entity_type) {
            (Self::Live(client), Some(kind)) => {
                reading::read_with(client, kind, &reference.name, Vec::new(), &[]).await
            }
            _ => self.find(&reference, Depth::Summary).await,
        };
        match read {
            Ok(found) => Ok(found),
            Err(CatalogError::NotFound { .. } | CatalogError::Deleted { .. }) => Err(Impossible {
                field: field.into(),
                message: format!("there is no {entity_type} {name}"),
                next_step: format!(
                    "look it up with search_entities, types [\"{entity_type}\"]; names are exact"
                ),
                did_you_mean: self.near(&reference).await,
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn domain(&self, name: &str) -> Result<Known, UpdateError> {
        let found = match self.must_exist("domain", "domain", name).await {
            Ok(found) => found,
            Err(UpdateError::Impossible(missing)) => {
                let mut named = self.with_display_name(name, &["domain"]).await?;
                match (named.len(), named.pop()) {
                    (1, Some(found)) => found,
                    _ => return Err(missing.into()),
                }
            }
            Err(error) => return Err(error),
        };
        known(&found).ok_or_else(|| nameless("domain", name))
    }

    /// A user or team by name (`maria.santos`, `team:data-platform`) or display name.
    async fn owner(&self, written: &str) -> Result<Known, UpdateError> {
        let reference = Reference::parse(written).map_err(|_| Impossible {
            field: "owners".into(),
            message: format!("there is no user or team {written}"),
            next_step: "name users and teams by name or display name".into(),
            did_you_mean: Vec::new(),
        })?;
        let types: Vec<&str> = match &reference.entity_type {
            Some(kind) if matches!(kind.as_str(), "user" | "team") => vec![kind.as_str()],
            Some(kind) => {
                return Err(Impossible {
                    field: "owners".into(),
                    message: format!("a {kind} cannot own anything"),
                    next_step: "name a user or a team".into(),
                    did_you_mean: Vec::new(),
                }
                .into());
            }
            None => vec!["user", "team"],
        };
        let mut named = Vec::new();
        for entity_type in &types {
            if let Some(found) = self.owner_named(entity_type, &reference.name).await? {
                named.push(found);
            }
        }
        if named.is_empty()
            && let Name::Fqn(name) = &reference.name
        {
            named = self.with_display_name(name, &types).await?;
        }
        if named.len() > 1 {
            let candidates = named.iter().filter_map(|found| {
                let name = wire::text(&found.document, "name")?;
                Some(format!("{}:{name}", found.entity_type))
            });
            return Err(Impossible {
                field: "owners".into(),
                message: format!("{written} fits {} users or teams", named.len()),
                next_step: "name one of them".into(),
                did_you_mean: candidates.collect(),
            }
            .into());
        }
        match named.first() {
            Some(found) => known(found).ok_or_else(|| nameless("owners", written)),
            None => Err(Impossible {
                field: "owners".into(),
                message: format!("there is no user or team {written}"),
                next_step: "look them up with search_entities, types [\"user\", \"team\"]".into(),
                did_you_mean: self.near(&reference).await,
            }
            .into()),
        }
    }

    async fn owner_named(
        &self,
        entity_type: &str,
        name: &Name,
    ) -> Result<Option<Found>, CatalogError> {
        let entity_type = EntityType::new(entity_type);
        let read = match (self, name) {
            (Self::Live(client), name) => {
                reading::read_with(client, &entity_type, name, Vec::new(), &[]).await
            }
            // The snapshot knows them by FQN, where a name with a dot is quoted.
            (Self::Snapshot(_), Name::Fqn(name)) => {
                let whole = if name.starts_with('"') {
                    name.clone()
                } else {
                    fqn::quoted(name)
                };
                self.find(&Reference::to(entity_type, whole), Depth::Summary)
                    .await
            }
            (Self::Snapshot(_), Name::Id(_)) => {
                let reference = Reference {
                    written: String::new(),
                    entity_type: Some(entity_type),
                    name: name.clone(),
                };
                self.find(&reference, Depth::Summary).await
            }
        };
        match read {
            Ok(found) => Ok(Some(found)),
            Err(
                CatalogError::NotFound { .. }
                | CatalogError::Deleted { .. }
                | CatalogError::Unsupported { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `1`, `Tier1` and `Tier.Tier1` are the same tier; other names stand below `Tier` too.
fn tier_name(written: &str) -> String {
    let written = written.trim();
    let bare = written
        .strip_prefix("Tier.")
        .unwrap_or(written)
        .trim_start_matches("Tier")
        .trim_start_matches("tier")
        .trim();
    if bare.len() == 1 && bare.chars().all(|digit| digit.is_ascii_digit()) {
        format!("Tier.Tier{bare}")
    } else if written.starts_with("Tier.") || written == EVERYTHING {
        written.to_owned()
    } else {
        format!("Tier.{written}")
    }
}

fn known(found: &Found) -> Option<Known> {
    Some(Known {
        id: wire::text(&found.document, "id")?,
        kind: found.entity_type.as_str().to_owned(),
        name: wire::text(&found.document, "name")
            .or_else(|| wire::text(&found.document, "fullyQualifiedName"))?,
    })
}

fn everything() -> Known {
    Known {
        id: EVERYTHING.into(),
        kind: String::new(),
        name: EVERYTHING.into(),
    }
}

fn nameless(field: &str, written: &str) -> UpdateError {
    Impossible {
        field: field.into(),
        message: format!("what OpenMetadata has as {written} has no id"),
        next_step: "name it by its id".into(),
        did_you_mean: Vec::new(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_can_be_written_short() {
        for written in ["1", "Tier1", "tier1", "Tier.Tier1", " Tier 1"] {
            assert_eq!(tier_name(written), "Tier.Tier1");
        }
        assert_eq!(tier_name("Gold"), "Tier.Gold");
        assert_eq!(tier_name("*"), "*");
    }
}
