use expect_test::{Expect, expect};

use super::*;

/// Two campaigns, a small thread and two noise alerts: one campaign is torn and has a noise alert in it.
const LABELS: &str = r#"
{"id":"a1","label":"C1","kind":"campaign"}
{"id":"a2","label":"C1","kind":"campaign"}
{"id":"a3","label":"C1","kind":"campaign"}
{"id":"b1","label":"C2","kind":"campaign"}
{"id":"b2","label":"C2","kind":"campaign"}
{"id":"t1","label":"T1","kind":"thread"}
{"id":"t2","label":"T1","kind":"thread"}
{"id":"t3","label":"T1","kind":"thread"}
{"id":"n1","label":"N1","kind":"noise"}
{"id":"n2","label":"N2","kind":"noise"}
"#;

/// Alert, thread and incident, a line each.
const MEMBERSHIP: &str =
    "a1 x ix\na2 x ix\nn1 x ix\na3 y -\nb1 z iz\nb2 z iz\nt1 w iw\nt2 w iw\nt3 w iw\nn2 v in";

const RISKS: &str = "ix 70\niz 90\niw 60\nin 80";

struct Case<'a> {
    labels: &'a str,
    membership: &'a str,
    risks: Option<&'a str>,
    class: Option<&'a str>,
}

impl Case<'_> {
    fn score(&self) -> Result<Scores, ScoreError> {
        let (_folder, options) = self.write();
        score(&options)
    }

    /// Writes the files into a folder that lives as long as the handle returned.
    fn write(&self) -> (tempfile::TempDir, Options) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let options = Options {
            membership: write("membership", &membership(self.membership)),
            labels: write("labels", self.labels),
            incidents: self.risks.map(|risks| {
                let line = |line: &str| {
                    let (id, risk) = line.split_once(' ').unwrap();
                    format!("{{\"id\":\"{id}\",\"tenant\":\"t\",\"risk\":{risk}}}\n")
                };
                write("incidents", &risks.lines().map(line).collect::<String>())
            }),
            class: self.class.map(str::to_owned),
        };
        (folder, options)
    }
}

/// Writes short lines (alert, thread, incident, and where it differs the tenant and the disposition) in full.
fn membership(short: &str) -> String {
    let mut text = String::new();
    for line in short.lines() {
        let mut words = line.split(' ');
        let mut field = |default: &str| match words.next().unwrap_or(default) {
            "-" => "null".to_owned(),
            word => format!("\"{word}\""),
        };
        let (alert, thread, incident) = (field("-"), field("-"), field("-"));
        let (tenant, disposition) = (field("t"), field("correlated"));
        text += &format!(
            "{{\"alert\":{alert},\"tenant\":{tenant},\"disposition\":{disposition},\"episode\":null,\"thread\":{thread},\"incident\":{incident}}}\n"
        );
    }
    text
}

