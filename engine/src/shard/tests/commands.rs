//! What analysts do, between the alerts.

use schemas::command::{Refusal, Verdict};

use super::*;

/// Settings by which any three alerts of a host are an incident.
fn eager() -> ShardConfig {
    let mut settings = Settings::default();
    settings.promote.rules = 0;
    settings.promote.risk_alone_tenths = 0;
    ShardConfig {
        settings: Arc::new(settings),
        ..config()
    }
}

const ALERTS: [Lane; 2] = [Lane(0), Lane(1)];
const COMMANDS: Lane = Lane(2);
const TOPICS: [&str; 3] = ["alerts", "alerts.b", "commands"];

fn topics() -> Sources {
    let alerts = Source::Alerts {
        format: None,
        tenant: None,
    };
    let sources = [alerts.clone(), alerts, Source::Commands];
    Sources::new(TOPICS.map(str::to_owned).into_iter().zip(sources))
}

fn inputs() -> Vec<Input> {
    let input = |(lane, topic): (Lane, &str)| Input {
        lane,
        partition: Partition {
            topic: topic.into(),
            number: 0,
        },
        committed: None,
    };
    let lanes = ALERTS.into_iter().chain([COMMANDS]);
    lanes.zip(TOPICS).map(input).collect()
}

/// A shard of two topics of alerts and one of commands, the log of its state, and all that was ever put in.
struct Desk {
    shard: Shard,
    log: Vec<Record>,
    read: Vec<Decoded>,
    next: [i64; 3],
    /// The broker's time of what is put in.
    appended: Option<i64>,
}

impl Desk {
    fn new() -> Self {
        let mut shard = Shard::new(0, eager());
        shard.activate(&inputs(), &topics()).unwrap();
        Self {
            shard,
            log: Vec::new(),
            read: Vec::new(),
            next: [0; 3],
            appended: None,
        }
    }

    fn put(&mut self, lane: Lane, value: String) {
        let at = usize::try_from(lane.0).unwrap();
        let decoder = Decoder {
            sources: topics(),
            limits: Limits::default(),
            clamp: None,
            threads: 1,
        };
        let decoded = decoder.decode(Arc::new(Record {
            partition: inputs()[at].partition.clone(),
            offset: self.next[at],
            timestamp: self.appended,
            key: None,
            value: Some(value.into_bytes()),
            headers: Vec::new(),
        }));
        self.next[at] += 1;
        self.read.push(decoded.clone());
        self.shard.push(lane, decoded);
    }

    fn alert(&mut self, lane: usize, tenant: &str, minute: i64) {
        let time = Timestamp(T0 + minute * MINUTE);
        let id = format!("{lane}-{}", self.next[lane]);
        self.put(
            ALERTS[lane],
            format!(
                r#"{{"id":"{id}","tenant":"{tenant}","time":"{time}","title":"t{minute}","severity":"critical",
                "tactics":["execution"],"entities":[{{"type":"host","value":"h"}},{{"type":"account","value":"u"}}]}}"#
            ),
        );
    }

    fn command(&mut self, tenant: &str, incident: &str, action: &str) {
        let id = self.next[2];
        self.send(&format!("c{id}"), tenant, incident, action);
    }

    fn send(&mut self, id: &str, tenant: &str, incident: &str, action: &str) {
        self.put(
            COMMANDS,
            format!(
                r#"{{"id":"{id}","tenant":"{tenant}","incident":"{incident}","expected_revision":null,"actor":"ann","roles":[],
                "time":"2026-01-05T09:00:00Z","action":{action}}}"#
            ),
        );
    }

    fn at_end(&mut self, ends: [bool; 3]) {
        for (lane, end) in ALERTS.into_iter().chain([COMMANDS]).zip(ends) {
            self.shard.set_at_end(lane, end);
        }
    }

    fn apply(&mut self) -> Applied {
        self.shard.apply(100, 1 << 20, 1)
    }

    /// Applies and commits everything that was put in, and returns the answers.
    fn epoch(&mut self) -> Vec<Verdict> {
        self.at_end([true; 3]);
        let applied = self.apply();
        self.commit(&applied);
        verdicts(&applied)
    }

    fn commit(&mut self, applied: &Applied) {
        for record in applied.state.clone() {
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
        let last = self.log.last().map(|record| record.offset);
        self.shard.commit(last);
    }

    fn restored(&self) -> Shard {
        let mut shard = Shard::new(0, eager());
        shard.restore(&self.log).unwrap();
        shard.activate(&inputs(), &topics()).unwrap();
        shard
    }

    /// Applies the blocks again, as the log of the state has them.
    fn applied_again(&self) -> Shard {
        let mut again = Shard::new(0, eager());
        for record in &self.log {
            let key = state::Key::read(record.key.as_deref().unwrap()).unwrap();
            let (state::Key::Block { epoch, .. }, Some(value)) = (key, &record.value) else {
                continue;
            };
            let (_, block) = state::decode::<state::Block>(value).unwrap();
            let records = block.entries.iter().filter_map(|entry| {
                let (topic, _) = block.partition(entry.partition?)?;
                let read = self.read.iter().find(|read| {
                    *read.record.partition.topic == **topic && read.record.offset == entry.offset
                });
                read.cloned()
            });
            let applied = again.apply_again(epoch, &block, records.collect());
            assert_eq!(applied.findings, Vec::<String>::new());
        }
        again
    }

    fn incident(&self) -> String {
        self.shard.incidents().next().expect("no incident").id
    }
}

