//! A group's topics as a sound engine writes them, from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::command::{Command, Outcome, Verdict};
use schemas::decode::{Format, Limits};
use schemas::incident::Incident;
use schemas::time::Timestamp;
use serde_json::json;

use crate::bus::{Committed, Header, NewRecord, Partition, Record};
use crate::check_topic::{Commits, EPOCH_HEADER};
use crate::dead_letter::dead_letter;
use crate::decode::{Content, Decoder};
use crate::outcome::outcome;
use crate::publish::{INCIDENT_BYTES_MAX, Publisher};
use crate::source::{Source, Sources};
use crate::state::{self, Block, Digest, Entry, Fate, Key, Meta, Placed, Position};

pub(super) const SHARDS: i32 = 2;
pub(super) const TOPICS: [&str; 3] = ["alerts", "leases", "commands"];
const INCIDENT_PARTITIONS: u64 = 3;
const TENANTS: [&[&str]; 2] = [&["acme", "contoso"], &["globex"]];

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }
}

/// A record of the incidents topic.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) record: Record,
    pub(super) committed: bool,
}

/// Everything there is to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) incidents: Vec<Attempt>,
    pub(super) state: Vec<Record>,
    pub(super) inputs: Vec<Record>,
    pub(super) letters: Vec<Record>,
    pub(super) outcomes: Vec<Record>,
    pub(super) commits: Commits,
    pub(super) ends: BTreeMap<Partition, i64>,
}

impl Log {
    pub(super) fn place(&mut self, topic: &str, number: i32, gap: i64) -> (Partition, i64) {
        let partition = Partition {
            topic: topic.into(),
            number,
        };
        let end = self.ends.entry(partition.clone()).or_insert(-1);
        *end += 1 + gap;
        (partition, *end)
    }

    pub(super) fn put(&mut self, record: NewRecord, number: i32, gap: i64) -> Record {
        let (partition, offset) = self.place(&record.topic, number, gap);
        Record {
            partition,
            offset,
            timestamp: Some(1_767_571_200_000),
            key: record.key,
            value: record.value,
            headers: record.headers,
        }
    }

    pub(super) fn write_state(&mut self, shard: i32, key: &Key, value: Vec<u8>) {
        let record = NewRecord {
            topic: "fusor.state".into(),
            partition: None,
            timestamp: None,
            key: Some(key.bytes()),
            value: Some(value),
            headers: Vec::new(),
        };
        let record = self.put(record, shard, 0);
        self.state.push(record);
    }

    /// The newest committed record of each incident, by id.
    pub(super) fn newest(&self) -> BTreeMap<String, (usize, Incident)> {
        let committed = self.incidents.iter().enumerate();
        committed
            .filter(|(_, attempt)| attempt.committed)
            .map(|(index, attempt)| {
                let incident = incident(&attempt.record);
                (incident.id.clone(), (index, incident))
            })
            .collect()
    }

    /// Publishes a further revision, in the newest epoch of the shard.
    pub(super) fn append(&mut self, incident: &Incident, like: &Record) {
        let number = like.partition.number;
        let shard: i32 = epoch_of(like).0;
        let epoch = self.last_epoch(shard);
        let record = published(incident, shard, epoch);
        let record = self.put(record, number, 0);
        self.incidents.push(Attempt {
            record,
            committed: true,
        });
    }

    pub(super) fn last_epoch(&self, shard: i32) -> u64 {
        let of_shard = self.state.iter().filter(|r| r.partition.number == shard);
        let mut metas = of_shard.filter(|record| record.key.as_deref() == Some(b"meta"));
        let last = metas.next_back().unwrap();
        state::unframe(last.value.as_ref().unwrap()).unwrap().0
    }

    /// Writes every copy of a revision anew.
    pub(super) fn rewrite(&mut self, index: usize, change: impl Fn(&mut Incident)) {
        let wanted = incident(&self.incidents[index].record);
        for attempt in &mut self.incidents {
            let mut found = incident(&attempt.record);
            if (&found.id, found.revision) == (&wanted.id, wanted.revision) {
                change(&mut found);
                let (shard, epoch) = epoch_of(&attempt.record);
                attempt.record.value = published(&found, shard, epoch).value;
            }
        }
    }
}

