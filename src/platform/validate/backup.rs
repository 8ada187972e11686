//! The databases that are dumped.

use super::Names;
use crate::platform::{
    model::{Backup, Database},
    raw::RawPlatform,
    read::Reader,
};

/// Names go to a program as arguments of its own: they may hold anything but a leading dash.
pub(super) fn backup(raw: &RawPlatform, names: &Names, reader: &mut Reader<'_>) -> Backup {
    let Some(raw) = raw.backup.as_ref().map(|backup| &backup.value) else {
        return Backup::default();
    };
    let mut backup = Backup {
        before_run: raw.before_run.as_ref().is_some_and(|one| one.value),
        ..Backup::default()
    };
    if let Some(keep) = &raw.keep {
        match usize::try_from(keep.value) {
            Ok(value) if value > 0 => backup.keep = value,
            _ => reader.problem(keep.place, "no dump would stay", "write 1 or more"),
        }
    }
    for written in raw.databases.iter().flat_map(|all| &all.value) {
        let (Some(service), Some(database)) = (&written.service, &written.database) else {
            reader.problem(
                written.place,
                "a database of `backup` needs `service` and `database`",
                "write { service: db, database: openpolicy, user: openpolicy }",
            );
            continue;
        };
        let Some(service) = names.resolve(service, reader) else {
            continue;
        };
        let user = written.user.as_ref().unwrap_or(database);
        for name in [database, user] {
            if name.value.is_empty() || name.value.starts_with('-') {
                reader.problem(
                    name.place,
                    "this cannot be the name of a database or user",
                    "a name does not begin with `-`",
                );
            }
        }
        backup.databases.push(Database {
            service,
            name: database.value.clone(),
            user: user.value.clone(),
        });
    }
    backup
}