fn verdicts(applied: &Applied) -> Vec<Verdict> {
    let verdicts = applied.fates.iter();
    verdicts.filter_map(|fate| fate.verdict.clone()).collect()
}

fn reason(verdict: &Verdict) -> Option<Refusal> {
    match verdict {
        Verdict::Applied { .. } => None,
        Verdict::Refused { reason, .. } => Some(*reason),
    }
}

const CLOSE: &str = r#"{"type":"close","classification":"true_positive","reason":"suspicious_activity","comment":null}"#;
const COMMENT: &str = r#"{"type":"comment","text":"seen"}"#;

/// A desk with one incident, and its id.
fn with_incident() -> (Desk, String) {
    let mut desk = Desk::new();
    for minute in 0..4 {
        desk.alert(0, "x", minute * 3);
    }
    desk.epoch();
    let incident = desk.incident();
    (desk, incident)
}

#[test]
fn a_command_does_not_wait_for_the_alerts_and_moves_no_time() {
    let (mut desk, incident) = with_incident();
    let before = desk.shard.watermark();
    // One topic has an alert of a much later time, the other may still get earlier ones.
    desk.at_end([false, false, true]);
    desk.alert(1, "x", 600);
    desk.command("x", &incident, COMMENT);
    let applied = desk.apply();
    assert_eq!(applied.fates.len(), 1, "the alert waits");
    assert_eq!(verdicts(&applied).iter().map(reason).next(), Some(None));
    desk.commit(&applied);
    assert_eq!(desk.shard.watermark(), before);
    let position = desk
        .shard
        .meta()
        .inputs
        .iter()
        .find(|p| p.topic == "commands");
    let position = position.unwrap();
    assert_eq!(
        (position.next, position.seen, position.last),
        (Some(1), None, None)
    );
    assert_eq!(desk.shard.meta().counts.commands, 1);
}

#[test]
fn commands_that_do_not_come_hold_nothing_back() {
    let mut desk = Desk::new();
    desk.alert(0, "x", 0);
    desk.at_end([true, true, false]);
    assert_eq!(desk.apply().fates.len(), 1);
}

