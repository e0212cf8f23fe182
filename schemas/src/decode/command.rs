//! Analysts' commands: strict, since people and programs of ours write them. What is not known is refused and told apart
//! from what would be.

use super::json::{Document, Node, Object, Value};
use super::{DecodeError, Reason, whole};
use crate::alert::Severity;
use crate::command::{Action, Closing, Command};
use crate::incident::{Classification, ClassificationReason, IncidentStatus};
use crate::tenant::tenant;
use crate::time::Timestamp;

/// Bound on a command record, in bytes.
pub const COMMAND_BYTES_MAX: usize = 256 << 10;
/// Bound on a comment, in characters.
pub const COMMENT_CHARS_MAX: usize = 30_000;
/// Bound on the alerts one command names.
pub const COMMAND_ALERTS_MAX: usize = 256;
/// Bound on the tags one command adds, and on those it takes away.
pub const COMMAND_TAGS_MAX: usize = 32;
/// Bound on a tag, in bytes.
pub const TAG_BYTES_MAX: usize = 64;

const NAME_BYTES_MAX: usize = 128;
const ROLES_MAX: usize = 16;
/// As long as the longest uid a decoder makes: its producer, a colon and its id.
const UID_BYTES_MAX: usize = 4 << 10;

const FIELDS: [&str; 8] = [
    "id",
    "tenant",
    "incident",
    "expected_revision",
    "actor",
    "roles",
    "time",
    "action",
];

const ACTIONS: [&str; 12] = [
    "set_status",
    "assign",
    "set_severity",
    "comment",
    "tag",
    "close",
    "reopen",
    "merge",
    "split",
    "unlink",
    "link",
    "feedback",
];

/// Decodes a command: all of it, or nothing.
///
/// # Errors
/// Returns the first field that is wrong, with what it may be.
pub fn command(bytes: &[u8]) -> Result<Command, DecodeError> {
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(whole(Reason::TooLarge, "larger than a command may be"));
    }
    let document = Document::parse(bytes)?;
    let root = document.root();
    let fields = strict(root, &FIELDS)?;
    let named = name(fields, "tenant")?;
    tenant(&named.value).map_err(|problem| {
        named
            .node
            .refuse(Reason::InvalidTenant, &problem.to_string())
    })?;
    Ok(Command {
        id: name(fields, "id")?.value,
        tenant: named.value,
        incident: incident(fields, "incident")?,
        expected_revision: revision(fields)?,
        actor: name(fields, "actor")?.value,
        roles: texts(fields, "roles", ROLES_MAX, NAME_BYTES_MAX)?,
        time: match fields.get("time") {
            Some(node) => time(node)?,
            None => return Err(fields.missing("time")),
        },
        action: match fields.get("action") {
            Some(node) => action(node)?,
            None => return Err(fields.missing("action")),
        },
    })
}

fn action(node: Node<'_>) -> Result<Action, DecodeError> {
    let Some(object) = node.object() else {
        return Err(node.invalid("not an object"));
    };
    let Some(kind) = object.get("type") else {
        return Err(object.missing("type"));
    };
    let fields = |names: &[&str]| strict(node, names);
    Ok(match text(kind, NAME_BYTES_MAX)? {
        "set_status" => Action::SetStatus {
            status: status(fields(&["type", "status"])?)?,
        },
        "assign" => Action::Assign {
            owner: owner(fields(&["type", "owner"])?)?,
        },
        "set_severity" => Action::SetSeverity {
            severity: severity(fields(&["type", "severity"])?)?,
        },
        "comment" => {
            let fields = fields(&["type", "text"])?;
            let text = comment(fields, "text")?;
            Action::Comment {
                text: text.ok_or_else(|| fields.missing("text"))?,
            }
        }
        "tag" => tag(fields(&["type", "add", "remove"])?)?,
        "close" => {
            let fields = fields(&["type", "classification", "reason", "comment"])?;
            Action::Close {
                closing: closing(fields)?,
                comment: comment(fields, "comment")?,
            }
        }
        "reopen" => {
            fields(&["type"])?;
            Action::Reopen
        }
        "merge" => Action::Merge {
            into: incident(fields(&["type", "into"])?, "into")?,
        },
        "split" => {
            let fields = fields(&["type", "alerts"])?;
            let alerts = texts(fields, "alerts", COMMAND_ALERTS_MAX, UID_BYTES_MAX)?;
            if alerts.is_empty() {
                return Err(fields.missing("alerts"));
            }
            Action::Split { alerts }
        }
        "unlink" => {
            let fields = fields(&["type", "alert", "from"])?;
            Action::Unlink {
                alert: uid(fields, "alert")?.ok_or_else(|| fields.missing("alert"))?,
                from: uid(fields, "from")?,
            }
        }
        "link" => {
            let fields = fields(&["type", "alert"])?;
            Action::Link {
                alert: uid(fields, "alert")?.ok_or_else(|| fields.missing("alert"))?,
            }
        }
        "feedback" => {
            let fields = fields(&["type", "alerts", "classification", "reason"])?;
            Action::Feedback {
                alerts: texts(fields, "alerts", COMMAND_ALERTS_MAX, UID_BYTES_MAX)?,
                closing: closing(fields)?,
            }
        }
        _ => return Err(kind.invalid(&expected(ACTIONS))),
    })
}

