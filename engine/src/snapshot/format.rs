//! The bytes of a snapshot: a header, records in the order of their keys, and a checksum of all of it.
//!
//! Numbers are of fixed width, lowest byte first. `FSNP`, version, shard, origin, next, taken; of each record the lengths of key and
//! value, key, value; then a length that no key has, and the CRC-32 of everything before it.

use std::io::{self, BufReader, Read, Write};

use crc32fast::Hasher;

use crate::state::Origin;

const MAGIC: [u8; 4] = *b"FSNP";
/// Rises with this format and with that of the state.
const VERSION: u32 = 1;
/// In the place of a key's length, behind the last record.
const END: u32 = u32::MAX;
/// Bytes of a key or value at most: far above what is ever written, far below what memory holds.
const PART_BYTES_MAX: u32 = 64 << 20;

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The shard.
    pub shard: i32,
    /// The life of its partition of the state topic.
    pub origin: Origin,
    /// Where the state is to be read on.
    pub next: i64,
    /// When it was taken, before the first of it was read, in milliseconds since the epoch.
    pub taken: i64,
}

/// Why a snapshot cannot be read; the kind of its error is [`io::ErrorKind::InvalidData`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Damage {
    /// It does not begin as one.
    #[error("not a snapshot of this release")]
    Foreign,
    /// A length is beyond all bounds.
    #[error("a record of {0} bytes")]
    Length(u32),
    /// The checksum is another.
    #[error("the checksum does not fit")]
    Checksum,
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Writes a snapshot.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    sum: Hasher,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(to: W, header: Header) -> io::Result<Self> {
        let mut writer = Self {
            to,
            sum: Hasher::new(),
        };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put(&header.shard.to_le_bytes())?;
        for number in [header.origin.began, header.next, header.taken] {
            writer.put(&number.to_le_bytes())?;
        }
        Ok(writer)
    }

    /// Writes a record; keys rise.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.put(&length(key)?.to_le_bytes())?;
        self.put(&length(value)?.to_le_bytes())?;
        self.put(key)?;
        self.put(value)
    }

    /// Ends it; without its end it is damaged.
    ///
    /// # Errors
    /// What the system says.
    pub fn end(mut self) -> io::Result<()> {
        self.put(&END.to_le_bytes())?;
        let sum = self.sum.clone().finalize();
        self.to.write_all(&sum.to_le_bytes())?;
        self.to.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }
}

fn length(bytes: &[u8]) -> Result<u32, Damage> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > PART_BYTES_MAX {
        return Err(Damage::Length(length));
    }
    Ok(length)
}

/// Reads a snapshot. What it returned is to be trusted only once it has returned the end.
#[derive(Debug)]
pub struct Reader<R> {
    from: BufReader<R>,
    sum: Hasher,
    header: Header,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is none, or what the system says.
    pub fn new(from: R) -> io::Result<Self> {
        let mut reader = Self {
            from: BufReader::new(from),
            sum: Hasher::new(),
            header: Header {
                shard: 0,
                origin: Origin { began: 0 },
                next: 0,
                taken: 0,
            },
        };
        if reader.get::<4>()? != MAGIC || u32::from_le_bytes(reader.get()?) != VERSION {
            return Err(Damage::Foreign.into());
        }
        reader.header = Header {
            shard: i32::from_le_bytes(reader.get()?),
            origin: Origin {
                began: i64::from_le_bytes(reader.get()?),
            },
            next: i64::from_le_bytes(reader.get()?),
            taken: i64::from_le_bytes(reader.get()?),
        };
        Ok(reader)
    }

    /// Returns what it is of.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// Returns the next record; none at the end, where everything before is known to be right.
    ///
    /// # Errors
    /// When it is damaged or ends too early, or what the system says.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would go on behind an error"
    )]
    pub fn next(&mut self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let key = u32::from_le_bytes(self.get()?);
        if key == END {
            let sum = self.sum.clone().finalize();
            let mut written = [0; 4];
            self.from.read_exact(&mut written)?;
            let whole = u32::from_le_bytes(written) == sum;
            return if whole {
                Ok(None)
            } else {
                Err(Damage::Checksum.into())
            };
        }
        let value = u32::from_le_bytes(self.get()?);
        Ok(Some((self.part(key)?, self.part(value)?)))
    }

    fn get<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    /// Reads as many bytes, making room only for those that are there.
    fn part(&mut self, length: u32) -> io::Result<Vec<u8>> {
        if length > PART_BYTES_MAX {
            return Err(Damage::Length(length).into());
        }
        let mut bytes = Vec::new();
        let read = (&mut self.from)
            .take(u64::from(length))
            .read_to_end(&mut bytes)?;
        if u32::try_from(read) != Ok(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum.update(&bytes);
        Ok(bytes)
    }
}
