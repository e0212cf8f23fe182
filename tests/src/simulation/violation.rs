//! In which way a promise was broken.

use std::fmt;

/// What is not as it is promised.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// What kind of promise it breaks.
    pub class: Class,
    /// What was seen.
    pub text: String,
}

/// The kinds of promises.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// What was read has no disposition, or an incident no last revision as it should be.
    Lost,
    /// A record has two dispositions, a revision two contents, an incident goes back.
    Doubled,
    /// The group's offsets are not those of the state.
    Torn,
    /// The state is not what its log says, or not what the inputs give.
    Differs,
    /// A member refuses the state.
    Refused,
    /// What can be read is not read, or never committed.
    Stuck,
    /// A worker panicked.
    Panicked,
}

impl Violation {
    pub(super) fn new(class: Class, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { class, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.class, self.text)
    }
}

/// A worker with a mistake in it. Each breaks what the worker promises, and a simulation that does not notice
/// proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutant {
    /// Its client of Kafka makes a mistake.
    Client(engine::bus::memory::Mistake),
    /// What was applied in an epoch that was not committed stays in the state.
    SkipUndo,
    /// Alerts behind the watermark are dropped, as stream processors do.
    DropLate,
    /// A snapshot is believed however old it is.
    OldSnapshot,
}
