//! Points at which a test ends, freezes or panics this process, to prove that what is committed survives.
//!
//! Without the feature `failpoints`, which only the tests turn on, a point is an empty function. With it the variable
//! [`VARIABLE`] says what happens where: `after_produce=3*off->exit;mid_commit=pause` leaves the first three epochs
//! alone, ends in the fourth, and freezes in every commit.

#[cfg(feature = "failpoints")]
mod plan;

/// A place that matters for delivery.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Point {
    /// An epoch's records were applied to the state; nothing of it was written.
    AfterApply,
    /// An epoch is about to begin its transaction.
    BeforeBegin,
    /// Its records were handed to the client.
    AfterProduce,
    /// Its offsets are part of the transaction and its records acknowledged.
    AfterSendOffsets,
    /// The commit was asked for and is not answered.
    MidCommit,
    /// It is committed, and the worker has not taken note of it.
    AfterCommitBeforeClear,
    /// A shard is being taken away.
    InRevoke,
    /// A shard's state is being read back.
    InRestore,
    /// Some records of one request of the HTTP ingest were written and some were not.
    IngestBetween,
    /// A snapshot is written and not yet in its place.
    SnapshotBeforeRename,
}

/// The environment variable that arms points: `point=step->step;point=…`, a step being `off`, `exit` (killed, as by
/// signal 9), `pause` (frozen, until signal CONT) or `panic`, with `3*` before it to be taken three times. The last step
/// without a number is taken from then on; after the last step with one, nothing happens any more.
pub const VARIABLE: &str = "FUSOR_FAILPOINTS";

/// Does what was planned for this time at `point`.
///
/// # Panics
/// Where that is planned, or where the plan cannot be read: a test must not go on with a plan that nobody follows.
pub fn hit(point: Point) {
    #[cfg(feature = "failpoints")]
    plan::of_process().hit(point);
    #[cfg(not(feature = "failpoints"))]
    let _ = point;
}

/// Returns whether something is planned for this time at `point`: then go on to [`hit`] it, else this was its `off`.
#[must_use]
pub fn is_due(point: Point) -> bool {
    #[cfg(feature = "failpoints")]
    return plan::of_process().is_due(point);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = point;
        false
    }
}

/// A step of the worker that a test may leave out in its thread, to see that this is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Undoing what was applied and not committed.
    Undo,
}

#[cfg(feature = "failpoints")]
thread_local! {
    static LEFT_OUT: std::cell::Cell<Option<Step>> = const { std::cell::Cell::new(None) };
}

/// Leaves a step out from here on, or none.
pub fn leave_out(step: Option<Step>) {
    #[cfg(feature = "failpoints")]
    LEFT_OUT.set(step);
    #[cfg(not(feature = "failpoints"))]
    let _ = step;
}

/// Returns whether a step is left out.
#[must_use]
pub fn is_left_out(step: Step) -> bool {
    #[cfg(feature = "failpoints")]
    return LEFT_OUT.get() == Some(step);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = step;
        false
    }
}

impl Point {
    /// Every point, in the order in which an epoch meets them.
    pub const ALL: [Self; 10] = [
        Self::AfterApply,
        Self::BeforeBegin,
        Self::AfterProduce,
        Self::AfterSendOffsets,
        Self::MidCommit,
        Self::AfterCommitBeforeClear,
        Self::InRevoke,
        Self::InRestore,
        Self::IngestBetween,
        Self::SnapshotBeforeRename,
    ];

    /// Returns its name in [`VARIABLE`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterApply => "after_apply",
            Self::BeforeBegin => "before_begin",
            Self::AfterProduce => "after_produce",
            Self::AfterSendOffsets => "after_send_offsets",
            Self::MidCommit => "mid_commit",
            Self::AfterCommitBeforeClear => "after_commit_before_clear",
            Self::InRevoke => "in_revoke",
            Self::InRestore => "in_restore",
            Self::IngestBetween => "ingest_between",
            Self::SnapshotBeforeRename => "snapshot_before_rename",
        }
    }
}