#[track_caller]
fn check(case: &Case<'_>, expected: Expect) {
    let text = match case.score() {
        Ok(scores) => {
            let mut table = Vec::new();
            write_table(&scores, &mut table).unwrap();
            String::from_utf8(table).unwrap()
        }
        Err(error) => {
            let error = error.to_string();
            let (_, rest) = error.split_once(": ").unwrap();
            format!("{rest}\n")
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn every_figure_of_a_small_example_is_as_computed_by_hand() {
    let scores = Case {
        labels: LABELS,
        membership: MEMBERSHIP,
        risks: Some(RISKS),
        class: None,
    }
    .score()
    .unwrap();
    // Pairs made that touch a campaign: 3 in x, 1 in z; right ones 1 and 1; there should be 3 of C1 and 1 of C2.
    assert_eq!(
        scores.pairwise,
        Some(PrecisionRecall {
            precision: 0.5,
            recall: 0.5,
            f1: 0.5
        })
    );
    let bcubed = scores.bcubed.unwrap();
    assert!((bcubed.precision - (4.0 / 3.0 + 1.0 + 2.0) / 5.0).abs() < 1e-12);
    assert!((bcubed.recall - (4.0 / 3.0 + 1.0 / 3.0 + 2.0) / 5.0).abs() < 1e-12);
    let chance = 7.0 * 7.0 / 45.0;
    assert!((scores.ari.unwrap() - (5.0 - chance) / (7.0 - chance)).abs() < 1e-12);
    let ranking = scores.ranking.unwrap();
    assert_eq!(ranking.average_precision, Some((1.0 + 2.0 / 3.0) / 2.0));
    assert_eq!(ranking.precision_at_10, Some(2.0 / 3.0));
}

#[test]
fn the_table_shows_all_of_it() {
    check(
        &Case {
            labels: LABELS,
            membership: MEMBERSHIP,
            risks: Some(RISKS),
            class: None,
        },
        expect![[r#"
             class                       label
             alerts                      10 (5 in campaigns)
             threads                     5
             largest thread              3 alerts, share 0.300
             threads with two campaigns  0
             threads with two tenants    0
             pairwise                    precision 0.500, recall 0.500, F1 0.500
             b-cubed                     precision 0.867, recall 0.733, F1 0.794
             adjusted rand index         0.662
             campaigns found             2 of 2 (2 touched)
             fragmentation               1.000
             incidents published         4, largest 3 alerts
               false                     1
               minor                     1
               mixed                     0
               with two tenants          0
             average precision by risk   0.833
             precision at 10             0.667
             top incident                iz risk 90.0
                                         C2, purity 1.000, recall 1.000, 2 alerts
        "#]],
    );
}

#[test]
fn a_campaign_is_found_by_half_of_it_in_an_incident_that_is_half_its_own() {
    let labels = "{\"id\":\"1\",\"attack\":\"a\"}\n{\"id\":\"2\",\"attack\":\"a\"}\n{\"id\":\"3\",\"attack\":null}\n{\"id\":\"4\",\"attack\":null}";
    for (membership, found) in [
        ("1 x i\n2 y -\n3 x i\n4 z -", 1),
        ("1 x i\n2 y -\n3 x i\n4 x i", 0),
        ("1 x i\n2 y j\n3 z -\n4 z -", 1),
        ("1 x -\n2 x -\n3 z -\n4 z -", 0),
    ] {
        let scores = Case {
            labels,
            membership,
            risks: None,
            class: None,
        }
        .score()
        .unwrap();
        assert_eq!(scores.campaigns.found, found, "{membership}");
    }
}

#[test]
fn null_is_noise_and_every_such_alert_its_own_class() {
    let labels = "{\"id\":\"1\",\"attack\":null}\n{\"id\":\"2\",\"attack\":null}";
    check(
        &Case {
            labels,
            membership: "1 x i\n2 x i",
            risks: Some("i 50"),
            class: None,
        },
        expect![[r#"
             class                       attack
             alerts                      2 (0 in campaigns)
             threads                     1
             largest thread              2 alerts, share 1.000
             threads with two campaigns  0
             threads with two tenants    0
             pairwise                    -
             b-cubed                     -
             adjusted rand index         0.000
             campaigns found             0 of 0 (0 touched)
             fragmentation               -
             incidents published         1, largest 2 alerts
               false                     1
               minor                     0
               mixed                     0
               with two tenants          0
             average precision by risk   -
             precision at 10             0.000
             top incident                i risk 50.0
                                         no campaign, purity 0.000, recall 0.000, 2 alerts
        "#]],
    );
}

#[test]
fn numbers_and_letters_name_classes_and_two_campaigns_in_one_thread_are_named() {
    let labels = "{\"id\":\"1\",\"incident\":5}\n{\"id\":\"2\",\"incident\":38}\n{\"id\":\"3\",\"incident\":38}";
    let scores = Case {
        labels,
        membership: "1 x i\n2 x i\n3 x i",
        risks: None,
        class: None,
    }
    .score()
    .unwrap();
    let mixed = MixedThread {
        thread: "x".into(),
        campaigns: vec![("38".into(), 2), ("5".into(), 1)],
    };
    assert_eq!(scores.mixed_threads, [mixed]);
    assert_eq!(scores.incidents.mixed, 1);
}

#[test]
fn without_a_kind_the_letter_before_a_number_tells_it_in_the_field_label_alone() {
    for (labels, campaigns) in [
        (
            "{\"id\":\"1\",\"label\":\"C1\"}\n{\"id\":\"2\",\"label\":\"T1\"}\n{\"id\":\"3\",\"label\":\"N1\"}",
            1,
        ),
        (
            "{\"id\":\"1\",\"label\":\"Nightfall\"}\n{\"id\":\"2\",\"label\":\"Tor\"}",
            2,
        ),
        (
            "{\"id\":\"1\",\"attack\":\"N1\"}\n{\"id\":\"2\",\"attack\":\"T1\"}",
            2,
        ),
    ] {
        let scores = Case {
            labels,
            membership: "1 x -",
            risks: None,
            class: None,
        }
        .score()
        .unwrap();
        assert_eq!(scores.campaigns.total, campaigns, "{labels}");
    }
}

#[test]
fn an_incident_or_thread_with_two_tenants_is_counted() {
    let labels = "{\"id\":\"1\",\"team\":1}\n{\"id\":\"2\",\"team\":2}";
    let scores = Case {
        labels,
        membership: "1 x i one\n2 x i two",
        risks: None,
        class: None,
    }
    .score()
    .unwrap();
    assert_eq!(
        (
            scores.threads_with_two_tenants,
            scores.incidents.with_two_tenants
        ),
        (1, 1)
    );
    let scores = Case {
        labels,
        membership: "1 x i one\n2 y j two",
        risks: None,
        class: None,
    }
    .score()
    .unwrap();
    assert_eq!(
        (
            scores.threads_with_two_tenants,
            scores.incidents.with_two_tenants
        ),
        (0, 0)
    );
}

#[test]
fn alerts_that_are_missing_repeated_refused_or_unlabelled_are_counted() {
    let labels = "{\"id\":\"1\",\"label\":\"C1\"}\n{\"id\":\"2\",\"label\":\"C1\"}\n{\"id\":\"3\",\"label\":\"C1\"}";
    let membership = "1 x -\n1 x - t duplicate\n- - - - dead_letter\n2 x -\n9 x -";
    let scores = Case {
        labels,
        membership,
        risks: None,
        class: None,
    }
    .score()
    .unwrap();
    assert_eq!(
        scores.alerts,
        AlertCounts {
            total: 4,
            in_campaigns: 3,
            unlabelled: 1,
            missing: 1,
            repeated: 1,
            refused: 1
        }
    );
    // Of three pairs one was made; two more touch the alert that has no label.
    assert_eq!(
        scores.pairwise.map(|pairs| (pairs.precision, pairs.recall)),
        Some((1.0 / 3.0, 1.0 / 3.0))
    );
}

#[test]
fn the_class_can_be_named() {
    let labels = "{\"id\":\"1\",\"label\":\"C1\",\"stage\":\"x\"}\n{\"id\":\"2\",\"label\":\"C1\",\"stage\":\"y\"}";
    let case = Case {
        labels,
        membership: "1 x -\n2 x -",
        risks: None,
        class: Some("stage"),
    };
    assert_eq!(case.score().unwrap().campaigns.total, 2);
    check(
        &Case {
            class: Some("phase"),
            ..case
        },
        expect![[r#"
            no label has a field phase
        "#]],
    );
}

#[test]
fn what_cannot_be_scored_is_said() {
    let labels = "{\"id\":\"1\",\"label\":\"C1\"}";
    let case = |labels, membership, risks| Case {
        labels,
        membership,
        risks,
        class: None,
    };
    check(
        &case("{\"id\":\"1\"}", "1 x -", None),
        expect![[r#"
        no label has one of the fields label, incident, attack, team, technique_run; name the class with --class
    "#]],
    );
    check(
        &case("{\"id\":\"1\",\"label\":\"C1\"}\nnonsense", "1 x -", None),
        expect![[r#"
            line 2: column 2: expected ident
        "#]],
    );
    check(
        &case("{\"id\":\"1\",\"label\":[]}", "1 x -", None),
        expect![[r#"
            line 1: label is neither a text nor a number
        "#]],
    );
    check(
        &case(
            "{\"id\":\"1\",\"label\":\"C1\"}\n{\"id\":\"1\",\"label\":\"C2\"}",
            "1 x -",
            None,
        ),
        expect![[r#"
            line 2: the id has another class already
        "#]],
    );
    check(
        &case(labels, "1 x i\n- x i", None),
        expect![[r#"
        line 2: an accepted alert has no id
    "#]],
    );
    check(
        &case(labels, "1 x i", Some("j 5")),
        expect![[r#"
        incident i of the membership is missing
    "#]],
    );
}

#[test]
fn an_id_labelled_twice_alike_counts_once() {
    let labels = "{\"id\":\"1\",\"attack\":\"a\"}\n{\"id\":\"1\",\"attack\":\"a\"}\n{\"id\":\"2\",\"attack\":null}\n{\"id\":\"2\",\"attack\":null}";
    let scores = Case {
        labels,
        membership: "1 x -\n2 y -",
        risks: None,
        class: None,
    }
    .score()
    .unwrap();
    assert_eq!(
        (
            scores.alerts.total,
            scores.alerts.in_campaigns,
            scores.alerts.missing
        ),
        (2, 1, 0)
    );
}

#[test]
fn nothing_at_all_scores_nothing() {
    check(
        &Case {
            labels: "{\"id\":\"1\",\"label\":null}",
            membership: "",
            risks: None,
            class: None,
        },
        expect![[r#"
             class                       label
             alerts                      1 (0 in campaigns)
               missing                   1
             threads                     1
             largest thread              1 alerts, share 1.000
             threads with two campaigns  0
             threads with two tenants    0
             pairwise                    -
             b-cubed                     -
             adjusted rand index         -
             campaigns found             0 of 0 (0 touched)
             fragmentation               -
             incidents published         0, largest 0 alerts
               false                     0
               minor                     0
               mixed                     0
               with two tenants          0
        "#]],
    );
}
