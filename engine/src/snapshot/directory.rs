//! Snapshots as files of one directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Store;
use crate::failpoint::{self, Point};

/// A directory with one file a shard, for its owner's eyes only: state holds what alerts say.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Uses a directory, which is made when the first snapshot is.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn file(&self, shard: i32, ending: &str) -> PathBuf {
        self.path.join(format!("shard-{shard}.{ending}"))
    }
}

impl Store for Directory {
    fn open(&self, shard: i32) -> io::Result<Option<Box<dyn Read>>> {
        match File::open(self.file(shard, "snapshot")) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(
        &self,
        shard: i32,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        let part = self.file(shard, "part");
        // What a process that ended in the middle left behind.
        gone(fs::remove_file(&part))?;
        let written = written(&part, content);
        if written.is_err() {
            // Its bytes are what a full disk needs first.
            gone(fs::remove_file(&part))?;
            return written;
        }
        failpoint::hit(Point::SnapshotBeforeRename);
        fs::rename(&part, self.file(shard, "snapshot"))?;
        File::open(&self.path)?.sync_all()
    }

    fn remove(&self, shard: i32) -> io::Result<()> {
        gone(fs::remove_file(self.file(shard, "snapshot")))
    }
}

fn written(
    path: &Path,
    content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    content(&mut file)?;
    file.sync_all()
}

/// What is not there needs no removing.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
