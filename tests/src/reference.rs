//! The core once more, slow and plain: vectors, floating point, everything counted anew when asked for.
//!
//! It knows nothing of how the core stores anything. Entities have one name each; the bounds of `limits` are not modelled,
//! idle threads excepted. Where a decision falls so close to its bar that rounding could turn it, [`Model::close`] says so
//! and the rest is worth nothing.

mod evidence;
mod order;
mod rate;
mod score;
mod world;

pub use world::{Joined, Model, Report};
