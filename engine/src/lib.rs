//! The process: source, decode, order, correlate, publish; CLI, metrics, API.

pub mod config;
pub mod http;
pub mod demo;
pub mod readiness;
pub mod replay;
pub mod score;
pub mod view;
