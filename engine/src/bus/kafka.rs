//! The bus on Kafka.
//!
//! Three clients, made, used and dropped by the worker's thread: a member of the group that subscribes to the state topic
//! alone and so is handed shards; a reader that is assigned the shards' inputs by hand; and a transactional
//! producer, named after the lowest shard it works for, so that whoever takes the shard over ends the
//! transaction that was left open. The member's generation fences every commit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use schemas::time::Timestamp;

use super::{
    Bus, BusError, Change, CommitError, Committed, Epoch, Input, Lane, NewRecord, Partition,
    Polled, Reading, Request, Share, StateRead, Written,
};
use crate::config::Config;
use crate::failpoint::{self, Point};
use crate::readiness::Readiness;
use crate::topics::Shape;

mod context;
mod inputs;
mod member;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod states;
pub(crate) mod properties;
mod writer;

use context::GroupEvent;
use inputs::{Inputs, Start};
use member::Member;
use states::States;
use writer::{Attempt, Writer};

/// The bus on Kafka; of one thread.
pub struct KafkaBus {
    config: Arc<Config>,
    topics: Vec<(Arc<str>, i32)>,
    shards: i32,
    share: Share,
    /// Told of every answer that is waited for: a broker that is away does not make this process dead.
    readiness: Arc<Readiness>,
    clients: Option<Clients>,
    owned: BTreeMap<i32, Vec<Lane>>,
    next_lane: u32,
    /// The last commit was asked for and not answered.
    in_doubt: bool,
}

/// Dropped in this order: what reads and writes before what holds the shards.
struct Clients {
    writer: Option<(i32, Writer)>,
    inputs: Inputs,
    states: States,
    member: Member,
}

impl fmt::Debug for KafkaBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBus")
            .field("owned", &self.owned)
            .finish_non_exhaustive()
    }
}

impl KafkaBus {
    /// Joins the group, which shares out the shards, and with them the inputs.
    ///
    /// # Errors
    /// When the counts do not fit or a client cannot be made.
    pub fn join(
        config: Arc<Config>,
        shape: Shape,
        readiness: Arc<Readiness>,
    ) -> Result<Self, BusError> {
        let Shape {
            inputs: topics,
            shards,
            share,
        } = shape;
        share(0, shards, &topics)?;
        let mut bus = Self {
            config,
            topics,
            shards,
            share,
            readiness,
            clients: None,
            owned: BTreeMap::new(),
            next_lane: 0,
            in_doubt: false,
        };
        bus.rejoin()?;
        Ok(bus)
    }

    fn clients(&mut self) -> Result<&mut Clients, BusError> {
        self.clients.as_mut().ok_or_else(|| BusError::Client {
            action: "use the bus",
            problem: "the clients could not be made".to_owned(),
        })
    }

    /// Follows what the group did: begins and ends reading, and makes the producer whose name fits.
    fn follow(&mut self, events: Vec<GroupEvent>) -> Result<Vec<Change>, BusError> {
        let mut changes = Vec::new();
        for event in events {
            match event {
                GroupEvent::Revoked(shards) | GroupEvent::Lost(shards) => {
                    failpoint::hit(Point::InRevoke);
                    for shard in shards {
                        let lanes = self.owned.remove(&shard).unwrap_or_default();
                        self.clients()?.inputs.unassign(&lanes)?;
                        changes.push(Change::Revoked { shard });
                    }
                    if let Err(error) = self.name_writer() {
                        tracing::warn!(%error, "the next commit tries again");
                    }
                }
                GroupEvent::Assigned(shards) => {
                    for shard in shards.iter().copied() {
                        self.owned.insert(shard, Vec::new());
                    }
                    // First of all the producer: it ends what the shard's last owner left open, and only then are the
                    // committed offsets final.
                    self.name_writer()?;
                    for shard in shards {
                        changes.push(self.assigned(shard)?);
                    }
                }
            }
        }
        Ok(changes)
    }

    fn name_writer(&mut self) -> Result<(), BusError> {
        let lowest = self.owned.keys().next().copied();
        let (config, readiness) = (Arc::clone(&self.config), Arc::clone(&self.readiness));
        let clients = self.clients()?;
        let fits = |(shard, writer): &(i32, Writer)| Some(*shard) == lowest && !writer.is_spent();
        if clients.writer.as_ref().is_some_and(fits) {
            return Ok(());
        }
        clients.writer = None;
        if let Some(shard) = lowest {
            let id = format!("{}-{shard}", config.group.as_str());
            clients.writer = Some((shard, Writer::new(&config, &id, readiness)?));
        }
        Ok(())
    }

    fn assigned(&mut self, shard: i32) -> Result<Change, BusError> {
        let partitions = (self.share)(shard, self.shards, &self.topics)?;
        let first = self.next_lane;
        let clients = self.clients()?;
        let committed = clients.member.committed(&partitions)?;
        let inputs: Vec<Input> = (first..)
            .map(Lane)
            .zip(committed)
            .map(|(lane, (partition, committed))| Input {
                lane,
                partition,
                committed,
            })
            .collect();
        let lanes: Vec<Lane> = inputs.iter().map(|input| input.lane).collect();
        self.next_lane = lanes.last().map_or(first, |Lane(last)| last + 1);
        self.owned.insert(shard, lanes);
        Ok(Change::Assigned { shard, inputs })
    }

