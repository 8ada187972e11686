//! The one maker of HTTP clients: TLS, proxy, time-outs, retries of reads, size bounds, redaction.