pub(super) fn incident(record: &Record) -> Incident {
    serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()
}

pub(super) fn epoch_of(record: &Record) -> (i32, u64) {
    let header = record.headers.iter().find(|h| h.name == EPOCH_HEADER);
    let text = std::str::from_utf8(header.unwrap().value.as_ref().unwrap()).unwrap();
    let (shard, epoch) = text.split_once(':').unwrap();
    (shard.parse().unwrap(), epoch.parse().unwrap())
}

pub(super) fn published(incident: &Incident, shard: i32, epoch: u64) -> NewRecord {
    let publisher = Publisher {
        topic: "fusor.incidents".into(),
        instance: "fusor".to_owned(),
        bytes_max: INCIDENT_BYTES_MAX,
    };
    let mut record = publisher.record(incident).unwrap();
    record.headers.retain(|header| header.name != EPOCH_HEADER);
    let epoch = Header::text(EPOCH_HEADER, format!("{shard}:{epoch}"));
    record.headers.push(epoch);
    record
}

pub(super) fn decoder() -> Decoder {
    let alerts = Source::Alerts {
        format: Some(Format::Fusor),
        tenant: None,
    };
    Decoder {
        sources: Sources::new([
            ("alerts".to_owned(), alerts),
            ("leases".to_owned(), Source::Bindings),
            ("commands".to_owned(), Source::Commands),
        ]),
        limits: Limits::default(),
        clamp: None,
        threads: 1,
    }
}

/// What every incident says alike.
const BLANK: &str = r#"{"generation":1,"changes":["alerts_added"],"title":"t","summary":"s","severity":"high","risk":40.5,
"confidence":70,"learning":false,"is_suspected_breach":false,"closed_time":null,"stages":[],"chain":[],"entities":[],
"correlators":["core"],"related_incidents":[],"continues":null,"split_from":null,"owner":null,"classification":"unset",
"classification_reason":"unset","classification_comment":null,"comments":[],"tags":[],"truncated":false,
"engine_version":"0","config_hash":"c","actions":[]}"#;

/// An incident of the model.
#[derive(Clone, Debug)]
struct Case {
    id: String,
    number: u64,
    tenant: String,
    revision: i64,
    uids: Vec<String>,
    merged_into: Option<String>,
    merged_from: Vec<String>,
    changed: bool,
}

impl Case {
    fn render(&self, now: i64) -> Incident {
        let time = Timestamp(now).to_string();
        let alert = |uid: &String| {
            json!({"uid": uid, "native_uid": uid, "product": "edr", "rule": "r", "title": "t",
                "severity": "high", "start_time": time, "end_time": time, "count": 1, "repeat_uids": [],
                "tactic_uids": [], "technique_uids": [], "entity_keys": [], "novelty": 0,
                "context": false, "late": false, "blocked": false})
        };
        let gone = self.merged_into.is_some();
        let alerts: Vec<_> = self.uids.iter().filter(|_| !gone).map(alert).collect();
        let link = json!({"from": 0, "to": 1, "kind": "pair", "reasons": [], "gap_ms": 0,
            "terms": [{"kind": "surprise", "entity": "host:ws1", "bits": 9000}, {"kind": "order", "entity": null, "bits": -500}],
            "weight": 8500, "bar": 5000, "joined": true});
        let links = if alerts.len() > 1 { vec![link] } else { vec![] };
        let (status, activity) = if gone {
            ("merged", "merge")
        } else {
            ("new", "update")
        };
        let mut incident: serde_json::Value = serde_json::from_str(BLANK).unwrap();
        for name in ["created", "modified", "first_activity", "last_activity"] {
            incident[format!("{name}_time")] = time.as_str().into();
        }
        for (name, value) in [
            ("id", json!(self.id)),
            ("tenant", json!(self.tenant)),
            ("revision", json!(self.revision)),
            ("activity", json!(activity)),
            ("status", json!(status)),
            ("alert_count", json!(alerts.len())),
            ("episode_count", json!(alerts.len())),
            ("alerts", json!(alerts)),
            ("links", json!(links)),
            ("merged_into", json!(self.merged_into)),
            ("merged_from", json!(self.merged_from)),
        ] {
            incident[name] = value;
        }
        serde_json::from_value(incident).unwrap()
    }
}

