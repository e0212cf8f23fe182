//! Incidents out: one record a revision, never larger than the topic takes.

use std::sync::Arc;

use schemas::encode::incident_json;
use schemas::incident::{Incident, IncidentActivity};

use crate::bus::{Header, NewRecord};

/// How incidents are written.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The topic.
    pub topic: Arc<str>,
    /// Name of this engine in `ce_source`: the group.
    pub instance: String,
    /// Most bytes of a value; default 900 KiB.
    pub bytes_max: usize,
}

/// Default of [`Publisher::bytes_max`]: below Kafka's own default for a record, with room for key and headers.
pub const INCIDENT_BYTES_MAX: usize = 900 << 10;

/// Rounds of cutting before only the bare incident is left.
const ROUNDS_MAX: usize = 16;

impl Publisher {
    /// Makes the record of one revision: key = incident id, value = JSON, CloudEvents headers.
    ///
    /// An incident that is too large loses the ends of its lists and is marked `truncated`; its counts stay true.
    ///
    /// # Errors
    /// When the incident cannot be written as JSON: a number that is not finite.
    pub fn record(&self, incident: &Incident) -> Result<NewRecord, serde_json::Error> {
        Ok(NewRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            timestamp: None,
            key: Some(incident.id.clone().into_bytes()),
            value: Some(self.value(incident)?),
            headers: self.headers(incident),
        })
    }

    fn value(&self, incident: &Incident) -> Result<Vec<u8>, serde_json::Error> {
        let mut value = incident_json(incident)?;
        if value.len() <= self.bytes_max {
            return Ok(value);
        }
        let mut cut = incident.clone();
        cut.truncated = true;
        // Links that only strengthen are the least that can be missed.
        cut.links.retain(|link| link.joined);
        for _ in 0..ROUNDS_MAX {
            value = incident_json(&cut)?;
            if value.len() <= self.bytes_max {
                return Ok(value);
            }
            shorten(&mut cut, self.bytes_max, value.len());
        }
        strip(&mut cut);
        incident_json(&cut)
    }

    fn headers(&self, incident: &Incident) -> Vec<Header> {
        let kind = match incident.activity {
            IncidentActivity::Create => "created",
            IncidentActivity::Close => "closed",
            IncidentActivity::Merge => "merged",
            IncidentActivity::Reopen => "reopened",
            IncidentActivity::Update | IncidentActivity::Unknown => "updated",
        };
        vec![
            Header::text("content-type", "application/json"),
            Header::text("ce_specversion", "1.0"),
            Header::text("ce_id", format!("{}:{}", incident.id, incident.revision)),
            Header::text("ce_type", format!("fusor.incident.v1.{kind}")),
            Header::text("ce_source", format!("/engine/{}", self.instance)),
            Header::text("ce_subject", incident.id.clone()),
            Header::text("ce_time", incident.modified_time.to_string()),
        ]
    }
}

/// Cuts every list in proportion to what is too much, and a little more.
fn shorten(incident: &mut Incident, wanted: usize, bytes: usize) {
    let keep = |length: usize| {
        let part = length.saturating_mul(wanted) / bytes.max(1);
        (part - part / 8).min(length.saturating_sub(1))
    };
    keep_alerts(incident, keep(incident.alerts.len()));
    incident.links.truncate(keep(incident.links.len()));
    incident.entities.truncate(keep(incident.entities.len()));
    incident.comments.truncate(keep(incident.comments.len()));
    incident.tags.truncate(keep(incident.tags.len()));
    let related = keep(incident.related_incidents.len());
    incident.related_incidents.truncate(related);
    let merged = keep(incident.merged_from.len());
    incident.merged_from.truncate(merged);
    for stage in &mut incident.stages {
        stage.alert_uids.truncate(keep(stage.alert_uids.len()));
        let techniques = keep(stage.technique_uids.len());
        stage.technique_uids.truncate(techniques);
    }
    let summary = keep(incident.summary.len());
    truncate_text(&mut incident.summary, summary);
}

/// Keeps the first alerts, and of what points at alerts only what points at those.
fn keep_alerts(incident: &mut Incident, count: usize) {
    incident.alerts.truncate(count);
    let kept = |index: i32| usize::try_from(index).is_ok_and(|index| index < count);
    incident.chain.retain(|index| kept(*index));
    incident
        .links
        .retain(|link| kept(link.from) && kept(link.to));
}

/// Leaves what identifies and ranks an incident: the last resort against texts of any length.
fn strip(incident: &mut Incident) {
    keep_alerts(incident, 0);
    incident.entities.clear();
    incident.stages.clear();
    incident.related_incidents.clear();
    incident.merged_from.clear();
    incident.comments.clear();
    incident.tags.clear();
    incident.correlators.truncate(16);
    incident.classification_comment = None;
    truncate_text(&mut incident.summary, TEXT_BYTES_MAX);
    truncate_text(&mut incident.title, TEXT_BYTES_MAX);
}

/// Longest text of a stripped incident.
const TEXT_BYTES_MAX: usize = 1 << 10;

fn truncate_text(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

#[cfg(test)]
mod tests;
