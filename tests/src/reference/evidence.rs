//! Surprise and what is made of it: pairs, hot threads, stitches.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::order;
use super::world::{DAY, HOUR, Joined, MINUTE, Mention, Model, Thread, hours};

/// Half-life of a count: 5 days; of a count of threads: twice that.
const HALF_LIFE: f64 = 5.0 * 86_400_000.0;

/// Evidence far below any bar: which of two such comes first does not matter.
const NO_MATTER: f64 = 4.5;

/// The bits of a pair, its earlier episode, and what each shared entity gave.
type Pair = (f64, usize, Vec<(usize, f64)>);

/// Evidence for a thread.
#[derive(Clone, Debug)]
struct Target {
    margin: f64,
    thread: usize,
    /// The pair it rests on; none for a hot thread.
    from: Option<usize>,
    weight: f64,
    bar: f64,
    rule_term: f64,
}

impl Model {
    /// Returns the expected number an hour of novel episodes (or of all) at an entity, without `own` of them.
    pub(super) fn rate(&self, entity: usize, time: i64, novel: bool, own: f64) -> f64 {
        let named = &self.names[entity];
        let rate = if novel { &named.novel } else { &named.episodes };
        let prior = if ["ip", "filehash", "dns", "url"].contains(&named.kind.as_str()) {
            0.1
        } else {
            0.3
        };
        let counted = (rate.value(time, HALF_LIFE) - own).max(0.0);
        (prior + counted) / (48.0 + self.history(time, HALF_LIFE))
    }

    /// Returns the hours that rates were observed: at most the mean age of a count.
    fn history(&self, time: i64, half_life: f64) -> f64 {
        let since = (time - self.started.unwrap_or(time)).max(0);
        hours(since).min(half_life / std::f64::consts::LN_2 / 3_600_000.0)
    }

    fn thread_rate(&self, entity: usize, time: i64) -> f64 {
        let half_life = 2.0 * HALF_LIFE;
        let counted = self.names[entity].warm.value(time, half_life);
        let rate = (0.1 + counted) / (48.0 + self.history(time, half_life));
        rate.max(0.02 * self.rate(entity, time, true, 0.0))
    }

    /// Returns how new a rule is in the tenant, and at the entity where it is newest.
    pub(super) fn novelty(&self, rule: &str, mentions: &[Mention], time: i64) -> (f64, f64) {
        let history = self.history(time, HALF_LIFE);
        let bits = |count: f64, window: f64| rarity(count / (window + history) * 24.0).min(8.0);
        let counted = self
            .rules
            .get(rule)
            .map_or(0.0, |rate| rate.value(time, HALF_LIFE));
        let at = mentions.iter().map(|(entity, _)| {
            let rate = self.names[*entity].rules.get(rule);
            bits(
                0.05 + rate.map_or(0.0, |rate| rate.value(time, HALF_LIFE)),
                24.0,
            )
        });
        (bits(0.3 + counted, 48.0), at.fold(0.0, f64::max))
    }

    /// Returns how much rarer than one of forty a rule is at an entity, `thread` apart.
    pub(super) fn rule_term(
        &self,
        rule: &str,
        entity: usize,
        time: i64,
        thread: Option<&Thread>,
    ) -> f64 {
        let of = |rates: &BTreeMap<String, super::rate::Rate>| {
            let rate = rates.get(rule);
            rate.map_or(0.0, |rate| rate.value(time, HALF_LIFE))
        };
        let mut all = self.all.value(time, HALF_LIFE);
        let mut of_rule = of(&self.rules);
        let mut here = self.names[entity].episodes.value(time, HALF_LIFE);
        let mut of_rule_here = of(&self.names[entity].rules);
        if let Some(thread) = thread {
            let fired = |members: &[usize]| {
                let fired = members.iter();
                count(
                    fired
                        .filter(|number| self.episodes[**number].rule == rule)
                        .count(),
                )
            };
            let at = self.full(thread, Some(entity));
            all = (all - count(thread.episodes.len())).max(0.0);
            of_rule = (of_rule - fired(&thread.episodes)).max(0.0);
            here = (here - count(at.len())).max(0.0);
            of_rule_here = (of_rule_here - fired(&at)).max(0.0);
        }
        let share = (of_rule + 0.5) / (all + 0.5 * 40.0);
        let expected = (of_rule_here + 4.0 * share) / (here + 4.0);
        -(40.0 * expected).log2()
    }

