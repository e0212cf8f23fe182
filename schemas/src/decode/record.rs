//! What every decoder does alike: the alert's frame, its tenant and times, and the bounds of what it holds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::json::{Node, Object};
use super::{DecodeError, Envelope, Format, Limits, Reason};
use crate::alert::{
    Alert, AlertActivity, AlertDisposition, AlertKind, AlertStatus, Provenance, Severity, Source,
    TimeQuality, Verdict,
};
use crate::attack::{Attack, is_known};
use crate::entity::Entity;
use crate::tenant::{DEFAULT_TENANT, tenant};
use crate::time::Timestamp;

/// Labels, hints and attacks of one alert.
const MEMBERS_MAX: usize = 64;

/// One vendor record on its way to an alert.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The alert as its vendor wrote it.
    pub(crate) fields: Object<'a>,
    pub(crate) envelope: &'a Envelope<'a>,
    pub(crate) limits: &'a Limits,
}

/// What every alert needs.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// At least the product key and the record's own id.
    pub(crate) source: Source,
    pub(crate) title: String,
    /// Where the record names its tenant.
    pub(crate) tenant: Option<Node<'a>>,
    pub(crate) times: Times,
    /// The field that gives the start: what an error names when neither the record nor a broker gives a time.
    pub(crate) time_field: &'a str,
}

/// When an alert's activity was, as far as its record says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) detected: Option<Timestamp>,
}

impl Record<'_> {
    /// Returns the alert so far; the decoder adds the rest.
    pub(crate) fn alert(&self, format: Format, frame: Frame<'_>) -> Result<Alert, DecodeError> {
        let Frame {
            source,
            title,
            tenant,
            times,
            time_field,
        } = frame;
        let broker = self.envelope.timestamp.map(Timestamp);
        let broker = broker.map(|time| time.clamp(Timestamp::MIN, Timestamp::MAX));
        let (start, time_quality) = match (times.start.or(times.end), times.detected, broker) {
            (Some(start), _, _) => (start, TimeQuality::Exact),
            (None, Some(detected), _) => (detected, TimeQuality::DetectionOnly),
            (None, None, Some(broker)) => (broker, TimeQuality::IngestOnly),
            (None, None, None) => return Err(self.fields.missing(time_field)),
        };
        let mut warnings = Vec::new();
        let end = times.end.unwrap_or(start);
        if end < start {
            warnings.push("end_before_start".to_owned());
        }
        let detected = times.detected.unwrap_or(start);
        Ok(Alert {
            uid: format!("{}:{}", source.product_key, source.native_uid),
            tenant: self.tenant(tenant)?,
            activity: AlertActivity::default(),
            revision: detected.millis(),
            kind: AlertKind::default(),
            source,
            title,
            description: None,
            start_time: start,
            end_time: end.max(start),
            detected_time: detected,
            ingest_time: broker.unwrap_or(detected),
            time_quality,
            count: 1,
            severity: Severity::default(),
            severity_native: None,
            risk_score: None,
            confidence: None,
            status: AlertStatus::default(),
            verdict: Verdict::default(),
            disposition: AlertDisposition::default(),
            attacks: Vec::new(),
            entities: Vec::new(),
            correlation_hints: Vec::new(),
            labels: BTreeMap::new(),
            provenance: Provenance {
                topic: self.envelope.topic.to_owned(),
                partition: self.envelope.partition,
                offset: self.envelope.offset,
                mapper: format.word().to_owned(),
                warnings,
            },
        })
    }

    /// Returns the tenant: the input's, else the one `field` names, else the default.
    fn tenant(&self, field: Option<Node<'_>>) -> Result<String, DecodeError> {
        if let Some(tenant) = self.envelope.tenant {
            return Ok(tenant.to_owned());
        }
        let Some(field) = field.filter(|field| !field.blank()) else {
            return Ok(DEFAULT_TENANT.to_owned());
        };
        self.own_tenant(field, &field.text().unwrap_or_default())
    }

    /// Returns the tenant: the input's, else `name`, which `field` holds.
    pub(crate) fn own_tenant(&self, field: Node<'_>, name: &str) -> Result<String, DecodeError> {
        let found = self.envelope.tenant.map_or_else(|| tenant(name), Ok);
        match found {
            Ok(name) => Ok(name.to_owned()),
            Err(problem) => Err(field.refuse(Reason::InvalidTenant, &problem.to_string())),
        }
    }
}

/// Keeps a text that has no canonical field.
pub(crate) fn label(alert: &mut Alert, name: &str, text: Option<Cow<'_, str>>) {
    if let Some(text) = text {
        alert.labels.insert(name.to_owned(), text.into_owned());
    }
}

