//! Scenario text to inputs.

use std::collections::BTreeMap;

use correlators::Settings;
use schemas::alert::{
    Alert, AlertActivity, AlertDisposition, AlertKind, AlertStatus, Provenance, Severity, Source,
    TimeQuality, Verdict,
};
use schemas::attack::attacks_of;
use schemas::binding::Binding;
use schemas::command::{Action, Closing, Command};
use schemas::entity::{Entity, EntityRole, named};
use schemas::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// 2026-01-05T00:00:00Z, a Monday.
const EPOCH: i64 = 1_767_571_200_000;
const TENANT: &str = "acme";
/// Options of a command.
const OPTIONS: [&str; 3] = ["id=", "rev=", "tenant="];

/// The inputs of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Settings of every tenant.
    pub settings: Settings,
    /// In order.
    pub steps: Vec<Step>,
    /// Alerts whose links are asked for.
    pub explained: Vec<String>,
    /// Every revision is asked for.
    pub revisions: bool,
}

/// One input.
#[derive(Clone, Debug)]
pub enum Step {
    /// An alert.
    Alert(Box<Alert>),
    /// A lease.
    Lease(Binding),
    /// The time of a tenant.
    Time(String, Timestamp),
    /// A command, whose incidents are called by their founders.
    Command(Box<Command>),
}

impl Case {
    /// Reads a scenario's input.
    ///
    /// # Panics
    /// When a line says nothing that a scenario can say.
    pub fn parse(text: &str) -> Self {
        let mut case = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["set", path, value] => case.set(path, value),
                ["lease", ip, host, from, to] => case.steps.push(Step::Lease(Binding {
                    tenant: TENANT.to_owned(),
                    ip: (*ip).to_owned(),
                    host: (*host).to_owned(),
                    from: time(from),
                    to: time(to),
                })),
                ["time", offset] => case.steps.push(Step::Time(TENANT.to_owned(), time(offset))),
                ["command", offset, actor, action, incident, rest @ ..] => {
                    let number = commands(&case.steps);
                    let command = command(number, [offset, actor, action, incident], rest);
                    case.steps.push(Step::Command(Box::new(command)));
                }
                ["explain", alert] => case.explained.push((*alert).to_owned()),
                ["revisions"] => case.revisions = true,
                [offset, rule, severity, tactics, rest @ ..] => {
                    case.alerts([offset, rule, severity, tactics], rest);
                }
                _ => panic!("no line of a scenario: {line}"),
            }
        }
        case
    }

    fn set(&mut self, path: &str, value: &str) {
        let mut settings = serde_json::to_value(&self.settings).unwrap();
        let pointer = format!("/{}", path.replace('.', "/"));
        let place = settings
            .pointer_mut(&pointer)
            .unwrap_or_else(|| panic!("no setting {path}"));
        *place = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        self.settings = serde_json::from_value(settings).unwrap();
    }

    fn alerts(&mut self, [offset, rule, severity, tactics]: [&str; 4], rest: &[&str]) {
        let number = self.steps.iter().filter(|step| step.is_alert()).count() + 1;
        let mut alert = blank(&format!("a{number}"), rule, time(offset));
        let (product, name) = rule.split_once('/').unwrap();
        alert.source.product = Some(product.to_owned());
        alert.source.rule_name = Some(name.to_owned());
        name.clone_into(&mut alert.title);
        alert.severity = word(severity);
        let tactics: Vec<&str> = tactics.split(',').filter(|word| *word != "-").collect();
        alert.attacks = attacks_of(&tactics, &[] as &[&str]);
        let (mut times, mut apart) = (1, 0);
        for part in rest {
            match part.split_once('=') {
                Some(("times", value)) => {
                    let (count, gap) = value.split_once('/').unwrap();
                    (times, apart) = (count.parse().unwrap(), millis(gap));
                }
                Some((option, value)) => set_option(&mut alert, option, value),
                None => alert.entities.push(entity(part)),
            }
        }
        if times == 1 {
            self.steps.push(Step::Alert(Box::new(alert)));
            return;
        }
        for n in 0..times {
            let mut each = alert.clone();
            each.uid = format!("{}.{}", alert.uid, n + 1);
            each.start_time = alert.start_time.plus(n * apart);
            each.end_time = each.start_time;
            each.source.rule_name = Some(numbered(name, n));
            self.steps.push(Step::Alert(Box::new(each)));
        }
    }
}

impl Step {
    const fn is_alert(&self) -> bool {
        matches!(self, Self::Alert(_))
    }
}

fn commands(steps: &[Step]) -> usize {
    let commands = steps.iter().filter(|step| matches!(step, Step::Command(_)));
    commands.count() + 1
}

fn command(number: usize, [at, actor, kind, incident]: [&str; 4], rest: &[&str]) -> Command {
    let (options, words): (Vec<&str>, Vec<&str>) = rest
        .iter()
        .copied()
        .partition(|word| OPTIONS.iter().any(|name| word.starts_with(name)));
    let given = |name: &str| {
        let mut given = options.iter().filter_map(|word| word.strip_prefix(name));
        given.next().map(str::to_owned)
    };
    Command {
        id: given("id=").unwrap_or_else(|| format!("c{number}")),
        tenant: given("tenant=").unwrap_or_else(|| TENANT.to_owned()),
        incident: incident.to_owned(),
        expected_revision: given("rev=").map(|revision| revision.parse().unwrap()),
        actor: actor.to_owned(),
        roles: Vec::new(),
        time: time(at),
        action: action(kind, &words),
    }
}

