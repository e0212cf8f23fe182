//! The state of the model, and what an alert does to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::alert::{Alert, AlertDisposition, AlertKind, Severity};
use schemas::binding::Binding;
use schemas::entity::{Entity, EntityRole};

use super::order;
use super::rate::{Rate, ms};

pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// How near to its bar a decision is too close to call, in bits.
const CLOSE: f64 = 0.006;
/// What differs by less is equal: the same sum in another order.
const EQUAL: f64 = 1e-9;

/// The core's state, plainly.
#[derive(Debug, Default)]
pub struct Model {
    /// A decision was too close to call.
    pub close: bool,
    /// Publish every thread, whatever its score.
    publish_all: bool,
    pub(super) names: Vec<Named>,
    pub(super) episodes: Vec<Episode>,
    pub(super) threads: BTreeMap<usize, Thread>,
    pub(super) rules: BTreeMap<String, Rate>,
    pub(super) all: Rate,
    pub(super) started: Option<i64>,
    leases: Vec<Binding>,
    uids: BTreeMap<String, (usize, i64)>,
    joined: Vec<Joined>,
    dropped: BTreeMap<BTreeSet<String>, bool>,
}

/// An entity.
#[derive(Debug)]
pub(super) struct Named {
    key: String,
    pub(super) kind: String,
    pub(super) weak_only: bool,
    pub(super) episodes: Rate,
    pub(super) novel: Rate,
    pub(super) warm: Rate,
    pub(super) rules: BTreeMap<String, Rate>,
    pub(super) ring: VecDeque<usize>,
    /// Hosts and accounts met together with it, and when last.
    pub(super) met: BTreeMap<usize, i64>,
}

/// One entity as one alert names it: its number and whether weakly.
pub(super) type Mention = (usize, bool);

/// An episode.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    pub(super) uid: String,
    pub(super) rule: String,
    pub(super) product: String,
    pub(super) tactics: Vec<usize>,
    pub(super) severity: Severity,
    pub(super) confidence: f64,
    pub(super) mentions: Vec<Mention>,
    pub(super) source: Option<usize>,
    pub(super) target: Option<usize>,
    pub(super) novelty: f64,
    pub(super) rule_term: f64,
    pub(super) context: bool,
    pinned: bool,
    pub(super) blocked: bool,
    vendor: bool,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Severity when it began times novelty.
    pub(super) suspicion: f64,
    /// Rate of each entity when it began.
    rates: BTreeMap<usize, f64>,
    pub(super) thread: usize,
}

/// A thread: all but its members and what happened once is counted from them.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) episodes: Vec<usize>,
    pub(super) warm: bool,
    pub(super) hot: bool,
    pub(super) published: bool,
    /// When each entity was first touched, and its rate then.
    pub(super) before: BTreeMap<usize, (i64, f64)>,
}

/// A link that made something join.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// Uid of the episode it led to; none where the model does not say which of a thread.
    pub to: Option<String>,
    /// How it came about.
    pub kind: &'static str,
    /// Bits.
    pub weight: f64,
    /// What they had to reach.
    pub bar: f64,
}

/// What became of everything.
#[derive(Debug)]
pub struct Report {
    /// The uids of the founders of the episodes of each thread, and whether it is published.
    pub threads: BTreeMap<BTreeSet<String>, bool>,
    /// Every join so far.
    pub joined: Vec<Joined>,
}

impl Model {
    /// Creates the empty state, whose threads are all published on demand.
    pub fn new(publish_all: bool) -> Self {
        Self {
            publish_all,
            ..Self::default()
        }
    }

    /// Learns a lease.
    pub fn lease(&mut self, lease: &Binding) {
        if lease.from < lease.to {
            self.leases.push(lease.clone());
        }
    }

    /// Drops what idled out by the start of the watermark's hour.
    pub fn time(&mut self, watermark: i64) {
        let now = watermark.div_euclid(HOUR) * HOUR;
        let idle: Vec<usize> = self
            .threads
            .iter()
            .filter(|(_, thread)| {
                let life = if thread.warm || thread.published {
                    14 * DAY
                } else {
                    72 * HOUR
                };
                self.end(thread) + life < now
            })
            .map(|(number, _)| *number)
            .collect();
        for number in idle {
            let thread = self.threads.remove(&number).unwrap();
            let uids = self.uids_of(&thread);
            self.dropped.insert(uids, thread.published);
        }
    }

