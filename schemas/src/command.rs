//! What analysts do: commands in, and what became of each.
//!
//! A command is one JSON object on the commands topic, strictly read by [`crate::decode::command`]; its outcome is
//! one on the outcomes topic. `id` is the key of idempotency: sent twice, it is applied once and has one outcome.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::alert::{Severity, words};
use crate::incident::{Classification, ClassificationReason, IncidentStatus};
use crate::time::Timestamp;

/// One action of one analyst on one incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// Chosen by the sender, the same whenever it is sent again; at most 128 bytes.
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// Id of the incident.
    pub incident: String,
    /// The revision the analyst saw; refused where the incident has gone on since. None acts on whatever there is.
    pub expected_revision: Option<i64>,
    /// Who acts.
    pub actor: String,
    /// The roles the sender vouches for.
    pub roles: Vec<String>,
    /// When it was sent.
    pub time: Timestamp,
    /// What to do.
    pub action: Action,
}

/// What a command does to its incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Moves it along; closing and reopening are actions of their own.
    SetStatus {
        /// New or in progress.
        status: IncidentStatus,
    },
    /// Gives it to someone.
    Assign {
        /// Who works on it; none takes it from whoever does.
        owner: Option<String>,
    },
    /// Sets and pins its severity: alerts raise it no more.
    SetSeverity {
        /// From informational to fatal.
        severity: Severity,
    },
    /// Adds a comment.
    Comment {
        /// Markdown, at most 30,000 characters.
        text: String,
    },
    /// Adds and takes away tags.
    Tag {
        /// Added, where it does not have them.
        add: Vec<String>,
        /// Taken away, where it has them.
        remove: Vec<String>,
    },
    /// Closes it.
    Close {
        /// Why: mandatory.
        #[serde(flatten)]
        closing: Closing,
        /// The closing comment.
        comment: Option<String>,
    },
    /// Opens it again.
    Reopen,
    /// Moves all of it into another incident.
    Merge {
        /// The survivor.
        into: String,
    },
    /// Cuts it between these alerts and the others; what the remaining links do not connect is another incident.
    Split {
        /// Uids of alerts.
        alerts: Vec<String>,
    },
    /// Takes an alert away, or out of the reach of one other: the two never link again.
    Unlink {
        /// Uid of the alert.
        alert: String,
        /// Uid of the other alert; none stands for every alert it is linked with.
        from: Option<String>,
    },
    /// Brings an alert in, with what is linked to it.
    Link {
        /// Uid of the alert.
        alert: String,
    },
    /// Says what alerts were worth, without closing the incident.
    Feedback {
        /// Uids of alerts; empty stands for all of the incident.
        alerts: Vec<String>,
        /// What they were.
        #[serde(flatten)]
        closing: Closing,
    },
}

impl Action {
    /// Returns the word for what the action is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::SetStatus { .. } => ActionKind::SetStatus,
            Self::Assign { .. } => ActionKind::Assign,
            Self::SetSeverity { .. } => ActionKind::SetSeverity,
            Self::Comment { .. } => ActionKind::Comment,
            Self::Tag { .. } => ActionKind::Tag,
            Self::Close { .. } => ActionKind::Close,
            Self::Reopen => ActionKind::Reopen,
            Self::Merge { .. } => ActionKind::Merge,
            Self::Split { .. } => ActionKind::Split,
            Self::Unlink { .. } => ActionKind::Unlink,
            Self::Link { .. } => ActionKind::Link,
            Self::Feedback { .. } => ActionKind::Feedback,
        }
    }
}

words! {
    /// What an analyst's action is.
    ActionKind {
        /// Something newer than this reader.
        Unknown = "unknown",
        /// Status set.
        SetStatus = "set_status",
        /// Owner set.
        Assign = "assign",
        /// Severity set.
        SetSeverity = "set_severity",
        /// Comment added.
        Comment = "comment",
        /// Tags changed.
        Tag = "tag",
        /// Closed.
        Close = "close",
        /// Opened again.
        Reopen = "reopen",
        /// Merged into another.
        Merge = "merge",
        /// Split.
        Split = "split",
        /// An alert taken away.
        Unlink = "unlink",
        /// An alert brought in.
        Link = "link",
        /// Feedback given.
        Feedback = "feedback",
    } default Unknown
}

