//! Commands that move alerts: merged and linked by an analyst's word, and taken apart by it.

use std::collections::BTreeSet;

use schemas::command::{Command, Refusal};
use schemas::incident::{LinkKind, TermKind};

use super::{Done, No};
use crate::entity::EntityId;
use crate::episode::{Evidence, Term};
use crate::fusion::Fusion;

impl Fusion {
    /// Makes an incident a part of another, whatever evidence there is.
    pub(super) fn merge(&mut self, number: u64, command: &Command, into: &str) -> Result<Done, No> {
        let other = self.find(into).map_err(|no| No {
            message: format!("{into}: {}", no.message),
            ..no
        })?;
        if other == number {
            let message = "an incident cannot be merged into itself";
            return Err(No::because(Refusal::NothingToDo, message));
        }
        self.check_room(number, other)?;
        let last = self.revision_of(number).unwrap_or_default() + 1;
        let gone = command.incident.as_str();
        self.bring_together(other, number, None);
        self.note(other, command, &format!("took in {gone}"));
        Ok(Done {
            detail: Some(into.to_owned()),
            last: Some(last),
            incidents: vec![into.to_owned()],
        })
    }

    /// Brings in an alert that is in no incident, with all of its thread.
    pub(super) fn link(&mut self, number: u64, alert: &str) -> Result<Done, No> {
        let episode = self.episode_named(alert)?;
        let other = self
            .episodes
            .get(episode)
            .map_or(number, |state| state.thread);
        if other == number {
            return Ok(Done::default());
        }
        let elsewhere = self.threads.get(other);
        if let Some(elsewhere) = elsewhere.filter(|thread| thread.incident.is_some()) {
            return Err(No {
                reason: Refusal::ElsewhereAlert,
                message: format!("{alert} is in {}: merge the two", elsewhere.id),
                incidents: vec![elsewhere.id()],
            });
        }
        self.check_room(number, other)?;
        self.bring_together(number, other, Some(episode));
        Ok(Done::about(alert))
    }

    /// Takes alerts apart for good: they are no evidence for each other, nor are entities they shared as much as before.
    pub(super) fn unlink(
        &mut self,
        number: u64,
        alert: &str,
        from: Option<&str>,
    ) -> Result<Done, No> {
        let own = self.member_named(number, alert)?;
        let others = match from {
            Some(from) => vec![self.member_named(number, from)?],
            None => self.neighbours(number, own),
        };
        let others: Vec<u64> = others.into_iter().filter(|other| *other != own).collect();
        if others.is_empty() {
            let message = format!("there is nothing to unlink {alert} from");
            return Err(No::because(Refusal::NothingToDo, message));
        }
        let max = self.settings.limits.unlinked;
        let known = self
            .threads
            .get(number)
            .map_or(0, |thread| thread.apart.len());
        // Each pair is noted at both of its ends.
        if super::is_beyond(known + 2 * others.len(), max.saturating_mul(2)) {
            let message = format!("more than {max} pairs of the incident would be unlinked");
            return Err(No::because(Refusal::Limit, message));
        }
        let between =
            |a: u64, b: u64| (a == own && others.contains(&b)) || (b == own && others.contains(&a));
        let cited = self.cut(number, between);
        let time = self
            .threads
            .get(number)
            .map_or(self.watermark, |thread| thread.end.max(self.watermark));
        self.weaken(&cited, time);
        if let Some(thread) = self.threads.get_mut(number) {
            let pairs = others
                .iter()
                .flat_map(|other| [(own, *other), (*other, own)]);
            thread.apart.extend(pairs);
        }
        let keep_alone = from.is_none().then_some(own);
        let incidents = self.divide(number, keep_alone);
        Ok(Done {
            detail: Some(match from {
                Some(from) => format!("{alert} from {from}"),
                None => alert.to_owned(),
            }),
            last: None,
            incidents,
        })
    }

    /// Cuts an incident between some alerts and the others.
    pub(super) fn split(&mut self, number: u64, alerts: &[String]) -> Result<Done, No> {
        let named: BTreeSet<u64> = self.members_named(number, alerts)?.into_iter().collect();
        if named.len() == self.episodes_of(number).len() {
            let message = "these are all alerts of the incident: nothing would be left of it";
            return Err(No::because(Refusal::NothingToDo, message));
        }
        self.cut(number, |a, b| named.contains(&a) != named.contains(&b));
        let incidents = self.divide(number, None);
        let detail = match alerts {
            [alert] => alert.clone(),
            [first, more @ ..] => format!("{first} and {} more", more.len()),
            [] => String::new(),
        };
        Ok(Done {
            detail: Some(detail),
            last: None,
            incidents,
        })
    }

