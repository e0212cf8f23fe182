//! How far an attack got and how sure that is: the chain, the risk, and whether to publish.

use std::collections::BTreeSet;

use schemas::alert::Severity;

use crate::episode::Episode;
use crate::fixed::saturation_ppm;
use crate::fusion::Fusion;
use crate::interner::RuleId;
use crate::order::{PHASES, Tactics};
use crate::thread::Thread;

const MINUTE_MS: i64 = 60_000;
/// Certainty that one alert can give at most, parts per million.
const CERTAINTY_MAX_PPM: u64 = 900_000;
const MILLION: u64 = 1_000_000;

/// The score of a thread.
#[derive(Debug)]
pub(crate) struct Score {
    /// Risk in tenths, 0 to 1,000.
    pub(crate) risk_tenths: i32,
    /// Phases on the chain; command and control counts as one.
    pub(crate) phases: u32,
    pub(crate) tactics: Tactics,
    pub(crate) rules: u32,
    /// The episodes of the heaviest chain, earliest first.
    pub(crate) chain: Vec<u64>,
}

/// The heaviest sequence of episodes that rises strictly in phase, kept for each phase it can end in.
#[derive(Debug, Default)]
struct Chain {
    best: [Step; PHASES],
    steps: Vec<(u64, Option<usize>)>,
    command_and_control: Option<(i32, u64)>,
}

/// The heaviest chain that ends in one phase.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    weight: i32,
    length: u32,
    last: Option<usize>,
}

impl Chain {
    /// Takes the next episode in time. Phases are tried from the highest, so that an episode counts once.
    fn push(&mut self, number: u64, tactics: Tactics, weight: i32) {
        for phase in tactics.phases().map(usize::from) {
            let before = self
                .best
                .iter()
                .take(phase)
                .fold(Step::default(), |best, step| {
                    if step.weight > best.weight {
                        *step
                    } else {
                        best
                    }
                });
            let Some(step) = self.best.get_mut(phase) else {
                continue;
            };
            if before.weight + weight > step.weight {
                self.steps.push((number, before.last));
                *step = Step {
                    weight: before.weight + weight,
                    length: before.length + 1,
                    last: Some(self.steps.len() - 1),
                };
            }
        }
        if tactics.has_command_and_control()
            && self
                .command_and_control
                .is_none_or(|(known, _)| weight > known)
        {
            self.command_and_control = Some((weight, number));
        }
    }

    /// Returns weight, phases and members. Command and control floats: it adds once and orders nothing.
    fn finish(self) -> (i32, u32, Vec<u64>) {
        let best = self.best.iter().fold(Step::default(), |best, step| {
            if step.weight >= best.weight {
                *step
            } else {
                best
            }
        });
        let mut members = Vec::new();
        let mut at = best.last;
        while let Some((number, before)) = at.and_then(|at| self.steps.get(at)) {
            members.push(*number);
            at = *before;
        }
        members.reverse();
        match self.command_and_control {
            Some((weight, number)) if weight > 0 => {
                if !members.contains(&number) {
                    members.push(number);
                }
                (best.weight + weight * 7 / 10, best.length + 1, members)
            }
            _ => (best.weight, best.length, members),
        }
    }
}

