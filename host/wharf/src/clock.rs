//! What time it is.

use std::fmt;
use std::time::SystemTime;

/// Where a host has the time from.
///
/// Whatever it records of runs and images has its time from here: when a run was submitted, came up and ended, the time of each
/// event, when an image was used. Waiting doesn't: pauses and time-outs go by the machine's own steady clock. A log line has the time
/// of its container.
///
/// It is asked often, from any thread, and must not block.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The machine's own time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
