//! Suricata EVE records of `event_type` `alert`.

mod peers;

use std::borrow::Cow;

use self::peers::Peers;
use super::entities::{Entities, content};
use super::json::{Node, Object};
use super::record::{Frame, Record, Times};
use super::words::{disposition, folded, label, severity};
use super::{DecodeError, Format, Reason};
use crate::alert::{Alert, AlertDisposition, Severity, Source};
use crate::attack::{Attack, attacks_of};
use crate::entity::{Entity, EntityRole, HostFields, dns, host, mailbox, malware, url};
use crate::time::Timestamp;

/// How long before the alert its flow may have begun to count as the start: in a flow that has been open for longer,
/// the flow's start says nothing of when the attack began.
const FLOW_MILLIS_MAX: i64 = 60 * 60 * 1000;

/// Names, queries, files and addresses read from one event.
const MEMBERS_MAX: usize = 32;

/// Decodes one record.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let event = record.fields;
    let signature = signature(event)?;
    let alerted = event.time("timestamp")?;
    let alerted = alerted.ok_or_else(|| event.missing("timestamp"))?;
    let frame = Frame {
        source: Source {
            product_key: Format::Suricata.word().to_owned(),
            native_uid: native_uid(event, signature)?,
            ..Source::default()
        },
        title: String::new(),
        tenant: None,
        times: Times {
            start: Some(start(event, alerted)),
            end: Some(alerted),
            detected: Some(alerted),
        },
        time_field: "timestamp",
    };
    let mut alert = record.alert(Format::Suricata, frame)?;
    let mut entities = Entities::default();
    read(&mut alert, &mut entities, event)?;
    if let Some(sensor) = sensor(event) {
        let fields = HostFields {
            hostname: Some(&sensor),
            ..HostFields::default()
        };
        entities.add(host(&fields), EntityRole::Observer, None);
    }
    alert.entities = entities.into_list();
    Ok(alert)
}

/// Reads what the signature found: everything of an alert but its id, its times and the sensor.
pub(super) fn read(
    alert: &mut Alert,
    entities: &mut Entities,
    event: Object<'_>,
) -> Result<(), DecodeError> {
    let signature = signature(event)?;
    let metadata = signature.object("metadata");
    let words = |name| {
        metadata
            .into_iter()
            .flat_map(move |metadata| metadata.texts(name))
    };
    let id = signature.required_text("signature_id")?;
    let generator = signature.text("gid").filter(|gid| gid != "1");
    let rule = generator.map_or_else(|| id.to_string(), |gid| format!("{gid}:{id}"));
    let name = signature.text("signature").map(String::from);
    alert.title = name.clone().unwrap_or_else(|| format!("signature {rule}"));
    alert.source.rule_uid = Some(rule);
    alert.source.rule_name = name;
    alert.source.product = Some("Suricata".to_owned());
    alert.severity_native = signature.text("severity").map(Into::into);
    let refined = words("signature_severity").find_map(|word| severity(&word));
    alert.severity = refined.unwrap_or_else(|| by_priority(signature));
    alert.confidence = words("confidence").find_map(|word| confidence(&word));
    alert.disposition = disposition_of(event, signature);
    alert.attacks = metadata.map(attacks).unwrap_or_default();
    for hint in ["community_id", "flow_id"] {
        let text = event.text(hint);
        let hint = text.map(|text| format!("{hint}:{text}"));
        alert.correlation_hints.extend(hint);
    }
    let peers = Peers::of(event, signature, &alert.attacks);
    peers.add(entities);
    add_names(entities, event, peers.server_role());
    add_files(entities, event);
    add_mail(entities, event);
    for family in words("malware_family").take(MEMBERS_MAX) {
        entities.add(malware(&family, None), EntityRole::Context, None);
    }
    add_labels(alert, event, signature);
    Ok(())
}

/// Returns the object `alert` of an event that is one.
fn signature(event: Object<'_>) -> Result<Object<'_>, DecodeError> {
    let kind = event.sole("event_type")?;
    let kind = kind.ok_or_else(|| event.missing("event_type"))?;
    let is_alert = kind
        .text()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("alert"));
    if !is_alert {
        let problem = "this event_type is not supported; send alert";
        return Err(kind.refuse(Reason::UnsupportedClass, problem));
    }
    match event.sole("alert")? {
        Some(node) => node.object().ok_or_else(|| node.invalid("not an object")),
        None => Err(event.missing("alert")),
    }
}

