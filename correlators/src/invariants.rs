//! What holds of a tenant's state between two inputs: numbered, one predicate each.
//!
//! [`check`] looks at everything, which costs as much as there is state: it is for tests. What an alert leaves behind is
//! asserted in debug builds after each one.

use std::collections::BTreeMap;
use std::fmt;

use schemas::incident::Classification;

use crate::episode::{Episode, sum};
use crate::fusion::Fusion;
use crate::graph::{Edge, components};
use crate::thread::Thread;

/// What must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Invariant {
    /// C-1: every live episode is in exactly one live thread, once, and every thread has one.
    Membership,
    /// C-2: the published chain is of the incident's own episodes and rises strictly in phase, command and control apart.
    Chain,
    /// C-3: no change waits: what an input changed is in a revision, which is at least 1.
    Revision,
    /// C-4: nothing idle is held beyond its life, and every thread is queued for when it is to go.
    Life,
    /// C-5: every bound of the settings holds.
    Bound,
    /// C-6: a merged incident names its survivor and does not live on.
    Redirect,
    /// C-7: evidence adds up, and what a link joined by reaches its bar.
    Evidence,
    /// C-8: what is referred to is there, and the other way round: entities, rings, indexes, open episodes.
    Reference,
    /// C-9: the links by which a thread's episodes joined make one tree of it: each but the founder says why it belongs.
    Cohesion,
    /// C-10: what analysts said holds: a closed incident says why, what they unlinked is apart, and every incident is found by
    /// its id and by those of the incidents that went into it.
    Analyst,
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Where, for who mends it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

impl std::error::Error for Violation {}

/// Checks all of a tenant's state.
///
/// # Errors
/// Returns the first invariant that does not hold.
pub fn check(fusion: &Fusion) -> Result<(), Violation> {
    membership(fusion)?;
    for (number, thread) in fusion.threads.iter() {
        chain(fusion, thread)?;
        life(fusion, number, thread)?;
        thread_bounds(fusion, number, thread)?;
        cohesion(fusion, number, thread)?;
        analyst(fusion, number, thread)?;
    }
    let open = fusion.episodes.iter().filter(|(_, episode)| episode.open);
    let indexed = open.count() == fusion.open.len() && fusion.entities.is_indexed();
    hold(indexed, Invariant::Reference, || "an index".to_owned())?;
    let incidents = fusion.threads.iter();
    let ids: usize = incidents
        .map(|(_, thread)| thread.incident_ids().len())
        .sum();
    hold(ids == fusion.incidents.len(), Invariant::Analyst, || {
        format!("{ids} ids of {}", fusion.incidents.len())
    })?;
    let queued = fusion.expiry.len() == fusion.threads.len();
    hold(queued, Invariant::Life, || "the queue to drop".to_owned())?;
    revision(fusion)?;
    bounds(fusion)?;
    redirects(fusion)?;
    for (number, episode) in fusion.episodes.iter() {
        evidence(fusion, number, episode)?;
        mentions(fusion, number, episode)?;
    }
    entities(fusion)
}

/// Checks what an alert left behind at the episode that holds it.
pub(crate) fn check_placed(fusion: &Fusion, number: u64) -> Result<(), Violation> {
    hold(fusion.touched.is_empty(), Invariant::Revision, || {
        "a change waits".to_owned()
    })?;
    let Some(episode) = fusion.episodes.get(number) else {
        return Ok(());
    };
    let thread = fusion.threads.get(episode.thread);
    hold(thread.is_some(), Invariant::Membership, || {
        format!("episode {number} is in no thread")
    })?;
    evidence(fusion, number, episode)?;
    mentions(fusion, number, episode)
}

fn membership(fusion: &Fusion) -> Result<(), Violation> {
    let mut held = 0;
    for (number, thread) in fusion.threads.iter() {
        let mut members = thread.episodes.clone();
        members.sort_unstable();
        members.dedup();
        let own = |member: &u64| {
            fusion
                .episodes
                .get(*member)
                .is_some_and(|episode| episode.thread == number)
        };
        let sound = !members.is_empty()
            && members.len() == thread.episodes.len()
            && thread.founder == number
            && members.binary_search(&number).is_ok()
            && members.iter().all(own);
        hold(sound, Invariant::Membership, || format!("thread {number}"))?;
        held += members.len();
    }
    hold(held == fusion.episodes.len(), Invariant::Membership, || {
        format!("{held} episodes in threads of {}", fusion.episodes.len())
    })
}

