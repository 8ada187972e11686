//! Which tools are listed and may be called: a pure function of the switches.

use crate::{
    settings::ToolSwitches,
    tools::{self, Effect, Tool, Toolset, arguments::near},
};

/// The tools that are listed, and for the others why they are not.
#[derive(Clone)]
pub struct Selection {
    all: &'static [&'static Tool],
    listed: Vec<&'static Tool>,
    switches: ToolSwitches,
    has_platform: bool,
    has_prometheus: bool,
}

/// A name in a switch that nothing has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{switch} names `{written}`, which is no {kind}{}; {kind}s are: {known}",
    did_you_mean(near)
)]
pub struct UnknownName {
    pub switch: &'static str,
    pub kind: &'static str,
    pub written: String,
    pub near: Vec<String>,
    pub known: String,
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", near.join(" or "))
    }
}

/// Toolsets that are listed when no switch says otherwise: the ones that read.
const DEFAULT: [Toolset; 2] = [Toolset::Catalog, Toolset::Platform];

impl Selection {
    /// The tools of `all` that these switches list. `read_only` wins over `exclude_tools`, which
    /// wins over `toolsets` and `tools`.
    pub fn new(
        all: &'static [&'static Tool],
        switches: &ToolSwitches,
    ) -> Result<Self, UnknownName> {
        let toolsets = toolsets(&switches.toolsets)?;
        for (switch, names) in [
            ("--tools", &switches.tools),
            ("--exclude-tools", &switches.exclude_tools),
        ] {
            for name in names {
                if !all.iter().any(|tool| tool.name == name) {
                    return Err(UnknownName {
                        switch,
                        kind: "tool",
                        written: name.clone(),
                        near: near(name, all.iter().map(|tool| tool.name)),
                        known: joined(all.iter().map(|tool| tool.name)),
                    });
                }
            }
        }
        let toolsets = match toolsets {
            Some(toolsets) => toolsets,
            None if switches.tools.is_empty() => DEFAULT.to_vec(),
            None => Vec::new(),
        };
        let is_named = |names: &[String], tool: &Tool| names.iter().any(|name| name == tool.name);
        let mut listed: Vec<&'static Tool> = all
            .iter()
            .copied()
            .filter(|tool| toolsets.contains(&tool.toolset) || is_named(&switches.tools, tool))
            .filter(|tool| !is_named(&switches.exclude_tools, tool))
            .filter(|tool| !switches.read_only || tool.effect == Effect::Read)
            .collect();
        listed.sort_by_key(|tool| tool.name);
        Ok(Self {
            all,
            listed,
            switches: switches.clone(),
            has_platform: true,
            has_prometheus: true,
        })
    }

    /// On a server without a platform the tools that ask for one are not listed.
    pub fn without_platform(mut self) -> Self {
        self.has_platform = false;
        self.listed.retain(|tool| !needs_platform(tool));
        self
    }

    /// Where the platform file names no Prometheus, the tools that ask it are not listed.
    pub fn without_prometheus(mut self) -> Self {
        self.has_prometheus = false;
        self.listed.retain(|tool| !tools::needs_prometheus(tool));
        self
    }

    /// Whether the same tools are listed.
    pub fn lists_the_same(&self, other: &Self) -> bool {
        let names = |selection: &Self| -> Vec<&str> {
            selection.listed.iter().map(|tool| tool.name).collect()
        };
        names(self) == names(other)
    }

    /// The listed tools, sorted by name.
    pub fn listed(&self) -> &[&'static Tool] {
        &self.listed
    }

    /// The listed tool of this name.
    pub fn find(&self, name: &str) -> Option<&'static Tool> {
        self.listed.iter().find(|tool| tool.name == name).copied()
    }

    /// Which switch would list a tool that exists but is not listed; none for an unknown name.
    pub fn how_to_list(&self, name: &str) -> Option<String> {
        let tool = self.all.iter().find(|tool| tool.name == name)?;
        Some(if self.switches.read_only && tool.effect != Effect::Read {
            "the server runs with --read-only; start it without to list tools that write".to_owned()
        } else if self.switches.exclude_tools.iter().any(|tool| tool == name) {
            "the server runs with --exclude-tools naming it; take it out there".to_owned()
        } else if needs_platform(tool) && !self.has_platform {
            "start the server with --platform FILE (or OPENPOLICY_PLATFORM): it has no platform"
                .to_owned()
        } else if tools::needs_prometheus(tool) && !self.has_prometheus {
            "name a Prometheus in the platform file (`prometheus: {url: …}`); one that gets the \
             value of a variable waits until the file is trusted"
                .to_owned()
        } else {
            format!(
                "start the server with --toolsets {} (or --tools {name}) to list it",
                tool.toolset.name()
            )
        })
    }
}

