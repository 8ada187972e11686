//! The house rules that a test can hold: tool files, schemas, imports, token budgets.
