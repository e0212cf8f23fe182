use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::command::{Outcome, Refusal, Verdict};
use crate::encode::{command_json, outcome_json};
use crate::time::Timestamp;

const INCIDENT: &str = "8c1f0b1e-0000-5000-8000-000000000001";
const OTHER: &str = "8c1f0b1e-0000-5000-8000-000000000002";

fn of(action: Action) -> Command {
    Command {
        id: "0d9f".into(),
        tenant: "contoso".into(),
        incident: INCIDENT.into(),
        expected_revision: Some(4),
        actor: "alice@contoso.com".into(),
        roles: vec!["analyst".into()],
        time: Timestamp(1_767_571_467_074),
        action,
    }
}

fn text(value: &str) -> String {
    value.to_owned()
}

/// One of each, and the variants that are written differently.
fn commands() -> Vec<Command> {
    let mut actions = vec![
        Action::SetStatus {
            status: IncidentStatus::InProgress,
        },
        Action::Assign {
            owner: Some(text("bob")),
        },
        Action::Assign { owner: None },
        Action::SetSeverity {
            severity: Severity::Critical,
        },
        Action::Comment {
            text: text("*seen*\n\"quoted\" – ünïcode"),
        },
        Action::Tag {
            add: vec![text("vip"), text("ransomware")],
            remove: vec![text("new")],
        },
        Action::Reopen,
        Action::Merge { into: text(OTHER) },
        Action::Split {
            alerts: vec![text("edr:a1"), text("edr:a2")],
        },
        Action::Unlink {
            alert: text("edr:a1"),
            from: None,
        },
        Action::Unlink {
            alert: text("edr:a1"),
            from: Some(text("edr:a2")),
        },
        Action::Link {
            alert: text("edr:a9"),
        },
        Action::Feedback {
            alerts: vec![text("edr:a1")],
            closing: Closing::BenignPositive,
        },
    ];
    actions.extend(Closing::ALL.map(|closing| Action::Close {
        closing,
        comment: Some(text("done")).filter(|_| closing != Closing::Undetermined),
    }));
    actions.into_iter().map(of).collect()
}

fn outcomes() -> Vec<Outcome> {
    let command = of(Action::Reopen);
    let applied = Verdict::Applied {
        revision: 5,
        incidents: vec![text(OTHER)],
    };
    let refused = Verdict::Refused {
        reason: Refusal::StaleRevision,
        message: text("the incident is at revision 7"),
        revision: Some(7),
        incidents: Vec::new(),
    };
    [applied, refused]
        .map(|verdict| Outcome::of(&command, verdict))
        .into()
}

/// Reads what this and every earlier version wrote; with `UPDATE_EXPECT` set, writes what is missing.
#[test]
fn golden_lines_are_still_read_and_written() {
    let lines = |lines: Vec<Vec<u8>>| {
        let lines = lines
            .into_iter()
            .map(|line| String::from_utf8(line).unwrap() + "\n");
        lines.collect::<String>()
    };
    let golden = |name: &str, now: &str| {
        let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("golden")
            .join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() && !path.exists() {
            std::fs::write(&path, now).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, now);
        text
    };
    let now = lines(
        commands()
            .iter()
            .map(|command| command_json(command).unwrap())
            .collect(),
    );
    let read = golden("command-1.jsonl", &now);
    let read: Vec<Command> = read
        .lines()
        .map(|line| command(line.as_bytes()).unwrap())
        .collect();
    assert_eq!(read, commands());
    let now = lines(
        outcomes()
            .iter()
            .map(|outcome| outcome_json(outcome).unwrap())
            .collect(),
    );
    let read = golden("outcome-1.jsonl", &now);
    let read: Vec<Outcome> = read
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, outcomes());
}

/// Puts `value` at `pointer` of a command that is right but for that, and checks what is said about it.
#[track_caller]
fn check(action: Json, pointer: &str, value: Json, expected: Expect) {
    let mut given = json!({
        "id": "0d9f", "tenant": "contoso", "incident": INCIDENT, "actor": "alice",
        "time": "2026-01-05T00:04:27.074Z", "action": action,
    });
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = given.pointer_mut(parent).unwrap();
    if value == json!("(none)") {
        parent.as_object_mut().unwrap().remove(name);
    } else {
        parent[name] = value;
    }
    let error = command(given.to_string().as_bytes()).unwrap_err();
    expected.assert_eq(&format!("{}: {error}", error.reason.word()));
}

#[test]
fn what_is_wrong_is_named_with_what_it_may_be() {
    let none = || json!("(none)");
    let reopen = || json!({"type": "reopen"});
    check(
        reopen(),
        "/id",
        none(),
        expect!["missing_field: /id: missing"],
    );
    check(
        reopen(),
        "/id",
        json!("x".repeat(129)),
        expect!["invalid_field: /id: longer than 128 bytes"],
    );
    check(
        reopen(),
        "/actor",
        json!(" "),
        expect!["invalid_field: /actor: blank"],
    );
    check(
        reopen(),
        "/actor",
        json!("a\u{7}b"),
        expect!["invalid_field: /actor: holds a control character"],
    );
    check(
        reopen(),
        "/tenant",
        json!("../etc"),
        expect![
            "invalid_tenant: /tenant: a tenant is 1 to 64 of a-z, A-Z, 0-9, dot, underscore and hyphen"
        ],
    );
    check(
        reopen(),
        "/incident",
        json!("8C1F0B1E-0000-5000-8000-000000000001"),
        expect!["invalid_field: /incident: not the id of an incident"],
    );
    check(
        reopen(),
        "/expected_revision",
        json!("4"),
        expect!["invalid_field: /expected_revision: not a whole number from 1"],
    );
    check(
        reopen(),
        "/expected_revision",
        json!(0),
        expect!["invalid_field: /expected_revision: not a whole number from 1"],
    );
    check(
        reopen(),
        "/roles",
        json!(vec!["r"; 17]),
        expect!["invalid_field: /roles: more than 16"],
    );
}

