//! What is planned at each point.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use super::{Point, VARIABLE};

/// The steps left at each point.
#[derive(Debug, Default)]
pub(super) struct Plan(Mutex<BTreeMap<Point, VecDeque<Step>>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Step {
    /// How many times more; `None` is for ever.
    times: Option<u32>,
    action: Action,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Off,
    Exit,
    Pause,
    Panic,
}

/// Returns the plan of this process, read once.
pub(super) fn of_process() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let text = env::var(VARIABLE).unwrap_or_default();
        match Plan::parse(&text) {
            Ok(plan) => plan,
            Err(part) => panic!("{VARIABLE} cannot be read at {part:?}"),
        }
    })
}

impl Plan {
    /// Reads a plan, or returns the part that is none.
    fn parse(text: &str) -> Result<Self, &str> {
        let mut points = BTreeMap::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, steps) = part.split_once('=').ok_or(part)?;
            let point = Point::ALL.into_iter().find(|point| point.as_str() == name);
            let steps: Option<VecDeque<Step>> = steps.split("->").map(Step::parse).collect();
            points.insert(point.ok_or(part)?, steps.ok_or(part)?);
        }
        Ok(Self(Mutex::new(points)))
    }

    pub(super) fn hit(&self, point: Point) {
        let action = self.take(point);
        let name = point.as_str();
        match action {
            Action::Off => {}
            Action::Exit => {
                tracing::warn!(point = name, "failpoint: exit");
                signal("KILL");
                loop {
                    thread::park();
                }
            }
            Action::Pause => {
                tracing::warn!(point = name, "failpoint: pause");
                signal("STOP");
            }
            Action::Panic => panic!("failpoint {name}"),
        }
    }

    pub(super) fn is_due(&self, point: Point) -> bool {
        let points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = points.get(&point).and_then(VecDeque::front).copied();
        drop(points);
        next.is_some_and(|step| step.action != Action::Off || self.take(point) != Action::Off)
    }

    /// Returns what is to be done this time.
    fn take(&self, point: Point) -> Action {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(steps) = points.get_mut(&point) else {
            return Action::Off;
        };
        let Some(step) = steps.front_mut() else {
            return Action::Off;
        };
        let action = step.action;
        if let Some(times) = &mut step.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                steps.pop_front();
            }
        }
        action
    }
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        let (times, action) = match text.split_once('*') {
            Some((times, action)) => {
                let times = times.parse().ok().filter(|times| *times > 0);
                (Some(times?), action)
            }
            None => (None, text),
        };
        let action = match action {
            "off" => Action::Off,
            "exit" => Action::Exit,
            "pause" => Action::Pause,
            "panic" => Action::Panic,
            _ => return None,
        };
        Some(Self { times, action })
    }
}

/// Has a shell signal this process: std has no safe call for it.
fn signal(name: &str) {
    let script = format!("kill -s {name} $PPID");
    let told = Command::new("sh").args(["-c", &script]).status();
    assert!(told.is_ok(), "there is no shell to signal this process");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_in_order_and_the_last_without_a_number_for_ever() {
        let plan = Plan::parse("mid_commit=2*off->1*panic->exit;in_restore=1*pause").unwrap();
        let taken =
            |point, times| -> Vec<Action> { (0..times).map(|_| plan.take(point)).collect() };
        use Action::{Exit, Off, Panic, Pause};
        assert!(!plan.is_due(Point::MidCommit), "takes the first off");
        assert_eq!(taken(Point::MidCommit, 1), [Off]);
        assert!(plan.is_due(Point::MidCommit), "takes nothing");
        assert_eq!(taken(Point::MidCommit, 3), [Panic, Exit, Exit]);
        assert_eq!(taken(Point::InRestore, 2), [Pause, Off]);
        assert_eq!(taken(Point::AfterApply, 1), [Off]);
    }

    #[test]
    fn a_plan_with_a_mistake_is_refused_at_it() {
        for (text, part) in [
            ("mid_commit", "mid_commit"),
            ("in_revoke=exit;midcommit=exit", "midcommit=exit"),
            ("mid_commit=quit", "mid_commit=quit"),
            ("mid_commit=0*exit", "mid_commit=0*exit"),
            ("mid_commit=-1*exit", "mid_commit=-1*exit"),
            ("mid_commit=off->", "mid_commit=off->"),
        ] {
            assert_eq!(Plan::parse(text).unwrap_err(), part);
        }
        assert!(!Plan::parse("").unwrap().is_due(Point::MidCommit));
    }
}
