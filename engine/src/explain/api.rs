//! The API of a running engine, over plain HTTP.

use std::time::Duration;

use schemas::incident::Incident;
use serde::Deserialize;
use ureq::Agent;

use super::{ExplainError, INCIDENT_BYTES_MAX, Seen};

/// What is read of a page of the listing.
#[derive(Deserialize)]
struct Page {
    incidents: Vec<Listed>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

pub(super) fn find(asked: &str, address: &str) -> Result<Incident, ExplainError> {
    let api = Api::at(address)?;
    if let Some(body) = api.incident(asked)? {
        return decode(asked, &body);
    }
    let mut seen = Seen::default();
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let path = format!("/api/v1/incidents?limit=500{after}");
        let body = api.get(&path)?.ok_or_else(|| api.refused(404))?;
        let page: Page = serde_json::from_slice(&body).map_err(|_| api.refused(200))?;
        for listed in page.incidents {
            seen.note(asked, &listed.id);
        }
        match page.next_cursor.filter(|cursor| is_plain(cursor)) {
            Some(cursor) => after = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let only = seen.only(asked)?;
    let gone = || ExplainError::NotFound {
        asked: only.clone(),
        nearest: Vec::new(),
    };
    let body = api.incident(&only)?.ok_or_else(gone)?;
    decode(&only, &body)
}

struct Api<'a> {
    agent: Agent,
    address: &'a str,
}

impl<'a> Api<'a> {
    fn at(address: &'a str) -> Result<Self, ExplainError> {
        let trimmed = address.trim_end_matches('/');
        let host = trimmed.strip_prefix("http://").unwrap_or("");
        if host.is_empty()
            || host.contains(['/', '?', '#', '@'])
            || host.contains(char::is_whitespace)
        {
            return Err(ExplainError::BadAddress(address.to_owned()));
        }
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(ANSWER_TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .build();
        Ok(Self {
            agent: config.into(),
            address: trimmed,
        })
    }

    fn incident(&self, id: &str) -> Result<Option<Vec<u8>>, ExplainError> {
        if !is_plain(id) {
            return Ok(None);
        }
        self.get(&format!("/api/v1/incidents/{id}"))
    }

    /// Returns the body, or none where the address answers that there is nothing.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, ExplainError> {
        let unreachable = |error| ExplainError::Unreachable {
            address: self.address.to_owned(),
            source: Box::new(error),
        };
        let mut response = self
            .agent
            .get(format!("{}{path}", self.address))
            .call()
            .map_err(unreachable)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(self.refused(status)),
        }
        let body = response
            .body_mut()
            .with_config()
            .limit(INCIDENT_BYTES_MAX as u64);
        body.read_to_vec().map(Some).map_err(unreachable)
    }

    fn refused(&self, status: u16) -> ExplainError {
        ExplainError::Refused {
            address: self.address.to_owned(),
            status,
        }
    }
}

fn decode(id: &str, body: &[u8]) -> Result<Incident, ExplainError> {
    serde_json::from_slice(body).map_err(|source| ExplainError::Unreadable {
        id: id.to_owned(),
        source,
    })
}

/// Whether the text needs no escaping in an address.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 256 && text.bytes().all(plain)
}

const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Pages of the listing that are searched for an id: 20,000 incidents.
const PAGES_MAX: usize = 40;
