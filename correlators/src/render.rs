//! A thread as the incident that is published.
//!
//! What is written depends on what the last revision saw and on nothing that changes between revisions, so equal
//! revisions have equal content wherever an epoch is cut.

use std::collections::{BTreeMap, BTreeSet};

use schemas::attack;
use schemas::entity::EntityRole;
use schemas::incident::{
    AlertRef, Change, Incident, IncidentActivity, IncidentEntity, IncidentStatus, Link,
};
use schemas::time::Timestamp;

use crate::entity::EntityId;
use crate::episode::{Episode, Evidence};
use crate::fusion::Fusion;
use crate::graph::{self, Edge};
use crate::lifecycle::IncidentState;
use crate::reasons::reasons;
use crate::story::{stages, summary};
use crate::thread::Thread;

/// Name of the correlator that this crate's core is, in `correlators`.
const CORRELATOR: &str = "surprise";
/// The episodes of a thread as they are published: by first activity.
pub(crate) type Members<'a> = Vec<(u64, &'a Episode)>;

impl Fusion {
    /// Writes a promoted thread as its incident.
    pub(crate) fn render(&self, thread: &Thread) -> Option<Incident> {
        let state = thread.incident.as_deref()?;
        let members = self.members(thread);
        let position: BTreeMap<u64, i32> = members
            .iter()
            .zip(0..)
            .map(|((number, _), at)| (*number, at))
            .collect();
        let links = self.links(&members, &position);
        let stages = stages(&members);
        let mut incident = self.frame(thread, state);
        incident.summary = summary(&stages, &members);
        incident.confidence = cohesion(members.len(), &links);
        incident.is_suspected_breach = members.iter().any(|(_, episode)| {
            episode.shape.tactics.has_breach() && !episode.blocked && !episode.context
        });
        incident.first_activity_time = Timestamp(
            members
                .iter()
                .map(|(_, episode)| episode.start)
                .min()
                .unwrap_or(thread.start),
        );
        incident.last_activity_time = Timestamp(
            members
                .iter()
                .map(|(_, episode)| episode.shown.end)
                .max()
                .unwrap_or(thread.end),
        );
        incident.chain = state
            .chain
            .iter()
            .filter_map(|number| position.get(number).copied())
            .collect();
        incident.alert_count = members.iter().map(|(_, episode)| episode.shown.count).sum();
        incident.episode_count = i64::try_from(members.len()).unwrap_or(i64::MAX);
        incident.entities = self.incident_entities(thread, &members, &links);
        incident.alerts = members
            .iter()
            .map(|(_, episode)| self.alert_ref(episode))
            .collect();
        incident.stages = stages;
        incident.links = links;
        Some(incident)
    }

    /// Writes the last record of an incident that went into `into`: its alerts stand there from now on.
    pub(crate) fn render_merged(&self, thread: &Thread, into: &str) -> Option<Incident> {
        let state = thread.incident.as_deref()?;
        let mut incident = self.frame(thread, state);
        incident.activity = IncidentActivity::Merge;
        incident.status = IncidentStatus::Merged;
        incident.merged_into = Some(into.to_owned());
        incident.closed_time = Some(incident.modified_time);
        // They stand there, like its alerts.
        incident.comments.clear();
        incident.tags.clear();
        incident.actions.clear();
        Some(incident)
    }

