//! The graph of a published incident: what holds it together and what it would fall into.
//!
//! Works on the record alone, which may come from a file of anyone's: ends that are no alert are left out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemas::incident::{Incident, Link, TermKind};

use super::{Edge, articulation_nodes, bridge_edges, cohesion, components};

/// What holds an incident together. Alerts and links are indices into the incident's lists.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Structure {
    /// Links of the maximum spanning forest: the strongest that are enough to hold every part.
    pub forest: Vec<usize>,
    /// The weakest of the forest.
    pub weakest: Option<usize>,
    /// Links without which the incident would split.
    pub bridges: Vec<usize>,
    /// Alerts without which the rest would split.
    pub pivots: Vec<usize>,
    /// Alerts that the links connect, each part ascending; one part where the record holds every link.
    pub parts: Vec<Vec<usize>>,
    /// The record is capped: links that are not in it may hold more together than said here.
    pub partial: bool,
}

/// What an incident would be without one entity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// Key of the entity.
    pub entity: String,
    /// Links that would fall away.
    pub links: Vec<usize>,
    /// Alerts that the remaining links connect, each part ascending, the largest part first.
    pub parts: Vec<Vec<usize>>,
}

/// Returns what holds the incident together.
#[must_use]
pub fn structure(incident: &Incident) -> Structure {
    let nodes = incident.alerts.len();
    let edges: Vec<Edge> = incident.links.iter().map(edge).collect();
    let held = cohesion(nodes, &edges);
    Structure {
        forest: held.forest,
        weakest: held.weakest,
        bridges: bridge_edges(nodes, &edges),
        pivots: articulation_nodes(nodes, &edges),
        parts: components(nodes, &edges),
        partial: incident.truncated,
    }
}

/// Returns what the incident would fall into if the entity were no evidence.
///
/// A link that cites it loses the entity's terms. It falls away when the rest is more than a bit below its bar,
/// or names no other entity that speaks for it.
#[must_use]
pub fn without(incident: &Incident, entity: &str) -> Loss {
    let cites = |link: &Link| {
        link.terms
            .iter()
            .any(|term| term.entity.as_deref() == Some(entity))
    };
    let citing = incident
        .links
        .iter()
        .enumerate()
        .filter(|(_, link)| cites(link));
    let lost = citing.filter(|(_, link)| fails_without(link, entity));
    loss(incident, entity, lost.map(|(index, _)| index).collect())
}

/// Returns the loss that splits the incident most: into most parts, then with the smallest largest part, then with
/// most links gone, then of the smallest key. None where the incident stays as it is without any one entity.
///
/// Of more than a thousand entities the thousand that most links cite are weighed.
#[must_use]
pub fn weakest_entity(incident: &Incident) -> Option<Loss> {
    let mut citing: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, link) in incident.links.iter().enumerate() {
        for entity in link.terms.iter().filter_map(|term| term.entity.as_deref()) {
            let links = citing.entry(entity).or_default();
            if links.last() != Some(&index) {
                links.push(index);
            }
        }
    }
    let mut candidates: Vec<(&str, Vec<usize>)> = citing.into_iter().collect();
    candidates.sort_by_key(|(entity, links)| (Reverse(links.len()), *entity));
    candidates.truncate(CANDIDATES_MAX);
    let whole = structure(incident).parts.len();
    let losses = candidates.into_iter().map(|(entity, links)| {
        let fails = |index: &usize| {
            incident
                .links
                .get(*index)
                .is_some_and(|link| fails_without(link, entity))
        };
        loss(incident, entity, links.into_iter().filter(fails).collect())
    });
    losses
        .filter(|loss| loss.parts.len() > whole)
        .min_by_key(|loss| {
            let largest = loss.parts.first().map_or(0, Vec::len);
            (
                Reverse(loss.parts.len()),
                largest,
                Reverse(loss.links.len()),
                loss.entity.clone(),
            )
        })
}

fn loss(incident: &Incident, entity: &str, links: Vec<usize>) -> Loss {
    let kept: Vec<Edge> = incident
        .links
        .iter()
        .enumerate()
        .filter(|(index, _)| links.binary_search(index).is_err())
        .map(|(_, link)| edge(link))
        .collect();
    let mut parts = components(incident.alerts.len(), &kept);
    parts.sort_by_key(|part| Reverse(part.len()));
    Loss {
        entity: entity.to_owned(),
        links,
        parts,
    }
}

fn fails_without(link: &Link, entity: &str) -> bool {
    let kept = || {
        link.terms
            .iter()
            .filter(|term| term.entity.as_deref() != Some(entity))
    };
    let sum: i64 = kept().map(|term| i64::from(term.bits)).sum();
    let shared = kept()
        .any(|term| matches!(term.kind, TermKind::Surprise | TermKind::Further) && term.bits > 0);
    sum < i64::from(link.bar) - HYSTERESIS || !shared
}

fn edge(link: &Link) -> Edge {
    // An end below zero is no alert, and neither is this.
    let node = |end: i32| usize::try_from(end).unwrap_or(usize::MAX);
    Edge {
        from: node(link.from),
        to: node(link.to),
        weight: link.weight,
    }
}

/// What a link that holds may fall below its bar, in milli-bits.
const HYSTERESIS: i64 = 1_000;
const CANDIDATES_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
