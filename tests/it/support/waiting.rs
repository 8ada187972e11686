//! Waits until something is as wanted, and fails where it is not in time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until what is seen is as wanted, and answers that.
#[track_caller]
pub fn until<T: Debug>(
    what: &str,
    longest: Duration,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let begun = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < longest, "{what}, in vain: {seen:?}");
        std::thread::sleep(PAUSE);
    }
}