    /// Returns the bits of meeting an entity within `gap` where it is met at `rate`, weighed and damped.
    fn surprise(&self, (entity, weak): Mention, rate: f64, gap: i64, time: i64) -> f64 {
        let fan = self.names[entity]
            .met
            .values()
            .filter(|met| time - **met <= DAY)
            .count();
        let damp = if fan > 8 {
            1.0 + 2.0 * (count(fan) / 8.0).log2()
        } else {
            1.0
        };
        self.weight((entity, weak)) * rarity(rate * hours(gap)).min(10.0) / damp
    }

    fn weight(&self, (entity, weak): Mention) -> f64 {
        let weight = match self.names[entity].kind.as_str() {
            "host" | "account" | "filehash" | "dns" | "url" => 1.0,
            "ip" => 0.9,
            "cloud-application" => 0.8,
            _ => 0.7,
        };
        weight * if weak { 0.5 } else { 1.0 }
    }

    fn gap(&self, a: usize, b: usize) -> i64 {
        let (a, b) = (&self.episodes[a], &self.episodes[b]);
        (a.start - b.end).max(b.start - a.end).max(0)
    }

    /// Sorts by bits, the greatest first, then by entity.
    fn ranked(&self, mut bits: Vec<(Mention, f64)>) -> Vec<(Mention, f64)> {
        bits.sort_by(|a, b| falling(a.1, b.1).then(a.0.cmp(&b.0)));
        bits
    }

    /// Returns the evidence of two episodes and what each shared entity gave.
    fn pair(&mut self, earlier: usize, new: usize) -> Option<(f64, Vec<(usize, f64)>)> {
        let (x, y) = (self.episodes[new].clone(), self.episodes[earlier].clone());
        let gap = self.gap(earlier, new);
        if gap > 72 * HOUR {
            return None;
        }
        let shared = x.mentions.iter().filter_map(|(entity, weak)| {
            let there = y.mentions.iter().find(|(known, _)| known == entity)?;
            let ringed = self.names[*entity].ring.contains(&earlier);
            ringed.then_some((*entity, *weak || there.1))
        });
        let bits = shared
            .map(|mention| {
                let rate = self.rate(mention.0, x.start, !x.context, 0.0);
                (
                    mention,
                    self.surprise(mention, rate, gap.max(5 * MINUTE), x.start),
                )
            })
            .collect();
        let bits = self.ranked(bits);
        let best = *bits.first()?;
        if !self.above_within(best.1, 2.5, 0.003) || !identifies(&bits) {
            return None;
        }
        let rule = |model: &Self, entity| {
            let term = model.rule_term(&x.rule, entity, x.start, None);
            term.min(y.rule_term).clamp(-2.5, 1.5)
        };
        let term = rule(self, best.0.0);
        if let Some(second) = bits.get(1)
            && (rule(self, second.0.0) - term).abs() > 1e-9
        {
            self.same(best.1, second.1);
        }
        let direction = match x.source {
            Some(source) if y.target == Some(source) => 1.5,
            Some(source) if y.source == Some(source) => 0.5,
            _ => 0.0,
        };
        let product = if x.rule == y.rule {
            -1.5
        } else if x.product == y.product {
            0.0
        } else {
            0.5
        };
        let order = 0.25 * order::best(&y.tactics, &x.tactics);
        let weight = halved(&bits) + order + direction + product + term;
        let shared = bits.iter().map(|((entity, _), bits)| (*entity, *bits));
        Some((weight, shared.collect()))
    }

