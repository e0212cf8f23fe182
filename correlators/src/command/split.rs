//! A thread whose links were cut falls into the parts that the remaining ones connect.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemas::incident::Change;
use uuid::Uuid;

use super::SPLIT;
use crate::fold::IDS;
use crate::fusion::{Fusion, Output, Part};
use crate::graph::{Edge, components, forest};
use crate::thread::Thread;

impl Fusion {
    /// Divides a thread that is an incident into the parts that its links connect. The riskiest part keeps the id; each other
    /// is an incident of its own, save the one of `alone`, which analysts took away and which must earn it. Returns the ids
    /// of the new incidents.
    pub(super) fn divide(&mut self, number: u64, alone: Option<u64>) -> Vec<String> {
        let parts = self.parts(number);
        for part in &parts {
            self.rejoin(part);
        }
        if parts.len() < 2 {
            // What other links still hold together is not apart.
            if let Some(thread) = self.threads.get_mut(number) {
                thread.forget_apart();
            }
            return Vec::new();
        }
        let Some(whole) = self.threads.remove(number) else {
            return Vec::new();
        };
        self.expiry.remove(&(whole.expires, number));
        for entity in whole.entities.keys() {
            if let Some(state) = self.entities.get_mut(*entity) {
                state.threads.retain(|known| *known != number);
            }
        }
        self.stats.split += 1;
        let mut threads: Vec<Thread> = parts
            .iter()
            .filter_map(|part| self.part_of(&whole, number, part))
            .collect();
        let riskiest = (0..threads.len()).min_by_key(|at| {
            let risk = threads
                .get(*at)
                .map(|thread| self.score(thread).risk_tenths);
            (Reverse(risk), *at)
        });
        let old = whole.id;
        let revision = whole.incident.as_ref().map_or(0, |state| state.revision);
        for (at, thread) in threads.iter_mut().enumerate() {
            if Some(at) != riskiest {
                thread.id = self.part_id(old, thread, revision);
                thread.split_from = Some(old);
            }
        }
        if let Some(main) = riskiest.and_then(|at| threads.get_mut(at)) {
            inherit(main, whole);
        }
        self.publish_parts(number, threads, alone)
    }

    /// Puts the parts in place of the whole.
    fn publish_parts(
        &mut self,
        number: u64,
        threads: Vec<Thread>,
        alone: Option<u64>,
    ) -> Vec<String> {
        let mut new = Vec::new();
        let told = threads.iter().map(|thread| Part {
            thread: thread.founder,
            id: thread.id,
            incident: thread.incident.is_some(),
            episodes: thread.episodes.clone(),
        });
        self.outputs.push_back(Output::ThreadSplit {
            thread: number,
            parts: told.collect(),
        });
        for mut thread in threads {
            let founder = thread.founder;
            let (main, id) = (thread.incident.is_some(), thread.id);
            let disowned = alone.is_some() && thread.episodes.first().copied() == alone;
            thread.expires = thread.lives_until(&self.settings.limits);
            self.expiry.insert((thread.expires, founder));
            for episode in &thread.episodes {
                if let Some(state) = self.episodes.get_mut(*episode) {
                    state.thread = founder;
                }
            }
            let (warm, entities) = (thread.warm, thread.entities.keys().copied().collect());
            self.threads.insert(founder, thread);
            if warm {
                self.index(founder, &entities);
            }
            if main {
                // Where it was is what moved: the ids of it and of what went into it stay.
                self.index_incident(founder);
                self.touch(founder, Change::AlertsRemoved);
            } else if disowned {
                self.touch(founder, Change::SplitFrom);
            } else {
                self.promote(founder, self.now);
                for change in SPLIT {
                    self.touch(founder, change);
                }
                new.push(id.to_string());
            }
        }
        new
    }

    /// Returns the episodes of a thread that its links connect, part by part.
    fn parts(&self, number: u64) -> Vec<Vec<u64>> {
        let mut members = self.episodes_of(number);
        members.sort_unstable();
        let place = |number: u64| members.binary_search(&number).ok();
        let links = members
            .iter()
            .filter_map(|member| self.episodes.get(*member))
            .flat_map(|episode| &episode.links);
        let edges: Vec<Edge> = links
            .filter_map(|link| {
                Some(Edge {
                    from: place(link.from)?,
                    to: place(link.to)?,
                    weight: link.weight,
                })
            })
            .collect();
        let parts = components(members.len(), &edges).into_iter();
        parts
            .map(|part| {
                let numbers = part.into_iter().filter_map(|at| members.get(at).copied());
                numbers.collect()
            })
            .collect()
    }

