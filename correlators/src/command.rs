//! What analysts do to incidents: checked first, applied whole or not at all, and answered once.

mod answers;
mod desk;
mod feedback;
mod reshape;
mod split;

use schemas::command::{Action, Closing, Command, Refusal, Verdict};
use schemas::incident::Change;
use uuid::Uuid;

pub(crate) use self::answers::{Answer, Answers};
pub(crate) use self::desk::Desk;
use self::desk::{change_of, closing_words};
use crate::fusion::Fusion;
use crate::lifecycle::IncidentState;
use crate::thread::Thread;

/// Why a command cannot be applied.
#[derive(Debug)]
struct No {
    reason: Refusal,
    message: String,
    incidents: Vec<String>,
}

/// What a command did.
#[derive(Debug, Default)]
struct Done {
    /// What it is about, for people; none where there was nothing left to do.
    detail: Option<String>,
    /// The incident went into another: its last revision.
    last: Option<i64>,
    /// The incidents it went into or was split into.
    incidents: Vec<String>,
}

impl Done {
    fn about(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::default()
        }
    }
}

impl No {
    fn because(reason: Refusal, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            incidents: Vec::new(),
        }
    }
}

impl Fusion {
    /// Applies an analyst's command, or refuses it and changes nothing. One that is sent again has the outcome it had.
    pub fn handle_command(&mut self, command: &Command) -> Verdict {
        if command.tenant != self.tenant {
            let message = "the command names another tenant".to_owned();
            return refused(No::because(Refusal::WrongTenant, message), None);
        }
        if self.episodes.next() == 0 {
            return no_such_incident();
        }
        if let Some(known) = self.answers.get(&command.id) {
            return known;
        }
        let verdict = match self.apply(command) {
            Ok((revision, incidents)) => {
                self.stats.commands_applied += 1;
                Verdict::Applied {
                    revision,
                    incidents,
                }
            }
            Err(no) => {
                self.stats.commands_refused += 1;
                let number = self.find(&command.incident).ok();
                refused(no, number.and_then(|number| self.revision_of(number)))
            }
        };
        let max = usize::try_from(self.settings.limits.commands).unwrap_or(usize::MAX);
        self.answers.remember(&command.id, &verdict, max);
        verdict
    }

    fn apply(&mut self, command: &Command) -> Result<(i64, Vec<String>), No> {
        let number = self.find(&command.incident)?;
        let revision = self.revision_of(number).unwrap_or_default();
        if command
            .expected_revision
            .is_some_and(|expected| expected != revision)
        {
            let message = format!("the incident is at revision {revision}");
            return Err(No::because(Refusal::StaleRevision, message));
        }
        self.check_open(number, &command.action)?;
        // What is published on the way, such as the last revision of what is merged, is dated by the command.
        let now = std::mem::replace(&mut self.now, command.time.millis());
        let done = self.act(number, command);
        // Its id may be another thread's by now.
        let number = self.find(&command.incident).unwrap_or(number);
        if let Ok(Done {
            detail: Some(detail),
            last: None,
            ..
        }) = &done
        {
            self.note(number, command, detail);
            self.touch(number, change_of(command.action.kind()));
        }
        self.settle(command.time.millis());
        self.now = now;
        let done = done?;
        let revision = done.last.or_else(|| self.revision_of(number));
        Ok((revision.unwrap_or_default(), done.incidents))
    }