    /// Returns whether the group's offsets are those of an epoch, and so the epoch was committed.
    fn is_committed(&mut self, epoch: &Epoch) -> Result<bool, BusError> {
        let moved = &epoch.offsets;
        let partitions: Vec<Partition> = moved.iter().map(|m| m.partition.clone()).collect();
        let committed = self.clients()?.member.committed(&partitions)?;
        let attempted = moved.iter().map(|moved| {
            Some(Committed {
                next: moved.next,
                epoch: Some(moved.epoch),
                writer: moved.writer,
            })
        });
        let found = committed.iter().map(|(_, committed)| *committed);
        Ok(!moved.is_empty() && found.eq(attempted))
    }

    /// Serves the group for at most `wait` and follows it.
    fn serve_group(&mut self, wait: Duration) -> Result<Polled, BusError> {
        let events = self.clients()?.member.poll(wait)?;
        let changes = self.follow(events)?;
        Ok(Polled {
            joined: self.clients()?.member.is_joined(),
            changes,
            records: Vec::new(),
        })
    }
}

impl Bus for KafkaBus {
    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError> {
        // Without a shard there is nothing to read and only the group to wait for.
        let wait = if self.owned.is_empty() {
            request.wait
        } else {
            Duration::ZERO
        };
        let mut polled = self.serve_group(wait)?;
        if !self.owned.is_empty() {
            polled.records = self.clients()?.inputs.read(request, wanted)?;
        }
        Ok(polled)
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.clients
            .as_ref()
            .map_or(Reading::Closed, |clients| clients.inputs.reading(lane))
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
        let fenced = |problem: &str| CommitError::Fenced {
            problem: problem.to_owned(),
        };
        let aborted = |error: BusError| CommitError::Aborted {
            problem: error.to_string(),
        };
        let clients = self.clients().map_err(aborted)?;
        let Some(fence) = clients.member.fence() else {
            return Err(fenced("the member is in no generation"));
        };
        // A new producer of the same name ends the transaction that is in doubt one way or the other.
        self.name_writer().map_err(aborted)?;
        if self.in_doubt && self.is_committed(epoch).map_err(aborted)? {
            self.in_doubt = false;
            return Ok(Written::new());
        }
        self.in_doubt = false;
        let clients = self.clients().map_err(aborted)?;
        let Some((_, writer)) = clients.writer.as_mut() else {
            return Err(fenced("the member has no shard"));
        };
        match writer.commit(epoch, Some(&fence)) {
            Ok(written) => Ok(written),
            Err(Attempt::Failed(error)) => Err(error),
            Err(Attempt::InDoubt(problem)) => {
                self.in_doubt = true;
                Err(CommitError::Aborted { problem })
            }
        }
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        self.clients = None;
        self.owned.clear();
        self.in_doubt = false;
        let inputs = Inputs::new(&self.config, &self.topics)?;
        let states = States::new(&self.config, self.shards)?;
        let member = Member::join(&self.config, Arc::clone(&self.readiness))?;
        self.clients = Some(Clients {
            writer: None,
            inputs,
            states,
            member,
        });
        Ok(())
    }

    fn keep_alive(&mut self, wait: Duration) -> Result<Polled, BusError> {
        self.serve_group(wait)
    }

    fn begin(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError> {
        let partitions = (self.share)(shard, self.shards, &self.topics)?;
        let lanes = self.owned.get(&shard).cloned().unwrap_or_default();
        let next = |lane: &Lane| {
            let found = offsets.iter().find(|(of, _)| of == lane);
            found.and_then(|(_, next)| *next)
        };
        let starts: Vec<Start> = lanes
            .iter()
            .zip(partitions)
            .map(|(lane, partition)| Start {
                lane: *lane,
                next: next(lane),
                partition,
            })
            .collect();
        let inputs = &mut self.clients()?.inputs;
        inputs.unassign(&lanes)?;
        inputs.assign(&starts)
    }

    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        self.clients()?.states.read(shard, from, request)
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn generation(&self) -> i64 {
        self.clients
            .as_ref()
            .map_or(-1, |clients| clients.member.generation().into())
    }
}

/// Returns the time of day.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Writes records in one transaction of a producer of this name, outside of any group.
///
/// # Errors
/// When they are not known to be written: doing it again is safe.
pub(crate) fn write_alone(
    config: &Config,
    transactional_id: &str,
    records: Vec<NewRecord>,
    readiness: Arc<Readiness>,
) -> Result<(), BusError> {
    let mut writer = Writer::new(config, transactional_id, readiness)?;
    let epoch = Epoch {
        records,
        offsets: Vec::new(),
    };
    let written = writer.commit(&epoch, None);
    written.map(drop).map_err(|attempt| BusError::Client {
        action: "write the state",
        problem: match attempt {
            Attempt::Failed(error) => error.to_string(),
            Attempt::InDoubt(problem) => problem,
        },
    })
}

fn client(action: &'static str, error: &KafkaError) -> BusError {
    BusError::Client {
        action,
        problem: error.to_string(),
    }
}
