//! Faults: what may befall a member at each request, decided by a plan.

use std::fmt;

use super::MemberId;

/// Where a member is when its plan is asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Point {
    /// About to poll.
    Poll,
    /// About to serve the group between two tries of an epoch.
    KeepAlive,
    /// About to read a shard's state.
    ReadState,
    /// About to read committed offsets; asked again for every try.
    Committed,
    /// About to take its transactional id.
    Init,
    /// About to begin an epoch's transaction.
    Begin,
    /// About to write the record of this number.
    Send(usize),
    /// Every record is written, the offsets are not.
    Offsets,
    /// About to end the transaction.
    End,
    /// The end was carried out and is not answered yet.
    Answer,
}

/// What befalls a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is refused in a way that leaves only to abort.
    Refuse,
    /// It never arrives; the client notices after its timeout and asks again.
    LoseRequest,
    /// It is carried out, and the answer never comes; the client asks again.
    LoseAnswer,
    /// The end of the transaction arrives after so many milliseconds; the client asks again before, if that is longer than it
    /// waits. Any other request is merely slow.
    Delay(i64),
    /// The member ends here and now, by unwinding with [`Crash`].
    Crash,
}

/// What a crashed member unwinds with.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

/// Decides what befalls a member. It may do anything to the broker on the way, and let other members work: a member that
/// stands still in the middle of a request while the world goes on is a plan that takes its time.
pub trait Plan: Send + Sync {
    /// Returns what befalls the member at this point. Outside of a transaction a member can only crash: what else could
    /// happen there, the client repeats until it succeeds.
    fn at(&self, member: MemberId, point: Point) -> Option<Fault>;

    /// Returns how many of the records that were asked for a poll returns at most; at least 1.
    fn cut(&self, records_max: usize) -> usize {
        records_max
    }
}

impl fmt::Debug for dyn Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plan")
    }
}

/// A mistake that a client of Kafka can make. Each breaks what the worker promises, and a simulation that does not notice
/// proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// Commits in the generation in which its first shard was handed out.
    CacheGeneration,
    /// Sends its offsets without a generation, which nobody checks.
    OmitGeneration,
    /// Commits offsets after the transaction instead of in it.
    OffsetsOutside,
    /// Takes the last stable offset for the end of the state.
    StopAtStable,
    /// Goes on with a producer whose last transaction was slow to end.
    KeepProducer,
}