/// Notes something odd about a record, once: a word of [`WARNINGS`](super::WARNINGS).
pub(crate) fn warn(alert: &mut Alert, word: &str) {
    debug_assert!(super::WARNINGS.contains(&word), "{word}");
    let warnings = &mut alert.provenance.warnings;
    if !warnings.iter().any(|known| known == word) {
        warnings.push(word.to_owned());
    }
}

/// Holds a decoded alert inside the limits; what is cut leaves a warning.
///
/// The ids are not cut but refused when too long: a cut id would make two alerts one.
pub(crate) fn bound(alert: &mut Alert, limits: &Limits) -> Result<(), DecodeError> {
    let ids = [&alert.source.product_key, &alert.source.native_uid];
    if ids.iter().any(|id| id.len() > limits.value_bytes_max) {
        return Err(DecodeError {
            reason: Reason::InvalidField,
            field: "/".into(),
            problem: "the alert's id is longer than a value may be".into(),
        });
    }
    if alert.entities.len() > limits.entities_max {
        alert.entities.truncate(limits.entities_max);
        let kept = i32::try_from(limits.entities_max).unwrap_or(i32::MAX);
        for entity in &mut alert.entities {
            entity.parent = entity.parent.filter(|parent| *parent < kept);
        }
        warn(alert, "entities_cut");
    }
    let members = [
        alert.attacks.len(),
        alert.correlation_hints.len(),
        alert.labels.len(),
    ];
    if members.iter().any(|members| *members > MEMBERS_MAX) {
        alert.attacks.truncate(MEMBERS_MAX);
        alert.correlation_hints.truncate(MEMBERS_MAX);
        while alert.labels.len() > MEMBERS_MAX {
            alert.labels.pop_last();
        }
        warn(alert, "members_cut");
    }
    let unknown = |attack: &Attack| {
        let tactic = attack.tactic_uid.as_deref();
        tactic.is_some_and(|tactic| !is_known(tactic))
    };
    if alert.attacks.iter().any(unknown) {
        warn(alert, "unknown_tactic");
    }
    if cut_values(alert, limits.value_bytes_max) {
        warn(alert, "values_cut");
    }
    Ok(())
}

/// Cuts every text of the alert but its ids and entity keys; returns whether any was too long.
fn cut_values(alert: &mut Alert, max: usize) -> bool {
    let mut was_cut = cut(&mut alert.title, max);
    let source = &mut alert.source;
    for text in [
        &mut alert.description,
        &mut alert.severity_native,
        &mut source.vendor,
        &mut source.product,
        &mut source.product_version,
        &mut source.rule_uid,
        &mut source.rule_name,
        &mut source.url,
    ] {
        was_cut |= text.as_mut().is_some_and(|text| cut(text, max));
    }
    for attack in &mut alert.attacks {
        for text in [
            &mut attack.tactic_uid,
            &mut attack.technique_uid,
            &mut attack.sub_technique_uid,
            &mut attack.attack_version,
        ] {
            was_cut |= text.as_mut().is_some_and(|text| cut(text, max));
        }
    }
    for hint in &mut alert.correlation_hints {
        was_cut |= cut(hint, max);
    }
    was_cut |= cut_map(&mut alert.labels, max);
    for entity in &mut alert.entities {
        was_cut |= cut(&mut entity.kind, max) | cut(&mut entity.display, max);
        was_cut |= cut_map(&mut entity.identifiers, max);
        was_cut |= bound_keys(entity, max);
    }
    was_cut
}

/// Drops keys that are too long: a cut key would name a different thing.
fn bound_keys(entity: &mut Entity, max: usize) -> bool {
    let keys = [entity.alt_keys.len(), entity.weak_keys.len()];
    let held = entity.key.is_some();
    entity.key = entity.key.take().filter(|key| key.len() <= max);
    for keys in [&mut entity.alt_keys, &mut entity.weak_keys] {
        keys.retain(|key| key.len() <= max);
        keys.truncate(MEMBERS_MAX);
    }
    if entity.key.is_none() && !entity.alt_keys.is_empty() {
        entity.key = Some(entity.alt_keys.remove(0));
        return true;
    }
    keys != [entity.alt_keys.len(), entity.weak_keys.len()] || held != entity.key.is_some()
}

fn cut_map(map: &mut BTreeMap<String, String>, max: usize) -> bool {
    let count = map.len();
    map.retain(|name, _| name.len() <= max);
    while map.len() > MEMBERS_MAX {
        map.pop_last();
    }
    let mut was_cut = map.len() != count;
    for value in map.values_mut() {
        was_cut |= cut(value, max);
    }
    was_cut
}

/// Cuts a text to at most `max` bytes, at a character; returns whether it was longer.
pub(crate) fn cut(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    text.truncate(text.floor_char_boundary(max));
    true
}
