//! Versions of OpenMetadata and what each can do.
