//! What is usual: rates of entities and rules, and how surprising a shared entity or a rule is against them.

use schemas::entity::EntityKind;

use crate::entity::{EntityId, EntityState};
use crate::fixed::{self, Hourly, Millibits, ONE_Q16, Q16};
use crate::fusion::Fusion;
use crate::identity::Mention;
use crate::interner::RuleId;
use crate::thread::{Thread, rule_weight};

/// How much evidence of an entity is weakened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damping {
    /// In thousandths, at least 1,000.
    divisor: i64,
    /// Taken off what remains.
    distrust: Millibits,
}

impl Damping {
    pub(crate) fn of(self, bits: Millibits) -> Millibits {
        let damped = i32::try_from(i64::from(bits) * 1_000 / self.divisor).unwrap_or(0);
        if self.distrust > 0 {
            (damped - self.distrust).max(damped.min(0))
        } else {
            damped
        }
    }
}

impl Fusion {
    /// Returns how long rates have been observed at `time`: the tenant's history, at most the mean age of a decayed count.
    fn observed_ms(&self, time: i64, half_life_ms: i64) -> i64 {
        let history = self.started.map_or(0, |started| (time - started).max(0));
        // The mean age is half_life / ln 2.
        let mean_age = i128::from(half_life_ms) * 1_442_695 / 1_000_000;
        i64::try_from(mean_age).map_or(history, |mean_age| history.min(mean_age))
    }

    /// Returns the rate at which novel episodes (or all, for a routine one) meet `entity`, without `own` of them.
    pub(crate) fn rate(&self, entity: EntityId, time: i64, novel: bool, own: Q16) -> Hourly {
        let background = &self.settings.background;
        let Some(state) = self.entities.get(entity) else {
            return 0;
        };
        let rate = if novel {
            &state.novel_rate
        } else {
            &state.episodes_rate
        };
        let counted = rate
            .value(time, background.half_life_ms)
            .saturating_sub(own);
        let window = background.prior_window_ms + self.observed_ms(time, background.half_life_ms);
        fixed::hourly(self.prior(state.kind) + counted, window)
    }

    /// Returns the rate at which warm threads meet `entity`; one that is busy with episodes cannot be silent with threads.
    pub(crate) fn thread_rate(&self, entity: EntityId, time: i64) -> Hourly {
        let background = &self.settings.background;
        let Some(state) = self.entities.get(entity) else {
            return 0;
        };
        let half_life = background.thread_half_life_ms;
        let window = background.prior_window_ms + self.observed_ms(time, half_life);
        let rate = fixed::hourly(
            milli(background.prior_rare_milli) + state.threads_rate.value(time, half_life),
            window,
        );
        rate.max(self.rate(entity, time, true, 0) / 1_000 * self.settings.stitch.floor_milli)
    }

    /// Returns the evidence of sharing `mention` within `gap_ms` where it is met at `rate`, weighed by kind and strength.
    pub(crate) fn surprise(&self, mention: Mention, rate: Hourly, gap_ms: i64) -> Millibits {
        fixed::scale(self.bits(rate, gap_ms), self.weight_milli(mention))
    }

    /// Returns the surprise, not weighed, of meeting within `gap_ms` what is met at `rate`.
    pub(crate) fn bits(&self, rate: Hourly, gap_ms: i64) -> Millibits {
        fixed::surprise(
            fixed::expected(rate, gap_ms),
            self.settings.link.surprise_cap,
        )
    }

    /// Returns how much evidence of an entity is weakened at `time` because it meets many hosts and accounts: rates lag an
    /// hour, a new scanner does not; or because analysts unlinked what shared it.
    pub(crate) fn damping(&self, entity: EntityId, time: i64) -> Damping {
        let free = self.settings.background.fan_free.max(1);
        let fan = self.entities.get(entity).map_or(0, |state| state.fan(time));
        let distrust = self.distrust(entity, time);
        if fan <= free {
            return Damping {
                divisor: 1_000,
                distrust,
            };
        }
        let excess = i64::from(fixed::log2_ratio(u64::from(fan), u64::from(free)));
        Damping {
            divisor: 1_000 + 2 * excess,
            distrust,
        }
    }

    /// Returns how surprising the rule is in the tenant, and at the entity where it is most surprising.
    pub(crate) fn novelty(
        &self,
        rule: RuleId,
        mentions: &[Mention],
        time: i64,
    ) -> (Millibits, Millibits) {
        let background = &self.settings.background;
        let half_life = background.half_life_ms;
        let observed = self.observed_ms(time, half_life);
        let bits = |count: Q16, window: i64| {
            let rate = fixed::hourly(count, window + observed);
            fixed::surprise(
                fixed::expected(rate, background.novelty_window_ms),
                background.novelty_cap,
            )
        };
        let counted = self
            .rules
            .get(rule)
            .map_or(0, |state| state.rate.value(time, half_life));
        let in_tenant = bits(
            milli(background.prior_common_milli) + counted,
            background.prior_window_ms,
        );
        let unexpected = |mention: &&Mention| {
            let state = self.entities.get(mention.entity);
            state.is_none_or(|state| !state.expects(rule, time))
        };
        let at = |mention: &Mention| {
            let counted = self
                .entities
                .get(mention.entity)
                .map_or(0, |state| state.rule_value(rule, time, half_life));
            bits(
                milli(background.prior_pair_milli) + counted,
                background.prior_pair_window_ms,
            )
        };
        let surprising = mentions.iter().filter(unexpected).map(at);
        (in_tenant, surprising.max().unwrap_or(0))
    }

