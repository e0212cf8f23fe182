use std::num::NonZeroU32;

use correlators::Settings;
use schemas::alert::{
    Alert, AlertActivity, AlertDisposition, AlertKind, AlertStatus, Provenance, Severity,
    TimeQuality, Verdict,
};
use schemas::decode::Limits;
use schemas::time::Timestamp;

use super::*;

/// An alert with an id, a tenant and nothing else.
pub(super) fn alert(id: &str, tenant: &str) -> Alert {
    Alert {
        uid: format!("test:{id}"),
        tenant: tenant.to_owned(),
        activity: AlertActivity::Create,
        revision: 0,
        kind: AlertKind::Detection,
        source: schemas::alert::Source {
            native_uid: id.to_owned(),
            ..Default::default()
        },
        title: "title".to_owned(),
        description: None,
        start_time: Timestamp(0),
        end_time: Timestamp(0),
        detected_time: Timestamp(0),
        ingest_time: Timestamp(0),
        time_quality: TimeQuality::Exact,
        count: 1,
        severity: Severity::Medium,
        severity_native: None,
        risk_score: None,
        confidence: None,
        status: AlertStatus::New,
        verdict: Verdict::Unknown,
        disposition: AlertDisposition::Unknown,
        attacks: Vec::new(),
        entities: Vec::new(),
        correlation_hints: Vec::new(),
        labels: BTreeMap::new(),
        provenance: Provenance::default(),
    }
}

/// Files of a replay in a folder of their own.
struct Case {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
    bindings: Option<PathBuf>,
    tenant: Option<Tenant>,
    batch: u32,
}

impl Case {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |(text, number): (&&str, usize)| {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = files.iter().zip(0..).map(write).collect();
        Self {
            folder,
            files,
            bindings: None,
            tenant: None,
            batch: 5_000,
        }
    }

    fn replay(&self) -> Replayed {
        let options = Options {
            files: self.files.clone(),
            bindings: self.bindings.clone(),
            format: None,
            tenant: self.tenant.clone(),
            engine: Offline {
                batch: NonZeroU32::new(self.batch).unwrap(),
                settings: Arc::new(Settings::default()),
                limits: Limits::default(),
                threads: 2,
            },
            membership: true,
        };
        replay(&options, &mut |_| {}).unwrap()
    }
}

/// One record in Fusor's JSON, `minute` minutes into a day, about a host.
fn record(id: &str, minute: u32, host: &str) -> String {
    format!(
        r#"{{"id":"{id}","tenant":"t","time":"2026-01-05T{:02}:{:02}:00Z","title":"rule of {host}","entities":[{{"type":"host","value":"{host}"}}]}}"#,
        minute / 60,
        minute % 60
    )
}

