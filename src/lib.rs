//! openpolicy-mcp: one place to ask about OpenMetadata and the platform that carries the data.