    fn frame(&self, thread: &Thread, state: &IncidentState) -> Incident {
        let desk = &state.desk;
        Incident {
            id: thread.id(),
            tenant: self.tenant.clone(),
            generation: 1,
            revision: state.revision,
            activity: activity(&state.changes),
            changes: state.changes.iter().copied().collect(),
            title: state.title.clone(),
            summary: String::new(),
            status: desk.status(),
            severity: state.severity,
            risk: f64::from(state.risk_tenths) / 10.0,
            confidence: 0,
            learning: state.learning,
            is_suspected_breach: false,
            created_time: Timestamp(state.created),
            modified_time: Timestamp(state.modified),
            first_activity_time: Timestamp(thread.start),
            last_activity_time: Timestamp(thread.start),
            closed_time: desk.closed.map(Timestamp),
            stages: Vec::new(),
            chain: Vec::new(),
            alerts: Vec::new(),
            alert_count: 0,
            episode_count: 0,
            entities: Vec::new(),
            links: Vec::new(),
            correlators: vec![CORRELATOR.to_owned()],
            related_incidents: thread.related.clone(),
            continues: thread.continues.map(|full| full.to_string()),
            split_from: thread.split_from.map(|whole| whole.to_string()),
            merged_into: None,
            merged_from: state.merged_from.clone(),
            owner: desk.owner.clone(),
            classification: desk.classification,
            classification_reason: desk.reason,
            classification_comment: desk.closing_comment.clone(),
            comments: desk.comments.clone(),
            tags: desk.tags.iter().cloned().collect(),
            truncated: false,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: self.config_hash.clone(),
            actions: desk.actions.clone(),
        }
    }

    fn members<'a>(&'a self, thread: &Thread) -> Members<'a> {
        let episodes = thread
            .episodes
            .iter()
            .filter_map(|number| self.episodes.get(*number).map(|episode| (*number, episode)));
        let mut members: Members<'a> = episodes.collect();
        members.sort_by_key(|(number, episode)| (episode.start, *number));
        members
    }

    fn links(&self, members: &Members<'_>, position: &BTreeMap<u64, i32>) -> Vec<Link> {
        let mut links = Vec::new();
        for (_, episode) in members {
            for evidence in &episode.links {
                let (Some(from), Some(to)) =
                    (position.get(&evidence.from), position.get(&evidence.to))
                else {
                    continue;
                };
                links.push(Link {
                    from: *from,
                    to: *to,
                    kind: evidence.kind,
                    reasons: reasons(evidence, |id| self.entities.get(id).map(|state| state.kind)),
                    gap_ms: evidence.gap_ms,
                    terms: self.terms(evidence),
                    weight: evidence.weight,
                    bar: evidence.bar,
                    joined: evidence.joined,
                });
            }
        }
        links
    }

    fn terms(&self, evidence: &Evidence) -> Vec<schemas::incident::Term> {
        let term = |term: &crate::episode::Term| schemas::incident::Term {
            kind: term.kind,
            entity: term.entity.and_then(|id| self.key(id)),
            bits: term.bits,
        };
        evidence.terms.iter().map(term).collect()
    }

    fn key(&self, id: EntityId) -> Option<String> {
        self.entities.get(id).map(|state| state.name.key.clone())
    }

    fn alert_ref(&self, episode: &Episode) -> AlertRef {
        let uids = |pick: fn(&attack::Attack) -> Option<&String>| -> Vec<String> {
            let set: BTreeSet<&String> = episode.shape.attacks.iter().filter_map(pick).collect();
            set.into_iter().cloned().collect()
        };
        AlertRef {
            uid: episode.uid.to_string(),
            native_uid: episode.native_uid.to_string(),
            product: episode.shape.product.clone(),
            rule: episode.shape.rule.clone(),
            title: episode.shape.title.clone(),
            severity: episode.severity,
            start_time: Timestamp(episode.start),
            end_time: Timestamp(episode.shown.end),
            count: episode.shown.count,
            repeat_uids: episode
                .repeat_uids
                .iter()
                .take(episode.shown.repeat_uids)
                .map(ToString::to_string)
                .collect(),
            tactic_uids: uids(|attack| attack.tactic_uid.as_ref()),
            technique_uids: uids(|attack| {
                attack
                    .sub_technique_uid
                    .as_ref()
                    .or(attack.technique_uid.as_ref())
            }),
            entity_keys: episode
                .mentions
                .iter()
                .filter_map(|mention| self.key(mention.entity))
                .collect(),
            novelty: episode.novelty,
            context: episode.context,
            late: episode.late,
            blocked: episode.blocked,
        }
    }

    fn incident_entities(
        &self,
        thread: &Thread,
        members: &Members<'_>,
        links: &[Link],
    ) -> Vec<IncidentEntity> {
        let pivots: BTreeSet<&str> = links
            .iter()
            .filter(|link| link.joined)
            .flat_map(|link| &link.terms)
            .filter_map(|term| term.entity.as_deref())
            .collect();
        // What is recorded only has no key and is never evidence: it is told apart by what it shows.
        let mut found: BTreeMap<(Option<EntityId>, &str), IncidentEntity> = BTreeMap::new();
        for (_, episode) in members {
            let (start, end) = (Timestamp(episode.start), Timestamp(episode.shown.end));
            for mention in &episode.mentions {
                let Some(state) = self.entities.get(mention.entity) else {
                    continue;
                };
                let entry =
                    found
                        .entry((Some(mention.entity), ""))
                        .or_insert_with(|| IncidentEntity {
                            aliases: aliases(thread, mention.entity),
                            pivot: pivots.contains(state.name.key.as_str()),
                            ..blank(
                                &state.name.key,
                                &state.name.kind,
                                &state.name.display,
                                start,
                            )
                        });
                entry.alert_count += 1;
                entry.last_time = entry.last_time.max(end);
                let mut roles = episode.roles.iter().filter(|(id, _)| *id == mention.entity);
                entry.roles.extend(
                    roles
                        .find(|(_, role)| *role != EntityRole::Unknown)
                        .map(|(_, role)| role.word().to_owned()),
                );
            }
            for (kind, display) in &episode.recorded {
                let entry = found
                    .entry((None, display))
                    .or_insert_with(|| blank("", kind, display, start));
                entry.alert_count += 1;
                entry.last_time = entry.last_time.max(end);
            }
        }
        let mut entities: Vec<IncidentEntity> = found.into_values().collect();
        for entity in &mut entities {
            entity.roles.sort_unstable();
            entity.roles.dedup();
        }
        entities.sort_by(|a, b| {
            (b.pivot, b.alert_count)
                .cmp(&(a.pivot, a.alert_count))
                .then_with(|| (&a.key, &a.display).cmp(&(&b.key, &b.display)))
        });
        entities
    }
}

