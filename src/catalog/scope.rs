//! What a question is about: everything, or an entity with all that lies below its name.

use super::model::{EntitySummary, EntityType};

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Everything,
    Entity(Target),
}

/// An entity (a service, a schema, a table, a test case, …) and everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub entity_type: EntityType,
    pub fqn: String,
    /// Empty where it is not known.
    pub id: String,
}

impl Target {
    pub fn of(summary: &EntitySummary) -> Self {
        Self {
            entity_type: summary.entity_type.clone(),
            fqn: summary.fqn.clone(),
            id: summary.id.clone(),
        }
    }

    pub fn is_service(&self) -> bool {
        self.entity_type.as_str().ends_with("Service")
    }
}

impl Scope {
    /// Whether something of this name lies in the scope.
    pub fn holds(&self, fqn: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Entity(target) => is_at_or_below(fqn, &target.fqn),
        }
    }

    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Everything => None,
            Self::Entity(target) => Some(target),
        }
    }
}

/// `a.b.c` lies below `a.b`; `a.bc` does not.
pub fn is_at_or_below(fqn: &str, above: &str) -> bool {
    fqn.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_another_at_a_dot_only() {
        assert!(is_at_or_below("a.b", "a.b") && is_at_or_below("a.b.c", "a.b"));
        assert!(!is_at_or_below("a.bc", "a.b") && !is_at_or_below("A.b.c", "a.b"));
    }
}
