//! One thing that goes wrong, at one request of a run.

use std::sync::Arc;

use engine::bus::memory::{Fault, MemberId, Point};

use super::world::Arrival;
use super::{Outcome, Random, Simulation, World};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blow {
    /// The process ends.
    Crash,
    /// The request is refused, and its transaction aborted.
    Refuse,
    /// It is carried out and never answered.
    LoseAnswer,
    /// Every member is put out of the group.
    Rebalance,
    /// The member stands still for longer than its session.
    Stand,
}

impl Simulation {
    /// Runs the world once with nothing going wrong but one blow, at the request of this number; none where the run is over
    /// before.
    #[must_use]
    pub fn with_blow(world: &Arc<World>, blow: Blow, request: usize) -> Option<Outcome> {
        let simulation = Self::new(world, Arrival::Before, Random::new(1), 2);
        simulation.chance.lock().unwrap().blow = Some((request, blow));
        let simulation = Arc::new(simulation);
        simulation.calm();
        let struck = simulation.chance.lock().unwrap().blow.is_none();
        let outcome = simulation.finish();
        struck.then_some(outcome)
    }

    /// Returns the blow whose time is this request.
    pub(super) fn struck(&self, point: Point) -> Option<Blow> {
        let mut chance = self.chance.lock().unwrap();
        let (left, blow) = chance.blow.as_mut()?;
        let in_transaction = match point {
            Point::Poll | Point::KeepAlive | Point::ReadState | Point::Committed => false,
            Point::Init
            | Point::Begin
            | Point::Send(_)
            | Point::Offsets
            | Point::End
            | Point::Answer => true,
        };
        // What is refused or lost elsewhere, the client repeats by itself.
        if matches!(blow, Blow::Refuse | Blow::LoseAnswer) && !in_transaction {
            return None;
        }
        let blow = *blow;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        chance.blow = None;
        Some(blow)
    }

    pub(super) fn strike(
        self: &Arc<Self>,
        blow: Blow,
        slot: usize,
        member: MemberId,
        point: Point,
    ) -> Option<Fault> {
        self.note(&format!("{blow:?} at {point:?}"));
        match blow {
            Blow::Crash => Some(Fault::Crash),
            Blow::Refuse => Some(Fault::Refuse),
            Blow::LoseAnswer => Some(Fault::LoseAnswer),
            Blow::Rebalance => {
                self.memory.rebalance();
                None
            }
            Blow::Stand => {
                self.stand_still(slot, member);
                None
            }
        }
    }
}
