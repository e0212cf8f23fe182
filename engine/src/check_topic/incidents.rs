//! The committed records of the incidents topic, partition by partition.

use std::collections::BTreeMap;

use schemas::incident::{Incident, IncidentStatus};
use serde_json::Value;

use super::claims::{Claims, Holder};
use super::finding::{Findings, Place, Rule};
use super::redirects;
use super::schema::Shape;
use super::state::States;
use super::{Checked, EPOCH_HEADER};
use crate::bus::{Partition, Record};

/// Every incident at its newest revision, and who listed which alert when.
#[derive(Debug)]
pub(super) struct Incidents {
    shape: Shape,
    heads: BTreeMap<String, Head>,
    claims: Claims,
    /// The shard of every tenant.
    tenants: BTreeMap<String, i32>,
    /// The last epoch of each shard in each partition.
    epochs: BTreeMap<(Partition, i32), Moment>,
    /// The last epoch of each shard in any partition, and a record of it.
    newest: BTreeMap<i32, (Moment, Place)>,
    revisions: u64,
    /// The oldest may have been deleted.
    pub(super) cut: bool,
}

/// What is kept of an incident.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) tenant: String,
    pub(super) version: (i32, i64),
    pub(super) at: At,
    pub(super) merged_into: Option<String>,
    pub(super) merged_from: Vec<String>,
}

/// The epoch of a shard that wrote something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct At {
    pub(super) shard: i32,
    pub(super) moment: Moment,
}

/// Generation and epoch of a shard, in the order of time.
pub(super) type Moment = (i32, u64);

impl Incidents {
    pub(super) fn new(memory_ms: i64, shape: Shape) -> Self {
        Self {
            shape,
            heads: BTreeMap::new(),
            claims: Claims::new(memory_ms),
            tenants: BTreeMap::new(),
            epochs: BTreeMap::new(),
            newest: BTreeMap::new(),
            revisions: 0,
            cut: false,
        }
    }

    pub(super) fn record(&mut self, record: &Record, findings: &mut Findings) {
        let place = Place::of(record);
        let incident = match read(record) {
            Ok(incident) => incident,
            Err(problem) => return findings.add(Rule::Content, &place, problem),
        };
        self.revisions += 1;
        for problem in problems(&incident, record, &self.shape) {
            findings.add(Rule::Content, &place, problem);
        }
        let known = self.heads.get(&incident.id);
        if let Some(head) = known {
            compare(head, &incident, &place, findings);
        }
        let at = self.at(record, &incident, &place, findings);
        let known = self.heads.get(&incident.id);
        if known.is_some_and(|head| head.version >= (incident.generation, incident.revision)) {
            // What fell back says nothing about how it is now.
            return;
        }
        let count = u32::try_from(self.heads.len()).unwrap_or(u32::MAX);
        let number = known.map_or(count, |head| head.number);
        let holder = Holder {
            incident: number,
            at,
            modified_ms: incident.modified_time.millis(),
            place: &place,
        };
        self.claims.set(&holder, &incident);
        let head = Head {
            number,
            place,
            tenant: incident.tenant,
            version: (incident.generation, incident.revision),
            at,
            merged_into: incident.merged_into,
            merged_from: incident.merged_from,
        };
        self.heads.insert(incident.id, head);
    }

    /// Returns an incident at its newest revision.
    pub(super) fn head(&self, id: &str) -> Option<&Head> {
        self.heads.get(id)
    }

    /// Returns which epoch wrote a record, and notes where it breaks the order.
    fn at(
        &mut self,
        record: &Record,
        incident: &Incident,
        place: &Place,
        findings: &mut Findings,
    ) -> At {
        let Some((shard, epoch)) = epoch(record) else {
            let text = format!("no header {EPOCH_HEADER} that names shard and epoch");
            findings.add(Rule::Epochs, place, text);
            let known = self.heads.get(&incident.id).map(|head| head.at);
            let tenants_shard = self.tenants.get(&incident.tenant).copied();
            return known.unwrap_or_else(|| At {
                shard: tenants_shard.unwrap_or(0),
                moment: (incident.generation, 0),
            });
        };
        let tenant = &incident.tenant;
        let tenants_shard = *self.tenants.entry(tenant.clone()).or_insert(shard);
        if tenants_shard != shard {
            let text =
                format!("tenant {tenant} is written by shard {shard} and by shard {tenants_shard}");
            findings.add(Rule::Tenants, place, text);
        }
        let moment = (incident.generation, epoch);
        let key = (record.partition.clone(), shard);
        let last = self.epochs.entry(key).or_insert(moment);
        if *last > moment {
            let text = format!(
                "epoch {} of shard {shard} after its epoch {}",
                moment.1, last.1
            );
            findings.add(Rule::Epochs, place, text);
        }
        *last = moment.max(*last);
        let newest = self.newest.entry(shard);
        let newest = newest.or_insert_with(|| (moment, place.clone()));
        if newest.0 < moment {
            *newest = (moment, place.clone());
        }
        At { shard, moment }
    }

