//! get_data_quality, get_ingestion, update_incident and control_ingestion.