/// Why an incident is closed: the five classifications of Microsoft Sentinel, each with its reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// A true positive: suspicious activity.
    TruePositive,
    /// A benign positive: suspicious but expected.
    BenignPositive,
    /// A false positive: incorrect alert logic.
    FalsePositiveLogic,
    /// A false positive: inaccurate data.
    FalsePositiveData,
    /// Undetermined.
    Undetermined,
}

impl Closing {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::TruePositive,
        Self::BenignPositive,
        Self::FalsePositiveLogic,
        Self::FalsePositiveData,
        Self::Undetermined,
    ];

    /// Returns the classification.
    #[must_use]
    pub const fn classification(self) -> Classification {
        match self {
            Self::TruePositive => Classification::TruePositive,
            Self::BenignPositive => Classification::BenignPositive,
            Self::FalsePositiveLogic | Self::FalsePositiveData => Classification::FalsePositive,
            Self::Undetermined => Classification::Undetermined,
        }
    }

    /// Returns the reason behind it.
    #[must_use]
    pub const fn reason(self) -> ClassificationReason {
        match self {
            Self::TruePositive => ClassificationReason::SuspiciousActivity,
            Self::BenignPositive => ClassificationReason::SuspiciousButExpected,
            Self::FalsePositiveLogic => ClassificationReason::IncorrectAlertLogic,
            Self::FalsePositiveData => ClassificationReason::InaccurateData,
            Self::Undetermined => ClassificationReason::Unset,
        }
    }
}

impl Serialize for Closing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Closing", 2)?;
        fields.serialize_field("classification", &self.classification())?;
        fields.serialize_field("reason", &self.reason())?;
        fields.end()
    }
}

/// What became of a command; the same for the same command, however often it is sent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// Id of the command.
    pub command: String,
    /// The tenant.
    pub tenant: String,
    /// Id of the incident the command named.
    pub incident: String,
    /// What the command was to do.
    pub action: ActionKind,
    /// Who sent it.
    pub actor: String,
    /// When it was sent.
    pub time: Timestamp,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Outcome {
    /// Returns the outcome of `command`.
    #[must_use]
    pub fn of(command: &Command, verdict: Verdict) -> Self {
        Self {
            command: command.id.clone(),
            tenant: command.tenant.clone(),
            incident: command.incident.clone(),
            action: command.action.kind(),
            actor: command.actor.clone(),
            time: command.time,
            verdict,
        }
    }
}

/// Applied, or refused and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Verdict {
    /// Done, or there was nothing left to do.
    Applied {
        /// Revision of the incident from then on.
        revision: i64,
        /// Ids of the incidents it went into or was split into.
        #[serde(default)]
        incidents: Vec<String>,
    },
    /// Nothing changed.
    Refused {
        /// Why.
        reason: Refusal,
        /// Why, for people.
        message: String,
        /// Revision of the incident, where there is one.
        revision: Option<i64>,
        /// Ids of the incidents to turn to instead, such as the survivor of a merge.
        #[serde(default)]
        incidents: Vec<String>,
    },
}

words! {
    /// Why a command was refused.
    Refusal {
        /// Something newer than this reader.
        Unknown = "unknown",
        /// The command names another tenant than the one it came to.
        WrongTenant = "wrong_tenant",
        /// No such incident, or it has idled out.
        UnknownIncident = "unknown_incident",
        /// The incident went into another, which the outcome names.
        Merged = "merged",
        /// The incident has gone on since the expected revision.
        StaleRevision = "stale_revision",
        /// The incident is closed.
        Closed = "closed",
        /// The incident is not closed.
        NotClosed = "not_closed",
        /// An alert that the command names is in no incident here.
        UnknownAlert = "unknown_alert",
        /// An alert that the command names is in another incident, which the outcome names.
        ElsewhereAlert = "alert_elsewhere",
        /// The command would merge an incident with itself, or split nothing off.
        NothingToDo = "nothing_to_do",
        /// A bound would be exceeded.
        Limit = "limit",
    } default Unknown
}