/// Returns what a revision is by what it changed.
fn activity(changes: &BTreeSet<Change>) -> IncidentActivity {
    let marks = [
        (Change::Created, IncidentActivity::Create),
        (Change::Closed, IncidentActivity::Close),
        (Change::Reopened, IncidentActivity::Reopen),
    ];
    let mut told = marks
        .into_iter()
        .filter(|(change, _)| changes.contains(change));
    told.next()
        .map_or(IncidentActivity::Update, |(_, activity)| activity)
}

/// Returns an entity first met at `start`, without aliases, roles or count.
fn blank(key: &str, kind: &str, display: &str, start: Timestamp) -> IncidentEntity {
    IncidentEntity {
        key: key.to_owned(),
        kind: kind.to_owned(),
        display: display.to_owned(),
        aliases: Vec::new(),
        roles: Vec::new(),
        pivot: false,
        alert_count: 0,
        first_time: start,
        last_time: start,
    }
}

/// Returns the further keys an entity had when the incident was last revised.
fn aliases(thread: &Thread, entity: EntityId) -> Vec<String> {
    let presence = thread.entities.get(&entity);
    presence.map_or_else(Vec::new, |presence| presence.aliases.to_vec())
}

/// Returns the confidence that the weakest edge of the maximum spanning tree gives.
fn cohesion(members: usize, links: &[Link]) -> i32 {
    let index = |at: i32| usize::try_from(at).unwrap_or(usize::MAX);
    let edges: Vec<Edge> = links
        .iter()
        .map(|link| Edge {
            from: index(link.from),
            to: index(link.to),
            weight: link.weight,
        })
        .collect();
    graph::cohesion(members, &edges).confidence
}
