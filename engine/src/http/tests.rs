use std::io::{Read, Write};
use std::net::TcpStream;

use expect_test::{Expect, expect};
use metrics_exporter_prometheus::PrometheusBuilder;
use schemas::incident::IncidentStatus;

use super::*;
use crate::readiness::Condition;
use crate::view::tests::incident;

/// A server on free ports of loopback, and what it reads.
struct Running {
    server: HttpServer,
    view: Arc<IncidentView>,
    readiness: Arc<Readiness>,
}

fn running() -> Running {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let sources = Sources {
        view: Arc::default(),
        readiness: Arc::default(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    };
    let listeners = Listeners {
        ops: free,
        api: free,
    };
    Running {
        view: Arc::clone(&sources.view),
        readiness: Arc::clone(&sources.readiness),
        server: HttpServer::start(listeners, sources).unwrap(),
    }
}

/// Sends one request and shows the answer's status, the headers that matter, and the body.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(()).unwrap()).unwrap();
    let mut shown = format!("{}\n", response.status());
    for name in [
        "content-type",
        "etag",
        "allow",
        "cache-control",
        "x-content-type-options",
    ] {
        if let Some(value) = response.headers().get(name) {
            shown += &format!("{name}: {}\n", value.to_str().unwrap());
        }
    }
    shown + response.body_mut().read_to_string().unwrap().trim_end() + "\n"
}

#[track_caller]
fn check(address: SocketAddr, path: &str, expected: &Expect) {
    expected.assert_eq(&ask(address, "GET", path, &[]));
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.lines().last().unwrap()).unwrap()
}

