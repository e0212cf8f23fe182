//! Forgetting: state that nothing can reach any more, and what must go where a bound is reached.

use crate::fusion::Fusion;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Fusion {
    /// Drops what has idled out by the start of the watermark's hour. Whole hours, so that it does not matter how often time
    /// is told between two alerts.
    pub(crate) fn sweep(&mut self) {
        let hour = self.watermark.div_euclid(HOUR_MS);
        if hour <= self.swept_hour {
            return;
        }
        let day = hour.div_euclid(24);
        let new_day = day > self.swept_hour.div_euclid(24);
        self.swept_hour = hour;
        let now = hour.saturating_mul(HOUR_MS);
        while let Some((expires, thread)) = self.expiry.first()
            && expires < now
        {
            self.drop_thread(thread);
        }
        let limits = &self.settings.limits;
        let (entity_idle, uid_life) = (limits.entity_idle_ms, limits.warm_idle_ms);
        self.entities.forget_before(now.saturating_sub(entity_idle));
        self.uids.sweep(hour, uid_life);
        if new_day {
            // Twice as long as an entity, so that whoever gets the number next inherits no episode of it and, at an entity
            // that is never idle, a count that has faded to less than a thousandth.
            let rule_idle = entity_idle.saturating_mul(2).saturating_add(DAY_MS);
            let today = day.saturating_mul(DAY_MS);
            self.rules.forget_before(today.saturating_sub(rule_idle));
        }
    }

    /// Puts a thread where it belongs in the queue of those to drop.
    pub(crate) fn requeue(&mut self, number: u64) {
        let limits = &self.settings.limits;
        let Some(thread) = self.threads.get_mut(number) else {
            return;
        };
        let expires = thread.lives_until(limits);
        if thread.expires == expires {
            return;
        }
        self.expiry.remove(&(thread.expires, number));
        thread.expires = expires;
        self.expiry.insert((expires, number));
    }

    /// Makes room for one more episode where the bound is reached: the thread that would go first goes now.
    pub(crate) fn make_room(&mut self) {
        let max = usize::try_from(self.settings.limits.episodes)
            .unwrap_or(usize::MAX)
            .max(1);
        while self.episodes.len() >= max {
            let Some((_, thread)) = self.expiry.first() else {
                return;
            };
            // What the alert at hand united is a revision before it is the last one.
            self.settle(self.now);
            self.stats.evicted_by_bound += 1;
            self.drop_thread(thread);
        }
    }

    fn drop_thread(&mut self, number: u64) {
        self.unindex_incident(number);
        let Some(thread) = self.threads.remove(number) else {
            return;
        };
        self.expiry.remove(&(thread.expires, number));
        // What was changed in this epoch is still published, as it was when it changed.
        if self.changed.remove(&number)
            && let Some(record) = self.render(&thread)
        {
            self.finished.push_back(record);
        }
        for entity in thread.entities.keys() {
            if let Some(state) = self.entities.get_mut(*entity) {
                state.threads.retain(|known| *known != number);
            }
        }
        for episode in &thread.episodes {
            self.drop_episode(*episode);
        }
        self.stats.threads_dropped += 1;
    }

    fn drop_episode(&mut self, number: u64) {
        let Some(episode) = self.episodes.remove(number) else {
            return;
        };
        for mention in &episode.mentions {
            let Some(state) = self.entities.get_mut(mention.entity) else {
                continue;
            };
            state.live = state.live.saturating_sub(1);
            state.prune(|number| self.episodes.get(number).is_some());
        }
        let key = episode.fold_key();
        if self.open.get(&key) == Some(number) {
            self.open.remove(&key);
        }
    }
}
