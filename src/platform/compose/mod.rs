//! What Compose files say of services: several files merged, interpolated, profiles applied.

mod service;

use super::{
    described::Described,
    problem::{Place, Problem, quoted},
    variables::{NoValue, Own, Syntax, Variables, expand},
    yaml::{Entry, Node},
};

/// The parsed files of a Compose project, earlier ones first.
#[derive(Debug)]
pub struct Project<'a> {
    pub files: &'a [Node],
    /// Of the environment and of `.env`.
    pub variables: &'a Variables,
}

/// Every service, and what is wrong with the files.
pub fn described(project: &Project<'_>, problems: &mut Vec<Problem>) -> Vec<Described> {
    let mut text = Texts {
        variables: project.variables,
        problems,
    };
    let mut services: Vec<Described> = Vec::new();
    let mut completed = Vec::new();
    for file in project.files {
        let Some(found) = file.get("services") else {
            continue;
        };
        for entry in found.entries() {
            if entry.key.starts_with("x-") {
                continue;
            }
            let service = service::service(entry, found, &mut text, &mut completed);
            match services.iter_mut().find(|other| other.name == service.name) {
                None => services.push(service),
                Some(earlier) => service::merge(earlier, service),
            }
        }
    }
    for service in &mut services {
        // Another one waits until it has ended well.
        service.is_one_shot |= completed.contains(&service.name);
    }
    services
}

/// Whether Compose starts it without being asked for it by name.
pub fn is_active(service: &Described, profiles: &[String]) -> bool {
    service.profiles.is_empty()
        || profiles
            .iter()
            .any(|profile| profile == "*" || service.profiles.contains(profile))
}

/// Paths of other files that a Compose file names: `include`, and `extends` of another file.
pub fn included(file: &Node) -> (Vec<&Node>, Vec<Place>) {
    let mut paths = Vec::new();
    if let Some(include) = file.get("include") {
        for item in include.items() {
            match item.get("path") {
                Some(path) if path.text().is_some() => paths.push(path),
                Some(list) => paths.extend(list.items()),
                None => paths.push(item),
            }
        }
    }
    let foreign = file
        .get("services")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .filter_map(|service| service.value.at(&["extends", "file"]))
        .map(|node| node.place)
        .collect();
    (paths, foreign)
}

/// Scalars with their variables replaced.
struct Texts<'a> {
    variables: &'a Variables,
    problems: &'a mut Vec<Problem>,
}

impl Texts<'_> {
    /// The text of a scalar; nothing where it is no scalar, or where it waits for trust.
    fn value(&mut self, node: &Node) -> Option<String> {
        let written = node.text()?;
        match expand(written, self.variables, Own::Forbidden, Syntax::Compose) {
            Err(fault) => {
                self.problem(node.place, fault.0, "`$$` is a dollar sign");
                None
            }
            Ok(expanded) => match expanded.value {
                Ok(value) => Some(value),
                Err(NoValue::Missing { name, message }) => {
                    let message = message.map(|text| format!(": {}", quoted(&text)));
                    self.problem(
                        node.place,
                        format!(
                            "the variable {name} is not set{}",
                            message.unwrap_or_default()
                        ),
                        "set it, as Compose asks for it too",
                    );
                    None
                }
                Err(NoValue::Withheld(_) | NoValue::Own(_)) => None,
            },
        }
    }

    /// The same for showing: as it is written where its value may not be read.
    fn shown(&mut self, node: &Node) -> Option<String> {
        let value = self.value(node);
        value.or_else(|| node.text().map(str::to_owned))
    }

    fn problem(&mut self, place: Place, wrong: impl Into<String>, right: impl Into<String>) {
        self.problems.push(Problem::new(place, wrong, right));
    }
}

/// The names of a list of texts, or the keys of a mapping.
fn names(node: &Node) -> Vec<(String, Place)> {
    let of_list = node
        .items()
        .iter()
        .filter_map(|item| Some((item.text()?.to_owned(), item.place)));
    let of_map = node
        .entries()
        .iter()
        .map(|Entry { key, place, .. }| (key.clone(), *place));
    of_list.chain(of_map).collect()
}
