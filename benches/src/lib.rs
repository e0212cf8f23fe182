//! Seeded workload and benches.
//!
//! [`workload`] makes alerts as their producers would write them, [`stages`] runs a part of the engine over them, and
//! [`measure`] times it. A seed gives the same bytes on every machine; times are never a test.
#![warn(missing_docs)]

mod random;
pub mod workload;
pub mod stages;
pub mod measure;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
