//! How alerts become incidents: one sans-IO state machine per tenant.
//!
//! Alerts, bindings and time go in as arguments; placements and incident revisions come out by polling.
//! There is no I/O, no clock and no randomness here, and no output depends on the order of a hash map:
//! the same inputs give the same bytes on every machine. All arithmetic is on integers (see [`fixed`]).
#![warn(missing_docs)]

pub mod settings;
pub mod fusion;
pub mod fixed;
mod sequence;
mod rates;
mod leases;
mod order;
pub mod explain;
pub mod graph;

pub use fusion::{Fusion, Output, Placement};
pub use settings::Settings;
