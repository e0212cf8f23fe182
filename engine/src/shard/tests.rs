use std::sync::Arc;

use schemas::decode::Limits;

use super::*;
use crate::bus::{Committed, Partition, Record};
use crate::decode::Decoder;
use crate::source::Source;
use crate::state::{self, Position, Suspect};

mod commands;

const MINUTE: i64 = 60_000;
const T0: i64 = 1_767_571_200_000;

fn sources() -> Sources {
    let source = Source::Alerts {
        format: None,
        tenant: None,
    };
    Sources::new([("alerts".to_owned(), source)])
}

fn config() -> ShardConfig {
    ShardConfig {
        settings: Arc::default(),
        state: Some("state".into()),
        tenants_max: 10,
        threads: 1,
    }
}

fn input(committed: Option<(i64, u64)>) -> Input {
    Input {
        lane: Lane(7),
        partition: Partition {
            topic: "alerts".into(),
            number: 0,
        },
        committed: committed.map(|(next, epoch)| Committed {
            next,
            epoch: Some(epoch),
            writer: 1,
        }),
    }
}

fn decoded(offset: i64, title: &str, minute: i64) -> Decoded {
    let time = Timestamp(T0 + minute * MINUTE);
    let value = format!(
        r#"{{"id":"{offset}","tenant":"t{}","time":"{time}","title":"{title}","severity":"high","tactics":["execution"],
            "entities":[{{"type":"host","value":"h{}"}},{{"type":"account","value":"u"}}]}}"#,
        offset % 2,
        offset % 3
    );
    let decoder = Decoder {
        sources: sources(),
        limits: Limits::default(),
        clamp: None,
        threads: 1,
    };
    decoder.decode(Arc::new(Record {
        partition: input(None).partition,
        offset,
        timestamp: None,
        key: None,
        value: Some(value.into_bytes()),
        headers: Vec::new(),
    }))
}

/// A shard with the log of its state.
struct Logged {
    shard: Shard,
    log: Vec<Record>,
}

impl Logged {
    fn new() -> Self {
        let mut shard = Shard::new(0, config());
        shard.activate(&[input(None)], &sources()).unwrap();
        Self {
            shard,
            log: Vec::new(),
        }
    }

    fn write(&mut self, records: Vec<NewRecord>) -> i64 {
        for record in records {
            let offset = i64::try_from(self.log.len()).unwrap();
            self.log.push(Record {
                partition: Partition {
                    topic: record.topic,
                    number: 0,
                },
                offset,
                timestamp: None,
                key: record.key,
                value: record.value,
                headers: record.headers,
            });
        }
        i64::try_from(self.log.len()).unwrap() - 1
    }

    fn apply(&mut self, records: impl IntoIterator<Item = Decoded>) -> Applied {
        for record in records {
            self.shard.push(Lane(7), record);
        }
        self.shard.set_at_end(Lane(7), true);
        self.shard.apply(100, 1 << 20, 1)
    }

    fn commit(&mut self, applied: Applied) {
        let last = self.write(applied.state);
        self.shard.commit(Some(last));
    }

    fn restored(&self, committed: Option<(i64, u64)>) -> Result<Shard, RestoreError> {
        let mut shard = Shard::new(0, config());
        shard.restore(&self.log)?;
        shard.activate(&[input(committed)], &sources())?;
        Ok(shard)
    }
}

fn alerts(from: i64, to: i64) -> Vec<Decoded> {
    (from..to)
        .map(|n| decoded(n, if n % 5 == 0 { "a" } else { "b" }, n * 7))
        .collect()
}

#[test]
fn what_is_restored_is_what_was_live_and_goes_on_alike() {
    let mut live = Logged::new();
    for epoch in 0..8 {
        let applied = live.apply(alerts(epoch * 10, epoch * 10 + 10));
        assert!(applied.state.len() > 3 && applied.offsets[0].next == epoch * 10 + 10);
        live.commit(applied);
    }
    let mut restored = live.restored(Some((80, 8))).unwrap();
    assert_eq!(restored.digests(), live.shard.digests());
    assert_eq!(restored.meta(), live.shard.meta());
    assert_eq!(restored.watermark(), live.shard.watermark());
    assert!(restored.incidents().eq(live.shard.incidents()));
    for decoded in alerts(80, 120) {
        restored.push(Lane(7), decoded);
    }
    restored.set_at_end(Lane(7), true);
    let again = restored.apply(100, 1 << 20, 1);
    let applied = live.apply(alerts(80, 120));
    assert_eq!(again.state, applied.state);
}

#[test]
fn what_is_not_committed_is_undone_with_everything_it_changed() {
    let mut live = Logged::new();
    let applied = live.apply(alerts(0, 20));
    live.commit(applied);
    let (digests, meta) = (live.shard.digests(), live.shard.meta().clone());
    let first = live.apply(alerts(20, 40));
    assert!(live.shard.is_pending());
    live.shard.deactivate();
    assert_eq!((live.shard.digests(), live.shard.meta()), (digests, &meta));
    live.shard
        .activate(&[input(Some((20, 1)))], &sources())
        .unwrap();
    let second = live.apply(alerts(20, 40));
    assert_eq!(first.state, second.state);
}

#[test]
fn what_is_read_twice_is_taken_in_once() {
    let mut live = Logged::new();
    for epoch in 0..4 {
        let applied = live.apply(alerts(epoch * 10, epoch * 10 + 10));
        live.commit(applied);
    }
    live.shard.deactivate();
    let digests = live.shard.digests();
    let log = live.log.clone();
    live.shard.restore(&log).unwrap();
    live.shard
        .activate(&[input(Some((40, 4)))], &sources())
        .unwrap();
    assert_eq!(live.shard.digests(), digests);
}