    /// Weighs an episode against a hot thread as a whole; returns the evidence and its rule term.
    fn weigh(&mut self, number: usize, thread: usize) -> Option<(f64, f64)> {
        let x = self.episodes[number].clone();
        let state = &self.threads[&thread];
        let time = x.start.max(self.start(state));
        let mut parts: Vec<(Mention, f64, f64)> = Vec::new();
        for mention in &x.mentions {
            let there = self.full(state, Some(mention.0));
            let gaps = there.iter().map(|other| self.gap(number, *other));
            let Some(gap) = gaps.min().filter(|gap| *gap <= 14 * DAY) else {
                continue;
            };
            let outside = self.rate(mention.0, time, true, count(there.len()));
            let rate = state.before[&mention.0].1.max(outside);
            let rules: BTreeSet<&str> = there
                .iter()
                .map(|other| self.episodes[*other].rule.as_str())
                .filter(|rule| *rule != x.rule)
                .collect();
            let missing = count(3_usize.saturating_sub(rules.len()));
            let bits = self.surprise(*mention, rate, gap.max(5 * MINUTE), time);
            parts.push((*mention, bits - missing, missing));
        }
        let totals = parts.iter().map(|(mention, total, _)| (*mention, *total));
        let ranked = self.ranked(totals.collect());
        let best = *ranked.first()?;
        if !self.above_within(best.1, 0.5, 0.003) || !identifies(&ranked) {
            return None;
        }
        let rule = |model: &Self, entity| {
            let state = &model.threads[&thread];
            let term = model.rule_term(&x.rule, entity, time, Some(state));
            term.clamp(-3.5, 2.5)
        };
        let term = rule(self, best.0.0);
        if let Some(second) = ranked.get(1)
            && (rule(self, second.0.0) - term).abs() > 1e-9
        {
            self.same(best.1, second.1);
        }
        Some((halved(&ranked) + term, term))
    }

    /// Joins a new episode to the thread with the strongest evidence; a full one may bring further threads together.
    pub(super) fn place(&mut self, number: usize) {
        let mut targets = self.targets(number);
        targets.sort_by(|a, b| falling(a.margin, b.margin).then(a.thread.cmp(&b.thread)));
        for pair in targets.windows(2).take(4) {
            if pair[0].weight > NO_MATTER {
                self.same(pair[0].margin, pair[1].margin);
            }
        }
        let Some(best) = targets.first().cloned() else {
            return;
        };
        if !self.above(best.margin, 0.0) {
            return;
        }
        if best.from.is_none() {
            self.awaken(number, best.rule_term);
        }
        let joined = self.told(
            number,
            if best.from.is_some() {
                "pair"
            } else {
                "attach"
            },
            best.weight,
            best.bar,
        );
        self.join(best.thread, number, joined);
        if self.episodes[number].context {
            return;
        }
        for further in targets.into_iter().skip(1).take(3) {
            self.bridge(number, &further);
        }
    }

    fn bridge(&mut self, number: usize, further: &Target) {
        let Some(from) = further.from else { return };
        let (own, other) = (self.episodes[number].thread, self.episodes[from].thread);
        if own == other {
            return;
        }
        let smaller = self.threads[&own]
            .episodes
            .len()
            .min(self.threads[&other].episodes.len());
        let bar = 6.0 + 0.7 * count(smaller + 1).log2();
        if self.above(further.weight, bar) {
            let joined = self.told(number, "bridge", further.weight, bar);
            self.join(own, other, joined);
        }
    }