fn needs_platform(tool: &Tool) -> bool {
    matches!(tool.toolset, Toolset::Platform | Toolset::Deploy)
}

fn toolsets(names: &[String]) -> Result<Option<Vec<Toolset>>, UnknownName> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut toolsets = Vec::new();
    for name in names {
        if name == "all" {
            toolsets.extend(Toolset::ALL);
        } else if let Some(toolset) = Toolset::ALL.into_iter().find(|known| known.name() == name) {
            toolsets.push(toolset);
        } else {
            let known = || Toolset::ALL.iter().map(|known| known.name()).chain(["all"]);
            return Err(UnknownName {
                switch: "--toolsets",
                kind: "toolset",
                written: name.clone(),
                near: near(name, known()),
                known: joined(known()),
            });
        }
    }
    Ok(Some(toolsets))
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(toolsets: &[&str], tools: &[&str], exclude: &[&str], read_only: bool) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection::new(
            tools::all(),
            &ToolSwitches {
                toolsets: owned(toolsets),
                tools: owned(tools),
                exclude_tools: owned(exclude),
                read_only,
            },
        )
        .expect("known names")
        .listed()
        .iter()
        .map(|tool| tool.name.to_owned())
        .collect()
    }

    #[test]
    fn by_default_only_tools_that_read_are_listed() {
        let listed = names(&[], &[], &[], false);
        assert!(listed.contains(&"get_entity".to_owned()));
        assert!(!listed.contains(&"update_entity".to_owned()));
        assert!(listed.is_sorted());
    }

    #[test]
    fn switches_add_take_away_and_read_only_wins() {
        let has = |listed: Vec<String>, name: &str| listed.iter().any(|listed| listed == name);
        assert!(has(names(&["all"], &[], &[], false), "update_entity"));
        assert!(has(
            names(&["catalog-write"], &[], &[], false),
            "edit_lineage"
        ));
        assert!(!has(
            names(&["catalog-write"], &[], &[], false),
            "get_entity"
        ));
        assert_eq!(names(&[], &["get_entity"], &[], false), ["get_entity"]);
        assert!(has(
            names(&["catalog"], &["update_entity"], &[], false),
            "update_entity"
        ));
        assert!(!has(
            names(&["all"], &[], &["get_entity"], false),
            "get_entity"
        ));
        assert!(!has(
            names(&["all"], &["get_entity"], &["get_entity"], false),
            "get_entity"
        ));
        assert!(!has(
            names(&["all"], &["update_entity"], &[], true),
            "update_entity"
        ));
        assert!(names(&[], &["update_entity"], &[], true).is_empty());
    }

    #[test]
    fn an_unknown_name_is_refused_with_near_matches() {
        let refused = |switches: ToolSwitches| {
            Selection::new(tools::all(), &switches)
                .err()
                .expect("refused")
        };
        let error = refused(ToolSwitches {
            toolsets: vec!["catalog_write".into()],
            ..ToolSwitches::default()
        });
        assert_eq!(error.near[0], "catalog-write");
        let error = refused(ToolSwitches {
            exclude_tools: vec!["get_entitty".into()],
            ..ToolSwitches::default()
        });
        assert_eq!(error.near[0], "get_entity");
        assert!(error.to_string().starts_with(
            "--exclude-tools names `get_entitty`, which is no tool (did you mean get_entity"
        ));
    }

    #[test]
    fn a_tool_that_is_not_listed_says_which_switch_lists_it() {
        let listed = |switches: ToolSwitches| Selection::new(tools::all(), &switches).unwrap();
        let by_default = listed(ToolSwitches::default());
        assert!(
            by_default
                .how_to_list("update_entity")
                .unwrap()
                .contains("--toolsets catalog-write")
        );
        assert_eq!(by_default.how_to_list("no_such_tool"), None);
        let read_only = listed(ToolSwitches {
            toolsets: vec!["all".into()],
            read_only: true,
            ..ToolSwitches::default()
        });
        assert!(
            read_only
                .how_to_list("update_entity")
                .unwrap()
                .contains("--read-only")
        );
    }
}
