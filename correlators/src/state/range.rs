//! What a restored value must be for arithmetic on it to be sound, whoever wrote it.

use schemas::time::Timestamp;

use super::{Problem, Scalars};
use crate::command::Answer;
use crate::entity::EntityState;
use crate::episode::{Episode, Evidence, sum};
use crate::interner::RuleState;
use crate::leases::Lease;
use crate::lifecycle::IncidentState;
use crate::rates::Rate;
use crate::thread::{Presence, RuleCount, Thread};

const HOUR_MS: i64 = 3_600_000;
/// Numbers of entities and rules: far above any bound on either, far below what memory would be exhausted by.
const NUMBERS_MAX: u32 = 1 << 24;
/// Counts, revisions and numbers: so many that no sum of two is too large.
const COUNT_MAX: u64 = 1 << 60;
/// Evidence and scores, in thousandths.
const MILLI_MAX: i32 = 1 << 28;

/// Returns why a value cannot be.
pub(super) trait Check {
    fn check(&self) -> Result<(), &'static str>;
}

/// Returns a dense number that a store can take.
pub(super) fn number(number: u32) -> Result<u32, Problem> {
    if number < NUMBERS_MAX {
        Ok(number)
    } else {
        Err(Problem::OutOfRange("number"))
    }
}

impl Check for Scalars {
    fn check(&self) -> Result<(), &'static str> {
        times(self.started)?;
        rate(&self.all_rate)?;
        count(self.next)?;
        hold(self.longest_lease_ms >= 0, "longest lease")
    }
}

impl Check for RuleState {
    fn check(&self) -> Result<(), &'static str> {
        rate(&self.rate)
    }
}

impl Check for EntityState {
    fn check(&self) -> Result<(), &'static str> {
        for one in [&self.episodes_rate, &self.novel_rate, &self.threads_rate] {
            rate(one)?;
        }
        for (_, at) in &self.rules {
            rate(at)?;
        }
        let rules = self.rules.is_sorted_by(|(a, _), (b, _)| a < b);
        let fan = self.fan.is_sorted_by(|(a, _), (b, _)| a < b);
        let ring = self.ring.iter().is_sorted_by(|a, b| a < b);
        hold(rules && fan && ring, "order")?;
        let hours = Timestamp::MIN.millis() / HOUR_MS - 1..=Timestamp::MAX.millis() / HOUR_MS;
        let seen = hours.contains(&self.last_hour);
        hold(seen || self.last_hour == i64::MIN, "hour")?;
        let (distrust, since) = self.distrust;
        milli([distrust])?;
        times(self.fan.iter().map(|(_, met)| *met).chain([since]))
    }
}

impl Check for Vec<Lease> {
    fn check(&self) -> Result<(), &'static str> {
        hold(!self.is_empty(), "no lease")?;
        times(self.iter().map(|lease| lease.end))
    }
}

impl Check for Episode {
    fn check(&self) -> Result<(), &'static str> {
        times([self.start, self.tally.end, self.shown.end])?;
        for tally in [&self.tally, &self.shown] {
            count(u64::try_from(tally.count).map_err(|_| "count")?)?;
        }
        hold(self.confidence <= 100, "confidence")?;
        milli([self.novelty, self.rule_term])?;
        let sorted = self.mentions.is_sorted_by(|a, b| a.entity < b.entity);
        hold(sorted, "order")?;
        self.links.iter().try_for_each(Check::check)
    }
}

impl Check for Evidence {
    fn check(&self) -> Result<(), &'static str> {
        hold(self.gap_ms >= 0 && self.from != self.to, "link")?;
        hold(self.weight == sum(&self.terms), "sum of the terms")?;
        milli([self.weight, self.bar])?;
        milli(self.terms.iter().map(|term| term.bits))
    }
}

impl Check for Answer {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

impl Check for Thread {
    fn check(&self) -> Result<(), &'static str> {
        times([self.start, self.end])?;
        milli([self.suspicion])?;
        rules(&self.rules)?;
        self.entities.values().try_for_each(Check::check)?;
        self.incident.as_deref().map_or(Ok(()), Check::check)
    }
}

impl Check for Presence {
    fn check(&self) -> Result<(), &'static str> {
        times([self.first, self.last, self.active])?;
        hold(self.rate_before <= COUNT_MAX, "rate")?;
        rules(&self.rules)
    }
}

impl Check for IncidentState {
    fn check(&self) -> Result<(), &'static str> {
        times([self.created, self.modified])?;
        times(self.desk.closed)?;
        count(u64::try_from(self.revision).map_err(|_| "revision")?)?;
        hold((0..=1_000).contains(&self.risk_tenths), "risk")
    }
}

fn rules(rules: &[RuleCount]) -> Result<(), &'static str> {
    let sorted = rules.is_sorted_by(|a, b| a.rule < b.rule);
    hold(sorted, "order")?;
    hold(rules.iter().all(|rule| rule.all <= 1 << 30), "count")
}

fn rate(rate: &Rate) -> Result<(), &'static str> {
    hold(rate.is_sound(), "rate")
}

fn times(times: impl IntoIterator<Item = i64>) -> Result<(), &'static str> {
    let within = Timestamp::MIN.millis()..=Timestamp::MAX.millis();
    let mut times = times.into_iter();
    hold(times.all(|time| within.contains(&time)), "time")
}

fn milli(values: impl IntoIterator<Item = i32>) -> Result<(), &'static str> {
    let mut values = values.into_iter();
    hold(
        values.all(|value| (-MILLI_MAX..=MILLI_MAX).contains(&value)),
        "evidence",
    )
}

fn count(count: u64) -> Result<(), &'static str> {
    hold(count <= COUNT_MAX, "count")
}

fn hold(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
