//! The friendly canonical JSON: what a person writes by hand and what the data sets use.

use std::borrow::Cow;

use super::entities::Entities;
use super::json::{Node, Object};
use super::record::{Frame, Record, Times, warn};
use super::words::{disposition, folded, known, label, percent, role, severity, status, verdict};
use super::{DecodeError, Format};
use crate::alert::{Alert, AlertActivity, AlertKind, Severity, Source};
use crate::attack::{Attack, attacks_of};
use crate::entity::{EntityRole, named};

/// The producer where a record names none.
const SOURCE: &str = "fusor";

/// Confidence where a record states none.
const CONFIDENCE: i32 = 50;

/// Tactics, techniques and hints read from one record.
const MEMBERS_MAX: usize = 65;

/// Fields that are read; every other is kept as a label.
const FIELDS: [&str; 27] = [
    "id",
    "time",
    "title",
    "tenant",
    "end_time",
    "detected_time",
    "source",
    "vendor",
    "product",
    "product_version",
    "url",
    "rule",
    "description",
    "severity",
    "confidence",
    "risk_score",
    "count",
    "revision",
    "kind",
    "activity",
    "status",
    "verdict",
    "disposition",
    "tactics",
    "techniques",
    "entities",
    "correlation_hints",
];

/// Decodes one record.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let fields = record.fields;
    let frame = Frame {
        source: source(fields)?,
        title: fields.required_text("title")?.into_owned(),
        tenant: fields.sole("tenant")?,
        times: times(fields)?,
        time_field: "time",
    };
    let mut alert = record.alert(Format::Fusor, frame)?;
    set_words(&mut alert, fields);
    set_numbers(&mut alert, fields)?;
    alert.description = owned(fields, "description");
    alert.attacks = attacks(fields);
    let hints = fields.texts("correlation_hints").take(MEMBERS_MAX);
    alert.correlation_hints = hints.map(Into::into).collect();
    let mut entities = Entities::default();
    for entity in fields.items("entities") {
        if entities.is_full() {
            break;
        }
        add_entity(&mut entities, entity, &mut alert)?;
    }
    alert.entities = entities.into_list();
    for (name, node) in fields.fields() {
        let mut read = FIELDS.iter();
        if !read.any(|field| field.eq_ignore_ascii_case(name)) {
            label(&mut alert, name, node);
        }
    }
    Ok(alert)
}

fn source(fields: Object<'_>) -> Result<Source, DecodeError> {
    let product_key = fields.sole_text("source")?;
    Ok(Source {
        product_key: product_key.map_or_else(|| SOURCE.to_owned(), Into::into),
        vendor: owned(fields, "vendor"),
        product: owned(fields, "product"),
        product_version: owned(fields, "product_version"),
        native_uid: fields.required_text("id")?.into_owned(),
        rule_uid: None,
        rule_name: owned(fields, "rule"),
        url: owned(fields, "url"),
    })
}

fn times(fields: Object<'_>) -> Result<Times, DecodeError> {
    let start = fields.time("time")?;
    Ok(Times {
        start: Some(start.ok_or_else(|| fields.missing("time"))?),
        end: fields.time("end_time")?,
        detected: fields.time("detected_time")?,
    })
}

fn set_words(alert: &mut Alert, fields: Object<'_>) {
    alert.severity_native = owned(fields, "severity");
    let severity = alert.severity_native.as_deref().map(severity);
    alert.severity = severity.map_or(Severity::Medium, Option::unwrap_or_default);
    if severity == Some(None) {
        warn(alert, "unknown_word");
    }
    if let Some(kind) = known(alert, fields, "kind", kind) {
        alert.kind = kind;
    }
    if let Some(activity) = known(alert, fields, "activity", activity) {
        alert.activity = activity;
    }
    if let Some(status) = known(alert, fields, "status", status) {
        alert.status = status;
    }
    if let Some(verdict) = known(alert, fields, "verdict", verdict) {
        alert.verdict = verdict;
    }
    if let Some(disposition) = known(alert, fields, "disposition", disposition) {
        alert.disposition = disposition;
    }
}

