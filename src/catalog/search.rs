//! Search: queries as types, what each version understands of them, hits and why they matched.
