//! Microsoft Defender for Cloud in its spellings: a resource of the alerts API (continuous export), the flat record
//! of workflow automation and of Azure Security Center, and an entry of the Activity Log.

use std::borrow::Cow;

use super::json::{Node, Object};
use super::microsoft::{self, add_attacks, add_entities, add_resources, members};
use super::record::{Frame, Record, Times, label};
use super::words;
use super::{DecodeError, Format};
use crate::alert::{Alert, AlertDisposition, AlertKind, AlertStatus, Severity, Source};
use crate::entity::{self, EntityRole, HostFields};
use crate::time::Timestamp;

/// Decodes one alert.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let spelling = Spelling::of(record.fields);
    let body = spelling.body;
    let identifiers = body.get("resourceIdentifiers").map(Node::unfolded);
    let identifiers = identifiers.transpose()?;
    let identifiers = identifiers.iter().flat_map(|list| list.root().items());
    // One more than are kept, so that the cut is noted.
    let identifiers: Vec<Object<'_>> = identifiers
        .filter_map(Node::object)
        .take(record.limits.entities_max.saturating_add(1))
        .collect();
    let title = body
        .text("alertDisplayName")
        .or_else(|| body.text("alertName"))
        .or_else(|| spelling.event_name());
    let rule_uid = body.text("alertType").map(Cow::into_owned);
    let title = title.map(Cow::into_owned).or_else(|| rule_uid.clone());
    let times = spelling.times()?;
    let frame = Frame {
        source: Source {
            product_key: Format::DefenderCloud.word().to_owned(),
            vendor: text(body, "vendorName").or_else(|| Some("Microsoft".to_owned())),
            product: text(body, "productName").or_else(|| text(body, "providerName")),
            product_version: None,
            native_uid: spelling.native_uid()?,
            rule_uid,
            rule_name: title.clone(),
            url: text(body, "alertUri"),
        },
        title: title.ok_or_else(|| body.missing("alertDisplayName"))?,
        tenant: record.fields.sole("TenantId")?,
        times,
        time_field: "startTimeUtc",
    };
    let from_subscription = frame.tenant.is_none_or(Node::blank);
    let mut alert = record.alert(Format::DefenderCloud, frame)?;
    if from_subscription && let Some((field, subscription)) = spelling.subscription(&identifiers)? {
        // Azure's ids are the same in any case.
        alert.tenant = record.own_tenant(field, &subscription.to_ascii_lowercase())?;
    }
    if let Some(changed) = spelling.changed()? {
        alert.revision = changed.millis();
    }
    if body.get("isIncident").and_then(Node::boolean) == Some(true) {
        alert.kind = AlertKind::Incident;
    }
    add_state(&mut alert, &spelling);
    let mut techniques = members(body.get("techniques"));
    techniques.append(&mut members(body.get("subTechniques")));
    add_attacks(&mut alert, &members(body.get("intent")), &techniques);
    let resources = identifiers
        .iter()
        .filter_map(|id| id.str("azureResourceId"));
    let own = ["resourceId", "azureResourceId"]
        .into_iter()
        .filter_map(|name| body.str(name));
    let resources: Vec<&str> = resources.chain(own).collect();
    add_entities(&mut alert, body.get("entities"), &resources, record)?;
    add_resources(&mut alert, &resources);
    add_agents(&mut alert, &identifiers);
    Ok(alert)
}

/// One of the ways to write an alert.
#[derive(Clone, Copy)]
struct Spelling<'a> {
    /// The record.
    whole: Object<'a>,
    /// Where the alert's own fields are: under `properties`, or the record itself.
    body: Object<'a>,
}

impl<'a> Spelling<'a> {
    fn of(whole: Object<'a>) -> Self {
        let body = whole.object("properties").unwrap_or(whole);
        Self { whole, body }
    }

    /// Returns the alert's own id; in the Activity Log only the resource's id ends with it.
    fn native_uid(self) -> Result<String, DecodeError> {
        if let Some(id) = self.body.sole_text("systemAlertId")? {
            return Ok(id.into_owned());
        }
        let name = self.whole.sole_text("name")?;
        let resource = self.whole.sole_text("resourceId")?;
        let last = resource.as_deref().and_then(alert_of);
        last.or(name.as_deref())
            .map(str::to_owned)
            .ok_or_else(|| self.body.missing("systemAlertId"))
    }

