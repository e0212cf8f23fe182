use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaApiKey;
use rdkafka::types::RDKafkaRespErr;

use super::*;
use crate::bus::Partition;

/// Commits one epoch against brokers that answer one kind of request with errors, and returns how it ended.
fn check(request: RDKafkaApiKey, errors: &[RDKafkaRespErr]) -> (&'static str, bool) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("in", 1, 1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let mut config = Config::default();
    let brokers = serde_json::json!([cluster.bootstrap_servers()]);
    config.kafka.brokers = serde_json::from_value(brokers).unwrap();
    let mut writer = Writer::new(&config, "fusor-0", Arc::default()).unwrap();
    let group: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "fusor")
        .create()
        .unwrap();
    let epoch = Epoch {
        records: vec![NewRecord {
            topic: "out".into(),
            partition: Some(0),
            timestamp: None,
            key: None,
            value: Some(Vec::new()),
            headers: Vec::new(),
        }],
        offsets: vec![Moved {
            partition: Partition {
                topic: "in".into(),
                number: 0,
            },
            next: 7,
            epoch: 1,
            writer: 1,
        }],
    };
    cluster.request_errors(request, errors);
    let ended = match writer.commit(&epoch, group.group_metadata().as_ref()) {
        Ok(_) => "committed",
        Err(Attempt::Failed(CommitError::Aborted { .. })) => "aborted",
        Err(Attempt::Failed(CommitError::Fenced { .. })) => "fenced",
        Err(Attempt::InDoubt(_)) => "in doubt",
    };
    (ended, writer.is_spent())
}

use RDKafkaApiKey::{EndTxn, Produce, TxnOffsetCommit};
use RDKafkaRespErr as E;

#[test]
fn an_epoch_is_committed() {
    assert_eq!(check(EndTxn, &[]).0, "committed");
}

#[test]
fn only_the_group_puts_a_member_out() {
    let unknown = E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    assert_eq!(check(TxnOffsetCommit, &[unknown]).0, "fenced");
    let older = E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
    assert_eq!(check(TxnOffsetCommit, &[older]).0, "aborted");
}

#[test]
fn a_commit_whose_end_is_not_known_is_in_doubt() {
    for error in [
        E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
    ] {
        assert_eq!(check(EndTxn, &[error]), ("in doubt", true), "{error:?}");
    }
}

#[test]
fn a_record_that_is_refused_aborts_its_epoch() {
    let refused = E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    assert_eq!(check(Produce, &[refused]).0, "aborted");
}
