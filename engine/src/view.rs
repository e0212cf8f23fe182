//! The read side: incidents as they were last committed, shared between the worker and HTTP.

use std::cmp::Ordering as Order;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use schemas::alert::Severity;
use schemas::incident::{Incident, IncidentStatus};
use schemas::time::Timestamp;

/// Committed incidents by id, each whole. The worker writes after a commit; anyone reads.
///
/// Memory is bounded: an incident weighs one plus its alerts, entities and links, and when the sum passes the
/// bound the incidents longest unchanged go.
#[derive(Debug)]
pub struct IncidentView {
    incidents: DashMap<String, Arc<Incident>>,
    ages: Mutex<Ages>,
    parts_max: usize,
    evicted: AtomicU64,
}

/// The order of eviction, and the weight of all.
#[derive(Debug, Default)]
struct Ages {
    oldest_first: BTreeSet<(Timestamp, String)>,
    parts: usize,
}

/// Which incidents a page is taken from; empty lists and none stand for all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of these severities.
    pub severities: Vec<Severity>,
}

/// A place in the order of a listing: greatest risk first, of equal risk by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Risk of the incident there.
    pub risk: f64,
    /// Its id.
    pub id: String,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The incidents, in order.
    pub incidents: Vec<Arc<Incident>>,
    /// Place of the last one, where more follow.
    pub next: Option<Place>,
}

impl Default for IncidentView {
    fn default() -> Self {
        Self::new(PARTS_MAX)
    }
}

impl IncidentView {
    /// Creates an empty view that holds incidents of `parts_max` weight in all.
    #[must_use]
    pub fn new(parts_max: usize) -> Self {
        Self {
            incidents: DashMap::new(),
            ages: Mutex::default(),
            parts_max,
            evicted: AtomicU64::new(0),
        }
    }

    /// Takes a committed revision. One that is not greater than the revision held changes nothing.
    pub fn publish(&self, incident: Arc<Incident>) {
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = self.get(&incident.id) {
            if version(&held) >= version(&incident) {
                return;
            }
            ages.remove(&held);
        }
        ages.insert(&incident);
        self.incidents.insert(incident.id.clone(), incident);
        while ages.parts > self.parts_max && ages.oldest_first.len() > 1 {
            let Some((_, id)) = ages.oldest_first.first().cloned() else {
                break;
            };
            if let Some((_, oldest)) = self.incidents.remove(&id) {
                ages.remove(&oldest);
            }
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets every incident: the state behind them is another member's.
    pub(crate) fn clear(&self) {
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        *ages = Ages::default();
        self.incidents.clear();
    }

    /// Returns the incident of this id, merged ones included.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Incident>> {
        self.incidents.get(id).map(|held| Arc::clone(held.value()))
    }

    /// Returns up to `limit` incidents that pass the filter, from behind `after`. Merged ones are not listed.
    #[must_use]
    pub fn page(&self, filter: &Filter, after: Option<&Place>, limit: usize) -> Page {
        let mut found: Vec<Arc<Incident>> = self
            .incidents
            .iter()
            .filter(|held| filter.passes(held.value()))
            .filter(|held| after.is_none_or(|place| place.is_before(held.value())))
            .map(|held| Arc::clone(held.value()))
            .collect();
        found.sort_unstable_by(|a, b| in_order((a.risk, &a.id), (b.risk, &b.id)));
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        Page {
            next: last.map(|incident| Place::of(incident)),
            incidents: found,
        }
    }

    /// Returns how many incidents are held, merged ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.incidents.len()
    }

    /// Returns whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// Returns how many incidents were dropped to stay inside the bound.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl Ages {
    fn insert(&mut self, incident: &Incident) {
        self.parts = self.parts.saturating_add(weight(incident));
        self.oldest_first
            .insert((incident.modified_time, incident.id.clone()));
    }

    fn remove(&mut self, incident: &Incident) {
        self.parts = self.parts.saturating_sub(weight(incident));
        self.oldest_first
            .remove(&(incident.modified_time, incident.id.clone()));
    }
}

impl Filter {
    fn passes(&self, incident: &Incident) -> bool {
        incident.status != IncidentStatus::Merged
            && self
                .tenant
                .as_ref()
                .is_none_or(|tenant| *tenant == incident.tenant)
            && (self.severities.is_empty() || self.severities.contains(&incident.severity))
    }
}

impl Place {
    /// Returns the place of an incident.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        Self {
            risk: incident.risk,
            id: incident.id.clone(),
        }
    }

    fn is_before(&self, incident: &Incident) -> bool {
        in_order((self.risk, &self.id), (incident.risk, &incident.id)) == Order::Less
    }
}

fn in_order(a: (f64, &String), b: (f64, &String)) -> Order {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1))
}

fn version(incident: &Incident) -> (i32, i64) {
    (incident.generation, incident.revision)
}

fn weight(incident: &Incident) -> usize {
    1 + incident.alerts.len() + incident.entities.len() + incident.links.len()
}

/// About half a gibibyte of incidents.
const PARTS_MAX: usize = 1_000_000;

#[cfg(test)]
pub(crate) mod tests;
