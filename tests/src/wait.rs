//! Waiting for what can only be asked for.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks until the answer is there, and returns it. For a child's output there is `Process::wait_for_line`, which does not ask.
///
/// # Panics
/// When `limit` passes first; `what` says what was waited for.
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not after {limit:?}");
        thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(200);
