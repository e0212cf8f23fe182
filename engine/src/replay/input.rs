//! Files in: plain or gzip, told apart by their first bytes, read line by line within a bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// A file cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct InputError {
    /// The file; `-` is the standard input.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The lines of one file, or of the standard input.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line_bytes_max: usize,
    bytes_read: Arc<AtomicU64>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens `path` (`-`: the standard input). Lines longer than `line_bytes_max` are cut one byte beyond it, so that
    /// a reader can tell; the rest of such a line is skipped.
    ///
    /// # Errors
    /// Returns why the file cannot be opened or its first bytes not read.
    pub fn open(path: &Path, line_bytes_max: usize) -> Result<Self, InputError> {
        let failed = |source| InputError {
            path: path.to_owned(),
            source,
        };
        let source: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(failed)?)
        };
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut counted = Counted {
            source,
            bytes_read: Arc::clone(&bytes_read),
        };
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        counted
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut head)
            .map_err(failed)?;
        let compressed = head == GZIP_MAGIC;
        let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(counted));
        let reader: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(whole),
            ))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
            line_bytes_max,
            bytes_read,
        })
    }

    /// Returns the bytes taken from the file so far, before decompression.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Reads the next line that is not blank into `line`, without its end. Returns whether there was one.
    ///
    /// # Errors
    /// Returns why the file cannot be read, broken compression included.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, InputError> {
        loop {
            line.clear();
            let more = self.read_line(line).map_err(|source| InputError {
                path: self.path.clone(),
                source,
            })?;
            if !line.trim_ascii().is_empty() {
                return Ok(true);
            }
            if !more {
                return Ok(false);
            }
        }
    }

    /// Appends the next line to `line`; returns false when the file ended before it.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(any);
            }
            any = true;
            let (part, taken, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (buffer.get(..end).unwrap_or_default(), end + 1, true),
                None => (buffer, buffer.len(), false),
            };
            let room = (self.line_bytes_max + 1).saturating_sub(line.len());
            line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            self.reader.consume(taken);
            if ended {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(true);
            }
        }
    }
}

/// Returns the bytes of all files together, or nothing where one has no length (a pipe, the standard input).
#[must_use]
pub fn total_bytes(paths: &[PathBuf]) -> Option<u64> {
    paths
        .iter()
        .map(|path| {
            File::open(path)
                .ok()?
                .seek(SeekFrom::End(0))
                .ok()
                .filter(|bytes| *bytes > 0)
        })
        .sum()
}

struct Counted {
    source: Box<dyn Read + Send>,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests;
