//! The OpenMetadata client against recorded answers and broken servers.