/// Returns the object at `node`, whose fields all have one of `names`, each at most once.
fn strict<'a>(node: Node<'a>, names: &[&str]) -> Result<Object<'a>, DecodeError> {
    let Some(object) = node.object() else {
        return Err(node.invalid("not an object"));
    };
    if let Some((_, unknown)) = object.fields().find(|(name, _)| !names.contains(name)) {
        let problem = format!("unknown field, {}", expected(names.iter().copied()));
        return Err(unknown.invalid(&problem));
    }
    match object.repeated() {
        Some(twice) => Err(twice.invalid("given twice")),
        None => Ok(object),
    }
}

fn expected<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    format!("expected one of {}", names.join(", "))
}

/// A text and where it was written.
struct Text<'a> {
    node: Node<'a>,
    value: String,
}

fn name<'a>(fields: Object<'a>, name: &str) -> Result<Text<'a>, DecodeError> {
    let node = fields.get(name).ok_or_else(|| fields.missing(name))?;
    let value = text(node, NAME_BYTES_MAX)?.to_owned();
    Ok(Text { node, value })
}

/// Returns the text at `node`: one line, not blank, within the bound.
fn text(node: Node<'_>, bytes_max: usize) -> Result<&str, DecodeError> {
    let value = written(node)?;
    if value.trim().is_empty() {
        Err(node.invalid("blank"))
    } else if value.len() > bytes_max {
        Err(node.invalid(&format!("longer than {bytes_max} bytes")))
    } else if value.chars().any(char::is_control) {
        Err(node.invalid("holds a control character"))
    } else {
        Ok(value)
    }
}

fn written(node: Node<'_>) -> Result<&str, DecodeError> {
    match node.value() {
        Value::Text(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
            Err(node.invalid("not a text"))
        }
    }
}

/// Returns the distinct texts of a list, in the order given; none if it is missing.
fn texts(
    fields: Object<'_>,
    name: &str,
    max: usize,
    bytes_max: usize,
) -> Result<Vec<String>, DecodeError> {
    let Some(node) = fields.get(name) else {
        return Ok(Vec::new());
    };
    let Value::List(items) = node.value() else {
        return Err(node.invalid("not a list"));
    };
    if items.len() > max {
        return Err(node.invalid(&format!("more than {max}")));
    }
    let mut found: Vec<String> = Vec::new();
    for item in node.items() {
        let value = text(item, bytes_max)?;
        if !found.iter().any(|known| known == value) {
            found.push(value.to_owned());
        }
    }
    Ok(found)
}

fn time(node: Node<'_>) -> Result<Timestamp, DecodeError> {
    let time: Timestamp = text(node, NAME_BYTES_MAX)?
        .parse()
        .map_err(|_| node.invalid("not an RFC 3339 time"))?;
    if (Timestamp::MIN..=Timestamp::MAX).contains(&time) {
        Ok(time)
    } else {
        Err(node.invalid("time out of range"))
    }
}

fn uid(fields: Object<'_>, name: &str) -> Result<Option<String>, DecodeError> {
    let node = fields.get(name);
    node.map(|node| text(node, UID_BYTES_MAX).map(str::to_owned))
        .transpose()
}

/// Returns the id of an incident in its one spelling: 8-4-4-4-12 hexadecimal digits in lower case.
fn incident(fields: Object<'_>, field: &str) -> Result<String, DecodeError> {
    let Text { node, value } = name(fields, field)?;
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let groups: Vec<&str> = value.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let plain = groups.iter().all(|group| group.bytes().all(digit));
    if lengths == [8, 4, 4, 4, 12] && plain {
        Ok(value)
    } else {
        Err(node.invalid("not the id of an incident"))
    }
}

