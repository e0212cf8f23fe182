//! Why one alert belongs.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use petgraph::unionfind::UnionFind;
use schemas::alert::Severity;
use schemas::incident::{AlertRef, Incident, Link, LinkKind};
use schemas::time::Timestamp;
use serde::Serialize;

use super::{Head, Named, Teller, Tie, head, limits};
use crate::graph;

/// One alert of an incident, its repeats folded in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Its number in the incident, from 1, by first activity.
    pub number: usize,
    /// Uid of the first alert.
    pub uid: String,
    /// Its id as the vendor wrote it.
    pub native_uid: String,
    /// The sensor.
    pub product: String,
    /// The rule.
    pub rule: String,
    /// Title.
    pub title: String,
    /// Greatest severity.
    pub severity: Severity,
    /// First activity.
    pub start_time: Timestamp,
    /// Last activity.
    pub end_time: Timestamp,
    /// How often it was seen.
    pub count: i64,
    /// Tactics, by name.
    pub tactics: Vec<String>,
    /// Techniques.
    pub techniques: Vec<String>,
    /// Its entities that take part in correlation.
    pub entities: Vec<Named>,
    /// How new the rule was at these entities, milli-bits.
    pub novelty: i32,
    /// Part of the heaviest chain through the phases of an attack.
    pub in_chain: bool,
    /// Routine: joined, but could not have started an incident.
    pub context: bool,
    /// Came late.
    pub late: bool,
    /// The activity was blocked.
    pub blocked: bool,
    /// How it came into the incident.
    pub origin: Origin,
    /// The links that speak of that: its own, or those of the thread it began.
    pub because: Vec<Tie>,
}

/// How an alert came into its incident.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The incident grew from it.
    First,
    /// It joined by its own links.
    Joined,
    /// It began a thread of its own, which was joined later.
    OwnThread,
    /// The record holds no link that says; it is capped.
    Unsaid,
}

/// What there is to say about one alert of an incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertExplanation {
    /// The incident.
    pub incident: Head,
    /// The id asked for.
    pub asked: String,
    /// The alerts of that id; several where products use the same id, none where the alert is not in the incident.
    pub found: Vec<Found>,
    /// The record lists every alert of the incident; where not, an alert that is not found may still be in it.
    pub lists_all: bool,
    /// What this explanation cannot say.
    pub limits: Vec<String>,
}

/// One alert found by its id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The alert; its first one where the id is of a repeat.
    pub alert: Member,
    /// The id is of a repeat that was folded into it.
    pub repeat: bool,
    /// Every other link it has, strongest first.
    pub others: Vec<Tie>,
    /// Without it the rest of the incident would split.
    pub pivot: bool,
}

/// Explains one alert of an incident: by its uid or its vendor's id, repeats included.
#[must_use]
pub fn explain_alert(incident: &Incident, id: &str) -> AlertExplanation {
    let teller = Teller::new(incident);
    let structure = graph::structure(incident);
    let mut found = Vec::new();
    for (index, member) in members(&teller).into_iter().enumerate() {
        let Some(named) = incident
            .alerts
            .get(index)
            .and_then(|alert| named(alert, id))
        else {
            continue;
        };
        let told: BTreeSet<(usize, usize, i64)> = member.because.iter().map(identity).collect();
        let own = |tie: &Tie| tie.from == index + 1 || tie.to == index + 1;
        let ties = incident.links.iter().filter_map(|link| teller.tie(link));
        let mut others: Vec<Tie> = ties
            .filter(|tie| own(tie) && !told.contains(&identity(tie)))
            .collect();
        others.sort_by_key(|tie| (Reverse(tie.sum), tie.from, tie.to));
        found.push(Found {
            alert: member,
            repeat: named == Name::Repeat,
            others,
            pivot: structure.pivots.contains(&index),
        });
    }
    let mut limits = limits(incident);
    let unlisted = incident
        .alerts
        .iter()
        .filter(|alert| alert.count > listed(alert))
        .count();
    if found.is_empty() && unlisted > 0 {
        limits.push(format!(
            "{unlisted} of its episodes have more repeats than the record lists, and it may be one of those: \
             the membership file of a replay says for sure"
        ));
    }
    AlertExplanation {
        incident: head(incident),
        asked: id.to_owned(),
        found,
        lists_all: unlisted == 0 && !incident.truncated,
        limits,
    }
}

