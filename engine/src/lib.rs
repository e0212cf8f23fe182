//! The process: source, decode, order, correlate, publish; CLI, metrics, API.

pub mod cli;
pub mod config;
pub mod logs;
pub mod run;
pub mod pipeline;
pub mod topics;
pub mod bus;
pub mod failpoint;
pub mod source;
pub mod decode;
pub mod order;
pub mod worker;
pub mod shard;
pub mod state;
pub mod audit;
pub mod rebuild;
pub mod publish;
pub mod dead_letter;
pub mod view;
pub mod readiness;
pub mod metrics;
pub mod http;
pub mod replay;
pub mod demo;
pub mod score;
pub mod explain;