    /// Applies an alert.
    pub fn alert(&mut self, alert: &Alert) {
        let time = alert.start_time.millis();
        if let Some((number, revision)) = self.uids.get(&alert.uid).copied() {
            if alert.revision > revision {
                self.uids
                    .insert(alert.uid.clone(), (number, alert.revision));
                let episode = &mut self.episodes[number];
                episode.severity = episode.severity.max(alert.severity);
                episode.end = episode.end.max(alert.end_time.millis());
            }
            return;
        }
        self.started.get_or_insert(time);
        let (mentions, source, target) = self.resolve(alert);
        let number = self.repeated(alert, &mentions).unwrap_or_else(|| {
            let number = self.begin(alert, mentions, source, target);
            if !self.episodes[number].context {
                self.stitch(number);
            }
            self.count(number);
            self.promote(self.episodes[number].thread);
            number
        });
        self.uids
            .insert(alert.uid.clone(), (number, alert.revision));
    }

    /// Returns what became of everything.
    pub fn report(&self) -> Report {
        let live = self
            .threads
            .values()
            .map(|thread| (self.uids_of(thread), thread.published));
        Report {
            threads: live.chain(self.dropped.clone()).collect(),
            joined: self.joined.clone(),
        }
    }

    fn uids_of(&self, thread: &Thread) -> BTreeSet<String> {
        let members = thread.episodes.iter();
        members
            .map(|number| self.episodes[*number].uid.clone())
            .collect()
    }

    /// Whether a thread is published: `(several tactics, phases and rules, and risk) or much risk or its vendor said so`.
    fn promote(&mut self, number: usize) {
        if self.threads[&number].published {
            return;
        }
        let vendor = self.threads[&number]
            .episodes
            .iter()
            .any(|member| self.episodes[*member].vendor);
        let promoted = self.publish_all || vendor || self.is_promoted(number);
        self.threads.get_mut(&number).unwrap().published = promoted;
    }

    fn resolve(&mut self, alert: &Alert) -> (Vec<Mention>, Option<usize>, Option<usize>) {
        let mut mentions = Vec::new();
        let mut roles = Vec::new();
        for entity in &alert.entities {
            if entity.role == EntityRole::Observer {
                continue;
            }
            let (number, weak) = self.one(entity, alert.start_time.millis());
            mentions.push((number, weak));
            roles.push((entity.role, number));
        }
        let with = |wanted: &[EntityRole]| {
            let mut found = roles.iter().filter(|(role, _)| wanted.contains(role));
            found.next().map(|(_, number)| *number)
        };
        mentions.sort_unstable();
        mentions.dedup_by_key(|(number, _)| *number);
        (
            mentions,
            with(&[EntityRole::Source]),
            with(&[EntityRole::Target, EntityRole::Destination]),
        )
    }

    fn one(&mut self, entity: &Entity, time: i64) -> Mention {
        let holders: BTreeSet<&str> = self
            .leases
            .iter()
            .filter(|lease| Some(&lease.ip) == entity.identifiers.get("address"))
            .filter(|lease| lease.from.millis() <= time && time < lease.to.millis())
            .map(|lease| lease.host.as_str())
            .collect();
        match Vec::from_iter(holders)[..] {
            [host] => {
                let key = format!("host:name:{}", host.to_lowercase());
                self.known(&key, "host", false)
            }
            [] if entity.key.is_some() => {
                self.known(entity.key.as_ref().unwrap(), &entity.kind, false)
            }
            _ => {
                let key = entity.weak_keys.first().or(entity.key.as_ref()).unwrap();
                // A tenant without leases knows its machines by their addresses.
                self.known(key, &entity.kind, !self.leases.is_empty())
            }
        }
    }

    fn known(&mut self, key: &str, kind: &str, weak: bool) -> Mention {
        let number = self
            .names
            .iter()
            .position(|named| named.key == key)
            .unwrap_or_else(|| {
                self.names.push(Named {
                    key: key.to_owned(),
                    kind: kind.to_owned(),
                    weak_only: weak,
                    episodes: Rate::default(),
                    novel: Rate::default(),
                    warm: Rate::default(),
                    rules: BTreeMap::new(),
                    ring: VecDeque::new(),
                    met: BTreeMap::new(),
                });
                self.names.len() - 1
            });
        self.names[number].weak_only &= weak;
        (number, weak)
    }

