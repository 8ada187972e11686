//! Ingestion pipelines and their runs, and runs of pipeline entities.
