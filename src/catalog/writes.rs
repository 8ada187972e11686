//! Changes to a catalog: JSON Patch with a guard, lineage edges, incidents, pipelines.
