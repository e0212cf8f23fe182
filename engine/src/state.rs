//! A shard's state as records of the state topic, one partition a shard.
//!
//! An epoch writes the rows it changed, the digests of its records in [`Block`]s, and one [`Meta`], in the transaction of
//! its incidents and offsets. The topic is compacted: the last value of each key is the state, and a null value
//! means that the key is gone. A value is `F`, the format's version, the number of the epoch that wrote it, and the
//! content.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod block;
mod key;
mod meta;

pub use block::{Block, Digest, Entry, Fate, Placed};
pub use key::Key;
pub use meta::{Claim, Counts, Meta, Origin, Position, Start, Suspect};

/// Version of the format that is written. This release reads no other.
pub const VERSION: u8 = 1;
const MAGIC: u8 = b'F';
/// Largest value that is written: a block is cut into parts below it. A row is bounded by the limits of correlation.
pub const BLOCK_BYTES_MAX: usize = 512 << 10;

/// A record of the state topic cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StateError {
    /// The key is none of ours.
    #[error("the key is not one of Fusor's")]
    Key,
    /// The value does not begin as ours do.
    #[error("the value is not one of Fusor's")]
    Foreign,
    /// A later release wrote it.
    #[error(
        "written in format {version}, and this release reads up to {VERSION}: run the release that wrote it"
    )]
    Newer {
        /// Version of the format.
        version: u8,
    },
    /// The content does not fit the format.
    #[error("the value is damaged: {problem}")]
    Damaged {
        /// What the decoder said.
        problem: String,
    },
}

/// Frames the content of a record that epoch `epoch` writes.
#[must_use]
pub fn frame(epoch: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 12);
    bytes.extend([MAGIC, VERSION]);
    let mut left = epoch;
    while left >= 0x80 {
        bytes.push(low_bits(left) | 0x80);
        left >>= 7;
    }
    bytes.push(low_bits(left));
    bytes.extend_from_slice(content);
    bytes
}

/// Returns the epoch that wrote a value, and its content.
///
/// # Errors
/// When the value is not ours or of a later format.
pub fn unframe(bytes: &[u8]) -> Result<(u64, &[u8]), StateError> {
    let [MAGIC, version, rest @ ..] = bytes else {
        return Err(StateError::Foreign);
    };
    if *version > VERSION {
        return Err(StateError::Newer { version: *version });
    }
    let length = rest.iter().take(10).position(|byte| byte & 0x80 == 0);
    let (number, content) = length
        .and_then(|last| rest.split_at_checked(last + 1))
        .ok_or_else(|| damaged("the epoch's number does not end"))?;
    let bits = number.iter().rev();
    let epoch = bits.fold(0_u64, |sum, byte| (sum << 7) | u64::from(byte & 0x7f));
    Ok((epoch, content))
}

/// Encodes the framed value of a record that epoch `epoch` writes.
#[must_use]
pub fn encode<T: Serialize>(epoch: u64, content: &T) -> Vec<u8> {
    // Only a type without a length of its own could fail, and there is none.
    let content = postcard::to_allocvec(content).unwrap_or_default();
    frame(epoch, &content)
}

/// Decodes a framed value, with the epoch that wrote it.
///
/// # Errors
/// When the value is not ours, of a later format, or does not fit.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(u64, T), StateError> {
    let (epoch, content) = unframe(bytes)?;
    let (content, rest) = postcard::take_from_bytes(content).map_err(damaged)?;
    if rest.is_empty() {
        Ok((epoch, content))
    } else {
        Err(damaged("something follows"))
    }
}

fn damaged(problem: impl ToString) -> StateError {
    StateError::Damaged {
        problem: problem.to_string(),
    }
}

fn low_bits(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0)
}

#[cfg(test)]
mod tests;
