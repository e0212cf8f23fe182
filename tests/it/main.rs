//! One integration binary.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cli;
mod kafka;
mod model;
mod readme;
mod replay;
mod restore;
mod scenarios;
mod simulation;
mod tidy;
