//! Commands that were answered, so that one that is sent again has the same outcome and is applied once.

use schemas::command::Verdict;
use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::sequence::Sequence;

/// The outcomes of the latest commands, in the order they were answered.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) answers: Sequence<Answer>,
    by_id: Index<Box<str>, u64>,
}

/// The outcome of one command.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) id: Box<str>,
    pub(crate) verdict: Told,
}

/// A verdict as it is remembered: its wire form is for people and not for a compact row.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Told {
    Applied(i64, Vec<String>),
    Refused(schemas::command::Refusal, String, Option<i64>, Vec<String>),
}

impl From<&Verdict> for Told {
    fn from(verdict: &Verdict) -> Self {
        match verdict.clone() {
            Verdict::Applied {
                revision,
                incidents,
            } => Self::Applied(revision, incidents),
            Verdict::Refused {
                reason,
                message,
                revision,
                incidents,
            } => Self::Refused(reason, message, revision, incidents),
        }
    }
}

impl From<&Told> for Verdict {
    fn from(told: &Told) -> Self {
        match told.clone() {
            Told::Applied(revision, incidents) => Self::Applied {
                revision,
                incidents,
            },
            Told::Refused(reason, message, revision, incidents) => Self::Refused {
                reason,
                message,
                revision,
                incidents,
            },
        }
    }
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self {
            answers: Sequence::new(),
            by_id: Index::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Returns what was answered to the command `id`.
    pub(crate) fn get(&self, id: &str) -> Option<Verdict> {
        let answer = self.answers.get(self.by_id.get(id)?)?;
        Some(Verdict::from(&answer.verdict))
    }

    /// Remembers an answer to a command that has none; beyond `max` the oldest goes.
    pub(crate) fn remember(&mut self, id: &str, verdict: &Verdict, max: usize) {
        let number = self.answers.push(Answer {
            id: id.into(),
            verdict: verdict.into(),
        });
        self.by_id.insert(id.into(), number);
        while self.answers.len() > max.max(1) {
            // They are numbered without gaps.
            let held = u64::try_from(self.answers.len()).unwrap_or(u64::MAX);
            let oldest = self.answers.next().saturating_sub(held);
            let Some(answer) = self.answers.remove(oldest) else {
                return;
            };
            self.by_id.remove(&*answer.id);
        }
    }

    /// Finds the answers by id anew; returns the number of one whose id another has, or that is out of line.
    pub(crate) fn derive(&mut self) -> Result<(), u64> {
        self.by_id.reset();
        let numbers = self.answers.numbers();
        let first = numbers.first().copied().unwrap_or_default();
        for (number, expected) in numbers.iter().zip(first..) {
            let Some(answer) = self.answers.get(*number) else {
                continue;
            };
            let taken = self.by_id.insert(answer.id.clone(), *number).is_some();
            if taken || *number != expected {
                return Err(*number);
            }
        }
        self.answers
            .put_next(numbers.last().map_or(0, |last| last.saturating_add(1)));
        self.by_id.commit();
        Ok(())
    }

    pub(crate) fn track(&mut self) {
        self.answers.track();
        self.by_id.track();
    }

    pub(crate) fn commit(&mut self) {
        self.answers.commit();
        self.by_id.commit();
    }

    pub(crate) fn undo(&mut self) {
        self.answers.undo();
        self.by_id.undo();
    }
}
