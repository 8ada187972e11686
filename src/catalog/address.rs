//! The address of a server as people paste it: with or without `/api`, a trailing slash, a page.
