//! OCSF: Detection Findings 1.1 to 1.8, the other findings, and events of any class marked as alerts.

mod attacks;
mod entities;
mod observables;
mod state;

use self::attacks::attacks;
use self::entities::Collector;
use super::json::{Node, Object};
use super::record::{Frame, Record, Times};
use super::words::label;
use super::{DecodeError, Format, Reason};
use crate::alert::{Alert, AlertKind, Source};
use crate::tenant::tenant;
use crate::time::Timestamp;

/// The source's own grouping keys read from one record.
const HINTS_MAX: usize = 65;

/// Fields kept as they are.
const LABELS: [&str; 8] = [
    "class_uid",
    "metadata.version",
    "metadata.event_code",
    "cloud.provider",
    "cloud.region",
    "api.operation",
    "api.service.name",
    "status_detail",
];

/// A record and what its class makes of it.
#[derive(Clone, Copy, Debug)]
struct Finding<'a> {
    record: Object<'a>,
    metadata: Option<Object<'a>>,
    /// `finding_info`, which events and incidents lack.
    info: Option<Object<'a>>,
    class: Class,
}

/// What is read alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    /// A finding of one of the classes 2002 to 2004.
    Finding(AlertKind),
    /// Incident Finding 2005.
    Incident,
    /// An event of any other class with `is_alert`.
    Event,
}

/// Decodes one record.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let finding = Finding::of(record.fields)?;
    let frame = Frame {
        source: finding.source()?,
        title: finding.title(),
        tenant: finding.tenant()?,
        times: finding.times()?,
        time_field: "time",
    };
    let mut alert = record.alert(Format::Ocsf, frame)?;
    if let Some(revision) = finding.revision()? {
        alert.revision = revision;
    }
    state::set(&mut alert, &finding);
    alert.description = finding.description(&alert.title);
    alert.attacks = attacks(finding.record, finding.info);
    alert.correlation_hints = finding.hints();
    alert.entities = Collector::collect(finding.record);
    add_labels(&mut alert, finding.record);
    Ok(alert)
}

impl<'a> Finding<'a> {
    fn of(record: Object<'a>) -> Result<Self, DecodeError> {
        let class = Class::of(record)?;
        let object = |name| match record.sole(name)? {
            Some(node) => match node.object() {
                Some(object) => Ok(Some(object)),
                None => Err(node.invalid("not an object")),
            },
            None => Ok(None),
        };
        Ok(Self {
            record,
            metadata: object("metadata")?,
            info: object("finding_info")?,
            class,
        })
    }

