use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use metrics_exporter_prometheus::PrometheusBuilder;
use tempfile::NamedTempFile;

use super::*;
use crate::http::{HttpServer, Listeners, Sources};
use crate::view::IncidentView;
use crate::view::tests::incident;

fn lines() -> String {
    let mut lines = "not json\n{\"id\":7}\n\n".to_owned();
    for (id, revision) in [
        ("aa11", 1),
        ("aa11", 9),
        ("aa11", 3),
        ("aa22", 2),
        ("bb33", 1),
        ("bb", 4),
    ] {
        lines += &serde_json::to_string(&incident(id, "x", 50.0, revision)).unwrap();
        lines += "\n";
    }
    lines + "{\"id\":\"broken\",\"generation\":1,\"revision\":1}\n"
}

fn file(bytes: &[u8]) -> (NamedTempFile, Source) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let source = Source::File(file.path().to_owned());
    (file, source)
}

#[track_caller]
fn check(source: &Source, asked: &str, expected: Result<(&str, i64), &str>) {
    let found = find(asked, source);
    let shown = found
        .map(|incident| (incident.id, incident.revision))
        .map_err(|error| error.to_string());
    let expected = expected
        .map(|(id, revision)| (id.to_owned(), revision))
        .map_err(str::to_owned);
    assert_eq!(shown, expected, "{asked}");
}

#[test]
fn a_file_gives_the_newest_revision_by_id_or_its_unique_beginning() {
    let (_plain, source) = file(lines().as_bytes());
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines().as_bytes()).unwrap();
    let (_packed, gzip) = file(&packed.finish().unwrap());
    for source in [source, gzip] {
        check(&source, "aa11", Ok(("aa11", 9)));
        check(&source, "aa1", Ok(("aa11", 9)));
        check(&source, "bb", Ok(("bb", 4)));
        check(&source, "bb3", Ok(("bb33", 1)));
        check(
            &source,
            "aa",
            Err("aa is the beginning of several incidents: aa11, aa22"),
        );
        check(
            &source,
            "bb34",
            Err("no incident bb34; the nearest are bb33, bb, broken, aa11, aa22"),
        );
        check(
            &source,
            "broken",
            Err("the record of broken is no incident that this program can read"),
        );
    }
}

#[test]
fn an_empty_or_missing_file_is_told() {
    let (_file, source) = file(b"");
    check(&source, "a", Err("no incident a"));
    check(
        &Source::File("no-such-file".into()),
        "a",
        Err("cannot read no-such-file"),
    );
}

#[test]
fn a_running_engine_gives_the_same_answers() {
    let view = Arc::new(IncidentView::default());
    for (id, revision) in [("aa11", 9), ("aa22", 2), ("bb33", 1), ("bb", 4)] {
        view.publish(Arc::new(incident(id, "x", 50.0, revision)));
    }
    let sources = Sources {
        view,
        readiness: Arc::default(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = HttpServer::start(
        Listeners {
            ops: free,
            api: free,
        },
        sources,
    )
    .unwrap();
    let source = Source::Api(format!("http://{}/", server.api_address()));
    check(&source, "aa11", Ok(("aa11", 9)));
    check(&source, "bb3", Ok(("bb33", 1)));
    check(&source, "bb", Ok(("bb", 4)));
    check(
        &source,
        "aa",
        Err("aa is the beginning of several incidents: aa11, aa22"),
    );
    check(
        &source,
        "../info",
        Err("no incident ../info; the nearest are aa11, aa22, bb, bb33"),
    );
    let ops = format!("http://{}", server.ops_address());
    check(
        &Source::Api(ops.clone()),
        "aa11",
        Err(&format!("{ops} answers 404: is it an engine's API?")),
    );
    let address = format!("http://{}", server.api_address());
    server.stop();
    check(
        &Source::Api(address.clone()),
        "aa11",
        Err(&format!("cannot reach {address}")),
    );
}

#[test]
fn only_plain_addresses_are_asked() {
    for address in [
        "https://localhost:8464",
        "localhost:8464",
        "http://",
        "http://u@h:1",
        "http://h:1/x",
        "http://h 1",
    ] {
        let error = find("a", &Source::Api(address.to_owned())).unwrap_err();
        assert!(
            matches!(error, ExplainError::BadAddress(_)),
            "{address}: {error}"
        );
    }
}