    /// Checks what only the whole topic tells. What a shard wrote behind the state's horizon may not have been read in every
    /// partition.
    pub(super) fn finish(self, states: &States, findings: &mut Findings, checked: &mut Checked) {
        let horizon = |shard| states.horizon(shard);
        checked.incidents = self.heads.len().try_into().unwrap_or(u64::MAX);
        checked.revisions = self.revisions;
        checked.alerts = self.claims.alerts();
        for (shard, (moment, place)) in &self.newest {
            let last = states.newest(*shard);
            if last.is_some_and(|last| *moment > last) {
                let text = format!(
                    "the state of shard {shard} does not have epoch {}",
                    moment.1
                );
                findings.add(Rule::Epochs, place, text);
            }
        }
        redirects::check(&self.heads, self.cut, &horizon, findings);
        let names: BTreeMap<u32, &str> = self
            .heads
            .iter()
            .map(|(id, head)| (head.number, id.as_str()))
            .collect();
        self.claims.check(&names, &horizon, findings);
        if states.is_complete() {
            self.claims
                .look_up(&|hash| states.has_alert(hash), findings);
        }
    }
}

/// Reads a record as an incident, or says why it is none.
fn read(record: &Record) -> Result<Incident, String> {
    let Some(bytes) = &record.value else {
        return Err("a tombstone: incidents are never deleted".to_owned());
    };
    serde_json::from_slice(bytes).map_err(|error| format!("the value is no incident: {error}"))
}

/// What an incident says that cannot be.
fn problems(incident: &Incident, record: &Record, shape: &Shape) -> Vec<String> {
    let mut problems = Vec::new();
    let value = record.value.as_deref().unwrap_or_default();
    let value: Value = serde_json::from_slice(value).unwrap_or_default();
    if let Err(misfit) = shape.check(&value) {
        problems.push(format!("the value does not fit the schema: {misfit}"));
    }
    let mut hold = |holds: bool, text: &str| {
        if !holds {
            problems.push(text.to_owned());
        }
    };
    let key = record.key.as_deref();
    hold(key == Some(incident.id.as_bytes()), "the key is not the id");
    for (name, expected) in [
        ("ce_id", format!("{}:{}", incident.id, incident.revision)),
        ("ce_subject", incident.id.clone()),
    ] {
        let mut told = record.headers.iter().filter(|header| header.name == name);
        let fits = told.all(|header| header.value.as_deref() == Some(expected.as_bytes()));
        hold(fits, &format!("header {name} is not {expected}"));
    }
    let merged = incident.status == IncidentStatus::Merged;
    hold(
        merged == incident.merged_into.is_some(),
        "merged and naming a survivor do not go together",
    );
    hold(incident.revision > 0, "the revision is not above 0");
    let listed = |index: i32| usize::try_from(index).is_ok_and(|i| i < incident.alerts.len());
    hold(
        incident.chain.iter().all(|index| listed(*index)),
        "its chain names an alert that it does not list",
    );
    let ends = |link: &schemas::incident::Link| listed(link.from) && listed(link.to);
    hold(
        incident.links.iter().all(ends),
        "a link names an alert that it does not list",
    );
    let adds_up = |link: &schemas::incident::Link| {
        let bits = link.terms.iter().map(|term| i64::from(term.bits));
        bits.sum::<i64>() == i64::from(link.weight)
    };
    hold(
        incident.links.iter().all(adds_up),
        "the terms of a link do not add up to its weight",
    );
    problems
}

/// Holds a revision against the one before.
fn compare(head: &Head, incident: &Incident, place: &Place, findings: &mut Findings) {
    let id = &incident.id;
    let version = (incident.generation, incident.revision);
    if head.place.partition != place.partition {
        let text = format!("{id} was in partition {} before", head.place.partition);
        findings.add(Rule::Revisions, place, text);
    }
    if version <= head.version {
        let text = format!(
            "revision {}.{} of {id} after {}.{}",
            version.0, version.1, head.version.0, head.version.1
        );
        findings.add(Rule::Revisions, place, text);
    } else if version.0 == head.version.0
        && let Some(into) = &head.merged_into
    {
        let text = format!("{id} went into {into} at offset {}", head.place.offset);
        findings.add(Rule::Final, place, text);
    }
    if head.tenant != incident.tenant {
        let text = format!("{id} was of tenant {} before", head.tenant);
        findings.add(Rule::Tenants, place, text);
    }
}

/// Returns shard and epoch as the record's header names them.
pub(super) fn epoch(record: &Record) -> Option<(i32, u64)> {
    let mut named = record.headers.iter().filter(|h| h.name == EPOCH_HEADER);
    let header = named.next_back()?;
    let text = std::str::from_utf8(header.value.as_deref()?).ok()?;
    let (shard, epoch) = text.split_once(':')?;
    Some((shard.parse().ok()?, epoch.parse().ok()?))
}