    fn targets(&mut self, number: usize) -> Vec<Target> {
        let x = self.episodes[number].clone();
        for (entity, _) in &x.mentions {
            while let Some(front) = self.names[*entity].ring.front().copied()
                && (!self.lives(front) || self.episodes[front].end < x.start - 72 * HOUR)
            {
                self.names[*entity].ring.pop_front();
            }
        }
        let rings = x
            .mentions
            .iter()
            .map(|(entity, _)| &self.names[*entity].ring);
        let candidates: BTreeSet<usize> = rings
            .flatten()
            .copied()
            .filter(|candidate| self.lives(*candidate))
            .collect();
        let mut pairs: BTreeMap<usize, Vec<Pair>> = BTreeMap::new();
        for candidate in candidates {
            if let Some((weight, shared)) = self.pair(candidate, number) {
                let thread = self.episodes[candidate].thread;
                pairs
                    .entry(thread)
                    .or_default()
                    .push((weight, candidate, shared));
            }
        }
        let bar = if x.context { 7.0 } else { 6.0 };
        let mut targets = BTreeMap::new();
        for (thread, pairs) in pairs {
            let entities = self.entities(&self.threads[&thread]).len();
            let bar = bar + 0.35 * (1.0 + count(entities) / 4.0).log2();
            targets.insert(thread, self.summed(thread, pairs, bar));
        }
        let warm_at_own = |(thread, state): &(&usize, &Thread)| {
            let at = self.entities(state);
            state.hot
                && **thread != number
                && x.mentions.iter().any(|(entity, _)| at.contains(entity))
        };
        let hot: Vec<usize> = self
            .threads
            .iter()
            .filter(warm_at_own)
            .map(|(thread, _)| *thread)
            .collect();
        for thread in hot {
            let Some((weight, rule_term)) = self.weigh(number, thread) else {
                continue;
            };
            let margin = weight - 5.0;
            if !self.above(margin, 0.0) {
                continue;
            }
            if let Some(known) = targets.get(&thread)
                && (self.same(known.margin, margin) || known.margin > margin)
            {
                continue;
            }
            let target = Target {
                margin,
                thread,
                from: None,
                weight,
                bar: 5.0,
                rule_term,
            };
            targets.insert(thread, target);
        }
        targets.into_values().collect()
    }

    /// The best pair, and half of what further pairs share beyond it.
    fn summed(&mut self, thread: usize, mut pairs: Vec<Pair>, bar: f64) -> Target {
        let end = |number: usize| self.episodes[number].end;
        pairs.sort_by(|a, b| falling(a.0, b.0).then((-end(a.1), a.1).cmp(&(-end(b.1), b.1))));
        let weight = total(&pairs);
        for at in 1..pairs.len().min(7) {
            let near = (pairs[at - 1].0 - pairs[at].0).abs();
            let mut swapped = pairs.clone();
            swapped.swap(at - 1, at);
            let matters = (total(&swapped) - weight).abs() > 0.004;
            self.close |= near > 1e-9 && near < 0.006 && matters;
        }
        Target {
            margin: weight - bar,
            thread,
            from: Some(pairs[0].1),
            weight,
            bar,
            rule_term: 0.0,
        }
    }

    /// Warms a thread up, turns it hot, stitches it to others and looks back.
    pub(super) fn stitch(&mut self, number: usize) {
        let time = self.episodes[number].start;
        let mut thread = self.episodes[number].thread;
        let mut entities: BTreeSet<usize> = if self.threads[&thread].warm {
            let mentions = self.episodes[number].mentions.iter();
            mentions.map(|(entity, _)| *entity).collect()
        } else {
            if !self.suspected(thread, 1.0) {
                return;
            }
            let entities = self.entities(&self.threads[&thread]);
            for entity in &entities {
                self.names[*entity].warm.add(time, 4);
            }
            self.threads.get_mut(&thread).unwrap().warm = true;
            entities
        };
        if self.turns_hot(thread, time) {
            self.threads.get_mut(&thread).unwrap().hot = true;
            entities = self.entities(&self.threads[&thread]);
        }
        for (other, weight) in self.seams(thread, &entities, time) {
            let smaller = self.threads[&thread]
                .episodes
                .len()
                .min(self.threads[&other].episodes.len());
            let bar = 5.0 + (1.0 + count(smaller) / 4.0).log2();
            if self.above(weight, bar) {
                entities.extend(self.entities(&self.threads[&other]));
                let joined = Joined {
                    to: None,
                    kind: "stitch",
                    weight,
                    bar,
                };
                thread = self.join(thread, other, joined);
            }
        }
        if self.threads[&thread].hot {
            self.look_back(thread, &entities, time);
        }
    }