fn revision(fields: Object<'_>) -> Result<Option<i64>, DecodeError> {
    let Some(node) = fields.get("expected_revision") else {
        return Ok(None);
    };
    match node.integer() {
        Some(revision) if revision >= 1 && matches!(node.value(), Value::Number(_)) => {
            Ok(Some(revision))
        }
        _ => Err(node.invalid("not a whole number from 1")),
    }
}

fn status(fields: Object<'_>) -> Result<IncidentStatus, DecodeError> {
    let Text { node, value } = name(fields, "status")?;
    let open = [IncidentStatus::New, IncidentStatus::InProgress];
    match open.into_iter().find(|status| status.word() == value) {
        Some(status) => Ok(status),
        None => Err(node.invalid(&expected(open.map(IncidentStatus::word)))),
    }
}

/// The owner must be written: `null` takes the incident from whoever has it.
fn owner(fields: Object<'_>) -> Result<Option<String>, DecodeError> {
    let Some((_, node)) = fields.fields().find(|(name, _)| *name == "owner") else {
        return Err(fields.missing("owner"));
    };
    if matches!(node.value(), Value::Null) {
        return Ok(None);
    }
    text(node, NAME_BYTES_MAX).map(|owner| Some(owner.to_owned()))
}

fn severity(fields: Object<'_>) -> Result<Severity, DecodeError> {
    let Text { node, value } = name(fields, "severity")?;
    let known = || {
        Severity::ALL
            .iter()
            .filter(|known| **known != Severity::Unknown)
    };
    match known().find(|known| known.word() == value) {
        Some(severity) => Ok(*severity),
        None => Err(node.invalid(&expected(known().map(|known| known.word())))),
    }
}

/// Returns a comment: any text but blank, its lines kept.
fn comment(fields: Object<'_>, name: &str) -> Result<Option<String>, DecodeError> {
    let Some(node) = fields.get(name) else {
        return Ok(None);
    };
    let value = written(node)?;
    let spaced = |character: char| character.is_control() && !"\n\r\t".contains(character);
    if value.trim().is_empty() {
        Err(node.invalid("blank"))
    } else if value.chars().nth(COMMENT_CHARS_MAX).is_some() {
        Err(node.invalid(&format!("longer than {COMMENT_CHARS_MAX} characters")))
    } else if value.chars().any(spaced) {
        Err(node.invalid("holds a control character"))
    } else {
        Ok(Some(value.to_owned()))
    }
}

fn tag(fields: Object<'_>) -> Result<Action, DecodeError> {
    let tags = |name| texts(fields, name, COMMAND_TAGS_MAX, TAG_BYTES_MAX);
    let (add, remove) = (tags("add")?, tags("remove")?);
    if add.is_empty() && remove.is_empty() {
        let node = fields.node();
        return Err(node.refuse(Reason::MissingField, "expected add, remove or both"));
    }
    if let Some(at) = remove.iter().position(|tag| add.contains(tag)) {
        let both = fields
            .items("remove")
            .nth(at)
            .unwrap_or_else(|| fields.node());
        return Err(both.invalid("added and removed"));
    }
    Ok(Action::Tag { add, remove })
}

/// Returns one of the five; the reason may be left out where the classification has only one.
fn closing(fields: Object<'_>) -> Result<Closing, DecodeError> {
    let Text { node, value } = name(fields, "classification")?;
    let of_word = || {
        Closing::ALL
            .into_iter()
            .filter(|known| known.classification().word() == value)
    };
    let reasons = || {
        let reasons = of_word().map(Closing::reason);
        reasons.map(ClassificationReason::word)
    };
    if of_word().next().is_none() {
        let known = Classification::ALL
            .iter()
            .filter(|known| **known != Classification::Unset);
        return Err(node.invalid(&expected(known.map(|known| known.word()))));
    }
    let Some(reason) = fields.get("reason") else {
        let mut found = of_word();
        return match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(DecodeError {
                problem: format!("missing, {}", expected(reasons())),
                ..fields.missing("reason")
            }),
        };
    };
    let word = text(reason, NAME_BYTES_MAX)?;
    let mut found = of_word();
    match found.find(|known| known.reason().word() == word) {
        Some(closing) => Ok(closing),
        None => Err(reason.invalid(&expected(reasons()))),
    }
}

#[cfg(test)]
mod tests;
