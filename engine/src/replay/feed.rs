//! One file as the records of one partition.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemas::decode::Limits;

use super::input::{InputError, Lines};
use crate::bus::NewRecord;

/// How far all files were read, and what stopped one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    failed: Mutex<Option<InputError>>,
}

impl Progress {
    pub(super) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Returns the error that ended a file early, once.
    pub(super) fn check(&self) -> Result<(), InputError> {
        let mut failed = self
            .shared
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }

    fn fail(&self, error: InputError) {
        let mut failed = self
            .shared
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
    }
}

/// The lines of a file as records; an error ends it and is left with the progress.
pub(super) struct FileFeed {
    lines: Lines,
    topic: Arc<str>,
    partition: i32,
    progress: Progress,
    told: u64,
}

impl FileFeed {
    pub(super) fn open(
        path: &Path,
        topic: &str,
        partition: i32,
        limits: &Limits,
        progress: &Progress,
    ) -> Result<Self, InputError> {
        Ok(Self {
            lines: Lines::open(path, limits.record_bytes_max)?,
            topic: topic.into(),
            partition,
            progress: progress.clone(),
            told: 0,
        })
    }
}

impl Iterator for FileFeed {
    type Item = NewRecord;

    fn next(&mut self) -> Option<NewRecord> {
        let mut line = Vec::new();
        let more = self.lines.next_line(&mut line);
        let read = self.lines.bytes_read();
        self.progress
            .shared
            .bytes
            .fetch_add(read - self.told, Ordering::Relaxed);
        self.told = read;
        match more {
            Ok(true) => Some(NewRecord {
                topic: Arc::clone(&self.topic),
                partition: Some(self.partition),
                timestamp: None,
                key: None,
                value: Some(line),
                headers: Vec::new(),
            }),
            Ok(false) => None,
            Err(error) => {
                self.progress.fail(error);
                None
            }
        }
    }
}
