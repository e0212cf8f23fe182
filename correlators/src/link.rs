//! Two episodes by the entities they share: the evidence that they belong to one attack.

use schemas::incident::{LinkKind, TermKind};

use crate::background::Damping;
use crate::entity::EntityId;
use crate::episode::{Episode, Evidence, Term, sum};
use crate::fixed::{Hourly, Millibits, scale};
use crate::fusion::Fusion;
use crate::identity::Mention;
use crate::order::best_order;

/// How an episode sees one of its entities: looked up once, used for every candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) mention: Mention,
    pub(crate) rate: Hourly,
    /// Weight as it is named, and where the other side names it weakly.
    weights: [i32; 2],
    damping: Damping,
    /// Whether sharing it can be surprising enough, however short the gap.
    pub(crate) telling: bool,
}

/// Evidence of a pair, and what each shared entity gave.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) evidence: Evidence,
    /// Bits of every shared entity, greatest first.
    pub(crate) shared: Vec<(EntityId, Millibits)>,
    /// End of the earlier placed episode, to break ties.
    pub(crate) end: i64,
}

impl Fusion {
    /// Returns how `episode` sees its entities.
    pub(crate) fn sights(&self, episode: &Episode) -> Vec<Sight> {
        let link = &self.settings.link;
        let see = |mention: &Mention| {
            let rate = self.rate(mention.entity, episode.start, !episode.context, 0);
            let weights =
                [mention.weak, true].map(|weak| self.weight_milli(Mention { weak, ..*mention }));
            let damping = self.damping(mention.entity, episode.start);
            // Surprise falls with the gap; one thousandth of a bit more than rounding can make of that.
            let most = self.bits(rate, link.gap_floor_ms).saturating_add(1);
            let telling = weights
                .iter()
                .any(|weight| damping.of(scale(most, (*weight).max(0))) >= link.surprise_min);
            Sight {
                mention: *mention,
                rate,
                weights,
                damping,
                telling,
            }
        };
        episode.mentions.iter().map(see).collect()
    }

    /// Returns the evidence that `new` belongs with `earlier`, which it shares `shared` with; none where no entity is
    /// surprising enough to share.
    pub(crate) fn pair(
        &self,
        (from, earlier): (u64, &Episode),
        (to, new): (u64, &Episode),
        shared: &[Sight],
    ) -> Option<Pair> {
        let link = &self.settings.link;
        let gap = new.gap_to(earlier.start, earlier.end());
        let mut bits: Vec<(Mention, Millibits)> = shared
            .iter()
            .map(|sight| {
                let weak = sight.mention.weak
                    || earlier
                        .mention(sight.mention.entity)
                        .is_some_and(|mention| mention.weak);
                let mention = Mention {
                    weak,
                    ..sight.mention
                };
                let [named, weakly] = sight.weights;
                let bits = self.bits(sight.rate, gap.max(link.gap_floor_ms));
                let surprise = scale(bits, if weak { weakly } else { named });
                (mention, sight.damping.of(surprise))
            })
            .collect();
        bits.sort_by_key(|(mention, bits)| (-bits, *mention));
        let (best, most) = bits.first().copied()?;
        if most < link.surprise_min || !identifies(bits.iter().map(|(mention, _)| *mention)) {
            return None;
        }
        let mut terms = discounted(
            TermKind::Surprise,
            bits.iter().map(|(mention, bits)| (mention.entity, *bits)),
        );
        terms.push(Term::of(
            TermKind::Order,
            scale(
                best_order(earlier.shape.tactics, new.shape.tactics),
                link.order_milli,
            ),
        ));
        terms.push(Term::of(TermKind::Direction, self.direction(earlier, new)));
        terms.push(Term::of(TermKind::Product, self.products(earlier, new)));
        let rule = self
            .rule_term(new.rule, best.entity, new.start, None)
            .min(earlier.rule_term);
        let rule = rule.clamp(link.rule_min, link.rule_max);
        terms.push(Term::at(TermKind::Rule, best.entity, rule));
        terms.retain(|term| term.bits != 0);
        let weight = sum(&terms);
        let evidence = Evidence {
            from,
            to,
            kind: LinkKind::Pair,
            gap_ms: gap,
            terms,
            weight,
            bar: link.bar,
            joined: false,
        };
        let shared = bits
            .into_iter()
            .map(|(mention, bits)| (mention.entity, bits))
            .collect();
        Some(Pair {
            evidence,
            shared,
            end: earlier.end(),
        })
    }

    fn direction(&self, earlier: &Episode, new: &Episode) -> Millibits {
        let link = &self.settings.link;
        match new.source {
            Some(source) if earlier.target == Some(source) => link.hop,
            Some(source) if earlier.source == Some(source) => link.same_source,
            _ => 0,
        }
    }

    fn products(&self, earlier: &Episode, new: &Episode) -> Millibits {
        let link = &self.settings.link;
        if earlier.rule == new.rule {
            link.same_rule
        } else if earlier.shape.product != new.shape.product {
            link.other_product
        } else {
            0
        }
    }
}

/// Returns whether the shared mentions identify something: a weak identifier never does alone.
pub(crate) fn identifies(mentions: impl Iterator<Item = Mention>) -> bool {
    let (mut strong, mut weak) = (0, 0);
    for mention in mentions {
        if mention.weak { weak += 1 } else { strong += 1 }
    }
    strong > 0 || weak > 1
}

/// Returns the terms of the three best entities: each further one counts half of the one before, since entities of one
/// machine come together.
pub(crate) fn discounted(
    kind: TermKind,
    best_first: impl Iterator<Item = (EntityId, Millibits)>,
) -> Vec<Term> {
    let halved = best_first.zip([1, 2, 4]);
    halved
        .map(|((entity, bits), divisor)| Term::at(kind, entity, bits.div_euclid(divisor)))
        .collect()
}