/// Tells every alert of the incident.
pub(super) fn members(teller: &Teller<'_>) -> Vec<Member> {
    let incident = teller.incident;
    let threads = Threads::of(teller);
    let chain: BTreeSet<usize> = incident
        .chain
        .iter()
        .filter_map(|&index| usize::try_from(index).ok())
        .collect();
    let mut begun = false;
    let tell = |(index, alert): (usize, &AlertRef)| {
        let own: Vec<Tie> = threads
            .joining
            .get(index)
            .into_iter()
            .flatten()
            .filter_map(|link| teller.tie(link))
            .collect();
        let (origin, because) = if !own.is_empty() {
            (Origin::Joined, own)
        } else if !begun {
            begun = true;
            (Origin::First, Vec::new())
        } else {
            let ties: Vec<Tie> = threads
                .tying(teller, index)
                .filter_map(|link| teller.tie(link))
                .collect();
            (
                if ties.is_empty() {
                    Origin::Unsaid
                } else {
                    Origin::OwnThread
                },
                ties,
            )
        };
        member(
            teller,
            index,
            alert,
            chain.contains(&index),
            origin,
            because,
        )
    };
    incident.alerts.iter().enumerate().map(tell).collect()
}

fn member(
    teller: &Teller<'_>,
    index: usize,
    alert: &AlertRef,
    in_chain: bool,
    origin: Origin,
    because: Vec<Tie>,
) -> Member {
    let tactic = |uid: &String| match teller.tactics.get(uid.as_str()) {
        Some(name) if !name.is_empty() => (*name).to_owned(),
        _ => uid.clone(),
    };
    Member {
        number: index + 1,
        uid: alert.uid.clone(),
        native_uid: alert.native_uid.clone(),
        product: alert.product.clone(),
        rule: alert.rule.clone(),
        title: alert.title.clone(),
        severity: alert.severity,
        start_time: alert.start_time,
        end_time: alert.end_time,
        count: alert.count,
        tactics: alert.tactic_uids.iter().map(tactic).collect(),
        techniques: alert.technique_uids.clone(),
        entities: alert
            .entity_keys
            .iter()
            .map(|key| teller.named(key))
            .collect(),
        novelty: alert.novelty,
        in_chain,
        context: alert.context,
        late: alert.late,
        blocked: alert.blocked,
        origin,
        because,
    }
}

/// The threads that became one incident, as far as its links tell.
struct Threads<'a> {
    sets: UnionFind<usize>,
    /// For each alert the links that made it join.
    joining: Vec<Vec<&'a Link>>,
    /// Links that brought threads together.
    between: Vec<&'a Link>,
}

impl<'a> Threads<'a> {
    fn of(teller: &Teller<'a>) -> Self {
        let nodes = teller.incident.alerts.len();
        let mut sets = UnionFind::new(nodes);
        let mut joining = vec![Vec::new(); nodes];
        let mut between = Vec::new();
        for link in teller.incident.links.iter().filter(|link| link.joined) {
            let Some((from, to)) = teller.ends(link) else {
                continue;
            };
            if let Some(links) = joining.get_mut(to) {
                links.push(link);
            }
            if matches!(
                link.kind,
                LinkKind::Bridge | LinkKind::LookBack | LinkKind::Stitch
            ) {
                between.push(link);
            } else {
                sets.union(from, to);
            }
        }
        Self {
            sets,
            joining,
            between,
        }
    }

    /// The links that tie the thread of the alert at `index` to others.
    fn tying<'b>(
        &'b self,
        teller: &'b Teller<'a>,
        index: usize,
    ) -> impl Iterator<Item = &'a Link> + 'b {
        let touches = move |link: &&Link| {
            let ends = teller.ends(link);
            ends.is_some_and(|(from, to)| {
                self.sets.equiv(from, index) || self.sets.equiv(to, index)
            })
        };
        self.between.iter().copied().filter(touches)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Name {
    First,
    Repeat,
}

fn named(alert: &AlertRef, id: &str) -> Option<Name> {
    let native = |uid: &str| uid.split_once(':').is_some_and(|(_, native)| native == id);
    if alert.uid == id || alert.native_uid == id {
        Some(Name::First)
    } else if alert.repeat_uids.iter().any(|uid| uid == id || native(uid)) {
        Some(Name::Repeat)
    } else {
        None
    }
}

fn listed(alert: &AlertRef) -> i64 {
    i64::try_from(alert.repeat_uids.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1)
}

fn identity(tie: &Tie) -> (usize, usize, i64) {
    (tie.from, tie.to, tie.sum)
}
