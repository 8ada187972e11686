//! Test cases, their results and incidents.