fn chain(fusion: &Fusion, thread: &Thread) -> Result<(), Violation> {
    let Some(incident) = thread.incident.as_deref() else {
        return Ok(());
    };
    let mut reached = None;
    for (at, number) in incident.chain.iter().enumerate() {
        let tactics = fusion
            .episodes
            .get(*number)
            .filter(|_| thread.episodes.contains(number))
            .map(|episode| episode.shape.tactics);
        let next = tactics.and_then(|tactics| {
            let later = tactics.phases().filter(|phase| Some(*phase) > reached);
            later.min()
        });
        let floats = at + 1 == incident.chain.len()
            && tactics.is_some_and(crate::order::Tactics::has_command_and_control);
        hold(next.is_some() || floats, Invariant::Chain, || {
            format!("step {at} of {}", thread.id())
        })?;
        reached = next.or(reached);
    }
    Ok(())
}

fn cohesion(fusion: &Fusion, number: u64, thread: &Thread) -> Result<(), Violation> {
    let places: BTreeMap<u64, usize> = thread.episodes.iter().copied().zip(0..).collect();
    let episodes = thread
        .episodes
        .iter()
        .filter_map(|number| fusion.episodes.get(*number));
    let joined = episodes.flat_map(|episode| episode.links.iter().filter(|link| link.joined));
    let edges: Vec<Edge> = joined
        .filter_map(|link| {
            Some(Edge {
                from: *places.get(&link.from)?,
                to: *places.get(&link.to)?,
                weight: link.weight,
            })
        })
        .collect();
    let tree = edges.len() + 1 == places.len() && components(places.len(), &edges).len() == 1;
    hold(tree, Invariant::Cohesion, || {
        format!(
            "{} joins of {} episodes in thread {number}",
            edges.len(),
            places.len()
        )
    })
}

fn analyst(fusion: &Fusion, number: u64, thread: &Thread) -> Result<(), Violation> {
    let broken = |what: &'static str| move || format!("{what} of thread {number}");
    for (own, other) in &thread.apart {
        let other = fusion.episodes.get(*other).map(|episode| episode.thread);
        let sound = thread.episodes.contains(own) && other != Some(number);
        hold(sound, Invariant::Analyst, broken("what is apart"))?;
    }
    let own = thread.id();
    let apart = thread.related.iter().all(|related| related.id != own);
    let few = thread.related.len() <= crate::apart::RELATED_MAX;
    hold(apart && few, Invariant::Analyst, broken("what is related"))?;
    let found = |id| fusion.incidents.get(&id) == Some(number);
    let found = thread.incident_ids().into_iter().all(found);
    hold(found, Invariant::Analyst, broken("an id"))?;
    let Some(state) = thread.incident.as_deref() else {
        return Ok(());
    };
    let (desk, limits) = (&state.desk, &fusion.settings.limits);
    let told = desk.closed.is_none() || desk.classification != Classification::Unset;
    hold(told, Invariant::Analyst, broken("why it is closed"))?;
    let bounded = within(desk.comments.len(), limits.comments)
        && within(desk.comment_bytes(), limits.comment_bytes)
        && within(desk.tags.len(), limits.tags)
        && within(thread.apart.len(), limits.unlinked.saturating_mul(2));
    hold(bounded, Invariant::Bound, broken("what analysts said"))
}

fn revision(fusion: &Fusion) -> Result<(), Violation> {
    let incidents = fusion
        .threads
        .iter()
        .filter_map(|(_, thread)| thread.incident.as_deref());
    let mut numbered =
        incidents.map(|incident| incident.revision >= 1 && !incident.changes.is_empty());
    let sound = numbered.all(|sound| sound) && fusion.touched.is_empty();
    hold(sound, Invariant::Revision, || "a change waits".to_owned())
}

fn life(fusion: &Fusion, number: u64, thread: &Thread) -> Result<(), Violation> {
    let limits = &fusion.settings.limits;
    let ends = thread
        .episodes
        .iter()
        .filter_map(|member| fusion.episodes.get(*member).map(Episode::end));
    let sound = fusion.expiry.contains(&(thread.expires, number))
        && thread.expires == thread.lives_until(limits)
        && ends.max() == Some(thread.end);
    hold(sound, Invariant::Life, || {
        format!("thread {number} until {}", thread.expires)
    })
}

fn thread_bounds(fusion: &Fusion, number: u64, thread: &Thread) -> Result<(), Violation> {
    let limits = &fusion.settings.limits;
    let alone = thread.episodes.len() == 1;
    let sound = alone
        || (within(thread.episodes.len(), limits.incident_episodes)
            && within(thread.entities.len(), limits.incident_entities));
    hold(sound, Invariant::Bound, || {
        format!(
            "thread {number}: {} episodes, {} entities",
            thread.episodes.len(),
            thread.entities.len()
        )
    })
}

