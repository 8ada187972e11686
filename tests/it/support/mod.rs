//! What the tests share: the replay server, the binary under test, token counts.
