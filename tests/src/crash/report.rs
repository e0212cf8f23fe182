//! What happened.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::witness::{Seen, What};

/// What happened.
#[derive(Debug, Default)]
pub struct Report {
    /// Deaths of engines by signal 9, in order.
    deaths: Vec<Death>,
    /// Engines that were stopped in good order.
    pub num_stops: u32,
    /// Engines that gave up before they had begun, while a broker was away.
    pub num_not_started: u32,
    /// Deaths of brokers: by what they coordinated, and when.
    broker_deaths: Vec<(&'static str, Instant)>,
    /// Input records.
    pub num_records: i64,
    /// Of these, the ones still to be read when the storm was over.
    pub num_left: i64,
    /// Alerts that were placed, seen before or updated one, by the counters in the state.
    pub num_alerts: u64,
    /// Records refused, by the same.
    pub num_dead_letters: u64,
    /// Epochs, each of them a transaction.
    pub num_epochs: u64,
    /// Incidents published.
    pub num_incidents: usize,
    /// Their revisions.
    pub num_revisions: usize,
    /// From each death to the first epoch of whoever had the shard next.
    takeovers: Vec<Takeover>,
    /// What the engines' logs say went wrong and was survived.
    troubles: BTreeMap<String, u32>,
    /// What must not be.
    pub problems: Vec<String>,
    /// What the checks say, and how many incidents were compared.
    pub checked: Vec<String>,
    /// How long it took, the verdict aside.
    pub took: Duration,
}

/// An engine died.
#[derive(Debug)]
pub(super) struct Death {
    place: &'static str,
    at: Instant,
    /// The shards it had.
    shards: Vec<i32>,
}

/// A shard went from one that died to another.
#[derive(Clone, Copy, Debug)]
struct Takeover {
    took: Duration,
    /// Nobody else died meanwhile.
    alone: bool,
}

impl Death {
    /// Notes a death now, of the engine that wrote this log.
    pub(super) fn new(place: &'static str, log: &[String]) -> Self {
        let mut shards = vec![];
        for line in log {
            let Some(shard) = shard_of(line) else {
                continue;
            };
            if line.contains("shard assigned") {
                shards.push(shard);
            } else if line.contains("shard revoked") {
                shards.retain(|other| *other != shard);
            } else {
                continue;
            }
        }
        Self {
            place,
            at: Instant::now(),
            shards,
        }
    }
}

/// Returns the shard that a line of the log names.
fn shard_of(line: &str) -> Option<i32> {
    let entry: Value = serde_json::from_str(line).ok()?;
    i32::try_from(entry["fields"]["shard"].as_i64()?).ok()
}

/// Returns what a line of the log says went wrong, without what differs each time.
fn trouble(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let fields = &entry["fields"];
    let of = |name: &str| fields[name].as_str();
    let why = of("problem").or_else(|| of("error"))?;
    let of_the_client = entry["target"] == "engine::bus::kafka::context";
    let told = format!("{}: {why}", fields["message"].as_str()?);
    let told = told.replace(|letter: char| letter.is_ascii_digit(), "");
    (!of_the_client).then_some(told)
}

impl Report {
    pub(super) fn died(&mut self, death: Death) {
        self.deaths.push(death);
        if self.deaths.len().is_multiple_of(10) {
            eprintln!("{} kills", self.deaths.len());
        }
    }