#[derive(Debug)]
struct Shard {
    number: i32,
    meta: Meta,
    cases: Vec<Case>,
    /// Tenant, uid and id.
    alerts: Vec<(String, String, String)>,
}

/// The model that writes a log.
#[derive(Debug)]
pub(super) struct World {
    random: Random,
    decoder: Decoder,
    shards: Vec<Shard>,
    log: Log,
    next_id: u64,
    now: i64,
    /// Commands of the epoch at hand, and whether they are applied.
    asked: Vec<(Record, Command, bool)>,
}

impl World {
    /// Writes the log of `epochs` epochs, over all shards.
    pub(super) fn log(seed: u64, epochs: usize) -> Log {
        let shards = (0..SHARDS).map(|number| {
            let position = |topic: &str| Position {
                topic: topic.to_owned(),
                partition: number,
                ..Position::default()
            };
            Shard {
                number,
                meta: Meta {
                    generation: 1,
                    writer: 3,
                    inputs: TOPICS.map(position).to_vec(),
                    ..Meta::default()
                },
                cases: Vec::new(),
                alerts: Vec::new(),
            }
        });
        let mut world = Self {
            random: Random(seed),
            decoder: decoder(),
            shards: shards.collect(),
            log: Log::default(),
            next_id: 0,
            now: 1_767_571_200_000,
            asked: Vec::new(),
        };
        for shard in 0..SHARDS {
            let start = state::encode(0, &state::Start::default());
            world.log.write_state(shard, &Key::Start, start);
        }
        for epoch in 0..epochs {
            let index = if epoch < 2 {
                epoch
            } else {
                world.random.below(world.shards.len())
            };
            let mut shard = world.shards.remove(index);
            world.epoch(&mut shard);
            world.shards.insert(index, shard);
        }
        world.log
    }

    fn epoch(&mut self, shard: &mut Shard) {
        self.now += 60_000;
        shard.meta.epoch += 1;
        shard.meta.writer += i64::from(self.random.one_in(4));
        shard.meta.watermark = Some(self.now - 600_000);
        let mut block = Block {
            tenants: TENANTS[usize::try_from(shard.number).unwrap()]
                .iter()
                .map(|tenant| (*tenant).to_owned())
                .collect(),
            partitions: TOPICS
                .map(|topic| (topic.to_owned(), shard.number))
                .to_vec(),
            entries: Vec::new(),
        };
        let records = self.random.below(6);
        for _ in 0..records {
            let entry = self.input(shard, &block.tenants);
            block.entries.push(entry);
        }
        if records == 0 {
            block.entries.push(Entry {
                partition: None,
                offset: 0,
                watermark: shard.meta.watermark,
                broadcast: true,
                fate: Fate::Time,
            });
        } else {
            self.rearrange(shard);
        }
        self.publish(shard);
        self.answer(shard);
        self.write(shard, block);
    }

    /// Appends one record to an input and applies it.
    fn input(&mut self, shard: &mut Shard, tenants: &[String]) -> Entry {
        let number = self.random.below(tenants.len());
        let tenant = u32::try_from(number).unwrap();
        let (topic, record) = self.sent(shard, &tenants[number]);
        let gap = i64::from(self.random.one_in(3));
        let record = self.log.put(record, shard.number, gap);
        let fate = self.fate(shard, &record, tenant);
        let mut positions = shard.meta.inputs.iter_mut().enumerate();
        let (index, position) = positions.find(|(_, p)| p.topic == topic).unwrap();
        position.next = Some(record.offset + 1);
        let commit = Committed {
            next: record.offset + 1,
            epoch: Some(shard.meta.epoch),
            writer: shard.meta.writer,
        };
        self.log.commits.insert(record.partition.clone(), commit);
        let offset = record.offset;
        self.log.inputs.push(record);
        Entry {
            partition: Some(u32::try_from(index).unwrap()),
            offset,
            watermark: shard.meta.watermark,
            broadcast: false,
            fate,
        }
    }