    fn act(&mut self, number: u64, command: &Command) -> Result<Done, No> {
        match &command.action {
            Action::SetStatus { status } => {
                let status = *status;
                self.set(number, |desk| &mut desk.status, status, status.to_string())
            }
            Action::Assign { owner } => {
                let detail = owner.clone().unwrap_or_else(|| "nobody".to_owned());
                self.set(number, |desk| &mut desk.owner, owner.clone(), detail)
            }
            Action::SetSeverity { severity } => {
                let incident = self.state(number)?;
                let pinned = incident.desk.severity_pinned && incident.severity == *severity;
                incident.desk.severity_pinned = true;
                incident.severity = *severity;
                Ok(Done {
                    detail: (!pinned).then(|| severity.to_string()),
                    ..Done::default()
                })
            }
            Action::Comment { text } => self.comment(number, command, text),
            Action::Tag { add, remove } => self.tag(number, add, remove),
            Action::Close { closing, comment } => {
                self.close(number, command, *closing, comment.as_deref())
            }
            Action::Reopen => {
                self.state(number)?.desk.reopen();
                Ok(Done::about(""))
            }
            Action::Merge { into } => self.merge(number, command, into),
            Action::Split { alerts } => self.split(number, alerts),
            Action::Unlink { alert, from } => self.unlink(number, alert, from.as_deref()),
            Action::Link { alert } => self.link(number, alert),
            Action::Feedback { alerts, closing } => self.feedback(number, alerts, *closing),
        }
    }

    /// Finds an incident by its id.
    fn find(&self, id: &str) -> Result<u64, No> {
        let id = Uuid::parse_str(id).map_err(|_| unknown())?;
        let number = self.incidents.get(&id).ok_or_else(unknown)?;
        let thread = self.threads.get(number).ok_or_else(unknown)?;
        if thread.id == id {
            return Ok(number);
        }
        Err(No {
            reason: Refusal::Merged,
            message: format!("the incident was merged into {}", thread.id),
            incidents: vec![thread.id()],
        })
    }

    /// A closed incident takes comments, tags and feedback, and can be opened again.
    fn check_open(&self, number: u64, action: &Action) -> Result<(), No> {
        let closed = self
            .threads
            .get(number)
            .and_then(Thread::closed_at)
            .is_some();
        match action {
            Action::Comment { .. } | Action::Tag { .. } | Action::Feedback { .. } => Ok(()),
            Action::Reopen if closed => Ok(()),
            Action::Reopen => {
                let message = "the incident is not closed";
                Err(No::because(Refusal::NotClosed, message))
            }
            Action::SetStatus { .. }
            | Action::Assign { .. }
            | Action::SetSeverity { .. }
            | Action::Close { .. }
            | Action::Merge { .. }
            | Action::Split { .. }
            | Action::Unlink { .. }
            | Action::Link { .. }
                if closed =>
            {
                let message = "the incident is closed: reopen it first";
                Err(No::because(Refusal::Closed, message))
            }
            Action::SetStatus { .. }
            | Action::Assign { .. }
            | Action::SetSeverity { .. }
            | Action::Close { .. }
            | Action::Merge { .. }
            | Action::Split { .. }
            | Action::Unlink { .. }
            | Action::Link { .. } => Ok(()),
        }
    }

    fn set<T: PartialEq>(
        &mut self,
        number: u64,
        field: impl FnOnce(&mut Desk) -> &mut T,
        value: T,
        detail: String,
    ) -> Result<Done, No> {
        let place = field(&mut self.state(number)?.desk);
        if *place == value {
            return Ok(Done::default());
        }
        *place = value;
        Ok(Done::about(detail))
    }

    fn comment(&mut self, number: u64, command: &Command, text: &str) -> Result<Done, No> {
        self.check_comment(number, text)?;
        self.state(number)?.desk.comment(command, text);
        Ok(Done::about(""))
    }

    fn check_comment(&mut self, number: u64, text: &str) -> Result<(), No> {
        let (count, bytes) = {
            let limits = &self.settings.limits;
            (limits.comments, limits.comment_bytes)
        };
        let desk = &self.state(number)?.desk;
        if is_beyond(desk.comments.len() + 1, count) {
            let message = format!("the incident has {count} comments, as many as it can have");
            return Err(No::because(Refusal::Limit, message));
        }
        if is_beyond(desk.comment_bytes() + text.len(), bytes) {
            let message = format!("the comments would be longer than {bytes} bytes");
            return Err(No::because(Refusal::Limit, message));
        }
        Ok(())
    }

