//! How alerts become incidents: one sans-IO state machine per tenant.
//!
//! Alerts, bindings and time go in as arguments; placements and incident revisions come out by polling.
//! There is no I/O, no clock and no randomness here, and no output depends on the order of a hash map:
//! the same inputs give the same bytes on every machine. All arithmetic is on integers (see [`fixed`]).
#![warn(missing_docs)]

pub mod settings;
pub mod limits;
pub mod fusion;
pub mod fixed;
pub mod state;
mod journal;
mod index;
mod sequence;
mod slots;
mod uids;
mod interner;
mod entity;
mod entities;
mod leases;
mod identity;
mod episode;
mod thread;
mod fold;
mod rates;
mod background;
mod order;
mod link;
mod attach;
mod apart;
mod place;
mod stitch;
mod score;
mod command;
mod lifecycle;
mod reasons;
mod story;
mod render;
mod evict;
pub mod invariants;
pub mod graph;
pub mod explain;

pub use command::no_such_incident;
pub use fusion::{Fusion, Output, Part, Placement, Stats};
pub use schemas::command::Verdict;
pub use settings::Settings;
pub use state::{RowKey, SeenAlert, StateError};