fn bounds(fusion: &Fusion) -> Result<(), Violation> {
    let limits = &fusion.settings.limits;
    let counts = [
        ("episodes", fusion.episodes.len(), limits.episodes),
        ("entities", fusion.entities.len(), limits.entities),
        ("rules", fusion.rules.len(), limits.rules),
        ("uids", fusion.uids.len(), limits.uids),
        ("uids by hour", fusion.uids.iter().count(), limits.uids),
        ("leases", fusion.leases.len(), limits.leases),
        ("outcomes", fusion.answers.len(), limits.commands),
        ("open episodes", fusion.open.len(), limits.episodes),
    ];
    for (name, count, max) in counts {
        hold(within(count, max.max(1)), Invariant::Bound, || {
            format!("{count} {name} of {max}")
        })?;
    }
    for (id, state) in fusion.entities.iter() {
        let live = usize::try_from(state.live).unwrap_or(usize::MAX);
        let counts = [
            ("in the ring", state.ring.len(), limits.ring),
            ("threads", state.threads.len(), limits.ring_threads.max(1)),
            ("rules", state.rules.len(), limits.rules_at_entity.max(1)),
            ("expected", state.expected.len(), limits.expected.max(1)),
        ];
        for (name, count, max) in counts {
            hold(within(count, max), Invariant::Bound, || {
                format!("{count} {name} of {max} at {id:?}")
            })?;
        }
        hold(
            state.episodes.len() <= 2 * live + crate::entity::GONE_MAX,
            Invariant::Bound,
            || format!("{} episodes of {live} at {id:?}", state.episodes.len()),
        )?;
    }
    Ok(())
}

fn redirects(fusion: &Fusion) -> Result<(), Violation> {
    let merged = fusion
        .finished
        .iter()
        .filter(|incident| !incident.changes.is_empty())
        .filter_map(|incident| {
            incident
                .merged_into
                .as_ref()
                .map(|into| (&incident.id, into))
        });
    for (id, into) in merged {
        let lives = fusion
            .threads
            .iter()
            .any(|(_, thread)| thread.incident.is_some() && thread.id() == *id);
        hold(id != into && !lives, Invariant::Redirect, || {
            format!("{id} into {into}")
        })?;
    }
    Ok(())
}

fn evidence(fusion: &Fusion, number: u64, episode: &Episode) -> Result<(), Violation> {
    // What made it join stays beyond the bound: a thread has one such link less than episodes.
    let bounded = within(episode.links.len(), fusion.settings.limits.links)
        || episode.links.iter().all(|link| link.joined);
    hold(bounded, Invariant::Bound, || {
        format!("links of episode {number}")
    })?;
    for link in &episode.links {
        let sound = link.weight == sum(&link.terms)
            && (!link.joined || link.weight >= link.bar)
            && link.gap_ms >= 0
            && link.from != link.to;
        hold(sound, Invariant::Evidence, || {
            format!("a link of episode {number}: {link:?}")
        })?;
        let mut named = link.terms.iter().filter_map(|term| term.entity);
        let known = named.all(|entity| fusion.entities.get(entity).is_some());
        hold(known, Invariant::Reference, || {
            format!("a link of episode {number} names what is gone")
        })?;
    }
    Ok(())
}

fn mentions(fusion: &Fusion, number: u64, episode: &Episode) -> Result<(), Violation> {
    let max = usize::try_from(fusion.settings.limits.repeat_uids).unwrap_or(usize::MAX);
    hold(episode.repeat_uids.len() <= max, Invariant::Bound, || {
        format!("repeats of episode {number}")
    })?;
    for mention in &episode.mentions {
        let sound = fusion
            .entities
            .get(mention.entity)
            .is_some_and(|state| state.live > 0 && state.episodes.binary_search(&number).is_ok());
        hold(sound, Invariant::Reference, || {
            format!("episode {number} names {:?}", mention.entity)
        })?;
    }
    let found = fusion.open.get(&episode.fold_key()) == Some(number);
    hold(found == episode.open, Invariant::Reference, || {
        format!("whether episode {number} is open")
    })?;
    let sorted = episode.mentions.is_sorted_by(|a, b| a.entity < b.entity);
    hold(sorted, Invariant::Reference, || {
        format!("entities of episode {number}")
    })
}

fn entities(fusion: &Fusion) -> Result<(), Violation> {
    for (id, state) in fusion.entities.iter() {
        let names = |number: &u64| {
            fusion
                .episodes
                .get(*number)
                .is_some_and(|episode| episode.mention(id).is_some())
        };
        let live = state.episodes.iter().filter(|number| names(number)).count();
        let sound = usize::try_from(state.live).is_ok_and(|known| known == live)
            && state.threads.iter().all(|thread| {
                fusion
                    .threads
                    .get(*thread)
                    .is_some_and(|thread| thread.warm && thread.entities.contains_key(&id))
            })
            && fusion.entities.finds(id);
        hold(sound, Invariant::Reference, || {
            format!("{id:?}: {live} episodes of {}", state.live)
        })?;
    }
    Ok(())
}

fn within(count: usize, max: u32) -> bool {
    u32::try_from(count).is_ok_and(|count| count <= max)
}

fn hold(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            what: what(),
        })
    }
}
