//! The value of a row, which is its type written plainly, and what changed between two.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::range::Check;
use super::{Problem, RowKey};

/// Writes a row.
#[expect(
    clippy::expect_used,
    reason = "writing into memory only fails for a type that cannot tell its length, and rows are not of any"
)]
pub(super) fn encode<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("a row can be written")
}

/// Reads a row, all of it, and checks what it says by itself.
pub(super) fn decode<T: Check + DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let (row, rest) = postcard::take_from_bytes(bytes).map_err(|_| Problem::Unreadable)?;
    if !rest.is_empty() {
        return Err(Problem::TooLong);
    }
    T::check(&row).map_err(Problem::OutOfRange)?;
    Ok(row)
}

/// Rows that changed, ascending.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<(RowKey, Option<Vec<u8>>)>);

impl Changes {
    /// Adds a row where it differs from what it was.
    pub(super) fn compare<T: Serialize>(
        &mut self,
        key: RowKey,
        before: Option<&T>,
        now: Option<&T>,
    ) {
        let (before, now) = (before.map(encode), now.map(encode));
        if before != now {
            self.0.push((key, now));
        }
    }

    pub(super) fn into_rows(self) -> Vec<(RowKey, Option<Vec<u8>>)> {
        self.0
    }
}

/// A hash of byte strings, told apart by their lengths.
#[derive(Debug)]
pub(super) struct Hash(Sha256);

impl Hash {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> u128 {
        let hash = self.0.finalize();
        let half = hash.first_chunk::<16>().copied().unwrap_or_default();
        u128::from_le_bytes(half)
    }
}
