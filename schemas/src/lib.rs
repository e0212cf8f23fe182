//! What travels: the canonical alert, the incident, the command and the binding, as types and as bytes.
//!
//! This crate does no I/O, reads no clock and uses no randomness. Decoding any bytes returns, never panics,
//! and its memory is bounded by the limits of [`decode::Limits`]. A field name or an enum word once released
//! never changes meaning.
#![warn(missing_docs)]

pub mod alert;
pub mod attack;
pub mod binding;
pub mod command;
pub mod decode;
pub mod encode;
pub mod entity;
pub mod incident;
pub mod tenant;
pub mod time;
