//! Why a row cannot be restored.

use super::RowKey;

/// A row cannot be restored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("row {row}: {problem}")]
pub struct StateError {
    /// The row.
    pub row: RowKey,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a row.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The bytes are no value of its kind.
    #[error("unreadable")]
    Unreadable,
    /// Bytes follow the value.
    #[error("longer than its value")]
    TooLong,
    /// A value no state can hold, such as a time outside the years 0 to 9999.
    #[error("out of range: {0}")]
    OutOfRange(&'static str),
    /// It refers to a row that is not there, or that does not agree.
    #[error("refers to {0}, which does not agree or is not there")]
    Dangling(RowKey),
    /// Another row has what only one can have.
    #[error("has the {0} of another")]
    Taken(&'static str),
    /// The tenant's row counts others than there are: one is missing, or is too many.
    #[error("there are {found} rows of a kind that it counts {counted} of: {kind}")]
    Miscounted {
        /// The kind of row.
        kind: &'static str,
        /// How many there should be.
        counted: u64,
        /// How many there are.
        found: u64,
    },
}
