//! Every librdkafka property Fusor sets: the one place that makes a client's configuration.
//!
//! Three layers: our defaults, which an operator may turn; the operator's own; and what delivery rests on, which nobody
//! overrides. The configuration refuses the names of the last layer, so nothing is overridden in silence.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::Config;

const ALL: &[(&str, &str)] = &[("client.id", "fusor")];

const CONSUMER: &[(&str, &str)] = &[
    ("session.timeout.ms", "10000"),
    // Kafka answers a join with the next heartbeat: at 3 s a takeover takes 5 s, at 0.5 s it takes 1.
    ("heartbeat.interval.ms", "500"),
    // A call that hangs longer is fenced: the group gives the shards to another.
    ("max.poll.interval.ms", "120000"),
    // A connection whose other end is gone without a word is given up after this; the default is a minute.
    ("socket.timeout.ms", "15000"),
    // At its default of 1 s a consumer that is as fast as its queue waits most of the time.
    ("fetch.queue.backoff.ms", "5"),
    ("queued.min.messages", "5000"),
    ("fetch.message.max.bytes", "1048576"),
    // How soon a partition that was added is noticed.
    ("topic.metadata.refresh.interval.ms", "60000"),
];

const CONSUMER_OWNED: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "false"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("partition.assignment.strategy", "cooperative-sticky"),
];

const PRODUCER: &[(&str, &str)] = &[
    ("transaction.timeout.ms", "10000"),
    ("message.timeout.ms", "9000"),
    ("linger.ms", "0"),
    // Rows and digests of one epoch are much alike.
    ("compression.type", "lz4"),
    // After a commit the coordinator still writes its markers and answers the next transaction with "try again":
    // at the default of 100 ms that would be the price of every small transaction.
    ("retry.backoff.ms", "1"),
    ("retry.backoff.max.ms", "10"),
];

const PRODUCER_OWNED: &[(&str, &str)] = &[
    // A topic that came by itself would have one partition and none of the settings it needs.
    ("allow.auto.create.topics", "false"),
    // What the topics are made to take: a row of the state must never be too large to be written.
    ("message.max.bytes", "2097152"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // What Java's clients do, so that a key has the same partition whoever writes it.
    ("partitioner", "murmur2_random"),
];

/// Bytes that wait in the client, over all partitions of a shard set.
const QUEUED_KBYTES: usize = 65_536;

/// Makes the configuration of the handle that is a member of the group.
pub(crate) fn member(config: &Config) -> ClientConfig {
    layered(config, CONSUMER, CONSUMER_OWNED, |client| {
        client.set("group.id", config.group.as_str());
        // The state topic is held and never read here, so it has no committed offset to be missed.
        client.set("auto.offset.reset", "latest");
    })
}

/// Makes the configuration of the handle that reads `partitions` partitions, each through a queue of its own.
pub(crate) fn inputs(config: &Config, partitions: usize) -> ClientConfig {
    layered(config, CONSUMER, CONSUMER_OWNED, |client| {
        // With a queue a partition the bound counts for each of them.
        let each = (QUEUED_KBYTES / partitions.max(1)).max(1_024);
        if config.kafka.properties.get(QUEUED).is_none() {
            client.set(QUEUED, each.to_string());
        }
        client.set("group.id", config.group.as_str());
        client.set("enable.partition.eof", "true");
        client.set("statistics.interval.ms", "5000");
    })
}

const QUEUED: &str = "queued.max.messages.kbytes";

/// Makes the configuration of a handle that looks at topics from outside: it is assigned by hand and commits nothing.
pub(crate) fn reader(config: &Config, isolation: &str) -> ClientConfig {
    layered(config, CONSUMER, CONSUMER_OWNED, |client| {
        client.set("group.id", config.group.as_str());
        client.set("enable.partition.eof", "true");
        client.set("isolation.level", isolation);
        // What is deleted while it is being read is not there to be checked.
        client.set("auto.offset.reset", "earliest");
    })
}

/// Makes the configuration of the transactional producer.
pub(crate) fn producer(config: &Config, transactional_id: &str) -> ClientConfig {
    layered(config, PRODUCER, PRODUCER_OWNED, |client| {
        client.set("transactional.id", transactional_id);
    })
}

/// Makes the configuration of a producer outside of transactions.
pub(crate) fn sender(config: &Config) -> ClientConfig {
    layered(config, PRODUCER, PRODUCER_OWNED, |_| {})
}

/// Makes the configuration of a handle that only asks and administers.
pub(crate) fn admin(config: &Config) -> ClientConfig {
    layered(config, &[], &[], |_| {})
}

fn layered(
    config: &Config,
    defaults: &[(&str, &str)],
    owned: &[(&str, &str)],
    own: impl FnOnce(&mut ClientConfig),
) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (name, value) in ALL.iter().chain(defaults) {
        client.set(*name, *value);
    }
    for (name, value) in config.kafka.properties.iter() {
        client.set(name, value);
    }
    for (name, value) in owned {
        client.set(*name, *value);
    }
    let brokers: Vec<String> = config
        .kafka
        .brokers
        .iter()
        .map(ToString::to_string)
        .collect();
    client.set("bootstrap.servers", brokers.join(","));
    own(&mut client);
    client.set_log_level(RDKafkaLogLevel::Warning);
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Properties;

    #[test]
    fn what_delivery_rests_on_cannot_be_configured() {
        let ours = CONSUMER_OWNED
            .iter()
            .chain(PRODUCER_OWNED)
            .map(|(name, _)| *name);
        for name in ours.chain(["group.id", "transactional.id", "enable.partition.eof"]) {
            let text = format!(r#"{{"{name}": "x"}}"#);
            let error = serde_json::from_str::<Properties>(&text).unwrap_err();
            assert!(
                error.to_string().contains("is set by fusor"),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn librdkafka_takes_every_configuration() {
        let config = Config::default();
        for client in [
            member(&config),
            inputs(&config, 7),
            producer(&config, "x"),
            reader(&config, "read_committed"),
            sender(&config),
            admin(&config),
        ] {
            client.create_native_config().unwrap();
        }
    }
}
