//! What was committed, told to readers, counters and the observer.

use std::sync::Arc;

use super::{Disposition, Observer, Worker};
use crate::bus::Bus;
use crate::decode::Content;
use crate::metrics;
use crate::shard::{Applied, Shard};

impl<B: Bus> Worker<B> {
    /// Makes a committed epoch visible.
    pub(super) fn publish(&self, applied: &[Applied], observer: &mut dyn Observer) {
        for incident in applied.iter().flat_map(Applied::incidents) {
            metrics::incident_emitted(incident);
            let before = self.view.get(&incident.id);
            metrics::incident_shown(incident, before.as_deref());
            self.view.publish(Arc::clone(incident));
            observer.incident(incident);
        }
        let mut counts = metrics::Counts::default();
        for fate in applied.iter().flat_map(|applied| &applied.fates) {
            let disposition = match &fate.decoded.content {
                Content::Command(_) => match &fate.verdict {
                    Some(verdict) => Disposition::Command(verdict),
                    None => continue,
                },
                Content::Alerts(alerts) => Disposition::Alerts(alerts, &fate.placements),
                Content::Binding(_) => Disposition::Binding,
                Content::Broken(broken) => Disposition::DeadLetter(broken),
            };
            counts.record(&fate.decoded.record, disposition);
            observer.record(&fate.decoded.record, disposition);
        }
        counts.flush();
        for output in applied.iter().flat_map(|applied| &applied.outputs) {
            observer.outputs(&output.tenant, &output.outputs);
        }
        for applied in applied {
            let shard = self.active(applied.shard);
            metrics::watermark(applied.shard, shard.and_then(Shard::watermark));
        }
        metrics::state(self.held.active().map(Shard::stats));
    }

    /// Makes visible what was committed although it was not heard of, as soon as the shard that it is of is worked on again
    /// and its state is known to be that epoch's. What is another's by then was told by the other, or by nobody.
    pub(super) fn resolve_doubt(&mut self, observer: &mut dyn Observer) {
        let mut committed = Vec::new();
        for applied in std::mem::take(&mut self.in_doubt) {
            match self.active(applied.shard).map(Shard::meta) {
                None => self.in_doubt.push(applied),
                Some(meta) if (meta.epoch, meta.writer) == (applied.epoch, applied.writer) => {
                    committed.push(applied);
                }
                Some(_) => {}
            }
        }
        if !committed.is_empty() {
            self.publish(&committed, observer);
        }
    }

    fn active(&self, number: i32) -> Option<&Shard> {
        self.held.active().find(|shard| shard.number() == number)
    }
}
