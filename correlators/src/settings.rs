//! Every constant of the correlation core, with its default and its reason.
//!
//! Times are in milliseconds of event time, evidence in thousandths of a bit, factors in thousandths.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The settings of one tenant's correlation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far behind the newest event time an alert may come without being flagged late; default 10 min. Whoever moves the
    /// watermark keeps this distance.
    pub lateness_ms: i64,
    /// Entities that are recorded and never evidence: kind word to values as people write them.
    pub never_link: BTreeMap<String, Vec<String>>,
    /// Our own egress and NAT addresses, or networks in CIDR: recorded, never evidence.
    pub own_addresses: Vec<String>,
    /// Folding repeats into episodes.
    pub fold: Fold,
    /// Statistics of what is usual.
    pub background: Background,
    /// Linking an episode to another.
    pub link: Link,
    /// Weighing an episode against a hot thread.
    pub attach: Attach,
    /// Stitching threads, days apart.
    pub stitch: Stitch,
    /// Turning a thread into an incident.
    pub promote: Promote,
    /// What analysts' commands do.
    pub analyst: Analyst,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// Returns a short hash of all settings: equal settings have equal hashes on every machine.
    #[must_use]
    pub fn hash(&self) -> String {
        let name = format!("{self:?}");
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes())
            .simple()
            .to_string()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness_ms: 10 * MINUTE,
            never_link: BTreeMap::new(),
            own_addresses: Vec::new(),
            fold: Fold::default(),
            background: Background::default(),
            link: Link::default(),
            attach: Attach::default(),
            stitch: Stitch::default(),
            promote: Promote::default(),
            analyst: Analyst::default(),
            limits: Limits::default(),
        }
    }
}

/// Folding repeats of one rule at the same entities into an episode.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fold {
    /// Longest pause between two alerts of an episode; default 30 min.
    pub gap_ms: i64,
    /// Longest episode; default 6 h.
    pub span_ms: i64,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            gap_ms: 30 * MINUTE,
            span_ms: 6 * HOUR,
        }
    }
}

/// Statistics of what is usual in a tenant: decayed counts, sealed by the hour.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Background {
    /// Time in which a count loses half its weight; default 5 d.
    pub half_life_ms: i64,
    /// The same for counts of threads; default 10 d.
    pub thread_half_life_ms: i64,
    /// Prior time of observation of an entity or rule; default 48 h.
    pub prior_window_ms: i64,
    /// Prior time of observation of a rule at an entity; default 24 h.
    pub prior_pair_window_ms: i64,
    /// Prior count of hosts, accounts and whatever else is met daily, in thousandths; default 300.
    pub prior_common_milli: u64,
    /// Prior count of external addresses, hashes, domains and threads, in thousandths; default 100.
    pub prior_rare_milli: u64,
    /// Prior count of a rule at an entity, in thousandths; default 50.
    pub prior_pair_milli: u64,
    /// How many novel episodes of an entity count in one hour; default 4, so that flooding cannot buy a high rate.
    pub hourly_max: u32,
    /// Time within which seeing a rule again is no surprise; default 24 h.
    pub novelty_window_ms: i64,
    /// Greatest novelty; default 8 bits.
    pub novelty_cap: i32,
    /// An episode is routine when its rule's surprise is below this; default 0.7 bit …
    pub routine_rule: i32,
    /// … and the surprise of the rule at each of its entities below this; default 2.5 bits.
    pub routine_pair: i32,
    /// Number of equally likely rules that stands for "expected"; default 40.
    pub rules_expected: u32,
    /// Weight of the tenant's rate of a rule in its rate at one entity, in episodes; default 4.
    pub shrink: u32,
    /// An entity met together with more hosts and accounts than this within a day is a hub; default 8.
    pub fan_free: u32,
    /// A thread founded this soon after the tenant's first alert is marked as learning; default 12 h.
    pub learning_ms: i64,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            half_life_ms: 5 * DAY,
            thread_half_life_ms: 10 * DAY,
            prior_window_ms: 48 * HOUR,
            prior_pair_window_ms: 24 * HOUR,
            prior_common_milli: 300,
            prior_rare_milli: 100,
            prior_pair_milli: 50,
            hourly_max: 4,
            novelty_window_ms: 24 * HOUR,
            novelty_cap: 8_000,
            routine_rule: 700,
            routine_pair: 2_500,
            rules_expected: 40,
            shrink: 4,
            fan_free: 8,
            learning_ms: 12 * HOUR,
        }
    }
}

