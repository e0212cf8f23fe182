//! What analysts made of one incident. Nothing but a command changes it, save that an alert may reopen it.

use std::collections::BTreeSet;

use schemas::command::{ActionKind, Closing, Command};
use schemas::incident::{
    AnalystAction, Change, Classification, ClassificationReason, Comment, IncidentStatus,
};
use serde::{Deserialize, Serialize};

/// Actions an incident lists; the oldest go first.
const ACTIONS_MAX: usize = 64;
/// Bytes of what an action is about.
const DETAIL_BYTES_MAX: usize = 200;

/// What analysts made of one incident.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Desk {
    /// New or in progress; what it goes back to when it is reopened.
    pub(crate) status: IncidentStatus,
    pub(crate) owner: Option<String>,
    /// An analyst set the severity: alerts raise it no more.
    pub(crate) severity_pinned: bool,
    pub(crate) classification: Classification,
    pub(crate) reason: ClassificationReason,
    pub(crate) closing_comment: Option<String>,
    /// When it was closed; none while it is open.
    pub(crate) closed: Option<i64>,
    /// Oldest first.
    pub(crate) comments: Vec<Comment>,
    pub(crate) tags: BTreeSet<String>,
    /// Oldest first.
    pub(crate) actions: Vec<AnalystAction>,
}

impl Desk {
    /// Returns where the incident stands.
    pub(crate) fn status(&self) -> IncidentStatus {
        if self.closed.is_some() {
            IncidentStatus::Closed
        } else {
            self.status
        }
    }

    /// Returns whether an analyst ever did anything with it.
    pub(crate) fn is_touched(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Returns whether an alert that comes soon after it was closed opens it again.
    pub(crate) fn may_reopen(&self) -> bool {
        matches!(
            self.classification,
            Classification::TruePositive | Classification::Undetermined
        )
    }

    /// Returns the bytes of all its comments.
    pub(crate) fn comment_bytes(&self) -> usize {
        self.comments.iter().map(|comment| comment.text.len()).sum()
    }

    /// Notes what was done.
    pub(crate) fn note(&mut self, command: &Command, detail: &str) {
        let mut end = detail.len().min(DETAIL_BYTES_MAX);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        self.actions.push(AnalystAction {
            command: command.id.clone(),
            actor: command.actor.clone(),
            time: command.time,
            action: command.action.kind(),
            detail: detail.get(..end).unwrap_or_default().to_owned(),
        });
        self.bound();
    }

    pub(crate) fn comment(&mut self, command: &Command, text: &str) {
        self.comments.push(Comment {
            id: command.id.clone(),
            author: command.actor.clone(),
            time: command.time,
            text: text.to_owned(),
        });
    }

    pub(crate) fn classify(&mut self, closing: Closing) {
        self.classification = closing.classification();
        self.reason = closing.reason();
    }

    /// Opens it again: why it was closed stands in its actions from now on.
    pub(crate) fn reopen(&mut self) {
        self.closed = None;
        self.classification = Classification::Unset;
        self.reason = ClassificationReason::Unset;
        self.closing_comment = None;
        if self.owner.is_some() {
            self.status = IncidentStatus::InProgress;
        }
    }

    /// Takes in what analysts made of an incident that goes into this one. What this one has stays.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.status = self.status.max(other.status);
        self.owner = self.owner.take().or(other.owner);
        if self.classification == Classification::Unset {
            self.classification = other.classification;
            self.reason = other.reason;
        }
        self.comments.extend(other.comments);
        self.comments
            .sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        self.tags.extend(other.tags);
        self.actions.extend(other.actions);
        self.actions
            .sort_by(|a, b| (a.time, &a.command).cmp(&(b.time, &b.command)));
        self.bound();
    }

    fn bound(&mut self) {
        let excess = self.actions.len().saturating_sub(ACTIONS_MAX);
        self.actions.drain(..excess);
    }
}

/// Says what closing as `closing` means, in its words.
pub(crate) fn closing_words(closing: Closing) -> String {
    match closing.reason() {
        ClassificationReason::Unset => closing.classification().to_string(),
        ClassificationReason::SuspiciousActivity
        | ClassificationReason::SuspiciousButExpected
        | ClassificationReason::IncorrectAlertLogic
        | ClassificationReason::InaccurateData => {
            format!("{}, {}", closing.classification(), closing.reason())
        }
    }
}

/// The change that a revision says an action made.
pub(crate) const fn change_of(action: ActionKind) -> Change {
    match action {
        ActionKind::SetStatus => Change::StatusSet,
        ActionKind::Assign => Change::OwnerSet,
        ActionKind::SetSeverity => Change::SeveritySet,
        ActionKind::Comment => Change::Commented,
        ActionKind::Tag => Change::TagsChanged,
        ActionKind::Close => Change::Closed,
        ActionKind::Reopen => Change::Reopened,
        ActionKind::Merge => Change::MergedFrom,
        ActionKind::Split | ActionKind::Unlink => Change::AlertsRemoved,
        ActionKind::Link => Change::AlertsAdded,
        ActionKind::Feedback => Change::FeedbackGiven,
        ActionKind::Unknown => Change::Unknown,
    }
}
