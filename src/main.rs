//! Arguments and exit codes; nothing else.

fn main() -> std::process::ExitCode {
    openpolicy_mcp::cli::run()
}