/// Linking an episode to another by the entities they share.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Evidence a link needs; default 6 bits.
    pub bar: i32,
    /// Evidence a routine episode needs; default 7 bits.
    pub bar_routine: i32,
    /// Surprise the best shared entity must bring; default 2.5 bits.
    pub surprise_min: i32,
    /// Greatest surprise of one entity; default 10 bits.
    pub surprise_cap: i32,
    /// Longest time between two linked episodes; default 72 h.
    pub window_ms: i64,
    /// Shortest time reckoned with, so that sensors' clocks may differ; default 5 min.
    pub gap_floor_ms: i64,
    /// Weight of an address; default 0.9.
    pub weight_ip_milli: i32,
    /// Weight of a cloud application; default 0.8.
    pub weight_application_milli: i32,
    /// Weight of files, processes, mailboxes and other kinds that name no machine, person or indicator; default 0.7.
    pub weight_other_milli: i32,
    /// Weight of an entity known by weak identifiers only; default 0.5.
    pub weight_weak_milli: i32,
    /// Weight of the usual order of tactics; default 0.25.
    pub order_milli: i32,
    /// A hop: the target of one is the source of the other; default 1.5 bits.
    pub hop: i32,
    /// The same source; default 0.5 bit.
    pub same_source: i32,
    /// Two sensors agree; default 0.5 bit.
    pub other_product: i32,
    /// The same rule again; default -1.5 bits.
    pub same_rule: i32,
    /// Least and greatest rule term of a pair; default -2.5 and +1.5 bits.
    pub rule_min: i32,
    /// See `rule_min`.
    pub rule_max: i32,
    /// Penalty on joining a thread with many entities, times log2(1 + entities/4); default 0.35.
    pub join_penalty: i32,
    /// Penalty on merging threads, times log2(1 + episodes of the smaller); default 0.7.
    pub merge_penalty: i32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            bar: 6_000,
            bar_routine: 7_000,
            surprise_min: 2_500,
            surprise_cap: 10_000,
            window_ms: 72 * HOUR,
            gap_floor_ms: 5 * MINUTE,
            weight_ip_milli: 900,
            weight_application_milli: 800,
            weight_other_milli: 700,
            weight_weak_milli: 500,
            order_milli: 250,
            hop: 1_500,
            same_source: 500,
            other_product: 500,
            same_rule: -1_500,
            rule_min: -2_500,
            rule_max: 1_500,
            join_penalty: 350,
            merge_penalty: 700,
        }
    }
}

/// Weighing an episode against a hot thread, whose own share of every rate is taken out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attach {
    /// Evidence an episode needs; default 5 bits.
    pub bar: i32,
    /// Evidence an earlier episode needs to be pulled in; default 5.5 bits.
    pub bar_look_back: i32,
    /// What the best shared entity must bring; default 0.5 bit.
    pub surprise_min: i32,
    /// Longest time to the thread's nearest episode at the entity; default 14 d.
    pub window_ms: i64,
    /// Least and greatest rule term; default -3.5 and +2.5 bits.
    pub rule_min: i32,
    /// See `rule_min`.
    pub rule_max: i32,
    /// Rules the thread must have at an entity for full evidence, one bit less for each missing; default 3.
    pub support: u32,
    /// A routine episode whose rule term is above this counts in full when it attaches; default -1 bit.
    pub routine_rule: i32,
    /// Novelty such an episode gets at least; default 2 bits.
    pub routine_novelty: i32,
    /// Only cold threads of up to this many episodes are pulled in; default 3.
    pub look_back_episodes: u32,
    /// Suspicion that makes a thread hot, thousandths; default 3.
    pub hot_suspicion: i32,
    /// Rules that make a thread hot; default 2.
    pub hot_rules: u32,
    /// Burst over the rate before it that makes a thread hot; default 8 bits.
    pub hot_burst: i32,
    /// History a tenant needs before threads turn hot; default 24 h.
    pub mature_ms: i64,
}

