//! A bus that writes epochs without transactions: what the promises of the real one cost.

use std::time::Duration;

use engine::bus::kafka::KafkaBus;
use engine::bus::{
    Bus, BusError, CommitError, Epoch, Lane, NewRecord, Polled, Reading, Request, StateRead,
    Written,
};
use engine::config::Broker;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use schemas::time::Timestamp;

/// Writes what moves an input at once and in no transaction, and the rest as the bus does.
pub(crate) struct Plain {
    bus: KafkaBus,
    producer: BaseProducer,
}

const FLUSH: Duration = Duration::from_secs(30);

impl Plain {
    pub(crate) fn new(bus: KafkaBus, brokers: &[Broker]) -> anyhow::Result<Self> {
        let brokers: Vec<String> = brokers.iter().map(ToString::to_string).collect();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers.join(","))
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            .create()?;
        Ok(Self { bus, producer })
    }

    fn send(&self, record: &NewRecord) -> Result<(), CommitError> {
        let mut next = BaseRecord::<[u8], [u8]>::to(&record.topic);
        next.key = record.key.as_deref();
        next.payload = record.value.as_deref();
        next.partition = record.partition;
        while let Err((error, back)) = self.producer.send(next) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                let problem = error.to_string();
                return Err(CommitError::Aborted { problem });
            }
            self.producer.poll(Duration::from_millis(1));
            next = back;
        }
        Ok(())
    }
}

impl Bus for Plain {
    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
        if epoch.offsets.is_empty() {
            return self.bus.commit(epoch);
        }
        epoch
            .records
            .iter()
            .try_for_each(|record| self.send(record))?;
        let flushed = self.producer.flush(FLUSH);
        flushed.map_err(|error| CommitError::Aborted {
            problem: error.to_string(),
        })?;
        Ok(Written::new())
    }

    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError> {
        self.bus.poll(request, wanted)
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.bus.reading(lane)
    }

    fn begin(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError> {
        self.bus.begin(shard, offsets)
    }

    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        self.bus.read_state(shard, from, request)
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        self.bus.rejoin()
    }

    fn keep_alive(&mut self, wait: Duration) -> Result<Polled, BusError> {
        self.bus.keep_alive(wait)
    }

    fn now(&self) -> Timestamp {
        self.bus.now()
    }

    fn generation(&self) -> i64 {
        self.bus.generation()
    }
}