    /// Folds a repeat into the latest episode of its rule at its entities.
    fn repeated(&mut self, alert: &Alert, mentions: &[Mention]) -> Option<usize> {
        let time = alert.start_time.millis();
        let entities = |mentions: &[Mention]| -> Vec<usize> {
            mentions.iter().map(|(number, _)| *number).collect()
        };
        let number = self.episodes.iter().rposition(|episode| {
            episode.rule == alert.rule() && entities(&episode.mentions) == entities(mentions)
        })?;
        let lives = self.threads.contains_key(&self.episodes[number].thread);
        let episode = &mut self.episodes[number];
        let near = time - episode.end <= 30 * MINUTE && episode.start - time <= 30 * MINUTE;
        if !lives || !near || time - episode.start > 6 * HOUR {
            return None;
        }
        episode.end = episode.end.max(alert.end_time.millis()).max(time);
        episode.severity = episode.severity.max(alert.severity);
        Some(number)
    }

    fn begin(
        &mut self,
        alert: &Alert,
        mentions: Vec<Mention>,
        source: Option<usize>,
        target: Option<usize>,
    ) -> usize {
        let time = alert.start_time.millis();
        let rule = alert.rule().to_owned();
        let (in_tenant, at_entity) = self.novelty(&rule, &mentions, time);
        let pinned = matches!(alert.kind, AlertKind::Vulnerability | AlertKind::Compliance);
        let routine = self.above(0.7, in_tenant) && self.above(2.5, at_entity);
        let terms = mentions
            .iter()
            .map(|(entity, _)| self.rule_term(&rule, *entity, time, None));
        let number = self.episodes.len();
        let mut tactics: Vec<usize> = alert
            .attacks
            .iter()
            .filter_map(|attack| order::row(attack.tactic_uid.as_deref()?))
            .collect();
        tactics.sort_unstable();
        tactics.dedup();
        let mut episode = Episode {
            uid: alert.uid.clone(),
            product: alert.product().to_owned(),
            tactics,
            severity: alert.severity,
            confidence: f64::from(alert.confidence.unwrap_or(50).clamp(0, 100)) / 100.0,
            source,
            target,
            novelty: in_tenant.max(at_entity / 2.0),
            rule_term: terms.reduce(f64::min).unwrap_or(0.0),
            context: routine || pinned,
            pinned,
            blocked: matches!(
                alert.disposition,
                AlertDisposition::Blocked | AlertDisposition::Quarantined
            ),
            vendor: alert.kind == AlertKind::Incident,
            start: time,
            end: alert.end_time.millis().max(time),
            suspicion: 0.0,
            rates: mentions
                .iter()
                .map(|(entity, _)| (*entity, self.rate(*entity, time, true, 0.0)))
                .collect(),
            thread: number,
            rule,
            mentions,
        };
        episode.suspicion = suspicion(&episode);
        let before = touched(&episode);
        self.episodes.push(episode);
        self.threads.insert(
            number,
            Thread {
                episodes: vec![number],
                warm: false,
                hot: false,
                published: false,
                before,
            },
        );
        self.place(number);
        number
    }

    /// A routine episode whose rule is not expected at the hot thread's entity counts in full.
    pub(super) fn awaken(&mut self, number: usize, rule_term: f64) {
        if !self.episodes[number].context || self.episodes[number].pinned {
            return;
        }
        if !self.above(rule_term, -1.0) {
            return;
        }
        let episode = &mut self.episodes[number];
        episode.context = false;
        episode.novelty = episode.novelty.max(2.0);
        episode.suspicion = suspicion(episode);
        self.threads.get_mut(&number).unwrap().before = touched(&self.episodes[number]);
    }

    /// Makes two threads one: the published one survives, then the one that began first, then the lower number.
    pub(super) fn join(&mut self, a: usize, b: usize, joined: Joined) -> usize {
        let rank = |number: usize| {
            let thread = &self.threads[&number];
            (!thread.published, self.start(thread), number)
        };
        let (kept, gone) = if rank(a) <= rank(b) { (a, b) } else { (b, a) };
        let other = self.threads.remove(&gone).unwrap();
        for number in &other.episodes {
            self.episodes[*number].thread = kept;
        }
        let thread = self.threads.get_mut(&kept).unwrap();
        thread.episodes.extend(other.episodes);
        thread.warm |= other.warm;
        thread.hot |= other.hot;
        for (entity, (first, rate)) in other.before {
            let known = thread.before.entry(entity).or_insert((first, rate));
            if first < known.0 {
                *known = (first, rate);
            }
        }
        self.joined.push(joined);
        kept
    }