    fn native_uid(&self) -> Result<String, DecodeError> {
        let of = |object: Option<Object<'a>>, name| match object {
            Some(object) => object.sole_text(name),
            None => Ok(None),
        };
        let uid = match self.class {
            Class::Finding(_) => {
                let info = self
                    .info
                    .ok_or_else(|| self.record.missing("finding_info"))?;
                return info.required_text("uid").map(Into::into);
            }
            Class::Incident => of(self.metadata, "correlation_uid")?,
            Class::Event => of(self.info, "uid")?,
        };
        let uid = match uid {
            Some(uid) => Some(uid),
            None => of(self.metadata, "uid")?,
        };
        let metadata = self
            .metadata
            .ok_or_else(|| self.record.missing("metadata"))?;
        uid.map(Into::into).ok_or_else(|| metadata.missing("uid"))
    }

    fn source(&self) -> Result<Source, DecodeError> {
        let of_metadata = self
            .metadata
            .and_then(|metadata| metadata.object("product"));
        let of_info = self.info.and_then(|info| info.object("product"));
        let product = |name| -> Option<String> {
            let products = [of_metadata, of_info].into_iter().flatten();
            let mut texts = products.filter_map(|product| product.text(name));
            texts.next().map(Into::into)
        };
        let mut types = self.info.into_iter().flat_map(|info| info.texts("types"));
        let rule = |name| {
            let analytic = self.of_info(&format!("analytic.{name}"));
            analytic.or_else(|| self.of_record(&format!("firewall_rule.{name}")))
        };
        Ok(Source {
            product_key: Format::Ocsf.word().to_owned(),
            vendor: product("vendor_name"),
            product: product("name").or_else(|| product("uid")),
            product_version: product("version"),
            native_uid: self.native_uid()?,
            rule_uid: rule("uid"),
            rule_name: rule("name").or_else(|| types.next().map(Into::into)),
            url: self
                .of_info("src_url")
                .or_else(|| self.of_record("src_url")),
        })
    }

    fn title(&self) -> String {
        let mut malware = self.record.items("malware").filter_map(Node::object);
        self.of_info("title")
            .or_else(|| self.of_record("message"))
            .or_else(|| self.of_info("analytic.name"))
            .or_else(|| malware.find_map(|found| found.text("name")).map(Into::into))
            .or_else(|| self.of_record("type_name"))
            .unwrap_or_else(|| "untitled finding".to_owned())
    }

    fn description(&self, title: &str) -> Option<String> {
        let text = self.of_info("desc").or_else(|| self.of_record("desc"));
        let text = text.or_else(|| self.of_record("message"));
        text.filter(|text| text != title)
    }

    fn of_info(&self, path: &str) -> Option<String> {
        Some(self.info?.find(path)?.text()?.into_owned())
    }

    fn of_record(&self, path: &str) -> Option<String> {
        Some(self.record.find(path)?.text()?.into_owned())
    }

    /// Returns where the record names its tenant. A cloud account only counts if its id can name one.
    fn tenant(&self) -> Result<Option<Node<'a>>, DecodeError> {
        let own = match self.metadata {
            Some(metadata) => metadata.sole("tenant_uid")?,
            None => None,
        };
        if let Some(own) = own.filter(|own| !own.blank()) {
            return Ok(Some(own));
        }
        let paths = ["cloud.account.uid", "cloud.org.uid"].into_iter();
        let of_cloud = paths.filter_map(|path| self.record.find(path));
        let resources = self.record.items("resources").filter_map(Node::object);
        let of_resources = resources.filter_map(|resource| resource.find("owner.account.uid"));
        let usable = |node: &Node<'_>| node.text().is_some_and(|text| tenant(&text).is_ok());
        Ok(of_cloud.chain(of_resources).find(usable))
    }

    fn times(&self) -> Result<Times, DecodeError> {
        let info = |name| match self.info {
            Some(info) => time(info, name),
            None => Ok(None),
        };
        let written = time(self.record, "time")?;
        let first = time(self.record, "start_time")?.or(info("first_seen_time")?);
        let last = time(self.record, "end_time")?.or(info("last_seen_time")?);
        let start = match self.class {
            Class::Finding(_) | Class::Incident => first,
            // An event's own time is when it happened.
            Class::Event => first.or(written),
        };
        Ok(Times {
            start,
            end: last,
            detected: info("created_time")?.or(written),
        })
    }

    fn revision(&self) -> Result<Option<i64>, DecodeError> {
        for object in [self.info, self.metadata].into_iter().flatten() {
            if let Some(modified) = time(object, "modified_time")? {
                return Ok(Some(modified.millis()));
            }
        }
        let sequence = self.metadata.and_then(|metadata| metadata.get("sequence"));
        if let Some(sequence) = sequence.and_then(Node::integer) {
            return Ok(Some(sequence));
        }
        Ok(time(self.record, "time")?.map(Timestamp::millis))
    }

    fn hints(&self) -> Vec<String> {
        let metadata = self
            .metadata
            .and_then(|metadata| metadata.text("correlation_uid"));
        let other = self.info.and_then(|info| info.text("uid_alt"));
        let related = self
            .info
            .into_iter()
            .flat_map(|info| info.items("related_events"));
        let listed = self.record.items("finding_info_list");
        let uids = related
            .chain(listed)
            .filter_map(|node| node.object()?.text("uid"));
        let hints = metadata.into_iter().chain(other).chain(uids);
        hints.take(HINTS_MAX).map(Into::into).collect()
    }
}

impl Class {
    fn of(record: Object<'_>) -> Result<Self, DecodeError> {
        let node = record.sole("class_uid")?;
        let node = node.ok_or_else(|| record.missing("class_uid"))?;
        let Some(uid) = node.integer() else {
            return Err(node.invalid("not a whole number"));
        };
        let problem = match uid {
            2001 => "class 2001 (security finding) is not supported; send 2004 (detection finding)"
                .into(),
            2002 => return Ok(Self::Finding(AlertKind::Vulnerability)),
            2003 => return Ok(Self::Finding(AlertKind::Compliance)),
            2004 => return Ok(Self::Finding(AlertKind::Detection)),
            2005 => return Ok(Self::Incident),
            _ if record.get("is_alert").and_then(Node::boolean) == Some(true) => {
                return Ok(Self::Event);
            }
            _ => format!("class {uid} is supported only with is_alert"),
        };
        Err(node.refuse(Reason::UnsupportedClass, &problem))
    }
}

fn add_labels(alert: &mut Alert, record: Object<'_>) {
    for path in LABELS {
        if let Some(node) = record.find(path) {
            label(alert, path, node);
        }
    }
    let mut evidences = record.items("evidences").filter_map(Node::object);
    if let Some(call) = evidences.find_map(|evidence| evidence.object("api")) {
        for path in ["operation", "service.name"] {
            if let Some(node) = call.find(path) {
                label(alert, &format!("api.{path}"), node);
            }
        }
    }
}

/// Returns a time from its field or from the RFC 3339 twin `<name>_dt`, which is finer and has no unit to guess.
fn time(object: Object<'_>, name: &str) -> Result<Option<Timestamp>, DecodeError> {
    match object.time(&format!("{name}_dt"))? {
        Some(time) => Ok(Some(time)),
        None => object.time(name),
    }
}
