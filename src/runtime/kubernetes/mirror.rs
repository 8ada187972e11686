//! What a watch has told of one kind of objects, and whether that is all that a look has to see. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Who looks for so long looks again: from then on a watch is worth its first list.
const WORTH_IT: Duration = Duration::from_secs(3);

/// A look that comes later than this after the one before is the first of others.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When nobody looked for so long, nothing is watched any more.
const FORGOTTEN: Duration = Duration::from_secs(180);

/// The looks that followed each other.
#[derive(Debug, Default)]
pub(super) struct Looks {
    first_and_last: Option<(Instant, Instant)>,
}

impl Looks {
    /// Notes a look, and tells whether a watch is worth it.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let first = match self.first_and_last {
            Some((first, last)) if now.duration_since(last) <= LONGEST_PAUSE => first,
            _ => now,
        };
        self.first_and_last = Some((first, now));
        now.duration_since(first) >= WORTH_IT
    }

    /// Whether nobody looks any more.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.first_and_last
            .is_none_or(|(_, last)| now.duration_since(last) >= FORGOTTEN)
    }
}

/// What this process wrote, or saw by asking: the next look has to see it.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<HashMap<String, WritesOfKind>>);

/// The writes of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WritesOfKind {
    /// How many there were.
    pub count: u64,
    /// The count after the last one of which no version is known, as of what was removed.
    pub count_without_version: u64,
    /// The newest version that the others gave.
    pub version: u64,
}

impl Writes {
    /// `None`: it is not known what came of it, or it left nothing that has a version.
    pub(super) fn wrote(&self, kind: &str, object: Option<&Value>) {
        self.note(kind, object.and_then(version_of));
    }

    /// A list that was asked for. A look that knew less would tell a plan that somebody changed by hand
    /// what another process of this server did.
    pub(super) fn saw(&self, kind: &str, list: &[Arc<Value>]) {
        let versions: Option<Vec<u64>> = list.iter().map(|one| version_of(one)).collect();
        let newest = versions.map(|all| all.into_iter().max().unwrap_or_default());
        self.note(kind, newest);
    }

    fn note(&self, kind: &str, version: Option<u64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = all.entry(kind.to_owned()).or_default();
        of_kind.count += 1;
        match version {
            Some(version) => of_kind.version = of_kind.version.max(version),
            None => of_kind.count_without_version = of_kind.count,
        }
    }

    pub(super) fn of(&self, kind: &str) -> WritesOfKind {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(kind).copied().unwrap_or_default()
    }
}

/// A resource version. Kubernetes says since 1.35 that they are numbers, and are in order within a
/// kind; where one is none, nothing is concluded from it.
pub(super) fn version_of(object: &Value) -> Option<u64> {
    let version = object.pointer("/metadata/resourceVersion")?;
    version.as_str()?.parse().ok()
}

/// What happened to an object.
#[derive(Debug)]
pub(super) enum Happened {
    Is(Value),
    IsGone(Value),
    /// Nothing but that all up to this version was told.
    Nothing,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    objects: BTreeMap<String, Arc<Value>>,
    /// As the API server wrote it: where a watch goes on.
    version: String,
    /// Writes that had ended when its list began.
    listed_after: u64,
    /// Whether a watch is held now, so that what changes is told.
    is_live: bool,
}

impl Mirror {
    /// Of a list that began after so many writes.
    pub(super) fn of(kind: &Kept, list: Vec<Value>, version: String, listed_after: u64) -> Self {
        let mut mirror = Self {
            version,
            listed_after,
            ..Self::default()
        };
        for object in list {
            mirror.put(kind, object);
        }
        mirror
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn set_live(&mut self, is_live: bool) {
        self.is_live = is_live;
    }

    /// All objects, where that is what a look has to see.
    pub(super) fn current(&self, writes: WritesOfKind) -> Option<Vec<Arc<Value>>> {
        (self.is_live && self.has_seen(writes)).then(|| self.objects.values().cloned().collect())
    }

    /// Whether it has something that a list does not have.
    pub(super) fn has_more_than(&self, list: &[Arc<Value>]) -> bool {
        let there: HashSet<&str> = list.iter().map(|one| name_of(one)).collect();
        !self
            .objects
            .keys()
            .all(|name| there.contains(name.as_str()))
    }

    /// Whether waiting will do: else what was written is seen by another list alone.
    pub(super) fn is_to_be_listed_anew(&self, writes: WritesOfKind) -> bool {
        self.listed_after < writes.count_without_version
    }

    fn has_seen(&self, writes: WritesOfKind) -> bool {
        let version = self.version.parse::<u64>();
        self.listed_after >= writes.count
            || !self.is_to_be_listed_anew(writes)
                && version.is_ok_and(|version| version >= writes.version)
    }

    pub(super) fn take(&mut self, kind: &Kept, version: String, happened: Happened) {
        match happened {
            Happened::Is(object) => self.put(kind, object),
            Happened::IsGone(object) => {
                self.objects.remove(name_of(&object));
            }
            Happened::Nothing => {}
        }
        self.version = version;
    }

    fn put(&mut self, kind: &Kept, mut object: Value) {
        // Half of an object, and nobody who looks reads it.
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let object = kind.named(object);
        self.objects
            .insert(name_of(&object).to_owned(), Arc::new(object));
    }
}

fn name_of(object: &Value) -> &str {
    let name = object.pointer("/metadata/name");
    name.and_then(Value::as_str).unwrap_or_default()
}

/// A kind that looks are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub kind: &'static str,
    api_version: &'static str,
    plural: &'static str,
}

