//! Reads one entity: resolving a reference, its document, its columns.