    fn event_name(self) -> Option<Cow<'a, str>> {
        let name = self.whole.get("eventName")?;
        name.text().or_else(|| name.object()?.text("value"))
    }

    fn times(self) -> Result<Times, DecodeError> {
        let start = match self.body.time("startTimeUtc")? {
            Some(start) => Some(start),
            None => self.whole.time("eventTimestamp")?,
        };
        let generated = match self.body.time("timeGeneratedUtc")? {
            Some(generated) => Some(generated),
            None => self.body.time("timeGenerated")?,
        };
        let published = self.published()?;
        Ok(Times {
            start,
            end: self.body.time("endTimeUtc")?,
            detected: generated.or(published),
        })
    }

    /// Returns when the alert was handed on.
    fn published(self) -> Result<Option<Timestamp>, DecodeError> {
        for name in ["processingEndTimeUtc", "processingEndTime"] {
            if let Some(time) = self.body.time(name)? {
                return Ok(Some(time));
            }
        }
        self.whole.time("submissionTimestamp")
    }

    /// Returns when the alert last changed, as far as the record says.
    fn changed(self) -> Result<Option<Timestamp>, DecodeError> {
        Ok(self.times()?.detected.max(self.published()?))
    }

    /// Returns the subscription and the field that names it.
    fn subscription(
        self,
        identifiers: &[Object<'a>],
    ) -> Result<Option<(Node<'a>, &'a str)>, DecodeError> {
        let named = |id: Node<'a>| Some((id, subscription_of(id.str()?)?));
        for name in ["id", "resourceId"] {
            let found = self.whole.sole(name)?.and_then(named);
            if found.is_some() {
                return Ok(found);
            }
        }
        let mut ids = identifiers
            .iter()
            .filter_map(|id| id.get("azureResourceId"));
        Ok(ids.find_map(named))
    }
}

/// Adds severity, state and what is worth keeping beside the canonical fields.
fn add_state(alert: &mut Alert, spelling: &Spelling<'_>) {
    let Spelling { whole, body } = *spelling;
    alert.description = text(body, "description").or_else(|| text(whole, "description"));
    alert.severity_native = text(body, "severity");
    if let Some(word) = &alert.severity_native {
        alert.severity = words::severity(word).unwrap_or(Severity::Unknown);
    }
    // The Activity Log's own status is that of the log entry's operation.
    let status = body
        .str("status")
        .or_else(|| whole.object("status")?.str("value"));
    if let Some(word) = status {
        alert.status = words::status(word).unwrap_or(AlertStatus::Unknown);
    }
    alert.confidence = microsoft::confidence(body);
    alert.correlation_hints.extend(text(body, "correlationKey"));
    let extended = microsoft::extended(body);
    let extended = extended
        .as_ref()
        .and_then(|extended| extended.root().object());
    let extended = extended.or(Some(body));
    let action = extended.and_then(|extended| extended.str("actionTaken"));
    if let Some(word) = action {
        alert.disposition = words::disposition(word).unwrap_or(AlertDisposition::Unknown);
    }
    label(alert, "compromised_entity", body.text("compromisedEntity"));
    label(
        alert,
        "product_component",
        body.text("productComponentName"),
    );
    label(alert, "provider_alert_id", body.text("providerAlertId"));
}

/// Adds the machines whose agents saw it.
fn add_agents(alert: &mut Alert, identifiers: &[Object<'_>]) {
    for agent in identifiers.iter().filter_map(|id| id.str("agentId")) {
        let machine = entity::host(&HostFields {
            oms_agent_id: Some(agent),
            ..HostFields::default()
        });
        if let Some(mut machine) = machine {
            machine.role = EntityRole::Context;
            microsoft::add_unless_known(alert, machine);
        }
    }
}

/// Returns the id of the alert that a resource id ends with.
fn alert_of(resource: &str) -> Option<&str> {
    let (before, last) = resource.trim_end_matches('/').rsplit_once('/')?;
    let (_, kind) = before.rsplit_once('/')?;
    (kind.eq_ignore_ascii_case("alerts") && !last.is_empty()).then_some(last)
}

/// Returns the subscription that a resource id starts with.
fn subscription_of(resource: &str) -> Option<&str> {
    let mut steps = resource.trim_start_matches('/').split('/');
    let kind = steps.next()?;
    let id = steps.next().filter(|id| !id.is_empty());
    if kind.eq_ignore_ascii_case("subscriptions") {
        id
    } else {
        None
    }
}

fn text(fields: Object<'_>, name: &str) -> Option<String> {
    fields.text(name).map(Cow::into_owned)
}
