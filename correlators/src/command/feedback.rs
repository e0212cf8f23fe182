//! What analysts' verdicts teach: how far a rule can be trusted, what is expected where, and which entities misled.

use std::collections::BTreeSet;

use schemas::command::Closing;

use crate::entity::EntityId;
use crate::fixed::{self, Millibits};
use crate::fusion::Fusion;
use crate::identity::Mention;
use crate::interner::{FURTHER, RuleId};

impl Fusion {
    /// Learns from the verdict on `episodes`. A rule learns once of all of them.
    pub(crate) fn learn(&mut self, closing: Closing, episodes: &[u64]) {
        match closing {
            Closing::TruePositive => self.count_verdict(episodes, true),
            Closing::FalsePositiveLogic => self.count_verdict(episodes, false),
            Closing::BenignPositive => self.expect(episodes),
            // Data was wrong, or nobody knows: no rule is to blame and nothing is to be expected.
            Closing::FalsePositiveData | Closing::Undetermined => {}
        }
    }

    /// Returns the confidence of an alert of `rule`, 0 to 100: what its source says, by how the verdicts on it were. The
    /// share of those confirmed is that of a Beta distribution whose prior has nothing against the rule.
    pub(crate) fn trusted(&self, rule: RuleId, said: Option<i32>) -> u32 {
        let said = said.map_or(50, |percent| percent.clamp(0, 100));
        let said = u64::from(said.unsigned_abs());
        let Some(state) = self.rules.get(rule) else {
            return u32::try_from(said).unwrap_or(100);
        };
        let prior = u64::from(self.settings.analyst.prior_verdicts.max(1));
        let trusted = prior + u64::from(state.confirmed);
        let all = trusted + u64::from(state.refuted);
        u32::try_from(said * trusted / all).unwrap_or(100)
    }

    /// Returns whether analysts expect `rule` at every one of the entities.
    pub(crate) fn is_expected(&self, rule: RuleId, mentions: &[Mention], time: i64) -> bool {
        let expects = |mention: &Mention| {
            let state = self.entities.get(mention.entity);
            state.is_some_and(|state| state.expects(rule, time))
        };
        !mentions.is_empty() && mentions.iter().all(expects)
    }

    /// Returns the bits that the evidence of `entity` loses at `time`.
    pub(crate) fn distrust(&self, entity: EntityId, time: i64) -> Millibits {
        let Some((bits, since)) = self.entities.get(entity).map(|state| state.distrust) else {
            return 0;
        };
        if bits <= 0 {
            return 0;
        }
        let half_life = self.settings.analyst.unlink_half_life_ms;
        let left = fixed::decay(
            u64::from(bits.unsigned_abs()),
            (time - since).max(0),
            half_life,
        );
        i32::try_from(left).unwrap_or(bits)
    }

    /// Weakens the evidence of entities that tied together what an analyst took apart.
    pub(crate) fn weaken(&mut self, entities: &BTreeSet<EntityId>, time: i64) {
        let analyst = &self.settings.analyst;
        let (more, max) = (analyst.unlink, analyst.unlink_max);
        for entity in entities {
            let bits = self.distrust(*entity, time).saturating_add(more).min(max);
            if let Some(state) = self.entities.get_mut(*entity) {
                state.distrust = (bits, time.max(state.distrust.1));
            }
        }
    }

    fn count_verdict(&mut self, episodes: &[u64], confirmed: bool) {
        let rules: BTreeSet<RuleId> = episodes
            .iter()
            .filter_map(|number| self.episodes.get(*number))
            .map(|episode| episode.rule)
            .filter(|rule| *rule != FURTHER)
            .collect();
        for rule in rules {
            if let Some(state) = self.rules.get_mut(rule) {
                let count = if confirmed {
                    &mut state.confirmed
                } else {
                    &mut state.refuted
                };
                *count = count.saturating_add(1);
            }
        }
    }

    /// Notes that the rules of `episodes` are expected at their entities.
    fn expect(&mut self, episodes: &[u64]) {
        let (life, max) = (
            self.settings.analyst.expected_ms,
            self.settings.limits.expected,
        );
        for number in episodes {
            let Some(episode) = self.episodes.get(*number) else {
                continue;
            };
            if episode.rule == FURTHER {
                continue;
            }
            let (rule, until) = (
                episode.rule,
                episode.end().max(self.watermark).saturating_add(life),
            );
            let entities: Vec<EntityId> = episode.mentions.iter().map(|m| m.entity).collect();
            for entity in entities {
                if let Some(state) = self.entities.get_mut(entity) {
                    state.expect(rule, until, max);
                }
            }
        }
    }
}