/// Returns the sensor's name; a shipper makes an object of it.
fn sensor(event: Object<'_>) -> Option<Cow<'_, str>> {
    let host = event.get("host")?;
    host.text().or_else(|| host.object()?.text("name"))
}

/// Makes the id that EVE lacks; the sensor's name keeps the flows of two sensors apart.
fn native_uid(event: Object<'_>, signature: Object<'_>) -> Result<String, DecodeError> {
    let flow = match event.sole_text("flow_id")? {
        Some(flow) => flow,
        // What belongs to no flow, such as a packet that could not be decoded, is told apart by its addresses.
        None => ["src_ip", "src_port", "dest_ip", "dest_port"]
            .map(|name| event.text(name).unwrap_or(Cow::Borrowed("-")))
            .join("/")
            .into(),
    };
    let parts = [
        sensor(event),
        Some(flow),
        Some(signature.required_text("signature_id")?),
        Some(event.required_text("timestamp")?),
        event.text("tx_id").or_else(|| signature.text("tx_id")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    Ok(parts.join(":"))
}

/// Returns the start of the flow, where it can be that of the attack.
pub(super) fn start(event: Object<'_>, alerted: Timestamp) -> Timestamp {
    let flow = event.find("flow.start").and_then(|node| node.time().ok());
    let sane = alerted.plus(-FLOW_MILLIS_MAX)..=alerted;
    flow.filter(|start| sane.contains(start)).unwrap_or(alerted)
}

/// The priority a rule's class has, where its author did not say more.
fn by_priority(signature: Object<'_>) -> Severity {
    match signature.get("severity").and_then(Node::integer) {
        Some(1) => Severity::High,
        Some(2) => Severity::Medium,
        Some(3) => Severity::Low,
        Some(4) => Severity::Informational,
        Some(_) | None => Severity::Unknown,
    }
}

fn confidence(word: &str) -> Option<i32> {
    match folded(word).as_str() {
        "high" => Some(85),
        "medium" => Some(50),
        "low" => Some(25),
        _ => None,
    }
}

/// `verdict` tells what became of the packet, `action` what the rule asked for.
fn disposition_of(event: Object<'_>, signature: Object<'_>) -> AlertDisposition {
    let verdict = event.find("verdict.action").and_then(Node::text);
    let words = [verdict, signature.text("action")];
    let mut words = words.into_iter().flatten();
    words
        .find_map(|word| disposition(&word))
        .unwrap_or_default()
}

fn attacks(metadata: Object<'_>) -> Vec<Attack> {
    let texts = |name| -> Vec<_> { metadata.texts(name).take(MEMBERS_MAX).collect() };
    let mut tactics = texts("mitre_tactic_id");
    if tactics.is_empty() {
        tactics = texts("mitre_tactic_name");
    }
    attacks_of(&tactics, &texts("mitre_technique_id"))
}

fn add_names(entities: &mut Entities, event: Object<'_>, role: EntityRole) {
    let http = event.object("http");
    let hostname = http.and_then(|http| http.text("hostname"));
    let sni = event.find("tls.sni").and_then(Node::text);
    for name in [&hostname, &sni].into_iter().flatten() {
        entities.add(dns(without_port(name)), role, None);
    }
    let address = http.and_then(|http| web_address(http, hostname.as_deref()));
    entities.add(address, role, None);
    let Some(lookup) = event.object("dns") else {
        return;
    };
    let queries = lookup.items("query").chain(lookup.items("queries"));
    let queries = queries.filter_map(Node::object).take(MEMBERS_MAX);
    for query in queries.chain([lookup]) {
        // A lookup's server is the resolver, not the name looked up.
        let name = query.text("rrname").and_then(|name| dns(&name));
        entities.add(name, EntityRole::Destination, None);
    }
}

fn web_address(http: Object<'_>, hostname: Option<&str>) -> Option<Entity> {
    let path = http.text("url")?;
    if !path.starts_with('/') {
        return url(&path);
    }
    let hostname = hostname?;
    let port = http.get("http_port").and_then(Node::integer);
    match port.filter(|_| without_port(hostname) == hostname) {
        Some(port) => url(&format!("http://{hostname}:{port}{path}")),
        None => url(&format!("http://{hostname}{path}")),
    }
}

/// Returns a host without the port that `Host:` may carry.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        Some(_) | None => host,
    }
}

fn add_files(entities: &mut Entities, event: Object<'_>) {
    let files = event.items("fileinfo").chain(event.items("files"));
    for file in files.filter_map(Node::object).take(MEMBERS_MAX) {
        let hashes = ["sha256", "sha1", "md5"].map(|name| (name, file.text(name)));
        let hashes = hashes.iter();
        let mut found =
            content(hashes.filter_map(|(name, hash)| Some((Some(*name), hash.as_deref()?))));
        if let (Some(found), Some(name)) = (&mut found, file.text("filename")) {
            found
                .identifiers
                .insert("name".to_owned(), name.into_owned());
        }
        entities.add(found, EntityRole::Unknown, None);
    }
}

fn add_mail(entities: &mut Entities, event: Object<'_>) {
    let fields = [
        ("email", "from", EntityRole::Source),
        ("smtp", "mail_from", EntityRole::Source),
        ("email", "to", EntityRole::Target),
        ("smtp", "rcpt_to", EntityRole::Target),
    ];
    for (object, name, role) in fields {
        let addresses = event.object(object);
        let addresses = addresses.into_iter().flat_map(|object| object.texts(name));
        for address in addresses.take(MEMBERS_MAX) {
            entities.add(mailbox(&address), role, None);
        }
    }
}

fn add_labels(alert: &mut Alert, event: Object<'_>, signature: Object<'_>) {
    let paths = [
        "proto",
        "app_proto",
        "in_iface",
        "src_port",
        "dest_port",
        "direction",
        "http.http_method",
        "http.status",
        "http.http_user_agent",
        "tls.subject",
        "tls.fingerprint",
    ];
    for path in paths {
        if let Some(node) = event.find(path) {
            label(alert, path, node);
        }
    }
    for name in ["category", "gid", "rev"] {
        if let Some(node) = signature.get(name) {
            label(alert, name, node);
        }
    }
}
