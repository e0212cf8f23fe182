//! A bundled scenario played through the engine: what Fusor does, shown without a broker or a file.

pub mod scenario;
