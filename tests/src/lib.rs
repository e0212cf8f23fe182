//! What tests stand on: real brokers, the program, made-up traffic, scenarios in text,
//! and the one way to say that a test did not run.
//!
//! Nothing depends on this crate.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking and speaks on standard error"
)]

mod skip;
mod wait;

pub mod crash;
pub mod engine;
pub mod kafka;
pub mod process;
pub mod program;
pub mod proxy;
pub mod reference;
pub mod scenario;
pub mod simulation;
pub mod traffic;

pub use skip::{data, skip};
pub use wait::eventually;