    /// Returns how much rarer than one in `rules_expected` the rule is at `entity`, shrunk towards its rate in the tenant:
    /// positive where it is unexpected. What `thread` itself counted is taken out.
    pub(crate) fn rule_term(
        &self,
        rule: RuleId,
        entity: EntityId,
        time: i64,
        thread: Option<&Thread>,
    ) -> Millibits {
        let background = &self.settings.background;
        let half_life = background.half_life_ms;
        let mut all = self.all_rate.value(time, half_life);
        let mut of_rule = self
            .rules
            .get(rule)
            .map_or(0, |state| state.rate.value(time, half_life));
        let state = self.entities.get(entity);
        let mut here = state.map_or(0, |state| state.episodes_rate.value(time, half_life));
        let mut of_rule_here = state.map_or(0, |state| state.rule_value(rule, time, half_life));
        if let Some(thread) = thread {
            all = all.saturating_sub(u64::try_from(thread.episodes.len()).unwrap_or(0) * ONE_Q16);
            of_rule = of_rule.saturating_sub(rule_weight(&thread.rules, rule));
            if let Some(presence) = thread.entities.get(&entity) {
                here = here.saturating_sub(presence.own());
                of_rule_here = of_rule_here.saturating_sub(rule_weight(&presence.rules, rule));
            }
        }
        let rules = u64::from(background.rules_expected.max(1));
        let shrink = u64::from(background.shrink.max(1));
        let share = ratio_q32(of_rule + ONE_Q16 / 2, all + rules * ONE_Q16 / 2);
        let wide = |count: Q16| count.saturating_mul(ONE_Q16);
        let numerator = wide(of_rule_here).saturating_add(shrink.saturating_mul(share));
        let denominator = wide(here.saturating_add(wide(shrink)));
        fixed::log2_ratio(denominator, numerator.max(1)) - fixed::log2_ratio(rules, 1)
    }

    /// Counts a new episode in every statistic.
    pub(crate) fn count(&mut self, number: u64) {
        let Some(episode) = self.episodes.get(number) else {
            return;
        };
        let background = &self.settings.background;
        let (half_life, hourly_max) = (background.half_life_ms, background.hourly_max);
        let rules_max = usize::try_from(self.settings.limits.rules_at_entity).unwrap_or(usize::MAX);
        let time = episode.start;
        let parties: Vec<EntityId> = episode
            .mentions
            .iter()
            .map(|mention| mention.entity)
            .filter(|id| self.entities.get(*id).is_some_and(EntityState::is_party))
            .collect();
        for mention in &episode.mentions {
            let Some(state) = self.entities.get_mut(mention.entity) else {
                continue;
            };
            state.episodes_rate.add(time, half_life, u32::MAX);
            state.count_rule(episode.rule, time, half_life, rules_max);
            for neighbour in parties
                .iter()
                .filter(|neighbour| **neighbour != mention.entity)
            {
                state.meet(*neighbour, time);
            }
            if !episode.context {
                state.novel_rate.add(time, half_life, hourly_max);
                state.ring.push_back(number);
                if state.ring.len()
                    > usize::try_from(self.settings.limits.ring).unwrap_or(usize::MAX)
                {
                    state.ring.pop_front();
                }
            }
        }
        if let Some(rule) = self.rules.get_mut(episode.rule) {
            rule.rate.add(time, half_life, u32::MAX);
        }
        self.all_rate.add(time, half_life, u32::MAX);
    }

    fn prior(&self, kind: EntityKind) -> Q16 {
        let background = &self.settings.background;
        let rare = matches!(
            kind,
            EntityKind::Ip | EntityKind::FileHash | EntityKind::Dns | EntityKind::Url
        );
        milli(if rare {
            background.prior_rare_milli
        } else {
            background.prior_common_milli
        })
    }

    pub(crate) fn weight_milli(&self, mention: Mention) -> i32 {
        let link = &self.settings.link;
        let kind = self
            .entities
            .get(mention.entity)
            .map_or(EntityKind::Other, |state| state.kind);
        let weight = match kind {
            EntityKind::Account
            | EntityKind::Host
            | EntityKind::FileHash
            | EntityKind::Dns
            | EntityKind::Url => 1_000,
            EntityKind::Ip => link.weight_ip_milli,
            EntityKind::CloudApplication => link.weight_application_milli,
            EntityKind::File
            | EntityKind::Process
            | EntityKind::Mailbox
            | EntityKind::MailMessage
            | EntityKind::CloudResource
            | EntityKind::SecurityGroup
            | EntityKind::RegistryKey
            | EntityKind::RegistryValue
            | EntityKind::Malware
            | EntityKind::IotDevice
            | EntityKind::Container
            | EntityKind::K8sObject
            | EntityKind::NetworkConnection
            | EntityKind::Vulnerability
            | EntityKind::Other => link.weight_other_milli,
        };
        if mention.weak {
            fixed::scale(weight, link.weight_weak_milli)
        } else {
            weight
        }
    }
}

fn milli(thousandths: u64) -> Q16 {
    thousandths * ONE_Q16 / 1_000
}

fn ratio_q32(numerator: Q16, denominator: Q16) -> u64 {
    let ratio = (u128::from(numerator) << 32) / u128::from(denominator.max(1));
    u64::try_from(ratio).unwrap_or(u64::MAX)
}
