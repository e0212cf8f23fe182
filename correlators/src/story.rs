//! The story of an incident: its title, its stages and a line for each.

use std::collections::{BTreeMap, BTreeSet};

use schemas::attack::{self, AttackOrigin, Phase};
use schemas::incident::Stage;
use schemas::time::Timestamp;

use crate::entity::EntityId;
use crate::episode::Episode;
use crate::fusion::Fusion;
use crate::render::Members;
use crate::score::Score;
use crate::thread::Thread;

/// Titles named in one line of the summary.
const TITLES_MAX: usize = 3;

impl Fusion {
    /// Names an incident: how far it went, and where.
    pub(crate) fn title(&self, thread: &Thread, score: &Score) -> String {
        let span = self.span(score);
        let mut parties: Vec<(u32, EntityId)> = thread
            .entities
            .iter()
            .filter(|(id, _)| {
                self.entities
                    .get(**id)
                    .is_some_and(|state| state.is_party())
            })
            .map(|(id, presence)| (presence.count(), *id))
            .collect();
        parties.sort_by_key(|(count, id)| (std::cmp::Reverse(*count), *id));
        let Some((_, main)) = parties.first() else {
            return span;
        };
        let Some(name) = self
            .entities
            .get(*main)
            .map(|state| state.name.display.as_str())
        else {
            return span;
        };
        match parties.len() - 1 {
            0 => format!("{span} on {name}"),
            more => format!("{span} on {name} and {more} more"),
        }
    }

    /// Names the first and the last tactic of the chain, by rank.
    fn span(&self, score: &Score) -> String {
        let episodes = score
            .chain
            .iter()
            .filter_map(|number| self.episodes.get(*number));
        let mut ranked: Vec<(Option<u8>, &str)> = episodes
            .flat_map(tactics)
            .map(|uid| (rank(uid), uid))
            .collect();
        // A tactic without a rank names a span only where nothing else does.
        if ranked.iter().any(|(rank, _)| rank.is_some()) {
            ranked.retain(|(rank, _)| rank.is_some());
        }
        let first = ranked.iter().min().map(|(_, uid)| tactic_name(uid));
        let last = ranked.iter().max().map(|(_, uid)| tactic_name(uid));
        match (first, last) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(only), _) | (None, Some(only)) => only,
            (None, None) => "Related alerts".to_owned(),
        }
    }
}

pub(crate) fn stages(members: &Members<'_>) -> Vec<Stage> {
    let mut by_tactic: BTreeMap<String, (Stage, BTreeSet<String>)> = BTreeMap::new();
    for (_, episode) in members.iter().filter(|(_, episode)| !episode.context) {
        let mut named = tactics(episode);
        if named.is_empty() {
            named.push("");
        }
        for uid in named {
            let (stage, techniques) = by_tactic.entry(uid.to_owned()).or_insert_with(|| {
                let stage = Stage {
                    order: 0,
                    tactic_uid: uid.to_owned(),
                    tactic_name: tactic_name(uid),
                    technique_uids: Vec::new(),
                    first_time: Timestamp(episode.start),
                    last_time: Timestamp(episode.shown.end),
                    alert_uids: Vec::new(),
                    blocked: true,
                };
                (stage, BTreeSet::new())
            });
            stage.first_time = stage.first_time.min(Timestamp(episode.start));
            stage.last_time = stage.last_time.max(Timestamp(episode.shown.end));
            stage.blocked &= episode.blocked;
            stage.alert_uids.push(episode.uid.to_string());
            let of_tactic = episode
                .shape
                .attacks
                .iter()
                .filter(|attack| attack.tactic_uid.as_deref().unwrap_or("") == uid);
            techniques.extend(of_tactic.filter_map(|attack| {
                attack
                    .sub_technique_uid
                    .clone()
                    .or_else(|| attack.technique_uid.clone())
            }));
        }
    }
    let mut stages: Vec<Stage> = by_tactic
        .into_values()
        .map(|(stage, techniques)| Stage {
            technique_uids: techniques.into_iter().collect(),
            ..stage
        })
        .collect();
    stages.sort_by(|a, b| (a.first_time, &a.tactic_uid).cmp(&(b.first_time, &b.tactic_uid)));
    for (stage, order) in stages.iter_mut().zip(0..) {
        stage.order = order;
    }
    stages
}

/// Writes the story, one line a stage.
pub(crate) fn summary(stages: &[Stage], members: &Members<'_>) -> String {
    let titles: BTreeMap<&str, &str> = members
        .iter()
        .map(|(_, episode)| (&*episode.uid, episode.shape.title.as_str()))
        .collect();
    let mut lines = Vec::new();
    for stage in stages {
        let mut named: Vec<&str> = Vec::new();
        for title in stage
            .alert_uids
            .iter()
            .filter_map(|uid| titles.get(uid.as_str()).copied())
        {
            if !named.contains(&title) {
                named.push(title);
            }
        }
        let more = named.len().saturating_sub(TITLES_MAX);
        let listed = named
            .into_iter()
            .take(TITLES_MAX)
            .collect::<Vec<_>>()
            .join("; ");
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let name = if stage.tactic_name.is_empty() {
            "No tactic"
        } else {
            &stage.tactic_name
        };
        lines.push(format!("{} {name}: {listed}{more}", stage.first_time));
    }
    lines.join("\n")
}

fn tactic_name(uid: &str) -> String {
    attack::tactic(uid).map_or_else(|| uid.to_owned(), |tactic| tactic.name.to_owned())
}

/// Returns the rank of a tactic in the kill chain, where it has one.
fn rank(uid: &str) -> Option<u8> {
    match attack::tactic(uid)?.phase {
        Phase::Ranked(rank) => Some(rank),
        Phase::Floating | Phase::Unranked => None,
    }
}

/// Returns the tactics of an episode: those its source named, else those its techniques can stand for.
fn tactics(episode: &Episode) -> Vec<&str> {
    let uids = |expanded: bool| -> Vec<&str> {
        let attacks = &episode.shape.attacks;
        let named = attacks
            .iter()
            .filter(|attack| expanded || attack.origin != AttackOrigin::Expanded);
        let set: BTreeSet<&str> = named
            .filter_map(|attack| attack.tactic_uid.as_deref())
            .collect();
        set.into_iter().collect()
    };
    let named = uids(false);
    if named.is_empty() { uids(true) } else { named }
}
