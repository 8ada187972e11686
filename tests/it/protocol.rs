//! The real binary over stdio, Streamable HTTP and SSE.
