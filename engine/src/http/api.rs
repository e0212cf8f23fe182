//! The read-only API under `/api/v1`.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemas::alert::Severity;
use schemas::incident::{Incident, IncidentStatus};
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::ops;
use super::problem::Problem;
use crate::view::{Filter, IncidentView, Place};

/// What a listing can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only incidents of this tenant.
    tenant: Option<String>,
    /// Only incidents of these severities, separated by commas.
    severity: Option<String>,
    /// Incidents of a page.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of a listing.
#[derive(Serialize)]
struct List<'a> {
    incidents: Vec<Summary<'a>>,
    next_cursor: Option<String>,
}

/// What a listing tells of an incident; the whole of it is at its own address.
#[derive(Serialize)]
struct Summary<'a> {
    id: &'a str,
    tenant: &'a str,
    generation: i32,
    revision: i64,
    title: &'a str,
    status: IncidentStatus,
    severity: Severity,
    risk: f64,
    confidence: i32,
    learning: bool,
    is_suspected_breach: bool,
    tactics: Vec<&'a str>,
    alert_count: i64,
    episode_count: i64,
    created_time: Timestamp,
    modified_time: Timestamp,
    first_activity_time: Timestamp,
    last_activity_time: Timestamp,
}

pub(super) fn router(view: Arc<IncidentView>) -> Router {
    Router::new()
        .route("/api/v1/incidents", get(list))
        .route("/api/v1/incidents/{id}", get(one))
        .route("/api/v1/info", get(ops::info))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(only_for_this_host))
        .layer(map_response(with_safe_headers))
        .with_state(view)
}

async fn list(
    State(view): State<Arc<IncidentView>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| bad_query(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(bad_query(format!(
            "limit is a number from 1 to {LIMIT_MAX}"
        )));
    }
    let filter = Filter {
        tenant: query.tenant,
        severities: query
            .severity
            .as_deref()
            .map_or(Ok(Vec::new()), severities)?,
    };
    let after = query.cursor.as_deref().map(place).transpose()?;
    let page = view.page(&filter, after.as_ref(), limit);
    let list = List {
        incidents: page
            .incidents
            .iter()
            .map(|held| Summary::of(held))
            .collect(),
        next_cursor: page.next.as_ref().map(cursor),
    };
    Ok(Json(list).into_response())
}

/// A merged incident answers with its last record, whose `merged_into` names the survivor: the record is what a
/// reader of the topic sees too, and a redirect would hide it.
async fn one(
    State(view): State<Arc<IncidentView>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = id.ok().and_then(|Path(id)| view.get(&id));
    let incident = held.ok_or_else(|| {
        let detail =
            "no incident of this id is held: it may be misspelt, not published, or too old";
        Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
    })?;
    let tag = format!("\"{}.{}\"", incident.generation, incident.revision);
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|value| names(value, &tag));
    if known {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let body = schemas::encode::incident_json(&incident).map_err(|error| {
        tracing::error!(%error, "an incident cannot be encoded");
        let detail = "the incident cannot be encoded";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })?;
    let headers: [(HeaderName, String); 2] =
        [(ETAG, tag), (CONTENT_TYPE, "application/json".to_owned())];
    Ok((headers, body).into_response())
}

pub(super) async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "there is nothing at this address",
    )
}

pub(super) async fn method_not_allowed() -> impl IntoResponse {
    let detail = "this address can only be read, with GET or HEAD";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
    ([(ALLOW, "GET, HEAD")], problem)
}

/// Keeps browsers from guessing types and anyone from keeping alert content.
pub(super) async fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page on the web whose name resolves to loopback could otherwise read alerts through a browser here.
async fn only_for_this_host(request: Request, next: Next) -> Response {
    let asked = [
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str()),
        request
            .headers()
            .get(HOST)
            .map(|host| host.to_str().unwrap_or("")),
    ];
    if asked.iter().flatten().all(|host| is_loopback(host)) {
        next.run(request).await
    } else {
        let detail = "the host asked for is not this one: use localhost, 127.0.0.1 or [::1]";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail).into_response()
    }
}

fn is_loopback(authority: &str) -> bool {
    let Ok(uri) = authority.parse::<Uri>() else {
        return false;
    };
    let name = uri.host().unwrap_or("");
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn severities(words: &str) -> Result<Vec<Severity>, Problem> {
    let known = |word: &str| {
        Severity::ALL
            .iter()
            .copied()
            .find(|severity| severity.word() == word)
    };
    let all: Option<Vec<Severity>> = words.split(',').map(known).collect();
    all.ok_or_else(|| {
        let all: Vec<&str> = Severity::ALL
            .iter()
            .map(|severity| severity.word())
            .collect();
        bad_query(format!(
            "severity is one or more of {}, separated by commas",
            all.join(", ")
        ))
    })
}

/// The place as 16 hex digits of the risk, then the id.
fn cursor(place: &Place) -> String {
    format!("{:016x}{}", place.risk.to_bits(), place.id)
}

fn place(cursor: &str) -> Result<Place, Problem> {
    let parsed = cursor.split_at_checked(16).and_then(|(risk, id)| {
        let bits = u64::from_str_radix(risk, 16).ok()?;
        Some(Place {
            risk: f64::from_bits(bits),
            id: id.to_owned(),
        })
    });
    parsed.ok_or_else(|| bad_query("cursor is the next_cursor of the page before, as it came"))
}

fn bad_query(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-query", detail)
}

/// Whether an `If-None-Match` names the tag; compared weakly, as the header asks.
fn names(value: &HeaderValue, tag: &str) -> bool {
    let listed = value.to_str().unwrap_or("");
    let mut tags = listed.split(',').map(str::trim);
    tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

impl<'a> Summary<'a> {
    fn of(incident: &'a Incident) -> Self {
        Self {
            id: &incident.id,
            tenant: &incident.tenant,
            generation: incident.generation,
            revision: incident.revision,
            title: &incident.title,
            status: incident.status,
            severity: incident.severity,
            risk: incident.risk,
            confidence: incident.confidence,
            learning: incident.learning,
            is_suspected_breach: incident.is_suspected_breach,
            tactics: incident
                .stages
                .iter()
                .map(|stage| stage.tactic_name.as_str())
                .collect(),
            alert_count: incident.alert_count,
            episode_count: incident.episode_count,
            created_time: incident.created_time,
            modified_time: incident.modified_time,
            first_activity_time: incident.first_activity_time,
            last_activity_time: incident.last_activity_time,
        }
    }
}

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;
