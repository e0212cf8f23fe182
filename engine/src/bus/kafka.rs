//! The bus on Kafka.
//!
//! Three clients, made, used and dropped by the worker's thread: a member of the group that subscribes to the state topic
//! alone and so is handed shards; a reader that is assigned the shards' inputs by hand; and a transactional
//! producer, named after the lowest shard it works for, so that whoever takes the shard over ends the
//! transaction that was left open. The member's generation fences every commit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

use super::{
    Bus, BusError, Change, CommitError, Epoch, Lane, Partition, Polled, Reading, Request, inputs_of,
};
use crate::config::Config;

mod context;
mod inputs;
mod member;
pub(crate) mod properties;
mod writer;

use context::GroupEvent;
use inputs::Inputs;
use member::Member;
use writer::{Attempt, Writer};

/// The bus on Kafka; of one thread.
pub struct KafkaBus {
    config: Arc<Config>,
    topics: Vec<(Arc<str>, i32)>,
    shards: i32,
    clients: Option<Clients>,
    owned: BTreeMap<i32, Vec<(Lane, Partition)>>,
    next_lane: u32,
}

/// Dropped in this order: what reads and writes before what holds the shards.
struct Clients {
    writer: Option<(i32, Writer)>,
    inputs: Inputs,
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
    /// Joins the group. `topics` are the inputs with their partition counts, `shards` that of the state topic.
    ///
    /// # Errors
    /// When the counts do not fit or a client cannot be made.
    pub fn join(
        config: Arc<Config>,
        topics: Vec<(Arc<str>, i32)>,
        shards: i32,
    ) -> Result<Self, BusError> {
        inputs_of(0, shards, &topics)?;
        let mut bus = Self {
            config,
            topics,
            shards,
            clients: None,
            owned: BTreeMap::new(),
            next_lane: 0,
        };
        bus.rejoin()?;
        Ok(bus)
    }

    fn partitions(&self) -> usize {
        let counts = self.topics.iter().map(|(_, count)| *count);
        counts.filter_map(|count| usize::try_from(count).ok()).sum()
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
                GroupEvent::Revoked(shards) => {
                    for shard in shards {
                        let lanes = self.owned.remove(&shard).unwrap_or_default();
                        let lanes: Vec<Lane> = lanes.iter().map(|(lane, _)| *lane).collect();
                        self.clients()?.inputs.unassign(&lanes)?;
                        changes.push(Change::Revoked { shard });
                    }
                    self.name_writer()?;
                }
                GroupEvent::Assigned(shards) => {
                    for shard in shards.iter().copied() {
                        self.owned.insert(shard, Vec::new());
                    }
                    // First of all the producer: it ends what the shard's last owner left open, and only then are the
                    // committed offsets final.
                    self.name_writer()?;
                    for shard in shards {
                        changes.push(self.begin(shard)?);
                    }
                }
            }
        }
        Ok(changes)
    }

    fn name_writer(&mut self) -> Result<(), BusError> {
        let lowest = self.owned.keys().next().copied();
        let config = Arc::clone(&self.config);
        let clients = self.clients()?;
        let fits = |(shard, writer): &(i32, Writer)| Some(*shard) == lowest && !writer.is_spent();
        if clients.writer.as_ref().is_some_and(fits) {
            return Ok(());
        }
        clients.writer = None;
        if let Some(shard) = lowest {
            let id = format!("{}-{shard}", config.group.as_str());
            clients.writer = Some((shard, Writer::new(&config, &id)?));
        }
        Ok(())
    }

    fn begin(&mut self, shard: i32) -> Result<Change, BusError> {
        let partitions = inputs_of(shard, self.shards, &self.topics)?;
        let first = self.next_lane;
        let clients = self.clients()?;
        let committed = clients.member.committed(&partitions)?;
        let inputs: Vec<_> = (first..)
            .map(Lane)
            .zip(committed)
            .map(|(lane, (partition, offset))| (lane, partition, offset))
            .collect();
        clients.inputs.assign(&inputs)?;
        let lanes: Vec<(Lane, Partition)> = inputs
            .into_iter()
            .map(|(lane, partition, _)| (lane, partition))
            .collect();
        self.next_lane = lanes.last().map_or(first, |(Lane(last), _)| last + 1);
        self.owned.insert(shard, lanes.clone());
        Ok(Change::Assigned { shard, lanes })
    }

    /// Finds out whether an epoch whose commit was not answered was committed.
    fn resolve(&mut self, epoch: &Epoch, problem: String) -> Result<(), CommitError> {
        tracing::warn!(problem, "a commit is in doubt");
        let lost = |error: BusError| CommitError::Fenced {
            problem: error.to_string(),
        };
        // The new producer of the same id ends the transaction one way or the other.
        self.name_writer().map_err(lost)?;
        let partitions: Vec<Partition> = epoch.offsets.iter().map(|(p, _)| p.clone()).collect();
        let member = &self.clients().map_err(lost)?.member;
        let committed = member.committed(&partitions).map_err(lost)?;
        let attempted = epoch.offsets.iter().map(|(_, offset)| Some(*offset));
        if committed.iter().map(|(_, offset)| *offset).eq(attempted) {
            Ok(())
        } else {
            Err(CommitError::Aborted { problem })
        }
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
        let events = self.clients()?.member.poll(wait);
        let changes = self.follow(events)?;
        let records = if self.owned.is_empty() {
            Vec::new()
        } else {
            self.clients()?.inputs.read(request, wanted)?
        };
        Ok(Polled {
            joined: self.clients()?.member.is_joined(),
            changes,
            records,
        })
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.clients
            .as_ref()
            .map_or(Reading::Closed, |clients| clients.inputs.reading(lane))
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<(), CommitError> {
        let fenced = |problem: String| CommitError::Fenced { problem };
        self.name_writer()
            .map_err(|error| fenced(error.to_string()))?;
        let clients = self.clients().map_err(|error| fenced(error.to_string()))?;
        let Some(fence) = clients.member.fence() else {
            return Err(fenced("the member is in no generation".to_owned()));
        };
        let Some((_, writer)) = clients.writer.as_mut() else {
            return Err(fenced("the member has no shard".to_owned()));
        };
        match writer.commit(epoch, &fence) {
            Ok(()) => Ok(()),
            Err(Attempt::Failed(error)) => Err(error),
            Err(Attempt::InDoubt(problem)) => self.resolve(epoch, problem),
        }
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        self.clients = None;
        self.owned.clear();
        let inputs = Inputs::new(&self.config, self.partitions())?;
        let member = Member::join(&self.config)?;
        self.clients = Some(Clients {
            writer: None,
            inputs,
            member,
        });
        Ok(())
    }

    fn keep_alive(&mut self, wait: Duration) -> Result<Vec<Change>, BusError> {
        let events = self.clients()?.member.poll(wait);
        self.follow(events)
    }
}

fn client(action: &'static str, error: &KafkaError) -> BusError {
    BusError::Client {
        action,
        problem: error.to_string(),
    }
}
