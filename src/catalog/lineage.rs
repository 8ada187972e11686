//! Collects a lineage graph: level by level from a server, or from a snapshot.
