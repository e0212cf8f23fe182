//! Replays files through the engine without a broker.

pub mod input;