impl Default for Attach {
    fn default() -> Self {
        Self {
            bar: 5_000,
            bar_look_back: 5_500,
            surprise_min: 500,
            window_ms: 14 * DAY,
            rule_min: -3_500,
            rule_max: 2_500,
            support: 3,
            routine_rule: -1_000,
            routine_novelty: 2_000,
            look_back_episodes: 3,
            hot_suspicion: 3_000,
            hot_rules: 2,
            hot_burst: 8_000,
            mature_ms: 24 * HOUR,
        }
    }
}

/// Stitching two threads, hours to days apart, by the same surprise at the rate of threads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stitch {
    /// Evidence two threads need; default 5 bits.
    pub bar: i32,
    /// Penalty on size, times log2(1 + episodes of the smaller / 4); default 1.
    pub merge_penalty: i32,
    /// Suspicion that lets a thread take part, thousandths; default 1.
    pub warm_suspicion: i32,
    /// Longest time between the two; default 14 d.
    pub window_ms: i64,
    /// Shortest time reckoned with; default 2 h.
    pub gap_floor_ms: i64,
    /// An entity with more novel episodes an hour than this is no evidence, thousandths; default 500.
    pub hub_hourly_milli: u64,
    /// An entity that more warm threads than this touch is no evidence; default 6.
    pub threads_max: u32,
    /// Least rate of threads, as a share of the rate of novel episodes, thousandths; default 20.
    pub floor_milli: u64,
    /// Weight of the mean order of tactics; default 0.6.
    pub order_milli: i32,
    /// For each tactic the later thread adds; default 0.25 bit …
    pub new_tactic: i32,
    /// … up to 1 bit.
    pub new_tactics_max: i32,
}

impl Default for Stitch {
    fn default() -> Self {
        Self {
            bar: 5_000,
            merge_penalty: 1_000,
            warm_suspicion: 1_000,
            window_ms: 14 * DAY,
            gap_floor_ms: 2 * HOUR,
            hub_hourly_milli: 500,
            threads_max: 6,
            floor_milli: 20,
            order_milli: 600,
            new_tactic: 250,
            new_tactics_max: 1_000,
        }
    }
}

/// Turning a thread into an incident.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Promote {
    /// Tactics; default 3 …
    pub tactics: u32,
    /// … and phases of the chain; default 2 …
    pub phases: u32,
    /// … and rules; default 3 …
    pub rules: u32,
    /// … and risk in tenths; default 40.0.
    pub risk_tenths: i32,
    /// Or risk alone, in tenths; default 75.0.
    pub risk_alone_tenths: i32,
    /// Severity is medium, high and critical from these risks on, in tenths; default 40.0, 60.0, 80.0.
    pub severity_tenths: [i32; 3],
    /// Share of a blocked step's weight in the chain, thousandths; default 500.
    pub blocked_milli: i32,
}

impl Default for Promote {
    fn default() -> Self {
        Self {
            tactics: 3,
            phases: 2,
            rules: 3,
            risk_tenths: 400,
            risk_alone_tenths: 750,
            severity_tenths: [400, 600, 800],
            blocked_milli: 500,
        }
    }
}

/// What analysts' commands do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Analyst {
    /// An alert this soon after an incident was closed opens it again, unless it was a false or benign positive; default 6 h.
    pub reopen_ms: i64,
    /// Evidence that an analyst's word counts for; default 20 bits.
    pub word: i32,
    /// What the evidence of an entity loses when alerts that share it are unlinked; default 4 bits …
    pub unlink: i32,
    /// … at most; default 16 bits.
    pub unlink_max: i32,
    /// Time in which half of that is forgotten; default 30 d.
    pub unlink_half_life_ms: i64,
    /// How long a rule stays expected at an entity after an analyst said so; default 30 d.
    pub expected_ms: i64,
    /// Verdicts on a rule that count as much as what is thought of it beforehand; default 2.
    pub prior_verdicts: u32,
}

impl Default for Analyst {
    fn default() -> Self {
        Self {
            reopen_ms: 6 * HOUR,
            word: 20_000,
            unlink: 4_000,
            unlink_max: 16_000,
            unlink_half_life_ms: 30 * DAY,
            expected_ms: 30 * DAY,
            prior_verdicts: 2,
        }
    }
}