    fn count(&mut self, number: usize) {
        let episode = self.episodes[number].clone();
        let party =
            |number: &usize| ["host", "account"].contains(&self.names[*number].kind.as_str());
        let parties: Vec<usize> = episode
            .mentions
            .iter()
            .map(|(entity, _)| *entity)
            .filter(|entity| party(entity))
            .collect();
        for (entity, _) in &episode.mentions {
            let named = &mut self.names[*entity];
            named.episodes.add(episode.start, usize::MAX);
            named
                .rules
                .entry(episode.rule.clone())
                .or_default()
                .add(episode.start, usize::MAX);
            for neighbour in parties.iter().filter(|neighbour| *neighbour != entity) {
                let met = named.met.entry(*neighbour).or_insert(episode.start);
                *met = episode.start.max(*met);
            }
            if !episode.context {
                named.novel.add(episode.start, 4);
                named.ring.push_back(number);
                if named.ring.len() > 16 {
                    named.ring.pop_front();
                }
            }
        }
        self.rules
            .entry(episode.rule.clone())
            .or_default()
            .add(episode.start, usize::MAX);
        self.all.add(episode.start, usize::MAX);
    }

    pub(super) fn start(&self, thread: &Thread) -> i64 {
        let starts = thread
            .episodes
            .iter()
            .map(|number| self.episodes[*number].start);
        starts.min().unwrap()
    }

    pub(super) fn end(&self, thread: &Thread) -> i64 {
        let ends = thread
            .episodes
            .iter()
            .map(|number| self.episodes[*number].end);
        ends.max().unwrap()
    }

    /// Returns the full episodes of a thread, at an entity where one is given.
    pub(super) fn full(&self, thread: &Thread, at: Option<usize>) -> Vec<usize> {
        let is_full = |number: &usize| {
            let episode = &self.episodes[*number];
            let names = |entity| episode.mentions.iter().any(|(known, _)| *known == entity);
            !episode.context && at.is_none_or(names)
        };
        thread.episodes.iter().copied().filter(is_full).collect()
    }

    /// Returns the entities of a thread's full episodes.
    pub(super) fn entities(&self, thread: &Thread) -> BTreeSet<usize> {
        let full = self.full(thread, None).into_iter();
        full.flat_map(|number| {
            self.episodes[number]
                .mentions
                .iter()
                .map(|(entity, _)| *entity)
        })
        .collect()
    }

    /// Returns whether `value` reaches `bar`, and notes when that is too close to call.
    pub(super) fn above(&mut self, value: f64, bar: f64) -> bool {
        self.above_within(value, bar, CLOSE)
    }

    /// The same where rounding takes more or less than usual.
    pub(super) fn above_within(&mut self, value: f64, bar: f64, tolerance: f64) -> bool {
        let apart = (value - bar).abs();
        self.close |= apart > EQUAL && apart < tolerance;
        value >= bar - EQUAL
    }

    /// Returns whether two values are one, and notes when that is too close to call.
    pub(super) fn same(&mut self, a: f64, b: f64) -> bool {
        let apart = (a - b).abs();
        self.close |= apart > EQUAL && apart < CLOSE;
        apart <= EQUAL
    }
}

fn touched(episode: &Episode) -> BTreeMap<usize, (i64, f64)> {
    if episode.context {
        return BTreeMap::new();
    }
    let rates = episode.rates.iter();
    rates
        .map(|(entity, rate)| (*entity, (episode.start, *rate)))
        .collect()
}

fn suspicion(episode: &Episode) -> f64 {
    if episode.context {
        return 0.0;
    }
    let severity = match episode.severity {
        Severity::Unknown | Severity::Informational | Severity::Low => 1.0,
        Severity::Medium => 2.0,
        Severity::High => 3.5,
        Severity::Critical | Severity::Fatal => 5.0,
    };
    severity * (episode.novelty / 4.0).min(1.0) / 2.5
}

/// Returns hours as a float.
pub(super) fn hours(millis: i64) -> f64 {
    ms(millis) / 3_600_000.0
}
