//! Where an audit reads from: topics as they are committed.

use crate::bus::kafka::scan::{Scan, committed};
use crate::bus::{BusError, Committed, Partition, Record};
use crate::config::Config;
use crate::topics;

/// The committed records of a partition up to its end, by offset.
pub type Records = Box<dyn Iterator<Item = Result<Record, BusError>>>;

/// Topics that can be read from outside of the group.
pub trait Topics {
    /// Reads what is committed of a partition from an offset, or from the first record behind it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, partition: Partition, from: i64) -> Result<Records, BusError>;

    /// Returns what the group has committed for each of these partitions.
    ///
    /// # Errors
    /// When the group cannot be asked.
    fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, BusError>;

    /// Returns how many partitions a topic has.
    ///
    /// # Errors
    /// When it cannot be asked for.
    fn partitions(&self, topic: &str) -> Result<i32, BusError>;
}

/// Those in Kafka.
pub(super) struct Live<'a> {
    config: &'a Config,
}

impl<'a> Live<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self { config }
    }
}

impl Topics for Live<'_> {
    fn read(&self, partition: Partition, from: i64) -> Result<Records, BusError> {
        let mut scan = Scan::new(self.config, partition, from)?;
        Ok(Box::new(std::iter::from_fn(move || {
            scan.next().transpose()
        })))
    }

    fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, BusError> {
        committed(self.config, partitions)
    }

    fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        let failed = |error: topics::TopicsError| BusError::Topics {
            problem: error.to_string(),
        };
        let rows = topics::plan(self.config).map_err(failed)?;
        let row = rows.iter().find(|row| row.wanted.topic == topic);
        Ok(row.map_or(0, |row| row.wanted.partitions))
    }
}
