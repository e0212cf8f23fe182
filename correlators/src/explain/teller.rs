//! Looks up what links, alerts and stages of one incident refer to.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemas::entity::EntityKind;
use schemas::incident::{Incident, Link, Stage, TermKind};

use super::{Chapter, Held, Hold, Named, Tie, Weighed, numbers, words};
use crate::graph::Structure;

/// What the telling needs to look up in one incident.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    pub(super) incident: &'a Incident,
    entities: BTreeMap<&'a str, Named>,
    pub(super) tactics: BTreeMap<&'a str, &'a str>,
    numbers: BTreeMap<&'a str, usize>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(incident: &'a Incident) -> Self {
        let mut entities = BTreeMap::new();
        for entity in &incident.entities {
            let named = Named {
                key: entity.key.clone(),
                kind: entity.kind.clone(),
                display: entity.display.clone(),
            };
            for alias in &entity.aliases {
                entities
                    .entry(alias.as_str())
                    .or_insert_with(|| named.clone());
            }
            entities.insert(entity.key.as_str(), named);
        }
        let stages = incident.stages.iter();
        let alerts = incident.alerts.iter().enumerate();
        Self {
            incident,
            entities,
            tactics: stages
                .map(|stage| (stage.tactic_uid.as_str(), stage.tactic_name.as_str()))
                .collect(),
            numbers: alerts
                .map(|(index, alert)| (alert.uid.as_str(), index + 1))
                .collect(),
        }
    }

    pub(super) fn named(&self, key: &str) -> Named {
        self.entities.get(key).cloned().unwrap_or_else(|| Named {
            key: key.to_owned(),
            kind: String::new(),
            display: key.to_owned(),
        })
    }

    pub(super) fn chapter(&self, stage: &Stage) -> Chapter {
        let numbers: Vec<usize> = stage
            .alert_uids
            .iter()
            .filter_map(|uid| self.numbers.get(uid.as_str()).copied())
            .collect();
        let alerts = numbers
            .iter()
            .filter_map(|number| self.incident.alerts.get(number - 1));
        let (mut hosts, mut accounts): (Vec<String>, Vec<String>) = Default::default();
        for key in alerts.flat_map(|alert| &alert.entity_keys) {
            let named = self.named(key);
            let kind = EntityKind::of(&named.kind);
            let list = if matches!(kind, EntityKind::Host | EntityKind::Ip) {
                &mut hosts
            } else if matches!(kind, EntityKind::Account | EntityKind::Mailbox) {
                &mut accounts
            } else {
                continue;
            };
            if !list.contains(&named.display) {
                list.push(named.display);
            }
        }
        Chapter {
            tactic: if stage.tactic_name.is_empty() {
                &stage.tactic_uid
            } else {
                &stage.tactic_name
            }
            .clone(),
            techniques: stage.technique_uids.clone(),
            first_time: stage.first_time,
            last_time: stage.last_time,
            alerts: numbers,
            hosts,
            accounts,
            blocked: stage.blocked,
        }
    }

    pub(super) fn held(&self, structure: &Structure) -> Held {
        let holds = |links: &[usize]| links.iter().filter_map(|&index| self.hold(index)).collect();
        Held {
            confidence: self.incident.confidence,
            by: holds(&structure.forest),
            weakest: structure.weakest.and_then(|index| self.hold(index)),
            single: holds(&structure.bridges),
            pivots: numbers(&structure.pivots),
            parts: structure.parts.len(),
        }
    }

    fn hold(&self, index: usize) -> Option<Hold> {
        let link = self.incident.links.get(index)?;
        let (from, to) = self.ends(link)?;
        let mut speaking: Vec<_> = link
            .terms
            .iter()
            .filter(|term| {
                matches!(term.kind, TermKind::Surprise | TermKind::Further) && term.bits > 0
            })
            .collect();
        speaking.sort_by_key(|term| Reverse(term.bits));
        let mut entities: Vec<Named> = Vec::new();
        for named in speaking
            .iter()
            .filter_map(|term| term.entity.as_deref())
            .map(|key| self.named(key))
        {
            if !entities.contains(&named) {
                entities.push(named);
            }
        }
        Some(Hold {
            from: from + 1,
            to: to + 1,
            kind: link.kind,
            sum: link.weight,
            entities,
        })
    }

    /// The indices of a link's alerts; none where one is no alert of the record.
    pub(super) fn ends(&self, link: &Link) -> Option<(usize, usize)> {
        let index = |end: i32| {
            usize::try_from(end)
                .ok()
                .filter(|index| *index < self.incident.alerts.len())
        };
        Some((index(link.from)?, index(link.to)?))
    }

    pub(super) fn tie(&self, link: &Link) -> Option<Tie> {
        let (from, to) = self.ends(link)?;
        let rank = |index: usize, kind| {
            let before = link.terms.iter().take(index);
            before.filter(|term| term.kind == kind).count()
        };
        let terms = link.terms.iter().enumerate().map(|(index, term)| Weighed {
            kind: term.kind,
            entity: term.entity.as_deref().map(|key| self.named(key)),
            bits: term.bits,
            meaning: words::meaning(self, link, term, rank(index, term.kind)),
        });
        Some(Tie {
            from: from + 1,
            to: to + 1,
            kind: link.kind,
            joined: link.joined,
            gap: words::gap(self, link, from, to),
            reasons: link.reasons.clone(),
            terms: terms.collect(),
            sum: link.terms.iter().map(|term| i64::from(term.bits)).sum(),
            published: link.weight,
            bar: link.bar,
        })
    }
}