    /// Makes the links by which a part's episodes joined one tree again: where one was cut, the strongest other link says why
    /// the two belong together.
    fn rejoin(&mut self, part: &[u64]) {
        let place: BTreeMap<u64, usize> = part.iter().copied().zip(0..).collect();
        // Joined links first, which are a forest; then the strongest.
        let mut links: Vec<(bool, i32, u64, usize, usize, usize)> = Vec::new();
        for member in part {
            let Some(episode) = self.episodes.get(*member) else {
                continue;
            };
            for (at, link) in episode.links.iter().enumerate() {
                if let (Some(from), Some(to)) = (place.get(&link.from), place.get(&link.to)) {
                    links.push((!link.joined, -link.weight, *member, at, *from, *to));
                }
            }
        }
        links.sort_unstable();
        let edge = |(_, weight, _, _, from, to): &(bool, i32, u64, usize, usize, usize)| Edge {
            from: *from,
            to: *to,
            weight: -weight,
        };
        let edges: Vec<Edge> = links.iter().map(edge).collect();
        for taken in forest(part.len(), &edges) {
            let Some((true, _, member, at, ..)) = links.get(taken) else {
                continue;
            };
            let links = self
                .episodes
                .get_mut(*member)
                .map(|episode| &mut episode.links);
            if let Some(link) = links.and_then(|links| links.get_mut(*at)) {
                link.joined = true;
            }
        }
        for member in part {
            if let Some(episode) = self.episodes.get(*member)
                && !episode.links.is_sorted_by_key(|link| !link.joined)
                && let Some(episode) = self.episodes.get_mut(*member)
            {
                episode.links.sort_by_key(|link| !link.joined);
            }
        }
    }

    /// Builds the thread that a part of `whole` is. The founder stays with the part it is in.
    fn part_of(&self, whole: &Thread, number: u64, part: &[u64]) -> Option<Thread> {
        let before = |entity| {
            let presence = whole.entities.get(&entity);
            presence.map_or(0, |presence| presence.rate_before)
        };
        let founder = if part.contains(&number) {
            number
        } else {
            part.first().copied().unwrap_or(number)
        };
        let members = part.iter().filter(|member| **member != founder);
        let mut thread: Option<Thread> = None;
        for member in std::iter::once(&founder).chain(members) {
            let Some(episode) = self.episodes.get(*member) else {
                continue;
            };
            let single = Thread::found(*member, episode, before);
            match &mut thread {
                None => thread = Some(single),
                Some(thread) => thread.absorb(single),
            }
        }
        let mut thread = thread?;
        let (stitch, attach) = (&self.settings.stitch, &self.settings.attach);
        thread.warm = whole.warm && thread.suspicion >= stitch.warm_suspicion;
        thread.hot = whole.hot
            && thread.suspicion >= attach.hot_suspicion
            && thread.full_rules() >= attach.hot_rules;
        let mut pairs = whole.apart.clone();
        pairs.retain(|(own, _)| part.contains(own));
        thread.apart = pairs;
        thread.forget_apart();
        Some(thread)
    }

    /// Returns the id of a part: that of the incident it was split from, its founder, and when, so that a part that goes back
    /// and is split off again is another.
    fn part_id(&self, whole: Uuid, part: &Thread, revision: i64) -> Uuid {
        let founder = self.episodes.get(part.founder);
        let uid = founder.map_or("", |episode| &*episode.uid);
        Uuid::new_v5(&IDS, format!("{whole}\n{uid}\n{revision}").as_bytes())
    }
}

/// Gives the part that keeps the id what the whole was besides its episodes.
fn inherit(main: &mut Thread, whole: Thread) {
    main.id = whole.id;
    main.continues = whole.continues;
    main.successor = whole.successor;
    main.split_from = whole.split_from;
    main.related = whole.related;
    main.incident = whole.incident;
    if let Some(incident) = main.incident.as_deref_mut() {
        incident
            .unshown
            .retain(|episode| main.episodes.contains(episode));
        incident
            .chain
            .retain(|episode| main.episodes.contains(episode));
    }
}
