//! Seeded workload and benches.