#[test]
fn what_analysts_did_is_restored_and_made_again() {
    let (mut desk, incident) = with_incident();
    desk.command("x", &incident, COMMENT);
    desk.alert(1, "x", 14);
    desk.command("x", &incident, r#"{"type":"assign","owner":"bob"}"#);
    assert_eq!(
        desk.epoch().iter().map(reason).collect::<Vec<_>>(),
        [None, None]
    );
    desk.command("x", &incident, CLOSE);
    desk.put(COMMANDS, "{".to_owned());
    desk.command("x", &incident, CLOSE);
    let answers = desk.epoch();
    let reasons: Vec<_> = answers.iter().map(reason).collect();
    assert_eq!(reasons, [None, Some(Refusal::Closed)]);
    let found = desk.shard.incidents().next().unwrap();
    assert_eq!(found.owner.as_deref(), Some("bob"));
    assert_eq!(found.actions.len(), 3);
    let counts = desk.shard.meta().counts;
    assert_eq!((counts.commands, counts.dead_letters), (4, 1));
    assert_eq!(desk.restored().digests(), desk.shard.digests());
    assert!(desk.restored().incidents().eq(desk.shard.incidents()));
    assert_eq!(desk.applied_again().digests(), desk.shard.digests());
}

#[test]
fn a_command_that_was_not_committed_is_undone_and_answered_alike() {
    let (mut desk, incident) = with_incident();
    let digests = desk.shard.digests();
    desk.at_end([true; 3]);
    desk.command("x", &incident, CLOSE);
    let first = desk.apply();
    desk.shard.deactivate();
    assert_eq!(desk.shard.digests(), digests);
    desk.shard.activate(&inputs(), &topics()).unwrap();
    let command = desk.read.last().unwrap().clone();
    desk.shard.push(COMMANDS, command);
    let second = desk.apply();
    assert_eq!(
        (verdicts(&first), &first.state),
        (verdicts(&second), &second.state)
    );
}

#[test]
fn a_command_sent_twice_has_one_outcome_even_across_a_restart() {
    let (mut desk, incident) = with_incident();
    desk.send("once", "x", &incident, CLOSE);
    let first = desk.epoch();
    desk.shard = desk.restored();
    desk.send("once", "x", &incident, CLOSE);
    assert_eq!(desk.epoch(), first);
    assert_eq!(desk.shard.incidents().next().unwrap().actions.len(), 1);
    assert_eq!(desk.applied_again().digests(), desk.shard.digests());
}

/// As after a rebuild: what was applied once does not go before the alerts that it was about.
#[test]
fn commands_of_a_state_that_was_forgotten_wait_for_their_turn() {
    let (desk, incident) = with_incident();
    let mut next = Desk::new();
    next.shard = Shard::new(0, eager());
    next.shard.meta.again = vec![Position {
        topic: TOPICS[2].to_owned(),
        partition: 0,
        next: Some(1),
        ..Position::default()
    }];
    next.shard.activate(&inputs(), &topics()).unwrap();
    next.appended = Some(T0 + 60 * MINUTE);
    next.command("x", &incident, CLOSE);
    next.command("x", &incident, COMMENT);
    next.appended = None;
    for decoded in desk.read {
        next.shard.push(ALERTS[0], decoded);
    }
    next.at_end([true, true, false]);
    let applied = next.apply();
    let offsets: Vec<i64> = applied
        .fates
        .iter()
        .map(|fate| fate.decoded.record.offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3, 0, 1]);
    assert_eq!(
        verdicts(&applied).iter().map(reason).collect::<Vec<_>>(),
        [None, None]
    );
    next.commit(&applied);
    assert_eq!(next.shard.meta().again, []);
    next.alert(1, "x", 90);
    next.command("x", &incident, COMMENT);
    let applied = next.apply();
    let first = &applied.fates[0].decoded.record.partition.topic;
    assert_eq!(&**first, "commands", "what is new goes first");
}

/// Whether a tenant is in memory already is an accident: a record behind the command may have brought it there.
#[test]
fn a_tenant_that_comes_after_the_command_does_not_change_its_answer() {
    let nowhere = "00000000-0000-0000-0000-000000000000";
    let mut apart = Desk::new();
    apart.command("y", nowhere, CLOSE);
    let first = apart.epoch();
    assert_eq!(apart.shard.stats().0, 0, "a command makes no tenant");
    apart.alert(0, "y", 0);
    apart.epoch();
    let mut together = Desk::new();
    together.command("y", nowhere, CLOSE);
    together.alert(0, "y", 0);
    assert_eq!(together.epoch(), first);
    assert_eq!(reason(&first[0]), Some(Refusal::UnknownIncident));
    assert_eq!(together.shard.digests(), apart.shard.digests());
    assert_eq!(together.applied_again().digests(), together.shard.digests());
}
