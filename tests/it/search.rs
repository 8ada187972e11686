//! search_entities, live and from a snapshot.
