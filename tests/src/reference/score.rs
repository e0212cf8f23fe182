//! Whether a thread is published.

use std::collections::BTreeSet;

use schemas::alert::Severity;

use super::evidence::count;
use super::order;
use super::world::{Episode, MINUTE, Model};

impl Model {
    /// Returns whether a thread has enough tactics, phases, rules and risk.
    pub(super) fn is_promoted(&mut self, thread: usize) -> bool {
        let mut members: Vec<(usize, Episode)> = self.threads[&thread]
            .episodes
            .iter()
            .map(|number| (*number, self.episodes[*number].clone()))
            .collect();
        members.sort_by_key(|(number, episode)| {
            let phases = episode.tactics.iter().filter_map(|row| order::phase(*row));
            (
                episode.start.div_euclid(MINUTE),
                phases.min().unwrap_or(9),
                *number,
            )
        });
        let full = || members.iter().filter(|(_, episode)| !episode.context);
        let tactics: BTreeSet<usize> = full()
            .flat_map(|(_, episode)| episode.tactics.clone())
            .collect();
        let rules: BTreeSet<&str> = full().map(|(_, episode)| episode.rule.as_str()).collect();
        let products: BTreeSet<&str> = full()
            .map(|(_, episode)| episode.product.as_str())
            .collect();
        let doubt: f64 = members
            .iter()
            .map(|(_, episode)| 1.0 - (episode.confidence * share(episode)).min(0.9))
            .product();
        let (chain, phases) = self.chain(&members);
        let variety = (0.45 + 0.14 * count(rules.len())).min(1.0);
        let sensors = 1.0 + 0.08 * count(products.len().saturating_sub(1).min(3));
        let risk =
            100.0 * (1.0 - (-chain / 10.0).exp()) * (0.4 + 0.6 * (1.0 - doubt)) * sensors * variety;
        let risk = risk.min(100.0);
        // The core cuts weights to thousandths and rounds to tenths before it compares.
        let mut reaches = |bar: f64| {
            self.close |= (risk - bar).abs() < 0.4;
            risk >= bar
        };
        // What has one rule alone is not looked at.
        let several = tactics.len() >= 3 && phases >= 2 && rules.len() >= 3;
        rules.len() >= 2 && ((several && reaches(39.95)) || reaches(74.95))
    }

    /// Returns the weight of the heaviest sequence that rises strictly in phase, and its phases: every sequence is tried by
    /// the phase it ends in.
    fn chain(&mut self, members: &[(usize, Episode)]) -> (f64, usize) {
        let mut best = [(0.0_f64, 0_usize); 6];
        let mut command: f64 = 0.0;
        for (_, episode) in members {
            let weight = weight(episode);
            let phases: BTreeSet<usize> = episode
                .tactics
                .iter()
                .filter_map(|row| order::phase(*row))
                .collect();
            for phase in phases.into_iter().rev() {
                let before = self.heaviest(&best[..phase], false);
                let with = (before.0 + weight, before.1 + 1);
                if !self.tie(with, best[phase]) && with.0 > best[phase].0 {
                    best[phase] = with;
                }
            }
            if episode.tactics.contains(&order::COMMAND) {
                command = command.max(weight);
            }
        }
        let best = self.heaviest(&best, true);
        let floating = usize::from(command > 0.0);
        (best.0 + 0.7 * command, best.1 + floating)
    }

    /// Returns whether two sequences weigh the same; the core cuts weights to thousandths on the way.
    fn tie(&mut self, a: (f64, usize), b: (f64, usize)) -> bool {
        let apart = (a.0 - b.0).abs();
        self.close |= apart > 1e-9 && apart < 0.03 && a.1 != b.1;
        apart <= 1e-9
    }

    /// Returns the heaviest; of equal ones the last or the first.
    fn heaviest(&mut self, steps: &[(f64, usize)], last: bool) -> (f64, usize) {
        let mut heaviest = (0.0, 0);
        for step in steps {
            let equal = self.tie(*step, heaviest);
            if (equal && last) || (!equal && step.0 > heaviest.0) {
                heaviest = *step;
            }
        }
        heaviest
    }
}

fn share(episode: &Episode) -> f64 {
    (episode.novelty / 4.0).clamp(0.0, 1.0)
}

fn weight(episode: &Episode) -> f64 {
    let severity = match episode.severity {
        Severity::Unknown | Severity::Informational | Severity::Low => 1.0,
        Severity::Medium => 2.5,
        Severity::High => 5.0,
        Severity::Critical | Severity::Fatal => 8.0,
    };
    let context = if episode.context { 0.3 } else { 1.0 };
    let blocked = if episode.blocked { 0.5 } else { 1.0 };
    severity * share(episode) * context * blocked
}
