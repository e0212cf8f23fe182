//! How the process ends.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Something was found, or the input could not be used.
    Findings,
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong.
    Config,
    /// Kafka or the API cannot be reached.
    Environment,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// Every way to end, by code.
    pub const ALL: &'static [Self] = &[
        Self::Ok,
        Self::Findings,
        Self::Usage,
        Self::Config,
        Self::Environment,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Environment => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Findings => "something was found, or the input could not be used",
            Self::Usage => "the command line is wrong",
            Self::Config => "the configuration is wrong",
            Self::Environment => "Kafka or the API cannot be reached",
            Self::Interrupted => "ended by SIGINT (Ctrl-C)",
            Self::Terminated => "ended by SIGTERM",
        }
    }

    /// Returns the table for the help.
    #[must_use]
    pub fn table() -> String {
        let mut table = "Exit codes:".to_owned();
        for exit in Self::ALL {
            table.push_str(&format!("\n  {:>3}  {}", exit.code(), exit.meaning()));
        }
        table
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb ended before it was done, and what the exit code says of it.
#[derive(Debug)]
pub struct Failure {
    pub(super) exit: Exit,
    error: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure to be told on standard error.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit,
            error: Some(error.into()),
        }
    }

    /// Input that cannot be used.
    pub fn input(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Findings, error)
    }

    /// Nobody reads standard output any more: a quiet end.
    pub(super) const fn unread() -> Self {
        Self {
            exit: Exit::Ok,
            error: None,
        }
    }

    /// Ends with a code and nothing further to say.
    pub(super) const fn told(exit: Exit) -> Self {
        Self { exit, error: None }
    }

    /// Says whether there is anything to tell.
    pub(super) const fn has_message(&self) -> bool {
        self.error.is_some()
    }
}

/// The error and its causes, one a line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error else {
            return Ok(());
        };
        write!(f, "{error}")?;
        let mut cause = error.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
