//! `keep`: takes care of one service of the `process` runtime; started by the runtime, not by hand.

use super::Failure;

pub(super) fn run() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        crate::runtime::process::keep()
            .map_err(|error| Failure::Error(format!("the keeper failed: {error}")))
    }
    #[cfg(not(target_os = "linux"))]
    {
        Err(Failure::Error(
            "the process runtime is not supported on this system".into(),
        ))
    }
}
