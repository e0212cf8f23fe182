//! What a consumer hands out: records, and errors that reading on cannot cure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client;
use crate::bus::{BusError, Committed, Header, Partition, Record};

/// Returns what reading on cannot cure; the client heals the rest by itself and has logged it.
pub(super) fn fatal(partition: &Partition, error: &KafkaError) -> Result<(), BusError> {
    let code = error.rdkafka_error_code();
    if matches!(
        code,
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    ) {
        return Err(BusError::OffsetOutOfRange {
            partition: partition.to_string(),
            offset: None,
        });
    }
    if matches!(
        code,
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
        )
    ) || matches!(error, KafkaError::MessageConsumptionFatal(_))
    {
        return Err(client("read", error));
    }
    Ok(())
}

pub(crate) fn record(partition: &Partition, message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        (0..headers.count())
            .map(|index| header(headers, index))
            .collect()
    });
    Record {
        partition: partition.clone(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Copies one header. The client library panics on a name that is not UTF-8, which anyone who may produce can send.
fn header(headers: &BorrowedHeaders, index: usize) -> Header {
    let read = catch_unwind(AssertUnwindSafe(|| {
        let header = headers.get(index);
        Header {
            name: header.key.to_owned(),
            value: header.value.map(<[u8]>::to_vec),
        }
    }));
    read.unwrap_or_else(|_| Header {
        name: char::REPLACEMENT_CHARACTER.to_string(),
        value: None,
    })
}

/// Returns what an answer of the group says of a partition; none where the group has committed nothing for it.
pub(super) fn committed(
    answer: &TopicPartitionList,
    partition: &Partition,
) -> Result<Option<Committed>, BusError> {
    let found = answer.find_partition(&partition.topic, partition.number);
    let element = found.ok_or_else(|| BusError::Client {
        action: "read the committed offsets",
        problem: format!("{partition} is missing in the answer"),
    })?;
    element
        .error()
        .map_err(|error| client("read the committed offsets", &error))?;
    Ok(match element.offset() {
        Offset::Offset(next) => {
            let told = element.metadata().split_once('/');
            let told =
                told.and_then(|(epoch, writer)| Some((epoch.parse().ok()?, writer.parse().ok()?)));
            Some(Committed {
                next,
                epoch: told.map(|(epoch, _)| epoch),
                writer: told.map_or(0, |(_, writer)| writer),
            })
        }
        Offset::Beginning
        | Offset::End
        | Offset::Stored
        | Offset::Invalid
        | Offset::OffsetTail(_) => None,
    })
}
