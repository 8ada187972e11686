//! Takes credentials and connections out of every answer of OpenMetadata.
