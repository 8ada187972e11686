//! What changed, and why it broke: get_changes, find_root_cause.
