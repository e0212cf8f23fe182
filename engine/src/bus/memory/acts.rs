//! What happens to a broker, to be called by whoever drives a run.

use schemas::time::Timestamp;

use super::log::Log;
use super::{CommitError, MemberId, Memory, NoPartition};

impl Memory {
    /// Moves the clock on by so many milliseconds, and lets everything happen that comes due on the way, in order:
    /// sessions end, transactions run out of time, delayed requests arrive.
    pub fn advance(&self, millis: i64) {
        let mut cluster = self.lock();
        let Some(now) = cluster.clock else {
            return;
        };
        let target = now.saturating_add(millis.max(0));
        loop {
            let timing = cluster.timing;
            let session = cluster.group.next_due(timing.session);
            let transaction = cluster.transactions.next_due(timing.transaction);
            let due = [
                session.map(|(due, _)| due),
                transaction.as_ref().map(|t| t.0),
            ];
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= target) else {
                break;
            };
            let now = due.max(cluster.now());
            cluster.clock = Some(now);
            match (session, transaction) {
                (Some((at, member)), _) if at == due => cluster.group.put_out(member, now),
                (_, Some((_, what))) => cluster.settle(what),
                (_, None) => break,
            }
        }
        cluster.clock = Some(target);
        cluster.group.beat(target);
        drop(cluster);
        self.shared.grown.notify_all();
    }

    /// Returns the time; without a clock it is always 0.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.lock().now())
    }

    /// Stops a member's heartbeats, as a process that stands still does. What it does meanwhile is its own affair.
    pub fn suspend(&self, member: MemberId) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.silence(member, false, now);
    }

    /// Lets a suspended member's heartbeats go on, if the group still knows it.
    pub fn resume(&self, member: MemberId) {
        self.lock().group.resume(member);
    }

    /// Ends a member without a word: the group learns of it when its session ends, and its transaction stays open.
    pub fn kill(&self, member: MemberId) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.silence(member, true, now);
    }

    /// Ends a member's session: it hears so in the answer to its next request.
    pub fn put_out(&self, member: MemberId) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.put_out(member, now);
    }

    /// Ends every session: each member is fenced, loses its shards and joins anew.
    pub fn rebalance(&self) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.put_out_all(now);
        drop(cluster);
        self.shared.grown.notify_all();
    }

    /// Begins a new generation in which everybody keeps what they have.
    pub fn next_generation(&self) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.rebalance(now);
    }

    /// Moves a shard to a member: its owner gives it back when it next serves the group.
    pub fn move_shard(&self, shard: i32, to: MemberId) {
        let mut cluster = self.lock();
        let now = cluster.now();
        cluster.group.wish(shard, to, now);
    }

    /// Returns the generation of the group.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.lock().group.generation()
    }

    /// Deletes the records of a partition before an offset.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn delete_before(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), NoPartition> {
        self.lock().log(topic, partition)?.delete_before(offset);
        Ok(())
    }

    /// Takes away everything a partition holds, as if its topic had been made anew.
    pub fn truncate(&self, topic: &str, partition: i32) {
        if let Ok(log) = self.lock().log(topic, partition) {
            *log = log.emptied();
        }
    }

    /// Compacts a partition below an offset, as far as it is stable; what lies above is the segment still written to.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn compact(&self, topic: &str, partition: i32, below: i64) -> Result<(), NoPartition> {
        let mut cluster = self.lock();
        let (now, retention) = (cluster.now(), cluster.timing.tombstone);
        let log = cluster.log(topic, partition)?;
        log.compact(below, now, retention);
        Ok(())
    }

    /// Compacts what has doubled: where nobody drives the broker, it does so by itself.
    pub(super) fn compact_dirty(&self) {
        let mut cluster = self.lock();
        if cluster.clock.is_none() {
            let logs = cluster.topics.values_mut().flatten();
            // Without time nobody is on the way through the log who would miss a tombstone.
            let compact = |log: &mut Log| log.compact(log.end(), 0, 0);
            logs.filter(|log| log.is_dirty()).for_each(compact);
        }
    }

    /// Lets the next commits fail, in this order.
    pub fn fail_commits(&self, errors: impl IntoIterator<Item = CommitError>) {
        self.lock().refusals.extend(errors);
    }

    /// Lets the next commit be written and its member hear that it was fenced.
    pub fn lose_answer(&self) {
        self.lock().answers_lost += 1;
    }
}
