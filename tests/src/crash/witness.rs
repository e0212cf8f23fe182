//! Who sees when something is committed: a reader of the state topic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::SHARDS;

/// Something committed became visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) shard: i32,
    pub(super) what: What,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An engine took the shard.
    Claim,
    /// An epoch.
    Epoch,
}

/// Reads the state topic until it is ended.
pub(super) struct Witness {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Witness {
    pub(super) fn start(mut client: ClientConfig, topic: &str) -> Self {
        let consumer: BaseConsumer = client
            .set("group.id", "witness-of-the-tests")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "20")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        for shard in 0..SHARDS {
            all.add_partition_offset(topic, shard, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&all).unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let thread = thread::spawn(move || {
            let mut seen = vec![];
            while !told.load(Ordering::Relaxed) {
                // While a broker is away there are errors and nothing else.
                let Some(Ok(message)) = consumer.poll(POLL) else {
                    continue;
                };
                let what = match message.key() {
                    Some(b"claim") => What::Claim,
                    Some(b"meta") => What::Epoch,
                    _ => continue,
                };
                seen.push(Seen {
                    at: Instant::now(),
                    shard: message.partition(),
                    what,
                });
            }
            seen
        });
        Self { enough, thread }
    }

    /// Returns everything that was seen, in that order.
    pub(super) fn end(self) -> Vec<Seen> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

const POLL: Duration = Duration::from_millis(100);