    /// Returns whether severity times novelty of a thread's full episodes reaches `bar`.
    fn suspected(&mut self, thread: usize, bar: f64) -> bool {
        let members = &self.threads[&thread].episodes;
        let suspicion: f64 = members
            .iter()
            .map(|number| self.episodes[*number].suspicion)
            .sum();
        // The core cuts each to a thousandth.
        let tolerance = 0.0025 * count(members.len());
        self.above_within(suspicion, bar, tolerance)
    }

    fn num_rules(&self, thread: usize) -> usize {
        let full = self.full(&self.threads[&thread], None).into_iter();
        let rules: BTreeSet<&str> = full
            .map(|number| self.episodes[number].rule.as_str())
            .collect();
        rules.len()
    }

    fn is_suspicious(&mut self, thread: usize) -> bool {
        self.num_rules(thread) >= 2 && self.suspected(thread, 3.0)
    }

    fn turns_hot(&mut self, thread: usize, time: i64) -> bool {
        let mature = time - self.started.unwrap() >= DAY;
        if self.threads[&thread].hot || !mature || !self.is_suspicious(thread) {
            return false;
        }
        let state = &self.threads[&thread];
        let mut most: f64 = 0.0;
        for entity in self.entities(state) {
            let starts: Vec<i64> = self
                .full(state, Some(entity))
                .iter()
                .map(|number| self.episodes[*number].start)
                .collect();
            let span = starts.iter().max().unwrap() - starts.iter().min().unwrap();
            let expected = state.before[&entity].1 * hours(span.max(2 * HOUR));
            let counted = count(starts.len() - 1);
            if counted > expected {
                let excess = (counted - expected) * std::f64::consts::LOG2_E;
                most = most.max(counted * (counted / expected).log2() - excess);
            }
        }
        // Many episodes multiply what rounding took.
        self.close |= (most - 8.0).abs() < 0.05;
        most >= 8.0
    }

    /// Returns the two warm threads at `entities` with most evidence that they belong to `thread`.
    fn seams(&mut self, thread: usize, entities: &BTreeSet<usize>, time: i64) -> Vec<(usize, f64)> {
        let meets = |(other, state): &(&usize, &Thread)| {
            **other != thread && state.warm && !self.entities(state).is_disjoint(entities)
        };
        let others: Vec<usize> = self
            .threads
            .iter()
            .filter(meets)
            .map(|(other, _)| *other)
            .collect();
        let mut found = Vec::new();
        for other in others {
            if (self.is_suspicious(thread) || self.is_suspicious(other))
                && let Some(weight) = self.seam(thread, other, time)
            {
                found.push((other, weight));
            }
        }
        found.sort_by(|a: &(usize, f64), b| falling(a.1, b.1).then(a.0.cmp(&b.0)));
        for pair in found.clone().windows(2).take(2) {
            self.same(pair[0].1, pair[1].1);
        }
        found.truncate(2);
        found
    }