#[test]
fn readiness_follows_the_worker() {
    let Running {
        server, readiness, ..
    } = running();
    let ops = server.ops_address();
    check(
        ops,
        "/livez",
        &expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        cache-control: no-store
        x-content-type-options: nosniff
        live
    "#]],
    );
    check(
        ops,
        "/readyz",
        &expect![[r#"
        503 Service Unavailable
        content-type: text/plain; charset=utf-8
        cache-control: no-store
        x-content-type-options: nosniff
        not ready
    "#]],
    );
    for condition in Condition::ALL {
        readiness.set(condition, true);
    }
    check(
        ops,
        "/readyz?verbose",
        &expect![[r#"
            200 OK
            content-type: text/plain; charset=utf-8
            cache-control: no-store
            x-content-type-options: nosniff
            ok  assigned
            ok  restored
            ok  output
            ok  committing
            ok  running
            ready
        "#]],
    );
    readiness.drain();
    check(
        ops,
        "/health/ready?verbose=1",
        &expect![[r#"
            503 Service Unavailable
            content-type: text/plain; charset=utf-8
            cache-control: no-store
            x-content-type-options: nosniff
            ok  assigned
            ok  restored
            ok  output
            ok  committing
            not running
            not ready
        "#]],
    );
    assert_eq!(
        ask(ops, "GET", "/healthz", &[]),
        ask(ops, "GET", "/health/live", &[])
    );
    server.stop();
}

#[test]
fn metrics_are_text_for_prometheus() {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    let key = metrics::Key::from_static_name("fusor_example_total");
    let metadata = metrics::Metadata::new("fusor", metrics::Level::INFO, None);
    metrics::Recorder::register_counter(&recorder, &key, &metadata).increment(3);
    let sources = Sources {
        view: Arc::default(),
        readiness: Arc::default(),
        metrics: recorder.handle(),
    };
    let server = HttpServer::start(
        Listeners {
            ops: free,
            api: free,
        },
        sources,
    )
    .unwrap();
    check(
        server.ops_address(),
        "/metrics",
        &expect![[r#"
        200 OK
        content-type: text/plain; version=0.0.4; charset=utf-8
        cache-control: no-store
        x-content-type-options: nosniff
        # TYPE fusor_example_total counter
        fusor_example_total 3
    "#]],
    );
    server.stop();
}

#[test]
fn an_incident_comes_whole_with_its_tag() {
    let Running { server, view, .. } = running();
    view.publish(Arc::new(incident("a", "contoso", 83.5, 7)));
    let api = server.api_address();
    let answer = ask(api, "GET", "/api/v1/incidents/a", &[]);
    let whole = body(&answer);
    assert_eq!(
        whole,
        serde_json::to_value(incident("a", "contoso", 83.5, 7)).unwrap()
    );
    expect![[r#"
        200 OK
        content-type: application/json
        etag: "1.7"
        cache-control: no-store
        x-content-type-options: nosniff"#]]
    .assert_eq(&answer.lines().take(5).collect::<Vec<_>>().join("\n"));
    expect![[r#"
        304 Not Modified
        etag: "1.7"
        cache-control: no-store
        x-content-type-options: nosniff

    "#]]
    .assert_eq(&ask(
        api,
        "GET",
        "/api/v1/incidents/a",
        &[("if-none-match", "\"1.6\", W/\"1.7\"")],
    ));
    let older = ask(
        api,
        "GET",
        "/api/v1/incidents/a",
        &[("if-none-match", "\"1.6\"")],
    );
    assert!(older.starts_with("200"), "{older}");
    let head = ask(api, "HEAD", "/api/v1/incidents/a", &[]);
    assert!(head.starts_with("200"), "{head}");
    server.stop();
}

#[test]
fn a_merged_incident_names_its_survivor() {
    let Running { server, view, .. } = running();
    let mut merged = incident("b", "contoso", 50.0, 2);
    merged.status = IncidentStatus::Merged;
    merged.merged_into = Some("a".to_owned());
    view.publish(Arc::new(merged));
    let answer = ask(server.api_address(), "GET", "/api/v1/incidents/b", &[]);
    assert!(answer.starts_with("200"), "{answer}");
    assert_eq!(body(&answer)["merged_into"], "a");
    server.stop();
}

#[test]
fn a_listing_is_read_page_by_page() {
    let Running { server, view, .. } = running();
    for (id, tenant, risk) in [
        ("a", "x", 50.5),
        ("b", "y", 90.0),
        ("c", "x", 50.5),
        ("d", "x", 70.0),
    ] {
        view.publish(Arc::new(incident(id, tenant, risk, 1)));
    }
    let api = server.api_address();
    let mut seen = Vec::new();
    let mut path = "/api/v1/incidents?tenant=x&limit=1".to_owned();
    loop {
        let page = body(&ask(api, "GET", &path, &[]));
        for incident in page["incidents"].as_array().unwrap() {
            seen.push(incident["id"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/incidents?tenant=x&limit=1&cursor={cursor}");
    }
    assert_eq!(seen, ["d", "a", "c"]);
    let high = body(&ask(
        api,
        "GET",
        "/api/v1/incidents?severity=high,critical",
        &[],
    ));
    assert_eq!(high["incidents"].as_array().unwrap().len(), 2);
    check(
        api,
        "/api/v1/incidents?severity=medium&limit=1",
        &expect![[r#"
            200 OK
            content-type: application/json
            cache-control: no-store
            x-content-type-options: nosniff
            {"incidents":[{"id":"a","tenant":"x","generation":1,"revision":1,"title":"incident a","status":"new","severity":"medium","risk":50.5,"confidence":60,"learning":false,"is_suspected_breach":false,"tactics":[],"alert_count":3,"episode_count":2,"created_time":"2026-01-05T00:00:01.000Z","modified_time":"2026-01-05T00:00:01.000Z","first_activity_time":"2026-01-05T00:00:01.000Z","last_activity_time":"2026-01-05T00:00:01.000Z"}],"next_cursor":"4049400000000000a"}
        "#]],
    );
    server.stop();
}

#[test]
fn what_is_wrong_is_told_as_a_problem() {
    let Running { server, .. } = running();
    let api = server.api_address();
    check(
        api,
        "/api/v1/incidents",
        &expect![[r#"
        200 OK
        content-type: application/json
        cache-control: no-store
        x-content-type-options: nosniff
        {"incidents":[],"next_cursor":null}
    "#]],
    );
    check(
        api,
        "/api/v1/incidents/%00%ff",
        &expect![[r#"
            404 Not Found
            content-type: application/problem+json
            cache-control: no-store
            x-content-type-options: nosniff
            {"type":"urn:fusor:problem:not-found","title":"Not Found","status":404,"detail":"no incident of this id is held: it may be misspelt, not published, or too old"}
        "#]],
    );
    check(
        api,
        "/api/v1/incidents/nope",
        &expect![[r#"
        404 Not Found
        content-type: application/problem+json
        cache-control: no-store
        x-content-type-options: nosniff
        {"type":"urn:fusor:problem:not-found","title":"Not Found","status":404,"detail":"no incident of this id is held: it may be misspelt, not published, or too old"}
    "#]],
    );
    check(
        api,
        "/api/v1/typo",
        &expect![[r#"
        404 Not Found
        content-type: application/problem+json
        cache-control: no-store
        x-content-type-options: nosniff
        {"type":"urn:fusor:problem:not-found","title":"Not Found","status":404,"detail":"there is nothing at this address"}
    "#]],
    );
    for wrong in [
        "limit=0",
        "limit=501",
        "limit=x",
        "severity=higher",
        "cursor=zz",
        "cursor=00000000000000g0",
        "sort=risk",
    ] {
        let answer = ask(api, "GET", &format!("/api/v1/incidents?{wrong}"), &[]);
        assert!(answer.starts_with("400"), "{wrong}: {answer}");
        assert_eq!(body(&answer)["type"], "urn:fusor:problem:bad-query");
    }
    expect![[r#"
        405 Method Not Allowed
        content-type: application/problem+json
        allow: GET, HEAD
        cache-control: no-store
        x-content-type-options: nosniff
        {"type":"urn:fusor:problem:method-not-allowed","title":"Method Not Allowed","status":405,"detail":"this address can only be read, with GET or HEAD"}
    "#]].assert_eq(&ask(api, "DELETE", "/api/v1/incidents/a", &[]));
    assert!(ask(server.ops_address(), "POST", "/metrics", &[]).starts_with("405"));
    server.stop();
}

#[test]
fn another_host_name_is_refused_by_the_api_only() {
    let Running { server, .. } = running();
    let api = server.api_address();
    expect![[r#"
        421 Misdirected Request
        content-type: application/problem+json
        cache-control: no-store
        x-content-type-options: nosniff
        {"type":"urn:fusor:problem:misdirected","title":"Misdirected Request","status":421,"detail":"the host asked for is not this one: use localhost, 127.0.0.1 or [::1]"}
    "#]].assert_eq(&ask(
        api,
        "GET",
        "/api/v1/info",
        &[("host", "rebound.example")],
    ));
    for own in ["localhost:8464", "LOCALHOST", "127.0.0.1", "[::1]:8464"] {
        assert!(
            ask(api, "GET", "/api/v1/info", &[("host", own)]).starts_with("200"),
            "{own}"
        );
    }
    for other in [
        "localhost.example",
        "127.0.0.1.example",
        "10.0.0.1",
        "user@rebound.example",
    ] {
        assert!(
            ask(api, "GET", "/api/v1/info", &[("host", other)]).starts_with("421"),
            "{other}"
        );
    }
    assert!(
        ask(
            server.ops_address(),
            "GET",
            "/api/v1/info",
            &[("host", "pod-7")]
        )
        .starts_with("200")
    );
    server.stop();
}

/// Sends raw bytes and returns what comes back until the server closes.
fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn oversized_and_broken_requests_are_refused() {
    let Running { server, .. } = running();
    let api = server.api_address();
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert!(raw(api, long.as_bytes()).starts_with("HTTP/1.1 4"));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "a: b\r\n".repeat(200)
    );
    assert!(raw(api, many.as_bytes()).starts_with("HTTP/1.1 431"));
    assert!(raw(api, b"\x16\x03\x01\x00\xff\r\n\r\n").starts_with("HTTP/1.1 400"));
    let foreign = b"GET http://rebound.example/api/v1/info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(raw(api, foreign).starts_with("HTTP/1.1 421"));
    server.stop();
}

#[test]
fn stopping_ends_idle_connections_and_frees_the_port() {
    let Running { server, .. } = running();
    let api = server.api_address();
    let mut idle = TcpStream::connect(api).unwrap();
    assert!(ask(api, "GET", "/api/v1/info", &[]).starts_with("200"));
    server.stop();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).ok();
    assert!(TcpStream::connect(api).is_err());
}

#[test]
fn a_taken_port_and_an_open_api_are_refused_by_name() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let start = |ops, api| {
        let sources = Sources {
            view: Arc::default(),
            readiness: Arc::default(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        HttpServer::start(Listeners { ops, api }, sources)
            .unwrap_err()
            .to_string()
    };
    let address = taken.local_addr().unwrap();
    assert_eq!(
        start(address, free),
        format!("ops.listen: cannot listen on {address}")
    );
    assert_eq!(
        start(free, address),
        format!("http.listen: cannot listen on {address}")
    );
    expect!["http.listen: 0.0.0.0:0 is not loopback: what listens here has no authentication"]
        .assert_eq(&start(free, "0.0.0.0:0".parse().unwrap()));
}
