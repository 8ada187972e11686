//! The command line: tools, demo, init, doctor.
