//! What breaks a rule, where.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::bus::{Partition, Record};

/// What the topics promise.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// T-1: (generation, revision) of an incident rises strictly in offset order, in one partition.
    Revisions,
    /// T-2: a record of an incident has its id as key, fits the schema and agrees with itself.
    Content,
    /// T-3: an incident goes into one that exists, and following redirects ends.
    Redirects,
    /// T-4: nothing follows the record by which an incident went into another.
    Final,
    /// T-5: at the end of every transaction an alert is in at most one live incident.
    Membership,
    /// T-6: an incident, its redirect and its alerts are of one tenant, and a tenant of one shard.
    Tenants,
    /// T-7: equal (id, generation, revision) means equal bytes, whether committed or not.
    Versions,
    /// T-8: the epochs that wrote a partition's incidents never fall, and their shard's state has them.
    Epochs,
    /// T-9: the records of the state are readable, and each is of the epoch whose meta comes next.
    State,
    /// T-10: the epochs of a shard rise by one.
    Gapless,
    /// T-11: generation, group generation, watermark and offsets of a shard never fall.
    Rising,
    /// T-12: the group's offsets are those of the state, of the epoch that committed them.
    Group,
    /// T-13: the offsets in blocks rise strictly in each input, below those of meta.
    Order,
    /// T-14: each record of the inputs below the state's offset has one disposition, and nothing else has any.
    Conservation,
    /// T-15: what became of a record fits what it holds, alert by alert.
    Fate,
    /// T-16: the dispositions add up to the counters.
    Counts,
    /// T-17: a dead letter has the bytes of its record.
    LetterBytes,
    /// T-18: each refused record has one dead letter, and no other record has any.
    Letters,
    /// T-19: each command has one outcome, in their order, that answers what it asks, and no other record has any.
    Outcomes,
    /// T-20: an applied command names a revision that its incident had then, and incidents that exist.
    Applied,
}

impl Rule {
    /// Every rule, by number.
    pub const ALL: &'static [Self] = &[
        Self::Revisions,
        Self::Content,
        Self::Redirects,
        Self::Final,
        Self::Membership,
        Self::Tenants,
        Self::Versions,
        Self::Epochs,
        Self::State,
        Self::Gapless,
        Self::Rising,
        Self::Group,
        Self::Order,
        Self::Conservation,
        Self::Fate,
        Self::Counts,
        Self::LetterBytes,
        Self::Letters,
        Self::Outcomes,
        Self::Applied,
    ];

    /// Returns the number it is cited by.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::Revisions => "T-1",
            Self::Content => "T-2",
            Self::Redirects => "T-3",
            Self::Final => "T-4",
            Self::Membership => "T-5",
            Self::Tenants => "T-6",
            Self::Versions => "T-7",
            Self::Epochs => "T-8",
            Self::State => "T-9",
            Self::Gapless => "T-10",
            Self::Rising => "T-11",
            Self::Group => "T-12",
            Self::Order => "T-13",
            Self::Conservation => "T-14",
            Self::Fate => "T-15",
            Self::Counts => "T-16",
            Self::LetterBytes => "T-17",
            Self::Letters => "T-18",
            Self::Outcomes => "T-19",
            Self::Applied => "T-20",
        }
    }

    /// Returns what it asks, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Revisions => {
                "(generation, revision) of an incident rises strictly in offset order, in one partition"
            }
            Self::Content => {
                "a record of an incident has its id as key, fits the schema and agrees with itself"
            }
            Self::Redirects => {
                "an incident goes into one that exists, and following redirects ends"
            }
            Self::Final => "nothing follows the record by which an incident went into another",
            Self::Membership => {
                "at the end of every transaction an alert is in at most one live incident"
            }
            Self::Tenants => {
                "an incident, its redirect and its alerts are of one tenant, and a tenant of one shard"
            }
            Self::Versions => {
                "equal (id, generation, revision) means equal bytes, whether committed or not"
            }
            Self::Epochs => {
                "the epochs that wrote a partition's incidents never fall, and their shard's state has them"
            }
            Self::State => {
                "the records of the state are readable, and each is of the epoch whose meta comes next"
            }
            Self::Gapless => "the epochs of a shard rise by one",
            Self::Rising => {
                "generation, group generation, watermark and offsets of a shard never fall"
            }
            Self::Group => {
                "the group's offsets are those of the state, of the epoch that committed them"
            }
            Self::Order => "the offsets in blocks rise strictly in each input, below those of meta",
            Self::Conservation => {
                "each record of the inputs below the state's offset has one disposition, and nothing else has any"
            }
            Self::Fate => "what became of a record fits what it holds, alert by alert",
            Self::Counts => "the dispositions add up to the counters",
            Self::LetterBytes => "a dead letter has the bytes of its record",
            Self::Letters => "each refused record has one dead letter, and no other record has any",
            Self::Outcomes => {
                "each command has one outcome, in their order, that answers what it asks, and no other record has any"
            }
            Self::Applied => {
                "an applied command names a revision that its incident had then, and incidents that exist"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.number())
    }
}

/// One rule broken at one place.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Topic and partition of the record that breaks it.
    #[serde(serialize_with = "partition")]
    pub partition: Partition,
    /// Its offset; none where the partition as a whole breaks it.
    pub offset: Option<i64>,
    /// What is wrong.
    pub text: String,
}

fn partition<S: Serializer>(partition: &Partition, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(partition)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.partition)?;
        if let Some(offset) = self.offset {
            write!(f, "/{offset}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Where a record lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) partition: Partition,
    pub(super) offset: i64,
}

impl Place {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            partition: record.partition.clone(),
            offset: record.offset,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// The findings so far.
#[derive(Debug)]
pub(super) struct Findings {
    max: usize,
    kept: BTreeMap<Rule, Vec<Finding>>,
    counts: BTreeMap<Rule, u64>,
}

/// Longest text of a finding, in bytes: ids and names in it are as long as a record lets them be.
const TEXT_BYTES_MAX: usize = 600;

impl Findings {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            kept: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Notes that a record breaks a rule.
    pub(super) fn add(&mut self, rule: Rule, place: &Place, text: impl Into<String>) {
        self.push(
            rule,
            place.partition.clone(),
            Some(place.offset),
            text.into(),
        );
    }

    /// Notes that a partition breaks a rule.
    pub(super) fn add_whole(&mut self, rule: Rule, at: &Partition, text: impl Into<String>) {
        self.push(rule, at.clone(), None, text.into());
    }

    fn push(&mut self, rule: Rule, partition: Partition, offset: Option<i64>, mut text: String) {
        *self.counts.entry(rule).or_default() += 1;
        let kept = self.kept.entry(rule).or_default();
        if kept.len() < self.max {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            kept.push(Finding {
                rule,
                partition,
                offset,
                text,
            });
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, BTreeMap<Rule, u64>) {
        (self.kept.into_values().flatten().collect(), self.counts)
    }
}