fn kind(text: &str) -> Option<AlertKind> {
    let word = folded(text);
    let mut kinds = AlertKind::ALL.iter().copied();
    kinds.find(|kind| kind.word() == word)
}

fn activity(text: &str) -> Option<AlertActivity> {
    let word = folded(text);
    let mut activities = AlertActivity::ALL.iter().copied();
    activities.find(|activity| activity.word() == word)
}

fn set_numbers(alert: &mut Alert, fields: Object<'_>) -> Result<(), DecodeError> {
    alert.confidence = match number(fields, "confidence")? {
        Some(node) => percent(alert, node),
        None => Some(CONFIDENCE),
    };
    if let Some(node) = number(fields, "risk_score")? {
        alert.risk_score = percent(alert, node);
    }
    if let Some(count) = integer(fields, "count")? {
        alert.count = i32::try_from(count.max(1)).unwrap_or(i32::MAX);
    }
    if let Some(revision) = integer(fields, "revision")? {
        alert.revision = revision;
    }
    Ok(())
}

fn number<'a>(fields: Object<'a>, name: &str) -> Result<Option<Node<'a>>, DecodeError> {
    match fields.get(name) {
        Some(node) if node.blank() => Ok(None),
        Some(node) if node.float().is_none() => Err(node.invalid("not a number")),
        node => Ok(node),
    }
}

fn integer(fields: Object<'_>, name: &str) -> Result<Option<i64>, DecodeError> {
    match fields.get(name) {
        Some(node) if node.blank() => Ok(None),
        Some(node) => match node.integer() {
            Some(number) => Ok(Some(number)),
            None => Err(node.invalid("not a whole number")),
        },
        None => Ok(None),
    }
}

/// Returns the attacks of lists of words, or of one text with commas.
fn attacks(fields: Object<'_>) -> Vec<Attack> {
    let [tactics, techniques] = ["tactics", "techniques"].map(|name| -> Vec<String> {
        let texts = fields.texts(name).take(MEMBERS_MAX);
        let split = |text: &str| {
            text.split(',')
                .take(MEMBERS_MAX)
                .map(str::to_owned)
                .collect()
        };
        texts
            .flat_map(|text| -> Vec<String> { split(&text) })
            .collect()
    });
    attacks_of(&tactics, &techniques)
}

/// Adds one entity. One without any usable name is noted and left out.
fn add_entity(
    entities: &mut Entities,
    node: Node<'_>,
    alert: &mut Alert,
) -> Result<(), DecodeError> {
    let Some(fields) = node.object() else {
        return Err(node.invalid("not an object"));
    };
    let alts: Vec<(&str, _)> = fields
        .object("alt")
        .into_iter()
        .flat_map(Object::fields)
        .filter_map(|(name, node)| Some((name, node.text()?)))
        .take(MEMBERS_MAX)
        .collect();
    let first = alts.first().map(|(_, text)| text.clone());
    let kind = fields.sole_text("type")?.unwrap_or(Cow::Borrowed("other"));
    let value = fields.sole_text("value")?.or(first);
    let entity = value.and_then(|value| {
        let alts = alts.iter().map(|(name, text)| (*name, text.as_ref()));
        named(&kind, &value, alts)
    });
    let Some(mut entity) = entity else {
        warn(alert, "unusable_entity");
        return Ok(());
    };
    let word = fields.text("role");
    let part = word.as_deref().map_or(Some(EntityRole::Unknown), role);
    if let (None, Some(word)) = (part, word) {
        entity
            .identifiers
            .insert("role".to_owned(), word.into_owned());
    }
    entities.add(Some(entity), part.unwrap_or_default(), None);
    Ok(())
}

fn owned(fields: Object<'_>, name: &str) -> Option<String> {
    fields.text(name).map(Into::into)
}
