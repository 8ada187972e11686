//! Pure lineage: counts, depths, cycles, paths and column landings over nodes and edges.