    /// Sends an alert, new or again, a lease, or nothing that can be read.
    fn sent(&mut self, shard: &Shard, tenant: &str) -> (&'static str, NewRecord) {
        self.next_id += 1;
        let id = format!("a{}", self.next_id);
        let time = Timestamp(self.now).to_string();
        let end = Timestamp(self.now + 3_600_000).to_string();
        let known = shard.alerts.iter().rfind(|(of, ..)| of == tenant);
        let alert = |id: &str| json!({"id": id, "tenant": tenant, "time": time, "title": "t"});
        let published =
            |case: &&Case| case.tenant == tenant && case.revision > 0 && case.merged_into.is_none();
        let case = shard.cases.iter().rfind(published);
        let incident = case.map_or("00000000-0000-0000-0000-00000000ffff", |case| &case.id);
        let (topic, value) = match self.random.below(13) {
            12 => {
                let action = json!({"type": "assign", "owner": "bob"});
                let command = json!({"id": format!("c{}", self.next_id), "tenant": tenant, "incident": incident,
                    "expected_revision": null, "actor": "ann", "roles": [], "time": time, "action": action});
                ("commands", command.to_string())
            }
            0 => ("alerts", "{".to_owned()),
            1 => {
                let lease = json!({"tenant": tenant, "ip": "10.0.0.1", "host": "ws1", "from": time, "to": end});
                ("leases", lease.to_string())
            }
            2 => (
                "alerts",
                alert(known.map_or(&id, |(.., id)| id)).to_string(),
            ),
            _ => ("alerts", alert(&id).to_string()),
        };
        let null = Header {
            name: "null".to_owned(),
            value: None,
        };
        let record = NewRecord {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key: self.random.one_in(2).then(|| b"k".to_vec()),
            value: Some(value.into_bytes()),
            headers: vec![Header::text("h", "1"), null],
        };
        (topic, record)
    }

    /// Applies a record and counts what becomes of it.
    fn fate(&mut self, shard: &mut Shard, record: &Record, tenant: u32) -> Fate {
        let decoded = self.decoder.decode(Arc::new(record.clone()));
        shard.meta.counts.records += 1;
        match &decoded.content {
            Content::Broken(broken) => {
                shard.meta.counts.dead_letters += 1;
                let letter = dead_letter(&"fusor.dead-letters".into(), record, broken);
                let letter = self.log.put(letter, shard.number, 0);
                self.log.letters.push(letter);
                Fate::DeadLetter(broken.reason.to_owned())
            }
            Content::Command(command) => {
                shard.meta.counts.commands += 1;
                let mut cases = shard.cases.iter_mut();
                let case = cases.find(|case| case.id == command.incident);
                let applied = case.is_some();
                if let Some(case) = case {
                    case.changed = true;
                }
                self.asked
                    .push((record.clone(), (**command).clone(), applied));
                Fate::Command { tenant, applied }
            }
            Content::Binding(_) => {
                shard.meta.counts.bindings += 1;
                Fate::Binding(tenant)
            }
            Content::Alerts(alerts) => {
                let alert = &alerts[0];
                let known = |(tenant, uid, _): &(String, String, String)| {
                    (tenant, uid) == (&alert.tenant, &alert.uid)
                };
                let placed = if shard.alerts.iter().any(known) {
                    shard.meta.counts.duplicates += 1;
                    Placed::Duplicate
                } else {
                    let id = format!("a{}", self.next_id);
                    shard
                        .alerts
                        .push((alert.tenant.clone(), alert.uid.clone(), id));
                    self.join(shard, &alert.tenant, &alert.uid);
                    let late = self.random.one_in(5);
                    shard.meta.counts.placed += 1;
                    shard.meta.counts.late += u64::from(late);
                    if late { Placed::Late } else { Placed::New }
                };
                Fate::Alerts(vec![Digest {
                    tenant,
                    uid: alert.uid.clone(),
                    revision: 0,
                    time: self.now,
                    episode: self.next_id,
                    placed,
                }])
            }
        }
    }

    fn join(&mut self, shard: &mut Shard, tenant: &str, uid: &str) {
        let live: Vec<usize> = live(shard, tenant);
        let index = match self.random.pick(&live) {
            Some(index) if self.random.below(3) > 0 => index,
            _ => {
                let number = self.next_id;
                shard.cases.push(Case {
                    id: format!("00000000-0000-0000-0000-{number:012}"),
                    number,
                    tenant: tenant.to_owned(),
                    revision: 0,
                    uids: Vec::new(),
                    merged_into: None,
                    merged_from: Vec::new(),
                    changed: true,
                });
                shard.cases.len() - 1
            }
        };
        let case = &mut shard.cases[index];
        case.uids.push(uid.to_owned());
        case.changed = true;
    }

