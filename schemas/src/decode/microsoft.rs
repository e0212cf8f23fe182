//! What Microsoft's formats share: entity lists with Json.NET references, and the words of its alerts.

mod kinds;
mod mentions;

use self::mentions::Mentions;
use super::DecodeError;
use super::json::{Node, Object, Unfolded};
use super::record::{Record, warn};
use super::words::folded;
use crate::alert::Alert;
use crate::attack::attacks_of;
use crate::entity::{Entity, EntityRole, cloud_resource};

/// Adds the entities of a list, which may also be JSON inside a text.
///
/// `resources` are the Azure ids the alert is about: a host of the list that one of them is named after is that machine.
pub(crate) fn add_entities(
    alert: &mut Alert,
    list: Option<Node<'_>>,
    resources: &[&str],
    record: &Record<'_>,
) -> Result<(), DecodeError> {
    let Some(list) = list else { return Ok(()) };
    let list = list.unfolded()?;
    let mentions = Mentions::of(list.root(), resources, record.limits.entities_max)?;
    for word in mentions.warnings {
        warn(alert, word);
    }
    alert.entities.extend(mentions.entities);
    Ok(())
}

/// Returns the confidence: a score from 0 to 1 where there is one, else what the level stands for.
pub(crate) fn confidence(fields: Object<'_>) -> Option<i32> {
    if let Some(score) = fields.get("ConfidenceScore").and_then(Node::float) {
        // 0 to 100 in whole steps, so that no rounding of the platform shows.
        return (0..=100)
            .rev()
            .find(|percent| f64::from(*percent) <= score * 100.0 + 0.5);
    }
    match folded(fields.str("ConfidenceLevel")?).as_str() {
        "low" => Some(25),
        "medium" => Some(50),
        "high" => Some(85),
        _ => None,
    }
}

/// Adds the attacks that tactics and techniques stand for.
pub(crate) fn add_attacks(alert: &mut Alert, tactics: &[String], techniques: &[String]) {
    alert.attacks = attacks_of(tactics, techniques);
}

/// Adds what Azure resource ids name as the alert's targets.
pub(crate) fn add_resources(alert: &mut Alert, ids: &[&str]) {
    for mut entity in ids.iter().flat_map(|id| cloud_resource(id)) {
        entity.role = EntityRole::Target;
        add_unless_known(alert, entity);
    }
}

/// Adds an entity unless one that shares a strong key is there, which then takes its role.
pub(crate) fn add_unless_known(alert: &mut Alert, entity: Entity) {
    let known = alert.entities.iter_mut().find(|known| {
        known
            .strong_keys()
            .any(|key| entity.strong_keys().any(|own| own == key))
    });
    match known {
        Some(known) if known.role == EntityRole::Unknown => known.role = entity.role,
        Some(_) => {}
        None => alert.entities.push(entity),
    }
}

/// Returns what an alert says beside its own fields; text that is no JSON is none, for nothing in it is needed.
pub(crate) fn extended(fields: Object<'_>) -> Option<Unfolded<'_>> {
    fields.get("ExtendedProperties")?.unfolded().ok()
}

/// Returns the words of a list that may be a list, JSON inside a text, or a text with `,` or `;` between.
pub(crate) fn members(list: Option<Node<'_>>) -> Vec<String> {
    let Some(list) = list else {
        return Vec::new();
    };
    // A text that only looks like JSON is read as plain words.
    let parsed = list.str().filter(|text| text.starts_with('['));
    let parsed = parsed.and_then(|_| list.unfolded().ok());
    let list = parsed.as_ref().map_or(list, Unfolded::root);
    list.items()
        .filter_map(Node::str)
        .flat_map(|text| text.split([',', ';']))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