    /// Takes note of what an engine's log says went wrong.
    pub(super) fn told(&mut self, log: &[String]) {
        let errors = log
            .iter()
            .filter(|line| line.contains(r#""level":"ERROR""#));
        self.problems.extend(errors.cloned());
        for trouble in log.iter().filter_map(|line| trouble(line)) {
            *self.troubles.entry(trouble).or_default() += 1;
        }
    }

    pub(super) fn broker_died(&mut self, what: &'static str) {
        self.broker_deaths.push((what, Instant::now()));
    }

    /// Returns how many engines died.
    pub fn num_kills(&self) -> u32 {
        u32::try_from(self.deaths.len()).unwrap()
    }

    /// Returns how many brokers died.
    pub fn num_broker_kills(&self) -> u32 {
        u32::try_from(self.broker_deaths.len()).unwrap()
    }

    /// Returns how many engines died at a place.
    pub fn killed_at(&self, place: &str) -> u32 {
        let there = self.deaths.iter().filter(|death| death.place == place);
        u32::try_from(there.count()).unwrap()
    }

    /// Returns whether a broker died not long before.
    pub(super) fn is_broker_felt(&self, now: Instant) -> bool {
        let mut deaths = self.broker_deaths.iter();
        deaths.any(|(_, at)| *at < now && now < *at + BROKER_FELT)
    }

    /// Finds out how long shards were without anybody.
    pub(super) fn take_overs(&mut self, seen: &[Seen]) {
        for (number, death) in self.deaths.iter().enumerate() {
            for shard in &death.shards {
                let after = |seen: &&Seen| seen.shard == *shard && seen.at > death.at;
                let mut later = seen.iter().filter(after);
                let claimed = later.any(|seen| seen.what == What::Claim);
                let Some(epoch) = later.find(|seen| claimed && seen.what == What::Epoch) else {
                    continue;
                };
                let meanwhile = |at: Instant| at > death.at && at < epoch.at;
                let next = self.deaths.get(number + 1);
                let alone = !next.is_some_and(|death| meanwhile(death.at))
                    && !self.is_broker_felt(death.at)
                    && !self.is_broker_felt(epoch.at);
                self.takeovers.push(Takeover {
                    took: epoch.at - death.at,
                    alone,
                });
            }
        }
    }
}

/// How long a dead broker is felt: it is away for 8 s at most, and needs as long to lead again.
const BROKER_FELT: Duration = Duration::from_secs(20);

/// Writes how many there are, their median and the longest.
fn spread(all: impl Iterator<Item = Duration>) -> String {
    let mut all: Vec<Duration> = all.collect();
    all.sort_unstable();
    let (Some(median), Some(longest)) = (all.get(all.len() / 2), all.last()) else {
        return "none".to_owned();
    };
    let (median, longest) = (median.as_secs_f64(), longest.as_secs_f64());
    format!(
        "{} of them, p50 {median:.1} s, max {longest:.1} s",
        all.len()
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills of engines, {} of brokers, {} stops and {} starts in vain without a broker, in {} s",
            self.deaths.len(),
            self.broker_deaths.len(),
            self.num_stops,
            self.num_not_started,
            self.took.as_secs()
        )?;
        let engines = self.deaths.iter().map(|death| ("engine", death.place));
        let brokers = self.broker_deaths.iter().map(|(what, _)| ("broker", *what));
        let mut places = BTreeMap::<_, u32>::new();
        for place in engines.chain(brokers) {
            *places.entry(place).or_default() += 1;
        }
        for ((who, place), count) in places {
            writeln!(f, "{count:>6} {who}: {place}")?;
        }
        writeln!(
            f,
            "{} input records, {} of them still to be read when the storm was over; {} alerts, {} dead letters, \
             {} epochs, {} incidents in {} revisions",
            self.num_records,
            self.num_left,
            self.num_alerts,
            self.num_dead_letters,
            self.num_epochs,
            self.num_incidents,
            self.num_revisions
        )?;
        let takeovers = |alone: bool| {
            let of = self
                .takeovers
                .iter()
                .filter(move |takeover| takeover.alone == alone);
            spread(of.map(|takeover| takeover.took))
        };
        writeln!(
            f,
            "from a death to the next one's first epoch, a shard: {}; while others died, too: {}",
            takeovers(true),
            takeovers(false)
        )?;
        for (trouble, count) in &self.troubles {
            writeln!(f, "{count:>6} survived: {trouble}")?;
        }
        for line in &self.checked {
            writeln!(f, "checked: {line}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM: {problem}")?;
        }
        write!(f, "{} problems", self.problems.len())
    }
}
