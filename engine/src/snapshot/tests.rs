use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bus::memory::{Keep, Memory, MemoryBus};
use crate::bus::{Bus, NewRecord, Request};
use crate::decode::Decoder;
use crate::publish::Publisher;
use crate::shard::ShardConfig;
use crate::source::{Source, Sources};
use crate::state::encode;
use crate::worker::{NoObserver, Step, Worker, WorkerConfig};

const DAY_MS: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(1_000 * DAY_MS);
const ORIGIN: Origin = Origin { began: 7 };

/// Snapshots in memory; a clone is the same store.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<BTreeMap<i32, Vec<u8>>>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Vec<u8>>> {
        self.0.lock().unwrap()
    }
}

impl Store for Kept {
    fn open(&self, shard: i32) -> io::Result<Option<Box<dyn Read>>> {
        let bytes = self.lock().get(&shard).cloned();
        Ok(bytes.map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn Read>))
    }

    fn replace(
        &self,
        shard: i32,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        content(&mut bytes)?;
        self.lock().insert(shard, bytes);
        Ok(())
    }

    fn remove(&self, shard: i32) -> io::Result<()> {
        self.lock().remove(&shard);
        Ok(())
    }
}

impl Kept {
    fn snapshots(&self) -> Snapshots {
        Snapshots::new(Box::new(self.clone()), DAY_MS)
    }

    fn bytes(&self) -> Vec<u8> {
        self.lock().get(&0).cloned().unwrap_or_default()
    }

    fn put(&self, bytes: Vec<u8>) {
        self.lock().insert(0, bytes);
    }

    fn content(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut reader = Reader::new(io::Cursor::new(self.bytes())).unwrap();
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }
}

/// A partition of the state topic as a list of keys and values.
struct Log(Vec<Record>);

impl Log {
    /// Begins with the claim and the origin, as every state does.
    fn new() -> Self {
        let mut log = Self(Vec::new());
        log.push(Key::Claim.bytes(), Some(vec![0]));
        log.push(Key::Origin.bytes(), Some(encode(0, &ORIGIN)));
        log
    }

    fn push(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.0.push(Record {
            partition: Partition {
                topic: "state".into(),
                number: 0,
            },
            offset: i64::try_from(self.0.len()).unwrap(),
            timestamp: None,
            key: Some(key),
            value,
            headers: Vec::new(),
        });
    }

    /// Reads three records at a time.
    fn read(&self, from: i64) -> StateRead {
        let start = usize::try_from(from).unwrap().min(self.0.len());
        let end = (start + 3).min(self.0.len());
        StateRead {
            records: self.0[start..end].to_vec(),
            next: i64::try_from(end).unwrap(),
        }
    }

    fn last_values(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut last = BTreeMap::new();
        for record in &self.0 {
            last.insert(record.key.clone().unwrap(), record.value.clone());
        }
        let some = |(key, value): (_, Option<_>)| Some((key, value?));
        last.into_iter().filter_map(some).collect()
    }
}

proptest! {
    #[test]
    fn a_snapshot_holds_the_last_value_of_each_key_wherever_it_was_continued(
        writes in proptest::collection::vec((0_u8..12, proptest::option::of(any::<u8>()), any::<bool>()), 0..80),
    ) {
        let kept = Kept::default();
        let mut log = Log::new();
        for (key, value, take) in writes {
            log.push(vec![b'k', key], value.map(|value| vec![value; usize::from(value)]));
            if take {
                let next = kept.snapshots().take(0, &mut |from| Ok(log.read(from)), NOW).unwrap();
                prop_assert_eq!(next, i64::try_from(log.0.len()).ok());
                prop_assert_eq!(kept.content(), log.last_values());
            }
        }
    }
}