#[test]
fn a_record_that_makes_the_core_panic_is_refused_and_the_others_are_applied() {
    let mut live = Logged::new();
    let records = [
        decoded(0, "a", 0),
        decoded(1, work::PANICS, 1),
        decoded(2, "a", 2),
    ];
    let applied = live.apply(records);
    let words: Vec<&str> = applied
        .fates
        .iter()
        .map(|fate| match &fate.decoded.content {
            Content::Broken(broken) => broken.reason,
            Content::Alerts(_) => "applied",
            Content::Binding(_) => "binding",
            Content::Command(_) => "command",
        })
        .collect();
    assert_eq!(words, ["applied", PANIC, "applied"]);
    live.commit(applied);
    assert_eq!(live.shard.meta().counts.dead_letters, 1);
    assert_eq!(live.restored(None).unwrap().digests(), live.shard.digests());
}

#[test]
fn a_record_that_ends_the_process_again_and_again_when_it_is_alone_is_quarantined() {
    let mut live = Logged::new();
    let applied = live.apply(alerts(0, 5));
    live.commit(applied);
    // Each start writes its note, and dies before the shard moves.
    let mut deaths = Vec::new();
    for _ in 0..8 {
        let mut shard = live.restored(Some((5, 1))).unwrap();
        live.write(shard.begin(Timestamp(1)));
        // The step that took it over ends with nothing read yet.
        let nothing = shard.apply(100, 1 << 20, 1);
        assert!(nothing.fates.is_empty());
        shard.push(Lane(7), decoded(5, "deadly", 40));
        shard.set_at_end(Lane(7), true);
        let note = shard.precaution();
        deaths.push(note.is_some());
        live.write(note.into_iter().collect());
        let applied = shard.apply(100, 1 << 20, 1);
        if let Content::Broken(broken) = &applied.fates[0].decoded.content {
            assert_eq!(broken.reason, QUARANTINED);
            assert_eq!(deaths, [false, false, false, true, true, true, true]);
            return;
        }
    }
    panic!("never quarantined: {deaths:?}");
}

#[test]
fn a_start_at_another_epoch_is_the_first() {
    let mut shard = Shard::new(0, config());
    shard.start = Start {
        epoch: 3,
        attempts: 9,
        suspect: Some(Suspect {
            topic: "alerts".to_owned(),
            partition: 0,
            offset: 4,
            attempts: 9,
        }),
    };
    assert_eq!(shard.begin(Timestamp(1)).len(), 2);
    assert_eq!((shard.start.attempts, shard.cautious), (1, 0));
}

#[test]
fn time_that_passes_without_records_is_an_epoch_of_its_own() {
    let mut live = Logged::new();
    let days = Timestamp(T0 + 60 * 24 * 60 * MINUTE);
    let nothing = live.shard.pass_time(days, 1).epoch;
    assert_eq!(nothing, 0, "not before the first record");
    let applied = live.apply(alerts(0, 5));
    live.commit(applied);
    let passed = live.shard.pass_time(days, 1);
    assert_eq!((passed.epoch, passed.offsets[0].next), (2, 5));
    live.commit(passed);
    assert_eq!(live.shard.watermark(), Some(days));
    assert_eq!(live.shard.stats().1.threads, 0, "everything idled out");
    assert_eq!(
        live.restored(Some((5, 2))).unwrap().digests(),
        live.shard.digests()
    );
    assert_eq!(
        live.shard.pass_time(days, 1).epoch,
        0,
        "it has passed already"
    );
}

#[test]
fn a_group_that_is_one_epoch_ahead_is_torn_and_more_is_refused() {
    let mut live = Logged::new();
    let applied = live.apply(alerts(0, 5));
    live.commit(applied);
    let torn = live
        .restored(Some((9, 2)))
        .unwrap()
        .torn(&[input(Some((9, 2)))]);
    assert_eq!((torn[0].state, torn[0].group), (Some(5), Some(9)));
    let error = live.restored(Some((9, 3))).unwrap_err();
    assert!(
        matches!(error, RestoreError::Behind { epoch: 1, .. }),
        "{error}"
    );
    let error = Logged::new().restored(Some((9, 1))).unwrap_err();
    assert!(
        matches!(error, RestoreError::Behind { epoch: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_state_that_was_forgotten_begins_at_the_start_of_its_inputs() {
    let mut shard = Shard::new(0, config());
    shard.meta.epoch = 3;
    let committed = Committed {
        next: 5,
        epoch: Some(2),
        writer: 1,
    };
    let mut input = input(None);
    for (epoch, start) in [(Some(2), None), (None, Some(5))] {
        input.committed = Some(Committed { epoch, ..committed });
        let starts = shard.activate(std::slice::from_ref(&input), &sources());
        assert_eq!(starts.unwrap(), [(Lane(7), start)]);
    }
}

#[test]
fn damaged_state_is_refused_by_its_offset() {
    let mut live = Logged::new();
    let applied = live.apply(alerts(0, 5));
    live.commit(applied);
    for at in 0..live.log.len() {
        let Some(value) = live.log[at].value.clone() else {
            continue;
        };
        live.log[at].value = Some(value[..value.len() - 1].to_vec());
        let error = live.restored(None).unwrap_err();
        let RestoreError::Record { offset, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(usize::try_from(offset).unwrap(), at);
        live.log[at].value = Some(value);
    }
}
