//! get_lineage, find_lineage_path, analyze_impact and edit_lineage.