#[test]
fn a_state_without_an_origin_has_no_snapshot() {
    let kept = Kept::default();
    let mut log = Log(Vec::new());
    log.push(Key::Claim.bytes(), Some(vec![0]));
    let taken = kept
        .snapshots()
        .take(0, &mut |from| Ok(log.read(from)), NOW);
    assert_eq!(taken.unwrap(), None);
    assert!(kept.bytes().is_empty());
}

#[test]
fn a_snapshot_that_is_damaged_is_begun_anew() {
    let kept = Kept::default();
    let mut log = Log::new();
    let take = |log: &Log| {
        kept.snapshots()
            .take(0, &mut |from| Ok(log.read(from)), NOW)
    };
    take(&log).unwrap();
    let mut bytes = kept.bytes();
    *bytes.last_mut().unwrap() ^= 1;
    kept.put(bytes);
    log.push(b"k".to_vec(), Some(vec![1]));
    assert!(matches!(take(&log), Err(SnapshotError::Store { .. })));
    take(&log).unwrap();
    assert_eq!(kept.content(), log.last_values());
}

fn lease(number: usize) -> String {
    format!(
        r#"{{"tenant":"t{}","ip":"10.0.0.{number}","host":"h","from":"2026-01-05T00:{number:02}:00Z","to":"2026-01-06T00:00:00Z"}}"#,
        number % 2
    )
}

fn memory() -> Memory {
    let memory = Memory::new();
    memory.create_topic("leases", 1, Keep::Uncommitted);
    memory.create_topic("incidents", 1, Keep::All);
    memory.create_topic("dead", 1, Keep::All);
    memory.create_topic("state", 1, Keep::LastOfKey);
    memory
}

fn produce(memory: &Memory, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let record = NewRecord {
            topic: "leases".into(),
            partition: Some(0),
            timestamp: None,
            key: None,
            value: Some(lease(number).into_bytes()),
            headers: Vec::new(),
        };
        memory.produce(record).unwrap();
    }
}

fn shard_config() -> ShardConfig {
    ShardConfig {
        settings: Arc::default(),
        state: Some("state".into()),
        tenants_max: 3,
        threads: 1,
    }
}

fn request(records_max: usize) -> Request {
    Request {
        records_max,
        bytes_max: 1 << 20,
        wait: Duration::ZERO,
        collect: Duration::ZERO,
    }
}

fn bus(memory: &Memory) -> MemoryBus {
    MemoryBus::join(memory, &["leases".into()], 1).with_state("state")
}

fn worker(memory: &Memory, snapshots: Option<Arc<Snapshots>>) -> Worker<MemoryBus> {
    let config = WorkerConfig {
        decoder: Decoder {
            sources: Sources::new([("leases".to_owned(), Source::Bindings)]),
            limits: schemas::decode::Limits::default(),
            clamp: None,
            threads: 1,
        },
        shard: shard_config(),
        publisher: Publisher {
            topic: "incidents".into(),
            instance: "test".to_owned(),
            bytes_max: 1 << 20,
        },
        dead_letters: "dead".into(),
        outcomes: "outcomes".into(),
        epoch: request(2),
        ahead_records_max: 100,
        ahead_bytes_max: 1 << 20,
        drain: Duration::ZERO,
        followed: 1,
        snapshots,
        idle: None,
    };
    let stop = Arc::default();
    Worker::new(bus(memory), config, Arc::default(), Arc::default(), stop)
}

/// Works until nothing is left to do, and returns the state.
fn work(memory: &Memory, snapshots: Option<Arc<Snapshots>>) -> BTreeMap<String, u128> {
    let mut worker = worker(memory, snapshots);
    let mut idle = 0;
    while idle < 200 {
        let step = worker.step(&mut NoObserver).unwrap();
        idle = if step == Step::Committed { 0 } else { idle + 1 };
    }
    let shard = worker.shards().next().unwrap();
    assert!(shard.is_active());
    let digests = shard.digests();
    drop(worker);
    memory.rebalance();
    digests
}