/// Workloads, and pods last.
pub(super) const KEPT: [Kept; 4] = [
    kept("Deployment", "apps/v1", "deployments"),
    kept("StatefulSet", "apps/v1", "statefulsets"),
    kept("DaemonSet", "apps/v1", "daemonsets"),
    kept("Pod", "v1", "pods"),
];

const fn kept(kind: &'static str, api_version: &'static str, plural: &'static str) -> Kept {
    Kept {
        kind,
        api_version,
        plural,
    }
}

impl Kept {
    pub(super) fn path(&self, namespace: &str) -> String {
        let group = super::kinds::group_path(self.api_version);
        format!("{group}/namespaces/{namespace}/{}", self.plural)
    }

    /// Items of a list do not say what they are.
    pub(super) fn named(&self, mut object: Value) -> Value {
        if let Some(object) = object.as_object_mut() {
            object.insert("kind".into(), self.kind.into());
            object.insert("apiVersion".into(), self.api_version.into());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEPLOYMENTS: Kept = KEPT[0];

    fn object(name: &str, version: &str) -> Value {
        json!({"metadata": {"name": name, "resourceVersion": version, "managedFields": [{}]}})
    }

    fn names(mirror: &Mirror, writes: &Writes) -> Option<Vec<String>> {
        let all = mirror.current(writes.of("Deployment"))?;
        Some(all.iter().map(|one| name_of(one).to_owned()).collect())
    }

    fn live(version: &str, writes: &Writes) -> Mirror {
        let listed_after = writes.of("Deployment").count;
        let list = vec![object("a", "5"), object("b", "7")];
        let mut mirror = Mirror::of(&DEPLOYMENTS, list, version.into(), listed_after);
        mirror.set_live(true);
        mirror
    }

    #[test]
    fn who_looks_once_gets_no_watch_and_who_goes_on_does() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut looks = Looks::default();
        assert!(!looks.look(at(0)) && !looks.look(at(1)), "one command");
        assert!(looks.look(at(3)));
        assert!(!looks.is_forgotten(at(182)) && looks.is_forgotten(at(183)));
        assert!(looks.look(at(63)));
        assert!(!looks.look(at(124)), "another one");
    }

    #[test]
    fn what_happens_is_seen_and_nothing_is_told_of_a_watch_that_is_cut() {
        let writes = Writes::default();
        let mut mirror = live("9", &writes);
        let is = |one| Happened::Is(object(one, "10"));
        mirror.take(&DEPLOYMENTS, "10".into(), is("c"));
        mirror.take(
            &DEPLOYMENTS,
            "11".into(),
            Happened::IsGone(object("a", "11")),
        );
        assert_eq!(names(&mirror, &writes), Some(vec!["b".into(), "c".into()]));
        let all = mirror.current(WritesOfKind::default()).expect("it is live");
        assert_eq!(all[0]["kind"], "Deployment");
        assert_eq!(all[0]["metadata"].get("managedFields"), None);
        mirror.set_live(false);
        assert_eq!(names(&mirror, &writes), None);
    }

    #[test]
    fn a_write_of_our_own_is_waited_for() {
        let writes = Writes::default();
        let mut mirror = live("9", &writes);
        writes.wrote("Deployment", Some(&object("b", "12")));
        writes.wrote("Pod", None);
        assert_eq!(names(&mirror, &writes), None);
        assert!(!mirror.is_to_be_listed_anew(writes.of("Deployment")));
        mirror.take(&DEPLOYMENTS, "11".into(), Happened::Nothing);
        assert_eq!(names(&mirror, &writes), None);
        mirror.take(&DEPLOYMENTS, "12".into(), Happened::Is(object("b", "12")));
        assert!(names(&mirror, &writes).is_some());

        // What is removed leaves no version.
        writes.wrote("Deployment", None);
        mirror.take(&DEPLOYMENTS, "99".into(), Happened::Nothing);
        assert_eq!(names(&mirror, &writes), None);
        assert!(mirror.is_to_be_listed_anew(writes.of("Deployment")));
        assert!(names(&live("99", &writes), &writes).is_some());
        // What was asked for is seen too.
        let mut mirror = live("99", &writes);
        let asked = [Arc::new(object("b", "120")), Arc::new(object("c", "101"))];
        assert!(
            mirror.has_more_than(&asked)
                && !mirror.has_more_than(&[&asked[..], &[Arc::new(object("a", "5"))]].concat())
        );
        writes.saw("Deployment", &asked);
        assert_eq!(names(&mirror, &writes), None);
        mirror.take(&DEPLOYMENTS, "120".into(), Happened::Nothing);
        assert!(names(&mirror, &writes).is_some());
        // A cluster that was put back to what it was counts anew.
        assert!(names(&live("3", &writes), &writes).is_some());
    }
}
