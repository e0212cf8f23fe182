//! Scenarios, reference model, real Kafka.
