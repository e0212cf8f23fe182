//! Health, metrics and version: nothing here comes from an alert.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use super::api;
use crate::readiness::Readiness;

#[derive(Clone)]
struct Ops {
    readiness: Arc<Readiness>,
    metrics: PrometheusHandle,
    process: Collector,
}

/// What `/api/v1/info` answers.
#[derive(Serialize)]
struct Info {
    name: &'static str,
    version: &'static str,
}

pub(super) fn router(readiness: Arc<Readiness>, metrics: PrometheusHandle) -> Router {
    let process = Collector::default();
    process.describe();
    Router::new()
        .route("/livez", get(livez))
        .route("/health/live", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/health/ready", get(readyz))
        .route("/metrics", get(render))
        .route("/api/v1/info", get(info))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::method_not_allowed)
        .layer(axum::middleware::map_response(api::with_safe_headers))
        .with_state(Ops {
            readiness,
            metrics,
            process,
        })
}

/// Empties the buffers of histograms, which otherwise grow until the next scrape.
pub(super) async fn upkeep(metrics: PrometheusHandle, mut stop: watch::Receiver<bool>) {
    while timeout(UPKEEP, stop.wait_for(|stop| *stop)).await.is_err() {
        metrics.run_upkeep();
    }
}

pub(super) async fn info() -> impl IntoResponse {
    Json(Info {
        name: "fusor",
        version: env!("CARGO_PKG_VERSION"),
    })
}

async fn livez(State(ops): State<Ops>) -> impl IntoResponse {
    if ops.readiness.live() {
        (StatusCode::OK, "live\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not live\n")
    }
}

async fn readyz(State(ops): State<Ops>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let checks = ops.readiness.checks();
    let ready = checks.iter().all(|check| check.holds);
    let mut body = String::new();
    if query.is_some_and(|query| query.split('&').any(is_verbose)) {
        for check in checks {
            let mark = if check.holds { "ok " } else { "not" };
            // Writing to a string does not fail.
            writeln!(body, "{mark} {}", check.name).ok();
        }
    }
    if ready {
        (StatusCode::OK, body + "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, body + "not ready\n")
    }
}

async fn render(State(ops): State<Ops>) -> impl IntoResponse {
    ops.process.collect();
    let headers: [(HeaderName, &str); 2] = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, ops.metrics.render())
}

fn is_verbose(parameter: &str) -> bool {
    parameter.split('=').next() == Some("verbose")
}

const UPKEEP: Duration = Duration::from_secs(5);