    /// Now and then merges two incidents, or moves an alert from one to another.
    fn rearrange(&mut self, shard: &mut Shard) {
        let tenant = shard.cases.last().map(|case| case.tenant.clone());
        let live = live(shard, &tenant.unwrap_or_default());
        if live.len() < 2 || self.random.below(3) > 0 {
            return;
        }
        let (kept, gone) = (live[0], live[live.len() - 1]);
        if self.random.one_in(2) {
            // What was never published leaves no redirect.
            if shard.cases[gone].revision == 0 || shard.cases[kept].revision == 0 {
                return;
            }
            let moved = std::mem::take(&mut shard.cases[gone].uids);
            let (kept_id, gone_id) = (shard.cases[kept].id.clone(), shard.cases[gone].id.clone());
            shard.cases[gone].merged_into = Some(kept_id);
            shard.cases[kept].uids.extend(moved);
            shard.cases[kept].merged_from.push(gone_id);
        } else if let Some(uid) = shard.cases[gone].uids.pop() {
            shard.cases[kept].uids.push(uid);
        }
        shard.cases[kept].changed = true;
        shard.cases[gone].changed = true;
    }

    fn publish(&mut self, shard: &mut Shard) {
        let mut records = Vec::new();
        for case in shard.cases.iter_mut().filter(|case| case.changed) {
            case.changed = false;
            case.revision += 1 + i64::from(self.random.one_in(3));
            let record = published(&case.render(self.now), shard.number, shard.meta.epoch);
            let number = i32::try_from(case.number % INCIDENT_PARTITIONS).unwrap();
            records.push((record, number));
        }
        let tries = 1 + usize::from(self.random.one_in(3));
        for attempt in 0..tries {
            let committed = attempt + 1 == tries;
            let count = if committed {
                records.len()
            } else {
                self.random.below(records.len() + 1)
            };
            for (index, (record, number)) in records.iter().take(count).enumerate() {
                let gap = i64::from(index == 0);
                let record = self.log.put(record.clone(), *number, gap);
                self.log.incidents.push(Attempt { record, committed });
            }
        }
    }

    /// Answers the commands of the epoch.
    fn answer(&mut self, shard: &Shard) {
        for (record, command, applied) in std::mem::take(&mut self.asked) {
            let case = shard.cases.iter().find(|case| case.id == command.incident);
            let verdict = match case.filter(|_| applied) {
                Some(case) => Verdict::Applied {
                    revision: case.revision,
                    incidents: Vec::new(),
                },
                None => correlators::no_such_incident(),
            };
            let answer = Outcome::of(&command, verdict);
            let mut answer = outcome(&"fusor.outcomes".into(), &record, &answer).unwrap();
            let epoch = format!("{}:{}", shard.number, shard.meta.epoch);
            answer.headers.push(Header::text(EPOCH_HEADER, epoch));
            let answer = self.log.put(answer, shard.number, 1);
            self.log.outcomes.push(answer);
        }
    }

    fn write(&mut self, shard: &mut Shard, block: Block) {
        let (epoch, number) = (shard.meta.epoch, shard.number);
        let row = Key::Row {
            tenant: block.tenants[0].clone(),
            row: "tenant".to_owned(),
        };
        let value = state::frame(epoch, b"row");
        self.log.write_state(number, &row, value);
        let parts: Vec<Vec<Entry>> = block.entries.chunks(3).map(<[Entry]>::to_vec).collect();
        for (part, entries) in (0..).zip(parts) {
            let block = Block {
                entries,
                ..block.clone()
            };
            let key = Key::Block { epoch, part };
            let value = state::encode(epoch, &block);
            self.log.write_state(number, &key, value);
        }
        let value = state::encode(epoch, &shard.meta);
        self.log.write_state(number, &Key::Meta, value);
    }
}

fn live(shard: &Shard, tenant: &str) -> Vec<usize> {
    let cases = shard.cases.iter().enumerate();
    let live = cases.filter(|(_, case)| case.merged_into.is_none() && case.tenant == tenant);
    live.map(|(index, _)| index).collect()
}
