//! Which broker coordinates what.

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{COORDINATOR_PARTITIONS, Cluster, client::LIMIT};
use crate::eventually;

impl Cluster {
    /// Returns the broker that coordinates the transactions of an id.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> usize {
        self.leader("__transaction_state", place(transactional_id))
    }

    /// Returns the broker that coordinates a group.
    pub fn group_coordinator(&self, group: &str) -> usize {
        self.leader("__consumer_offsets", place(group))
    }

    /// Returns the broker that leads a partition, waiting until one does.
    pub fn leader(&self, topic: &str, partition: i32) -> usize {
        let consumer: BaseConsumer = self.client().create().unwrap();
        eventually("a leader", LIMIT, || {
            let metadata = consumer.fetch_metadata(Some(topic), LIMIT).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let found = partitions.iter().find(|found| found.id() == partition)?;
            let id = usize::try_from(found.leader()).ok()?;
            self.nodes.iter().position(|node| node.id == id)
        })
    }
}

/// Returns the partition of a coordinators' topic that a name falls into: Java's hash of it, without its sign.
fn place(name: &str) -> i32 {
    let hash = name.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) % COORDINATOR_PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_where_java_puts_them() {
        for (name, partition) in [
            ("", 0),
            ("hello", 2),
            ("fusor-0", 2),
            ("fusor-1", 1),
            ("polygenelubricants", 0),
        ] {
            assert_eq!(place(name), partition, "{name}");
        }
    }
}
