//! An episode: an alert and its repeats.

use std::sync::Arc;

use schemas::alert::Severity;
use schemas::entity::EntityRole;
use schemas::incident::{LinkKind, TermKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entities::Same;
use crate::entity::EntityId;
use crate::fixed::Millibits;
use crate::fusion::FoldKey;
use crate::identity::Mention;
use crate::interner::{RuleId, Shape};

/// An alert and its repeats: same rule, same entities, without a long pause.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Episode {
    /// Id of the episode, and of the thread it founds.
    pub(crate) id: Uuid,
    pub(crate) uid: Box<str>,
    pub(crate) native_uid: Box<str>,
    pub(crate) rule: RuleId,
    pub(crate) shape: Arc<Shape>,
    pub(crate) severity: Severity,
    /// Confidence 0 to 100.
    pub(crate) confidence: u32,
    pub(crate) mentions: Vec<Mention>,
    pub(crate) roles: Vec<(EntityId, EntityRole)>,
    pub(crate) recorded: Vec<(String, String)>,
    pub(crate) source: Option<EntityId>,
    pub(crate) target: Option<EntityId>,
    pub(crate) novelty: Millibits,
    /// How unexpected the rule was at the entity that expected it most, when the episode began.
    pub(crate) rule_term: Millibits,
    /// Routine: joins what others started, never starts or bridges.
    pub(crate) context: bool,
    /// Of a kind that never counts in full, such as a vulnerability.
    pub(crate) pinned_context: bool,
    pub(crate) late: bool,
    pub(crate) blocked: bool,
    /// What its source already correlated: reason enough to publish.
    pub(crate) vendor_incident: bool,
    pub(crate) start: i64,
    pub(crate) tally: Tally,
    /// What of `tally` is published: it lags until the incident changes, so that equal revisions have equal content.
    pub(crate) shown: Tally,
    pub(crate) repeat_uids: Vec<Box<str>>,
    /// Repeats fold into it: it is the latest of its rule at its entities.
    pub(crate) open: bool,
    /// The thread it belongs to.
    pub(crate) thread: u64,
    /// Why it belongs there: the link that made it join first, then the best others.
    pub(crate) links: Vec<Evidence>,
}

/// What repeats change.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tally {
    pub(crate) count: i64,
    pub(crate) end: i64,
    pub(crate) repeat_uids: usize,
}

/// The evidence that ties an episode to an earlier placed one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Evidence {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) kind: LinkKind,
    pub(crate) gap_ms: i64,
    pub(crate) terms: Vec<Term>,
    pub(crate) weight: Millibits,
    pub(crate) bar: Millibits,
    pub(crate) joined: bool,
}

/// One term of evidence.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Term {
    pub(crate) kind: TermKind,
    pub(crate) entity: Option<EntityId>,
    pub(crate) bits: Millibits,
}

impl Term {
    pub(crate) fn of(kind: TermKind, bits: Millibits) -> Self {
        Self {
            kind,
            entity: None,
            bits,
        }
    }

    pub(crate) fn at(kind: TermKind, entity: EntityId, bits: Millibits) -> Self {
        Self {
            kind,
            entity: Some(entity),
            bits,
        }
    }
}

/// Returns the sum of the terms.
pub(crate) fn sum(terms: &[Term]) -> Millibits {
    terms
        .iter()
        .fold(0, |sum, term| sum.saturating_add(term.bits))
}

impl Episode {
    pub(crate) fn end(&self) -> i64 {
        self.tally.end
    }

    /// Returns what makes an alert a repeat of this episode.
    pub(crate) fn fold_key(&self) -> FoldKey {
        (
            self.rule,
            self.mentions.iter().map(|mention| mention.entity).collect(),
        )
    }

    /// Two entities turned out to be one. Returns whether the survivor is new to this episode.
    pub(crate) fn unite(&mut self, Same { gone, kept }: Same) -> bool {
        let new = self.mention(kept).is_none();
        for mention in self
            .mentions
            .iter_mut()
            .filter(|mention| mention.entity == gone)
        {
            mention.entity = kept;
        }
        self.mentions.sort_unstable();
        self.mentions.dedup_by_key(|mention| mention.entity);
        let roles = self.roles.iter_mut().map(|(entity, _)| entity);
        for entity in roles.chain(&mut self.source).chain(&mut self.target) {
            if *entity == gone {
                *entity = kept;
            }
        }
        new
    }

    /// Two entities turned out to be one: what ties threads together may be about entities that only others name.
    pub(crate) fn unite_links(&mut self, Same { gone, kept }: Same) {
        let terms = self.links.iter_mut().flat_map(|link| &mut link.terms);
        for entity in terms.filter_map(|term| term.entity.as_mut()) {
            if *entity == gone {
                *entity = kept;
            }
        }
    }

    /// Returns the milliseconds between this episode and the span from `start` to `end`; 0 where they overlap.
    pub(crate) fn gap_to(&self, start: i64, end: i64) -> i64 {
        (start - self.end()).max(self.start - end).max(0)
    }

    pub(crate) fn mention(&self, entity: EntityId) -> Option<Mention> {
        let at = self
            .mentions
            .binary_search_by_key(&entity, |mention| mention.entity)
            .ok()?;
        self.mentions.get(at).copied()
    }

    /// Weight of a severity in suspicion, thousandths.
    pub(crate) fn suspicion(&self) -> i32 {
        let severity = match self.severity {
            Severity::Unknown | Severity::Informational | Severity::Low => 1_000,
            Severity::Medium => 2_000,
            Severity::High => 3_500,
            Severity::Critical | Severity::Fatal => 5_000,
        };
        severity * self.novelty_share() / 2_500
    }

    /// Weight in the chain, thousandths.
    pub(crate) fn chain_weight(&self, blocked_milli: i32) -> i32 {
        let severity = match self.severity {
            Severity::Unknown | Severity::Informational | Severity::Low => 1_000,
            Severity::Medium => 2_500,
            Severity::High => 5_000,
            Severity::Critical | Severity::Fatal => 8_000,
        };
        let weight = severity * self.novelty_share() / 1_000;
        let weight = if self.context {
            weight * 3 / 10
        } else {
            weight
        };
        if self.blocked {
            weight * blocked_milli.clamp(0, 1_000) / 1_000
        } else {
            weight
        }
    }

    /// Novelty as a share of 4 bits, thousandths, at most 1,000.
    pub(crate) fn novelty_share(&self) -> i32 {
        (self.novelty / 4).clamp(0, 1_000)
    }
}
