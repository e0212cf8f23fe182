//! What holds of the core when analysts act between the alerts, whatever they do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use correlators::invariants::check;
use correlators::limits::Limits;
use correlators::state::RowKey;
use correlators::{Fusion, Output, Settings, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use schemas::alert::Severity;
use schemas::command::{Action, ActionKind, Closing, Command};
use schemas::incident::{Incident, IncidentStatus};
use schemas::time::Timestamp;
use tests::scenario::Step;

use super::arbitrary::{Kind, START, steps};
use super::{Driver, bytes, key, some_limits, text};

/// A command before it is known what there is: incidents and alerts are picked by number, beyond the last there is none.
#[derive(Clone, Debug)]
struct Draft {
    at: usize,
    incident: usize,
    other: usize,
    alerts: Vec<usize>,
    action: u32,
    closing: Closing,
    severity: Severity,
    word: u8,
    /// Of the command before it.
    again: bool,
    stale: bool,
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let severity = select(vec![
        Severity::Informational,
        Severity::Medium,
        Severity::Critical,
    ]);
    let fields = (
        (
            0_usize..40,
            0_usize..3,
            0_usize..4,
            vec(0_usize..4, 1..4),
            0_u32..16,
        ),
        (
            select(Closing::ALL.to_vec()),
            severity,
            0_u8..4,
            0_u8..12,
            0_u8..12,
        ),
    );
    let draft = fields.prop_map(|(what, how)| Draft {
        at: what.0,
        incident: what.1,
        other: what.2,
        alerts: what.3,
        action: what.4,
        closing: how.0,
        severity: how.1,
        word: how.2,
        again: how.3 == 0,
        stale: how.4 == 0,
    });
    vec(draft, 0..40)
}

/// Settings by which these few alerts are incidents: all of them, or the riskier.
fn settings() -> impl Strategy<Value = Settings> {
    (some_limits(), select(vec![0, 120])).prop_map(|(limits, risk)| {
        let mut settings = Settings {
            limits,
            ..Settings::default()
        };
        settings.promote.rules = 0;
        settings.promote.risk_alone_tenths = risk;
        settings
    })
}

/// A tenant with analysts.
struct Desk {
    driver: Driver,
    published: Vec<Incident>,
    ids: Vec<String>,
    sent: usize,
}

impl Desk {
    fn new(settings: &Settings) -> Self {
        let mut driver = Driver::new(settings);
        let fusion = std::mem::replace(&mut driver.fusion, Fusion::new("", Default::default()));
        driver.fusion = fusion.track();
        Self {
            driver,
            published: Vec::new(),
            ids: Vec::new(),
            sent: 0,
        }
    }

    fn poll(&mut self) {
        for incident in self.driver.poll() {
            if !self.ids.contains(&incident.id) {
                self.ids.push(incident.id.clone());
            }
            self.published.push(incident);
        }
    }

    /// Fills in what the draft picks from what there is.
    fn command(&mut self, draft: &Draft) -> Command {
        let nowhere = || "00000000-0000-0000-0000-000000000000".to_owned();
        // The newest first: what has gone is refused, which is of less interest.
        let pick = |at: usize| {
            self.ids
                .iter()
                .rev()
                .nth(at)
                .cloned()
                .unwrap_or_else(nowhere)
        };
        let incident = pick(draft.incident);
        let last = self.published.iter().rfind(|known| known.id == incident);
        let alert = |at: &usize| {
            let listed = last.and_then(|incident| incident.alerts.get(*at));
            listed.map_or_else(|| format!("a{at}"), |alert| alert.uid.clone())
        };
        let alerts: Vec<String> = draft.alerts.iter().map(alert).collect();
        let word = format!("w{}", draft.word);
        let action = match draft.action {
            0 => Action::SetStatus {
                status: IncidentStatus::InProgress,
            },
            1 => Action::Assign {
                owner: Some(word).filter(|_| draft.word > 0),
            },
            2 => Action::SetSeverity {
                severity: draft.severity,
            },
            3 => Action::Comment {
                text: word.repeat(usize::from(draft.word) + 1),
            },
            4 => Action::Tag {
                add: vec![word],
                remove: vec!["w1".to_owned()],
            },
            5 => Action::Close {
                closing: draft.closing,
                comment: Some(word),
            },
            6 | 13 => Action::Reopen,
            7 | 8 => Action::Merge {
                into: pick(draft.other),
            },
            9 | 14 => Action::Split { alerts },
            10 => Action::Unlink {
                alert: alerts[0].clone(),
                from: alerts.get(1).cloned(),
            },
            11 | 15 => Action::Link {
                alert: format!("a{}", draft.other * 5),
            },
            _ => Action::Feedback {
                alerts: alerts[1..].to_vec(),
                closing: draft.closing,
            },
        };
        self.sent += usize::from(!draft.again);
        let revision = last.map(|incident| incident.revision);
        Command {
            id: format!("c{}", self.sent),
            tenant: "acme".to_owned(),
            incident,
            expected_revision: revision
                .map(|revision| revision - i64::from(draft.stale))
                .filter(|revision| *revision > 0),
            actor: "alice".to_owned(),
            roles: Vec::new(),
            time: Timestamp(self.driver.newest.max(START)),
            action,
        }
    }
}

/// Runs alerts and commands, calling `seen` after each with the verdict of a command.
fn run(
    steps: &[Step],
    drafts: &[Draft],
    settings: &Settings,
    mut seen: impl FnMut(&mut Desk, Option<(&Command, &Verdict)>) -> Result<(), TestCaseError>,
) -> Result<Desk, TestCaseError> {
    let mut desk = Desk::new(settings);
    for (at, step) in steps.iter().enumerate() {
        desk.driver.step(step);
        desk.poll();
        seen(&mut desk, None)?;
        for draft in drafts.iter().filter(|draft| draft.at == at) {
            let command = desk.command(draft);
            let verdict = desk.driver.fusion.handle_command(&command);
            seen(&mut desk, Some((&command, &verdict)))?;
            desk.poll();
        }
    }
    Ok(desk)
}

/// All of the state but the memory of commands and how many there were.
fn rows(desk: &Desk) -> BTreeMap<RowKey, Vec<u8>> {
    let rows = desk.driver.fusion.rows();
    rows.filter(|(key, _)| !matches!(key, RowKey::Command(_) | RowKey::Tenant))
        .collect()
}

proptest! {
    #[test]
    fn invariants_hold_after_every_command(
        steps in steps(Kind::Aliased, 40), drafts in drafts(), settings in settings(),
    ) {
        run(&steps, &drafts, &settings, |desk, _| {
            prop_assert_eq!(check(&desk.driver.fusion), Ok(()));
            Ok(())
        })?;
    }

    #[test]
    fn a_refused_command_changes_nothing(steps in steps(Kind::Aliased, 40), drafts in drafts(), settings in settings()) {
        let mut before = BTreeMap::new();
        run(&steps, &drafts, &settings, |desk, told| {
            let after = rows(desk);
            if let Some((command, Verdict::Refused { .. })) = told {
                prop_assert_eq!(&before, &after, "{:?}", command);
                prop_assert_eq!(desk.driver.poll(), Vec::new());
            }
            before = after;
            Ok(())
        })?;
    }

    #[test]
    fn a_command_sent_again_has_the_outcome_it_had(steps in steps(Kind::Aliased, 30), drafts in drafts(), settings in settings()) {
        run(&steps, &drafts, &settings, |desk, told| {
            if let Some((command, verdict)) = told {
                let before = desk.driver.fusion.digest();
                prop_assert_eq!(&desk.driver.fusion.handle_command(command), verdict);
                prop_assert_eq!(desk.driver.fusion.digest(), before);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_same_commands_give_the_same_bytes(steps in steps(Kind::Aliased, 40), drafts in drafts(), settings in settings()) {
        let run = || run(&steps, &drafts, &settings, |_, _| Ok(()));
        prop_assert_eq!(bytes(&run()?.published), bytes(&run()?.published));
    }

    #[test]
    fn revisions_rise_and_redirects_end_whatever_analysts_do(
        steps in steps(Kind::Aliased, 40), drafts in drafts(), settings in settings(),
    ) {
        let desk = run(&steps, &drafts, &settings, |_, _| Ok(()))?;
        let mut last: BTreeMap<&str, &Incident> = BTreeMap::new();
        let mut content: BTreeMap<(String, i64), String> = BTreeMap::new();
        for incident in &desk.published {
            if let Some(before) = last.insert(&incident.id, incident) {
                prop_assert!(incident.revision > before.revision);
                prop_assert!(before.merged_into.is_none(), "{} was merged", incident.id);
            } else {
                prop_assert_eq!(incident.revision, 1);
            }
            prop_assert_eq!(content.insert(key(incident), text(incident)), None);
            prop_assert_eq!(incident.status == IncidentStatus::Closed, incident.closed_time.is_some() && incident.merged_into.is_none());
        }
        let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
        for incident in last.values() {
            let (mut at, mut hops) = (*incident, 0);
            while let Some(into) = &at.merged_into {
                at = last[into.as_str()];
                hops += 1;
                prop_assert!(hops <= last.len(), "redirects of {} do not end", incident.id);
            }
            // A forgotten uid may come again.
            for alert in incident.alerts.iter().filter(|_| settings.limits == Limits::default()) {
                prop_assert_eq!(homes.insert(&alert.uid, &incident.id), None, "{} is in two incidents", alert.uid);
            }
        }
    }

    #[test]
    fn every_accepted_alert_is_in_one_thread_whatever_analysts_do(steps in steps(Kind::Aliased, 40), drafts in drafts(), settings in settings()) {
        let mut threads: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        run(&steps, &drafts, &settings, |desk, _| {
            while let Some(output) = desk.driver.fusion.poll_output() {
                match output {
                    Output::EpisodeOpened { episode, .. } => {
                        prop_assert_eq!(threads.insert(episode, BTreeSet::from([episode])), None);
                    }
                    Output::ThreadMerged { thread, into } => {
                        let moved = threads.remove(&thread).unwrap();
                        threads.get_mut(&into).unwrap().extend(moved);
                    }
                    Output::ThreadSplit { thread, parts } => {
                        let whole = threads.remove(&thread).unwrap();
                        let mut dealt = BTreeSet::new();
                        for part in parts {
                            dealt.extend(&part.episodes);
                            let episodes = part.episodes.into_iter().collect();
                            prop_assert_eq!(threads.insert(part.thread, episodes), None);
                        }
                        prop_assert_eq!(dealt, whole);
                    }
                    Output::ThreadPromoted { thread } => prop_assert!(threads.contains_key(&thread)),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_commands_did_is_undone_and_restored(
        steps in steps(Kind::Aliased, 30), drafts in drafts(), settings in settings(),
    ) {
        let mut kept: BTreeMap<RowKey, Vec<u8>> = BTreeMap::new();
        let mut undone = false;
        run(&steps, &drafts, &settings, |desk, told| {
            let fusion = &mut desk.driver.fusion;
            if told.is_none() {
                fusion.commit();
                kept = fusion.rows().collect();
                return Ok(());
            }
            let changes = fusion.changes();
            let after: BTreeMap<RowKey, Vec<u8>> = fusion.rows().collect();
            let mut applied = kept.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => applied.insert(key, value),
                    None => applied.remove(&key),
                };
            }
            prop_assert_eq!(&applied, &after);
            let mut restored = Fusion::new("acme", Arc::new(settings.clone()));
            for (key, value) in &after {
                prop_assert_eq!(restored.put(key, Some(value)), Ok(()));
            }
            prop_assert_eq!(restored.finish(), Ok(()));
            // The tenant's row tells of remembered uids too, which are no rows.
            let but_tenant = |rows: &BTreeMap<RowKey, Vec<u8>>| {
                let mut rows = rows.clone();
                rows.remove(&RowKey::Tenant);
                rows
            };
            prop_assert_eq!(but_tenant(&restored.rows().collect()), but_tenant(&after));
            prop_assert_eq!(check(&restored), Ok(()));
            if let Some((command, verdict)) = told {
                prop_assert_eq!(&restored.handle_command(command), verdict);
            }
            if undone {
                fusion.commit();
                kept = after;
            } else {
                // Put back, what was polled is not told again: the next command finds what was there before.
                fusion.undo();
                let back: BTreeMap<RowKey, Vec<u8>> = fusion.rows().collect();
                prop_assert_eq!(&back, &kept);
                prop_assert_eq!(check(fusion), Ok(()));
            }
            undone = !undone;
            Ok(())
        })?;
    }
}

/// Else the properties above would say nothing.
#[test]
fn every_action_is_applied_and_refused_now_and_then() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::with_cases(200), rng);
    let counts = RefCell::new(BTreeMap::new());
    let all = (steps(Kind::Aliased, 40), drafts(), settings());
    let ran = runner.run(&all, |(steps, drafts, settings)| {
        run(&steps, &drafts, &settings, |_, told| {
            if let Some((command, verdict)) = told {
                let applied = matches!(verdict, Verdict::Applied { .. });
                let kind = (command.action.kind(), applied);
                *counts.borrow_mut().entry(kind).or_insert(0) += 1;
            }
            Ok(())
        })?;
        Ok(())
    });
    ran.unwrap();
    let counts = counts.into_inner();
    for kind in ActionKind::ALL
        .iter()
        .filter(|kind| **kind != ActionKind::Unknown)
    {
        for applied in [true, false] {
            let count = counts.get(&(*kind, applied)).copied().unwrap_or(0);
            assert!(
                count >= 5,
                "{kind}, applied {applied}: {count} of {counts:?}"
            );
        }
    }
}