impl Fusion {
    /// Scores a thread.
    pub(crate) fn score(&self, thread: &Thread) -> Score {
        let members = thread
            .episodes
            .iter()
            .filter_map(|number| self.episodes.get(*number).map(|episode| (*number, episode)));
        let mut episodes: Vec<(u64, &Episode)> = members.collect();
        // Within a minute sensors' clocks may disagree: earlier phases go first.
        episodes.sort_by_cached_key(|(number, episode)| {
            (
                episode.start.div_euclid(MINUTE_MS),
                episode.shape.tactics.phases().min().unwrap_or(9),
                *number,
            )
        });
        let mut chain = Chain::default();
        let mut tactics = Tactics::default();
        let (mut rules, mut products) = (BTreeSet::<RuleId>::new(), BTreeSet::<&str>::new());
        let mut doubt = MILLION;
        for (number, episode) in episodes {
            chain.push(
                number,
                episode.shape.tactics,
                episode.chain_weight(self.settings.promote.blocked_milli),
            );
            if !episode.context {
                tactics = tactics.union(episode.shape.tactics);
                rules.insert(episode.rule);
                products.insert(&episode.shape.product);
            }
            let share = u64::try_from(episode.novelty_share()).unwrap_or(0);
            let certainty =
                (u64::from(episode.confidence) * 10_000 * share / 1_000).min(CERTAINTY_MAX_PPM);
            doubt = doubt * (MILLION - certainty) / MILLION;
        }
        let (weight, phases, chain) = chain.finish();
        let rules = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let risk_tenths = risk(weight, MILLION - doubt, products.len(), rules);
        Score {
            risk_tenths,
            phases,
            tactics,
            rules,
            chain,
        }
    }

    /// Returns whether a thread of that score is published.
    pub(crate) fn promotes(&self, thread: &Thread, score: &Score) -> bool {
        let promote = &self.settings.promote;
        let several = score.tactics.len() >= promote.tactics
            && score.phases >= promote.phases
            && score.rules >= promote.rules;
        (several && score.risk_tenths >= promote.risk_tenths)
            || score.risk_tenths >= promote.risk_alone_tenths
            || thread.vendor_incident
    }

    /// Returns the severity of a risk.
    pub(crate) fn severity(&self, risk_tenths: i32) -> Severity {
        let [medium, high, critical] = self.settings.promote.severity_tenths;
        match risk_tenths {
            risk if risk >= critical => Severity::Critical,
            risk if risk >= high => Severity::High,
            risk if risk >= medium => Severity::Medium,
            _ => Severity::Low,
        }
    }
}

/// `100 * (1 - e^(-chain/10)) * (0.4 + 0.6*certainty) * (1 + 0.08*min(3, products-1)) * min(1, 0.45 + 0.14*rules)`, in
/// tenths and at most 100: how far it got, damped by doubt, by a single sensor and by few rules.
fn risk(chain_milli: i32, certainty_ppm: u64, products: usize, rules: u32) -> i32 {
    let reach = u128::from(saturation_ppm(
        u64::try_from(chain_milli).unwrap_or(0),
        10_000,
    ));
    let certainty = u128::from(400_000 + certainty_ppm * 6 / 10);
    let further_products = u128::try_from(products.saturating_sub(1).min(3)).unwrap_or(0);
    let variety = u128::from((450 + 140 * u64::from(rules)).min(1_000));
    // Parts per million twice, hundredths and thousandths make 10^17; a tenth of a percent is 10^14 of it.
    let tenths = (reach * certainty * (100 + 8 * further_products) * variety + 50_000_000_000_000)
        / 100_000_000_000_000;
    i32::try_from(tenths.min(1_000)).unwrap_or(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_follows_its_formula() {
        for (chain, certainty, products, rules) in [
            (0, 0, 1, 1),
            (5_000, 500_000, 1, 2),
            (20_000, 990_000, 3, 6),
            (60_000, 1_000_000, 9, 9),
        ] {
            let e = f64::from(u32::try_from(certainty).unwrap()) / 1e6;
            let product = 1.0 + 0.08 * f64::from(u32::try_from(products - 1).unwrap().min(3));
            let want = 100.0
                * (1.0 - (-f64::from(chain) / 10_000.0).exp())
                * (0.4 + 0.6 * e)
                * product
                * (0.45 + 0.14 * f64::from(rules)).min(1.0);
            let got = f64::from(risk(chain, certainty, products, rules)) / 10.0;
            assert!((got - want.min(100.0)).abs() < 0.06, "{got} {want}");
        }
    }
}
