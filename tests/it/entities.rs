//! get_entity, read_openmetadata and update_entity.