    fn tag(&mut self, number: u64, add: &[String], remove: &[String]) -> Result<Done, No> {
        let max = self.settings.limits.tags;
        let desk = &mut self.state(number)?.desk;
        let mut tags = desk.tags.clone();
        let gone: Vec<&String> = remove.iter().filter(|tag| tags.remove(*tag)).collect();
        let new: Vec<&String> = add
            .iter()
            .filter(|tag| tags.insert((*tag).clone()))
            .collect();
        if is_beyond(tags.len(), max) {
            let message = format!("the incident would have more than {max} tags");
            return Err(No::because(Refusal::Limit, message));
        }
        if new.is_empty() && gone.is_empty() {
            return Ok(Done::default());
        }
        desk.tags = tags;
        let new = new.into_iter().map(|tag| format!("+{tag}"));
        let gone = gone.into_iter().map(|tag| format!("-{tag}"));
        let all: Vec<String> = new.chain(gone).collect();
        Ok(Done::about(all.join(" ")))
    }

    fn close(
        &mut self,
        number: u64,
        command: &Command,
        closing: Closing,
        comment: Option<&str>,
    ) -> Result<Done, No> {
        if let Some(comment) = comment {
            self.check_comment(number, comment)?;
        }
        // Event time too, since alerts tell by theirs whether they come after it.
        let seen = self
            .threads
            .get(number)
            .map_or(i64::MIN, |thread| thread.end);
        let desk = &mut self.state(number)?.desk;
        desk.classify(closing);
        desk.closing_comment = comment.map(str::to_owned);
        desk.closed = Some(command.time.millis().max(seen));
        if let Some(comment) = comment {
            desk.comment(command, comment);
        }
        let episodes = self.episodes_of(number);
        self.learn(closing, &episodes);
        Ok(Done::about(closing_words(closing)))
    }

    /// A verdict on the whole incident classifies it.
    fn feedback(&mut self, number: u64, alerts: &[String], closing: Closing) -> Result<Done, No> {
        let episodes = if alerts.is_empty() {
            self.episodes_of(number)
        } else {
            self.members_named(number, alerts)?
        };
        if alerts.is_empty() {
            self.state(number)?.desk.classify(closing);
        }
        self.learn(closing, &episodes);
        let words = closing_words(closing);
        Ok(Done::about(match alerts {
            [] => words,
            [alert] => format!("{words}: {alert}"),
            [first, more @ ..] => format!("{words}: {first} and {} more", more.len()),
        }))
    }

    fn note(&mut self, number: u64, command: &Command, detail: &str) {
        if let Ok(incident) = self.state(number) {
            incident.desk.note(command, detail);
        }
    }

    fn state(&mut self, number: u64) -> Result<&mut IncidentState, No> {
        let incident = self
            .threads
            .get_mut(number)
            .and_then(|thread| thread.incident.as_deref_mut());
        incident.ok_or_else(|| No::because(Refusal::UnknownIncident, "no such incident"))
    }

    fn revision_of(&self, number: u64) -> Option<i64> {
        let incident = self.threads.get(number)?.incident.as_deref()?;
        Some(incident.revision)
    }

    fn episodes_of(&self, number: u64) -> Vec<u64> {
        let thread = self.threads.get(number);
        thread.map_or_else(Vec::new, |thread| thread.episodes.clone())
    }
}

/// The answer of a tenant that no alert ever came to. There is nothing to remember it by, so it does not matter whether
/// the tenant is known: asked again, it is the same for as long as none comes.
#[must_use]
pub fn no_such_incident() -> Verdict {
    refused(unknown(), None)
}

fn unknown() -> No {
    let message = "no such incident, or it has been idle for too long";
    No::because(Refusal::UnknownIncident, message)
}

fn refused(no: No, revision: Option<i64>) -> Verdict {
    Verdict::Refused {
        reason: no.reason,
        message: no.message,
        revision,
        incidents: no.incidents,
    }
}

fn is_beyond(count: usize, max: u32) -> bool {
    u32::try_from(count).is_ok_and(|count| count > max)
}

/// The changes that a part which was split off begins with.
const SPLIT: [Change; 2] = [Change::Created, Change::SplitFrom];
