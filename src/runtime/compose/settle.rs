//! Waits until the engine does nothing more of commands that were ended, and clears up after them.

use std::{
    fs,
    time::{Duration, Instant, SystemTime},
};

use bollard::query_parameters::{RemoveContainerOptions, RenameContainerOptions};

use super::{
    ComposeRuntime,
    containers::Container,
    engine::{is_absent, is_so_already},
};
use crate::runtime::Problem;

/// The engine is given so long to finish what it was asked by a command that is gone.
const LONGEST: Duration = Duration::from_secs(30);

/// What stays the same for so long is settled.
const STILL: Duration = Duration::from_millis(750);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// A resolved project that is older belongs to a command that is gone.
const OLD_FILE: Duration = Duration::from_secs(3_600);

impl ComposeRuntime {
    /// Waits until no container of the project comes, goes or changes its state by itself, then
    /// tidies up.
    pub(super) async fn settle(&self) -> Result<(), Problem> {
        let begun = Instant::now();
        let mut last = (self.pictures().await?, Instant::now());
        while last.1.elapsed() < STILL {
            if begun.elapsed() > LONGEST {
                return Err(Problem::TimedOut {
                    what: "waiting for the engine to finish what it had begun".into(),
                    waited: LONGEST,
                });
            }
            tokio::time::sleep(LOOK).await;
            let now = self.pictures().await?;
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        self.remove_old_files();
        self.tidy().await
    }

    /// What would change while the engine is at work. Restart loops go on by themselves.
    async fn pictures(&self) -> Result<Vec<String>, Problem> {
        let found = self.containers().await?;
        let mut pictures: Vec<String> = found
            .0
            .values()
            .flatten()
            .map(|one| format!("{} {} {}", one.id(), one.name(), one.is_created()))
            .collect();
        pictures.sort();
        Ok(pictures)
    }

    /// Compose 2 replaces a container by making the new one under another name
    /// (`0123456789ab_project-service-1`), removing the old one and renaming the new. Killed in the
    /// middle it leaves two, or one of a wrong name; version 1 renames the old one so.
    pub(super) async fn tidy(&self) -> Result<(), Problem> {
        let found = self.containers().await?;
        for containers in found.0.values() {
            for container in containers {
                let Some(wanted) = intended_name(container.name()) else {
                    continue;
                };
                let is_taken = containers.iter().any(|other| other.name() == wanted);
                match (is_taken, container.is_created()) {
                    // The other one was not replaced yet, and this one never ran.
                    (true, true) => self.remove(container).await?,
                    (false, _) => self.rename(container, wanted).await?,
                    // Version 1 renamed the old one and has made the new one beside it.
                    (true, false) => {
                        let newer: Vec<&Container> = containers
                            .iter()
                            .filter(|other| other.name() == wanted && other.is_created())
                            .collect();
                        if let [newer] = newer.as_slice() {
                            self.remove(newer).await?;
                            self.rename(container, wanted).await?;
                        } else if !container.is_running() {
                            // It was replaced in full, and not removed yet.
                            self.remove(container).await?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes a container, never a volume.
    pub(super) async fn remove(&self, container: &Container) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let options = RemoveContainerOptions {
            v: false,
            force: true,
            link: false,
        };
        let removing = async {
            match client.remove_container(container.id(), Some(options)).await {
                Err(error) if !is_absent(&error) => Err(error),
                _ => Ok(()),
            }
        };
        self.engine
            .asked(
                format!("removing the container {}", container.name()),
                removing,
            )
            .await
    }

    async fn rename(&self, container: &Container, name: &str) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let options = RenameContainerOptions {
            name: name.to_owned(),
        };
        let renaming = async {
            match client.rename_container(container.id(), options).await {
                Err(error) if !is_so_already(&error) => Err(error),
                _ => Ok(()),
            }
        };
        self.engine
            .asked(format!("naming a container {name}"), renaming)
            .await
    }

    fn remove_old_files(&self) {
        for entry in fs::read_dir(&self.state).into_iter().flatten().flatten() {
            let is_old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|changed| {
                    SystemTime::now()
                        .duration_since(changed)
                        .is_ok_and(|age| age > OLD_FILE)
                });
            if is_old {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The name that a container has in the end, where it has another one while it is replaced.
fn intended_name(name: &str) -> Option<&str> {
    let (digits, rest) = name.split_once('_')?;
    let is_id = digits.len() == 12
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    (is_id && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_middle_of_a_replacement_is_known() {
        assert_eq!(intended_name("0123456789ab_p-db-1"), Some("p-db-1"));
        for name in ["p_db_1", "0123456789AB_x", "0123456789ab_", "p-db-1"] {
            assert_eq!(intended_name(name), None, "{name}");
        }
    }
}