fn action(kind: &str, words: &[&str]) -> Action {
    let owned = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let spaced = |word: &str| word.replace('_', " ");
    match (kind, words) {
        ("set_status", [status]) => Action::SetStatus {
            status: word(status),
        },
        ("assign", [owner]) => Action::Assign {
            owner: Some((*owner).to_owned()).filter(|owner| owner != "-"),
        },
        ("set_severity", [severity]) => Action::SetSeverity {
            severity: word(severity),
        },
        ("comment", [text]) => Action::Comment { text: spaced(text) },
        ("tag", tags) => {
            let of = |sign: char| -> Vec<String> {
                let tags = tags.iter().filter_map(|tag| tag.strip_prefix(sign));
                tags.map(str::to_owned).collect()
            };
            Action::Tag {
                add: of('+'),
                remove: of('-'),
            }
        }
        ("close", [verdict, comment @ ..]) => Action::Close {
            closing: closing(verdict),
            comment: comment.first().map(|text| spaced(text)),
        },
        ("reopen", []) => Action::Reopen,
        ("merge", [into]) => Action::Merge {
            into: (*into).to_owned(),
        },
        ("split", alerts) => Action::Split {
            alerts: owned(alerts),
        },
        ("unlink", [alert, from @ ..]) => Action::Unlink {
            alert: (*alert).to_owned(),
            from: from.first().map(|from| (*from).to_owned()),
        },
        ("link", [alert]) => Action::Link {
            alert: (*alert).to_owned(),
        },
        ("feedback", [verdict, alerts @ ..]) => Action::Feedback {
            alerts: owned(alerts),
            closing: closing(verdict),
        },
        _ => panic!("no action: {kind} {words:?}"),
    }
}

fn closing(text: &str) -> Closing {
    let (classification, reason) = text.split_once('/').unwrap_or((text, ""));
    let mut known = Closing::ALL.into_iter().filter(|known| {
        let reason = reason.is_empty() || known.reason().word() == reason;
        known.classification().word() == classification && reason
    });
    known
        .next()
        .unwrap_or_else(|| panic!("no classification: {text}"))
}

/// `rule*60` stands for sixty rules in turn.
fn numbered(rule: &str, n: i64) -> String {
    rule.split_once('*').map_or_else(
        || rule.to_owned(),
        |(name, count)| format!("{name}{}", n % count.parse::<i64>().unwrap()),
    )
}

fn set_option(alert: &mut Alert, option: &str, value: &str) {
    match option {
        "id" => value.clone_into(&mut alert.uid),
        "tenant" => value.clone_into(&mut alert.tenant),
        "rev" => alert.revision = value.parse().unwrap(),
        "count" => alert.count = value.parse().unwrap(),
        "end" => alert.end_time = time(value),
        "kind" => alert.kind = word(value),
        "disposition" => alert.disposition = word(value),
        _ => panic!("no option of an alert: {option}"),
    }
}

fn entity(text: &str) -> Entity {
    let (role, text) = text.split_once('>').unwrap_or(("unknown", text));
    let (weak, text) = text
        .strip_prefix("weak?")
        .map_or((false, text), |rest| (true, rest));
    let mut names = text.split('~');
    let (kind, value) = names.next().unwrap().split_once(':').unwrap();
    let alts = names.map(|alt| alt.split_once(':').unwrap());
    let mut entity = named(kind, value, alts).unwrap();
    if weak {
        let strong = entity.key.take().into_iter();
        entity.weak_keys = strong.chain(entity.alt_keys.drain(..)).collect();
    }
    let known: EntityRole = word(role);
    assert_eq!(known.word(), role, "no role");
    Entity {
        role: known,
        ..entity
    }
}

/// Returns an alert that says nothing but what it is called, by which rule it was raised, and when.
pub fn blank(uid: &str, rule: &str, start: Timestamp) -> Alert {
    Alert {
        uid: uid.to_owned(),
        tenant: TENANT.to_owned(),
        activity: AlertActivity::Create,
        revision: 0,
        kind: AlertKind::Detection,
        source: Source {
            native_uid: uid.to_owned(),
            rule_name: Some(rule.to_owned()),
            ..Source::default()
        },
        title: rule.to_owned(),
        description: None,
        start_time: start,
        end_time: start,
        detected_time: start,
        ingest_time: start,
        time_quality: TimeQuality::Exact,
        count: 1,
        severity: Severity::Medium,
        severity_native: None,
        risk_score: None,
        confidence: None,
        status: AlertStatus::New,
        verdict: Verdict::Unknown,
        disposition: AlertDisposition::Unknown,
        attacks: Vec::new(),
        entities: Vec::new(),
        correlation_hints: Vec::new(),
        labels: BTreeMap::new(),
        provenance: Provenance::default(),
    }
}

fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(Value::from(text)).unwrap()
}

fn time(offset: &str) -> Timestamp {
    Timestamp(EPOCH + millis(offset))
}

fn millis(offset: &str) -> i64 {
    let (sign, mut rest) = offset
        .strip_prefix('-')
        .map_or((1, offset), |rest| (-1, rest));
    let mut sum = 0;
    while let Some((number, tail)) = rest.split_once(|letter: char| letter.is_ascii_alphabetic()) {
        let unit = match rest.as_bytes()[number.len()] {
            b's' => 1_000,
            b'm' => 60_000,
            b'h' => 3_600_000,
            b'd' => 86_400_000,
            _ => panic!("no offset: {offset}"),
        };
        sum += number.parse::<i64>().unwrap() * unit;
        rest = tail;
    }
    assert_eq!(rest, "", "no offset: {offset}");
    sign * sum
}