    fn seam(&mut self, a: usize, b: usize, time: i64) -> Option<f64> {
        let founded = |thread: usize| (self.start(&self.threads[&thread]), thread);
        let (first, second) = if founded(a) <= founded(b) {
            (a, b)
        } else {
            (b, a)
        };
        let ends = |thread: usize, entity| {
            let full = self.full(&self.threads[&thread], Some(entity));
            let starts = full.iter().map(|number| self.episodes[*number].start);
            let ends = full.iter().map(|number| self.episodes[*number].end);
            (starts.min().unwrap(), ends.max().unwrap())
        };
        let own = self.entities(&self.threads[&first]);
        let common = own
            .intersection(&self.entities(&self.threads[&second]))
            .copied()
            .collect::<Vec<usize>>();
        let mut bits = Vec::new();
        let mut rates = Vec::new();
        for entity in common {
            let (x, y) = (ends(first, entity), ends(second, entity));
            let gap = (x.0 - y.1).max(y.0 - x.1).max(0);
            let warm = self
                .threads
                .values()
                .filter(|state| state.warm && self.entities(state).contains(&entity))
                .count();
            let busy = self.rate(entity, time, true, 0.0);
            rates.push(busy);
            if gap > 14 * DAY || busy > 0.5 || warm > 6 {
                continue;
            }
            let rate = self.thread_rate(entity, time);
            let weak = self.names[entity].weak_only;
            let surprise = rarity(rate * hours(gap.max(2 * HOUR))).min(10.0);
            bits.push(((entity, weak), surprise * self.weight((entity, weak))));
        }
        self.close |= rates.iter().any(|rate| (rate - 0.5).abs() < 0.001);
        let bits = self.ranked(bits);
        bits.first()?;
        let tactics = |thread: usize| -> Vec<usize> {
            let full = self.full(&self.threads[&thread], None).into_iter();
            let tactics: BTreeSet<usize> = full
                .flat_map(|number| self.episodes[number].tactics.clone())
                .collect();
            tactics.into_iter().collect()
        };
        let (x, y) = (tactics(first), tactics(second));
        let new = y.iter().filter(|tactic| !x.contains(tactic)).count();
        Some(halved(&bits) + 0.6 * order::mean(&x, &y) + (0.25 * count(new)).min(1.0))
    }

    /// Pulls earlier episodes of cold, small threads into a hot one.
    fn look_back(&mut self, mut thread: usize, entities: &BTreeSet<usize>, time: i64) {
        let mut seen = BTreeSet::new();
        for entity in entities {
            for number in self.names[*entity].ring.clone() {
                let own = self.entities(&self.threads[&thread]).contains(entity);
                let other = self.episodes[number].thread;
                if !own || !self.lives(number) || other == thread || !seen.insert(number) {
                    continue;
                }
                let state = &self.threads[&other];
                let late = time - self.episodes[number].end > 72 * HOUR;
                if state.hot || state.episodes.len() > 3 || late {
                    continue;
                }
                if let Some((weight, _)) = self.weigh(number, thread)
                    && self.above(weight, 5.5)
                {
                    let joined = self.told(number, "look_back", weight, 5.5);
                    thread = self.join(thread, other, joined);
                }
            }
        }
    }

    fn lives(&self, number: usize) -> bool {
        self.threads.contains_key(&self.episodes[number].thread)
    }

    fn told(&self, number: usize, kind: &'static str, weight: f64, bar: f64) -> Joined {
        Joined {
            to: Some(self.episodes[number].uid.clone()),
            kind,
            weight,
            bar,
        }
    }
}

/// Returns the bits of the best pair, and half of what further pairs share beyond it.
fn total(pairs: &[Pair]) -> f64 {
    let mut weight = pairs[0].0;
    let mut seen: BTreeSet<usize> = pairs[0].2.iter().map(|(entity, _)| *entity).collect();
    for (_, _, shared) in pairs.iter().skip(1).take(5) {
        let new = shared.iter().filter(|(entity, _)| !seen.contains(entity));
        weight += new.map(|(_, bits)| bits / 2.0).fold(0.0, f64::max);
        seen.extend(shared.iter().map(|(entity, _)| *entity));
    }
    weight
}

/// The greater first; what differs by rounding only is equal.
fn falling(a: f64, b: f64) -> Ordering {
    let grain = |bits: f64| (bits * 1e7).round() + 0.0;
    grain(b).total_cmp(&grain(a))
}

/// Returns the bits of at least one event where `expected` are expected.
fn rarity(expected: f64) -> f64 {
    -(-(-expected).exp_m1()).log2()
}

/// A weak identifier never identifies alone.
fn identifies(bits: &[(Mention, f64)]) -> bool {
    bits.iter().any(|((_, weak), _)| !weak) || bits.len() > 1
}

/// Sums up the best three, each counting half of the one before.
fn halved(bits: &[(Mention, f64)]) -> f64 {
    let shares = [1.0, 0.5, 0.25];
    bits.iter()
        .zip(shares)
        .map(|((_, bits), share)| bits * share)
        .sum()
}

pub(super) fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
