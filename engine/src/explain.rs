//! Finds the incident that is to be explained: in a file, or at a running engine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use correlators::explain::visible::visible;
use schemas::incident::Incident;

use crate::replay::input::InputError;

mod api;
mod file;

/// Where incidents are looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Revisions of incidents, one JSON object a line, plain or gzip; `-` is the standard input.
    File(PathBuf),
    /// Address of an engine's API, as in `http://127.0.0.1:8464`.
    Api(String),
}

/// Why there is no incident to explain.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No incident has this id or begins with it.
    #[error("no incident {}{}", visible(.asked), listed("; the nearest are", .nearest))]
    NotFound {
        /// What was asked for.
        asked: String,
        /// Ids that begin most alike.
        nearest: Vec<String>,
    },
    /// Several begin with it.
    #[error("{} is the beginning of several incidents{}", visible(.asked), listed(":", .ids))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// Some of their ids.
        ids: Vec<String>,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A line of the file is longer than an incident can be.
    #[error("line {line} of the file is longer than {max} bytes")]
    TooLong {
        /// Its number from 1.
        line: u64,
        /// The bound.
        max: usize,
    },
    /// The record of that id is no incident.
    #[error("the record of {} is no incident that this program can read", visible(.id))]
    Unreadable {
        /// Its id.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The address is not one of an API.
    #[error("{0} is no address of an API: http://host:port, as in http://127.0.0.1:8464")]
    BadAddress(String),
    /// The engine does not answer.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The engine answers, and not as one.
    #[error("{address} answers {status}: is it an engine's API?")]
    Refused {
        /// Its address.
        address: String,
        /// HTTP status.
        status: u16,
    },
}

/// Returns the incident of an id, or of the one id that begins so, at its greatest revision.
///
/// # Errors
/// Returns that there is none, or several, with ids to choose from; or why the source cannot be read.
pub fn find(asked: &str, source: &Source) -> Result<Incident, ExplainError> {
    match source {
        Source::File(path) => file::find(asked, path),
        Source::Api(address) => api::find(asked, address),
    }
}

/// Ids seen while looking for one.
#[derive(Debug, Default)]
struct Seen {
    /// Ids that begin with what was asked for; one more than is shown.
    matching: Vec<String>,
    /// The others that begin most alike, by how many characters.
    nearest: BTreeSet<(usize, String)>,
}

impl Seen {
    fn note(&mut self, asked: &str, id: &str) {
        if id.starts_with(asked) {
            if self.matching.len() <= SHOWN_MAX && !self.matching.iter().any(|seen| seen == id) {
                self.matching.push(id.to_owned());
            }
            return;
        }
        let alike = asked
            .chars()
            .zip(id.chars())
            .take_while(|(a, b)| a == b)
            .count();
        self.nearest.insert((usize::MAX - alike, id.to_owned()));
        if self.nearest.len() > SHOWN_MAX {
            self.nearest.pop_last();
        }
    }

    /// The one id that begins with what was asked for.
    fn only(self, asked: &str) -> Result<String, ExplainError> {
        let mut matching = self.matching;
        match (matching.pop(), matching.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                matching.push(last);
                matching.truncate(SHOWN_MAX);
                Err(ExplainError::Ambiguous {
                    asked: asked.to_owned(),
                    ids: matching,
                })
            }
            (None, _) => Err(ExplainError::NotFound {
                asked: asked.to_owned(),
                nearest: self.nearest.into_iter().map(|(_, id)| id).collect(),
            }),
        }
    }
}

fn listed(lead: &str, ids: &[String]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    format!("{lead} {}", visible(&ids.join(", ")))
}

const SHOWN_MAX: usize = 5;
/// Bytes of one incident as JSON.
const INCIDENT_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests;