fn membership(replayed: &Replayed) -> Vec<serde_json::Value> {
    let mut text = Vec::new();
    replayed.write_membership(&mut text).unwrap();
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Alert and disposition of every line.
#[track_caller]
fn check(case: &Case, expected: &[(&str, &str)]) {
    let lines = membership(&case.replay());
    let found: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["alert"].as_str().unwrap_or("-"),
                line["disposition"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn membership_has_a_line_for_every_record_of_the_files_in_the_order_given() {
    let (late, early) = (
        record("b", 50, "h2") + "\n" + &record("c", 55, "h3"),
        record("a", 10, "h1"),
    );
    check(
        &Case::new(&[&late, &early]),
        &[("b", "single"), ("c", "single"), ("a", "single")],
    );
}

#[test]
fn an_id_given_twice_is_a_duplicate_in_the_thread_of_the_first() {
    let text = [
        record("a", 1, "h1"),
        record("b", 2, "h2"),
        record("a", 1, "h1"),
    ]
    .join("\n");
    let case = Case::new(&[&text]);
    check(
        &case,
        &[("a", "single"), ("b", "single"), ("a", "duplicate")],
    );
    let lines = membership(&case.replay());
    assert_eq!(
        (&lines[0]["thread"], &lines[0]["episode"]),
        (&lines[2]["thread"], &lines[2]["episode"])
    );
    assert!(lines[0]["thread"].is_string());
}

#[test]
fn a_refused_record_has_a_reason_and_nothing_else() {
    let text = format!("{}\nno json\n{{\"id\":\"x\"}}", record("a", 1, "h1"));
    let case = Case::new(&[&text]);
    check(
        &case,
        &[("a", "single"), ("-", "dead_letter"), ("-", "dead_letter")],
    );
    let replayed = case.replay();
    assert_eq!(
        membership(&replayed)[1],
        serde_json::json!({"alert":null,"tenant":null,"disposition":"dead_letter","episode":null,"thread":null,"incident":null,"reason":"not_json"})
    );
    assert_eq!(
        (replayed.records, replayed.dispositions.dead_letter),
        (3, 2)
    );
}

#[test]
fn a_record_with_several_alerts_has_a_line_for_each() {
    let text = format!("[{},{}]", record("a", 1, "h1"), record("b", 2, "h2"));
    check(&Case::new(&[&text]), &[("a", "single"), ("b", "single")]);
}

#[test]
fn a_tenant_given_wins_over_the_record() {
    let mut case = Case::new(&[&record("a", 1, "h1")]);
    assert_eq!(membership(&case.replay())[0]["tenant"], "t");
    case.tenant = Some("other".parse().unwrap());
    assert_eq!(membership(&case.replay())[0]["tenant"], "other");
}

#[test]
fn bindings_are_learnt_and_are_no_records() {
    let mut case = Case::new(&[&record("a", 1, "h1")]);
    let path = case.folder.path().join("bindings");
    let lease = r#"{"tenant":"t","ip":"10.0.0.1","host":"h1","from":"2026-01-05T00:00:00Z","to":"2026-01-06T00:00:00Z"}"#;
    std::fs::write(&path, format!("{lease}\n{{}}\n")).unwrap();
    case.bindings = Some(path);
    let replayed = case.replay();
    assert_eq!(
        (
            replayed.bindings,
            replayed.bindings_refused,
            replayed.records
        ),
        (1, 1, 1)
    );
    assert_eq!(membership(&replayed).len(), 1);
}

#[test]
fn several_files_end_as_one_file_in_order_of_time_does_however_they_are_cut() {
    let records: Vec<String> = (0..300)
        .map(|number| {
            record(
                &format!("r{number}"),
                number,
                &format!("h{}", number * number % 17),
            )
        })
        .collect();
    let part = |rest: usize| {
        let lines = records
            .iter()
            .enumerate()
            .filter(|(number, _)| number % 3 == rest)
            .map(|(_, line)| line.as_str());
        lines.collect::<Vec<_>>().join("\n")
    };
    let (a, b, c) = (part(0), part(1), part(2));
    let mut whole = Case::new(&[&records.join("\n")]);
    let mut parts = Case::new(&[&a, &b, &c]);
    let by_alert = |case: &Case| {
        let mut lines = membership(&case.replay());
        lines.sort_by_key(|line| line["alert"].to_string());
        lines
    };
    let expected = by_alert(&whole);
    assert_eq!(expected.len(), 300);
    for batch in [1, 7, 5_000] {
        (whole.batch, parts.batch) = (batch, batch);
        assert_eq!(by_alert(&whole), expected, "batch {batch}");
        assert_eq!(by_alert(&parts), expected, "batch {batch}, three files");
    }
}

#[test]
fn a_file_that_breaks_off_is_an_error_and_not_a_shorter_replay() {
    let case = Case::new(&[]);
    let path = case.folder.path().join("broken.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(record("a", 1, "h1").repeat(50).as_bytes())
        .unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, bytes).unwrap();
    let options = Options {
        files: vec![path.clone()],
        bindings: None,
        format: None,
        tenant: None,
        engine: Offline {
            batch: BATCH,
            settings: Arc::default(),
            limits: Limits::default(),
            threads: 1,
        },
        membership: false,
    };
    let error = replay(&options, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
}
