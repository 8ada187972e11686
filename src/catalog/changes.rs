//! What changed in a catalog: change events and entity versions.