#[test]
fn what_is_not_known_is_named_with_what_is() {
    let none = || json!("(none)");
    let reopen = || json!({"type": "reopen"});
    check(
        reopen(),
        "/time",
        json!("yesterday"),
        expect!["invalid_field: /time: not an RFC 3339 time"],
    );
    check(
        reopen(),
        "/Owner",
        json!("x"),
        expect![
            "invalid_field: /Owner: unknown field, expected one of id, tenant, incident, expected_revision, actor, roles, time, action"
        ],
    );
    check(
        reopen(),
        "/action",
        none(),
        expect!["missing_field: /action: missing"],
    );
    check(
        reopen(),
        "/action/type",
        json!("explode"),
        expect![
            "invalid_field: /action/type: expected one of set_status, assign, set_severity, comment, tag, close, reopen, merge, split, unlink, link, feedback"
        ],
    );
    check(
        reopen(),
        "/action/comment",
        json!("x"),
        expect!["invalid_field: /action/comment: unknown field, expected one of type"],
    );
}

#[test]
fn actions_say_what_they_need() {
    let none = || json!("(none)");
    check(
        json!({"type": "set_status"}),
        "/action/status",
        json!("closed"),
        expect!["invalid_field: /action/status: expected one of new, in_progress"],
    );
    check(
        json!({"type": "set_severity"}),
        "/action/severity",
        json!("unknown"),
        expect![
            "invalid_field: /action/severity: expected one of informational, low, medium, high, critical, fatal"
        ],
    );
    check(
        json!({"type": "assign"}),
        "/action/owner",
        none(),
        expect!["missing_field: /action/owner: missing"],
    );
    check(
        json!({"type": "comment"}),
        "/action/text",
        json!("x".repeat(30_001)),
        expect!["invalid_field: /action/text: longer than 30000 characters"],
    );
    check(
        json!({"type": "tag"}),
        "/action/add",
        json!([]),
        expect!["missing_field: /action: expected add, remove or both"],
    );
    check(
        json!({"type": "tag", "add": ["a"]}),
        "/action/remove",
        json!(["b", "a"]),
        expect!["invalid_field: /action/remove/1: added and removed"],
    );
    check(
        json!({"type": "merge"}),
        "/action/into",
        json!("x"),
        expect!["invalid_field: /action/into: not the id of an incident"],
    );
    check(
        json!({"type": "split"}),
        "/action/alerts",
        json!([]),
        expect!["missing_field: /action/alerts: missing"],
    );
    check(
        json!({"type": "split"}),
        "/action/alerts",
        json!(["a", 7]),
        expect!["invalid_field: /action/alerts/1: not a text"],
    );
    check(
        json!({"type": "unlink"}),
        "/action/alert",
        none(),
        expect!["missing_field: /action/alert: missing"],
    );
}

#[test]
fn closing_takes_one_of_five_classifications() {
    let close = |classification: &str| json!({"type": "close", "classification": classification});
    check(
        close("true_positive"),
        "/action/classification",
        json!("(none)"),
        expect!["missing_field: /action/classification: missing"],
    );
    check(
        close("unset"),
        "/action/comment",
        json!("x"),
        expect![
            "invalid_field: /action/classification: expected one of true_positive, benign_positive, false_positive, undetermined"
        ],
    );
    check(
        close("false_positive"),
        "/action/comment",
        json!("x"),
        expect![
            "missing_field: /action/reason: missing, expected one of incorrect_alert_logic, inaccurate_data"
        ],
    );
    check(
        close("false_positive"),
        "/action/reason",
        json!("suspicious_activity"),
        expect![
            "invalid_field: /action/reason: expected one of incorrect_alert_logic, inaccurate_data"
        ],
    );
    let given = json!({
        "id": "1", "tenant": "t", "incident": INCIDENT, "actor": "a", "time": "2026-01-05T00:04:27Z",
        "action": {"type": "close", "classification": "benign_positive"},
    });
    let read = command(given.to_string().as_bytes()).unwrap();
    let closing = Closing::BenignPositive;
    assert_eq!(
        read.action,
        Action::Close {
            closing,
            comment: None
        }
    );
}

#[test]
fn a_field_given_twice_is_refused() {
    let line = String::from_utf8(command_json(&of(Action::Reopen)).unwrap()).unwrap();
    let twice = line.replace("\"actor\"", "\"actor\":\"mallory\",\"actor\"");
    let error = command(twice.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "/actor: given twice");
}

#[test]
fn a_list_holds_each_text_once() {
    let mut given = of(Action::Split {
        alerts: vec![text("a"), text("b"), text("a")],
    });
    let read = command(&command_json(&given).unwrap()).unwrap();
    given.action = Action::Split {
        alerts: vec![text("a"), text("b")],
    };
    assert_eq!(read, given);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        command(&bytes).ok();
    }

    #[test]
    fn a_changed_command_is_refused_or_read_as_it_is_written(
        which in 0..commands().len(), at in 0usize..400, byte: u8,
    ) {
        let mut bytes = command_json(&commands()[which]).unwrap();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        if let Ok(read) = command(&bytes) {
            prop_assert_eq!(command(&command_json(&read).unwrap()), Ok(read));
        }
    }
}