    /// Returns the episodes of an incident that hold these alerts, each once.
    pub(super) fn members_named(&self, number: u64, alerts: &[String]) -> Result<Vec<u64>, No> {
        let mut found = Vec::new();
        for alert in alerts {
            let episode = self.member_named(number, alert)?;
            if !found.contains(&episode) {
                found.push(episode);
            }
        }
        Ok(found)
    }

    fn member_named(&self, number: u64, alert: &str) -> Result<u64, No> {
        let episode = self.episode_named(alert)?;
        let thread = self.episodes.get(episode).map(|state| state.thread);
        if thread == Some(number) {
            return Ok(episode);
        }
        let message = format!("{alert} is not in the incident");
        let elsewhere = thread.and_then(|thread| self.threads.get(thread));
        Err(match elsewhere.filter(|thread| thread.incident.is_some()) {
            Some(elsewhere) => No {
                reason: Refusal::ElsewhereAlert,
                message: format!("{message} but in {}", elsewhere.id),
                incidents: vec![elsewhere.id()],
            },
            None => No::because(Refusal::UnknownAlert, message),
        })
    }

    fn episode_named(&self, alert: &str) -> Result<u64, No> {
        let seen = self.uids.get(alert).map(|seen| seen.episode);
        seen.filter(|episode| self.episodes.get(*episode).is_some())
            .ok_or_else(|| {
                let message = format!("{alert} is not known, or has been idle for too long");
                No::because(Refusal::UnknownAlert, message)
            })
    }

    /// Returns the episodes of a thread that links tie to `own`.
    fn neighbours(&self, number: u64, own: u64) -> Vec<u64> {
        let mut found = BTreeSet::new();
        for member in self.episodes_of(number) {
            let links = self
                .episodes
                .get(member)
                .map_or(&[][..], |state| &state.links);
            for link in links {
                if link.from == own {
                    found.insert(link.to);
                } else if link.to == own {
                    found.insert(link.from);
                }
            }
        }
        let lives = |number: &u64| self.episodes.get(*number).is_some();
        found.into_iter().filter(lives).collect()
    }

    /// A closed incident stays as it is, and no incident grows beyond its bounds.
    fn check_room(&self, a: u64, b: u64) -> Result<(), No> {
        let (Some(a), Some(b)) = (self.threads.get(a), self.threads.get(b)) else {
            return Err(No::because(Refusal::UnknownIncident, "no such incident"));
        };
        if let Some(closed) = [a, b]
            .into_iter()
            .find(|thread| thread.closed_at().is_some())
        {
            return Err(No {
                reason: Refusal::Closed,
                message: format!("{} is closed: reopen it first", closed.id),
                incidents: vec![closed.id()],
            });
        }
        let Some(excess) = self.excess(a, b) else {
            return Ok(());
        };
        Err(No::because(Refusal::Limit, excess))
    }

    /// Makes `gone` a part of `kept` by an analyst's word, which also takes back that they were unlinked.
    fn bring_together(&mut self, kept: u64, gone: u64, episode: Option<u64>) {
        let to = episode.unwrap_or(gone);
        let gap_ms = match (self.episodes.get(kept), self.episodes.get(to)) {
            (Some(from), Some(to)) => to.gap_to(from.start, from.end()),
            _ => 0,
        };
        let word = self.settings.analyst.word;
        self.join_into(
            kept,
            gone,
            Evidence {
                from: kept,
                to,
                kind: LinkKind::Analyst,
                gap_ms,
                terms: vec![Term::of(TermKind::Analyst, word)],
                weight: word,
                bar: 0,
                joined: true,
            },
        );
        if let Some(thread) = self.threads.get_mut(kept) {
            thread.forget_apart();
        }
    }

    /// Drops the links of a thread between episodes that `apart` takes apart. Returns the entities that spoke for them.
    fn cut(&mut self, number: u64, apart: impl Fn(u64, u64) -> bool) -> BTreeSet<EntityId> {
        let mut cited = BTreeSet::new();
        for member in self.episodes_of(number) {
            let is_cut = |link: &Evidence| apart(link.from, link.to);
            let links = self
                .episodes
                .get(member)
                .map_or(&[][..], |state| &state.links);
            if !links.iter().any(is_cut) {
                continue;
            }
            let Some(state) = self.episodes.get_mut(member) else {
                continue;
            };
            for link in state.links.extract_if(.., |link| is_cut(link)) {
                let speaking = link.terms.iter().filter(|term| {
                    matches!(term.kind, TermKind::Surprise | TermKind::Further) && term.bits > 0
                });
                cited.extend(speaking.filter_map(|term| term.entity));
            }
        }
        cited
    }
}