fn take(memory: &Memory, kept: &Kept) {
    let mut bus = bus(memory);
    let now = bus.now();
    let mut read = |from| bus.read_state(0, from, &request(3));
    let taken = kept.snapshots().take(0, &mut read, now).unwrap();
    assert!(taken.is_some());
    drop(bus);
    memory.rebalance();
}

#[test]
fn a_state_restored_from_a_snapshot_is_the_same() {
    let (plain, memory, kept) = (memory(), memory(), Kept::default());
    for memory in [&plain, &memory] {
        produce(memory, 0..10);
        work(memory, None);
    }
    take(&memory, &kept);
    for memory in [&plain, &memory] {
        produce(memory, 10..20);
        work(memory, None);
        produce(memory, 20..30);
    }
    let snapshots = Arc::new(kept.snapshots());
    let restored = work(&memory, Some(Arc::clone(&snapshots)));
    assert_eq!(restored, work(&plain, None));
    assert_eq!(snapshots.kept(), [0]);
}

/// Reads the beginning of a state, as far as its origin.
fn blank(memory: &Memory) -> Shard {
    let mut bus = bus(memory);
    let mut shard = Shard::new(0, shard_config());
    let read = bus.read_state(0, 0, &request(4)).unwrap();
    shard.restore(&read.records).unwrap();
    assert!(shard.origin().is_some());
    shard
}

#[test]
fn only_a_snapshot_that_fits_is_used() {
    let (memory, kept) = (memory(), Kept::default());
    produce(&memory, 0..10);
    work(&memory, None);
    take(&memory, &kept);
    let bytes = kept.bytes();
    let shard = blank(&memory);
    let header = Reader::new(io::Cursor::new(bytes.clone()))
        .unwrap()
        .header();
    let (taken, next) = (Timestamp(header.taken), header.next);
    let load = |until, now| kept.snapshots().load(&shard, until, now).is_some();

    assert!(load(None, taken));
    assert!(load(Some(next - 1), taken));
    assert!(!load(Some(next - 2), taken), "beyond the claim");
    assert!(load(None, taken.plus(DAY_MS)));
    assert!(!load(None, taken.plus(DAY_MS + 1)), "too old");
    assert!(!load(None, taken.plus(-SKEW_MS - 1)), "of the future");

    let forged = |header: Header| {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, header).unwrap();
        for (key, value) in kept.content() {
            writer.write(&key, &value).unwrap();
        }
        writer.end().unwrap();
        bytes
    };
    let another_life = forged(Header {
        origin: Origin { began: -1 },
        ..header
    });
    let another_shard = forged(Header { shard: 1, ..header });
    for bytes in [another_life, another_shard] {
        kept.put(bytes);
        assert!(!load(None, taken));
    }
    for length in 0..bytes.len() {
        kept.put(bytes[..length].to_vec());
        assert!(!load(None, taken), "cut to {length} bytes");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        kept.put(damaged);
        assert!(!load(None, taken), "byte {at} is wrong");
    }
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("snapshots");
    let directory = Directory::new(&path);
    assert!(directory.open(3).unwrap().is_none());
    let text = |directory: &Directory| {
        let mut text = String::new();
        let mut file = directory.open(3).unwrap().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    directory
        .replace(3, &mut |file| file.write_all(b"first"))
        .unwrap();
    std::fs::write(path.join("shard-3.part"), "left behind").unwrap();
    let full = directory.replace(3, &mut |file| {
        file.write_all(b"half")?;
        Err(io::ErrorKind::StorageFull.into())
    });
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(text(&directory), "first");
    directory
        .replace(3, &mut |file| file.write_all(b"second"))
        .unwrap();
    assert_eq!(text(&directory), "second");
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left behind");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("shard-3.snapshot")), 0o600);
    directory.remove(3).unwrap();
    directory.remove(3).unwrap();
    assert!(directory.open(3).unwrap().is_none());
}
