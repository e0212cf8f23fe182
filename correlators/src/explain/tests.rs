use expect_test::{expect, expect_file};
use proptest::prelude::*;
use schemas::incident::Link;

use super::text::{WIDTH, alert_text, text};
use super::*;

fn incident() -> Incident {
    serde_json::from_str(include_str!("incident.json")).unwrap()
}

#[test]
fn an_incident_is_told_whole() {
    expect_file!["incident.txt"].assert_eq(&text(&explain(&incident())));
}

#[test]
fn what_analysts_did_is_told_with_their_comments() {
    let mut incident = incident();
    incident.owner = Some("bob".to_owned());
    let time = incident.created_time;
    let action = |command: &str, action, detail: &str| AnalystAction {
        command: command.to_owned(),
        actor: "ann\u{202e}".to_owned(),
        time,
        action,
        detail: detail.to_owned(),
    };
    incident.actions = vec![
        action("c1", ActionKind::Assign, "bob"),
        action("c2", ActionKind::SetStatus, "in_progress"),
        action("c3", ActionKind::Comment, ""),
    ];
    incident.comments = vec![schemas::incident::Comment {
        id: "c3".to_owned(),
        author: "ann".to_owned(),
        time,
        text: "isolated ws188\nand told its owner".to_owned(),
    }];
    let told = text(&explain(&incident));
    let lines = told.lines().take(16);
    let all: Vec<&str> = lines.collect();
    expect![[r#"
        INCIDENT 0b8f4f5e-6d0c-5c1e-9b1a-2f6f0d3a7c11
          Initial Access to Impact on ws188 and ws202
          severity critical · risk 83.5 of 100 · status new · owner bob
          2026-01-05 07:58:00 to 2026-01-06 14:05:00 UTC (30 h 7 min) · 9 alerts in 7 episodes
          tenant contoso · revision 1.17

        WHAT ANALYSTS DID
          2026-01-05 11:40:00  ann\u{202e} assign bob
          2026-01-05 11:40:00  ann\u{202e} set status in_progress
          2026-01-05 11:40:00  ann\u{202e} comment
              isolated ws188
              and told its owner

        STORY
           1. Initial Access           2026-01-05 07:58:00                    #1
              T1566.002 · alice@contoso.example"#]]
    .assert_eq(&all.join("\n"));
    incident.alerts.clear();
    assert!(text(&explain(&incident)).contains("assign bob"));
}

#[test]
fn an_alert_is_told_by_its_vendors_id() {
    expect![[r#"
        INCIDENT 0b8f4f5e-6d0c-5c1e-9b1a-2f6f0d3a7c11
          Initial Access to Impact on ws188 and ws202
          severity critical · risk 83.5 of 100 · status new
          2026-01-05 07:58:00 to 2026-01-06 14:05:00 UTC (30 h 7 min) · 9 alerts in 7 episodes
          tenant contoso · revision 1.17

        ALERT
          #4 2026-01-05 09:02:00  ndr · medium · Beacon to a rare address
              Command and Control · T1071.001 · host ws188, ip 45.77.93.201
              uid ndr:a4 · rule beacon · novelty 6.100 bits
              #4 joined the thread at #3, at the same time: 6.500 bits, 5.000 needed
                +7.250  host ws188                     the thread has it too; this soon by chance 1 in 150
                -1.000  support at ws188               few other rules of the thread have been there yet
                -0.250  rule at ws188                  this rule is neither usual nor rare there (beacon)
                +0.500  product                        different sensors agree (edr, ndr)
                =6.500  in all
              Its other links, strongest first:
              #4 is also linked to #2, 31 min after it: 5.900 bits, short of the 6.000 needed
                +5.800  host ws188                     both name it; this soon by chance 1 in 56
                -0.400  order                          Execution tends to come after Command and Control
                +0.500  product                        different sensors agree (edr, ndr)
                =5.900  in all
              #5 joined #4, 2 h 38 min after it: 5.900 bits, 5.900 needed
                +5.400  ip 45.77.93.201                both name it; this soon by chance 1 in 42
                +0.500  direction                      both come from the same source
                -1.500  product                        the same rule again (beacon)
                +1.500  rule at 45.77.93.201           this rule is rare there (beacon)
                =5.900  in all
              Without it the rest of the incident would split.
    "#]].assert_eq(&alert_text(&explain_alert(&incident(), "a4")));
}

#[test]
fn a_repeat_is_told_as_part_of_its_episode() {
    for id in ["edr:a3c", "a3c"] {
        let told = explain_alert(&incident(), id);
        assert_eq!(
            (
                told.found.len(),
                told.found[0].repeat,
                told.found[0].alert.number
            ),
            (1, true, 3)
        );
    }
    let told = alert_text(&explain_alert(&incident(), "a3c"));
    assert!(
        told.contains("a3c is a repeat, folded into edr:a3:"),
        "{told}"
    );
}

#[test]
fn an_alert_of_another_incident_is_not_part_of_this_one() {
    let mut incident = incident();
    let told = explain_alert(&incident, "a99");
    assert!(told.found.is_empty() && told.limits.is_empty());
    assert!(alert_text(&told).contains("a99 is not part of this incident."));
    incident.alerts[2].count = 40;
    let told = alert_text(&explain_alert(&incident, "a99"));
    assert!(
        told.contains("a99 is not among the alerts that this record lists."),
        "{told}"
    );
    assert!(
        told.contains("1 of its episodes have more repeats than the record lists"),
        "{told}"
    );
}

#[test]
fn the_same_id_of_two_products_finds_both() {
    let mut incident = incident();
    incident.alerts[4].native_uid = "a2".to_owned();
    let told = explain_alert(&incident, "a2");
    let numbers: Vec<usize> = told.found.iter().map(|found| found.alert.number).collect();
    assert_eq!(numbers, [2, 5]);
}

#[test]
fn the_origin_of_every_alert_is_said() {
    let mut incident = incident();
    let origins = |incident: &Incident| -> Vec<Origin> {
        explain(incident)
            .alerts
            .iter()
            .map(|member| member.origin)
            .collect()
    };
    use Origin::{First, Joined, OwnThread, Unsaid};
    assert_eq!(
        origins(&incident),
        [Joined, First, Joined, Joined, Joined, Joined, Joined]
    );
    // The stitch goes to the second alert of the later thread.
    incident.links[5].to = 6;
    incident.links[6] = Link {
        from: 6,
        to: 6,
        ..incident.links[6].clone()
    };
    incident.links[6].joined = false;
    assert_eq!(origins(&incident)[5..], [Unsaid, Joined]);
    incident.links[6] = Link {
        from: 5,
        to: 6,
        joined: true,
        ..incident.links[6].clone()
    };
    assert_eq!(origins(&incident)[5..], [OwnThread, Joined]);
}

#[test]
fn a_capped_record_and_a_wrong_sum_are_told() {
    let mut incident = incident();
    incident.truncated = true;
    incident.links[0].weight += 1;
    let told = text(&explain(&incident));
    assert!(told.contains("Note: the record is capped"), "{told}");
    assert!(told.contains("Note: the record says 7.735"), "{told}");
}

#[test]
fn one_episode_needs_nothing_to_hold_it() {
    let mut incident = incident();
    incident.alerts.truncate(1);
    incident.links.clear();
    let told = text(&explain(&incident));
    assert!(
        told.contains("It is one episode") && told.contains("the incident grew from it"),
        "{told}"
    );
}

/// Adds up what is printed between the sentences and the sums.
fn check_sums(told: &str) {
    let mut sum = 0;
    for line in told.lines().map(str::trim_start) {
        let Some((number, rest)) = line.split_once("  ") else {
            continue;
        };
        let Some(milli) = number
            .trim_start_matches('=')
            .replace('.', "")
            .parse::<i64>()
            .ok()
            .filter(|_| number.contains('.'))
        else {
            continue;
        };
        if number.starts_with('=') {
            assert_eq!((sum, rest), (milli, "in all"), "{told}");
            sum = 0;
        } else if number.starts_with(['+', '-']) {
            sum += milli;
        }
    }
}

#[test]
fn the_printed_terms_add_up_to_the_printed_sum() {
    check_sums(&text(&explain(&incident())));
}

proptest! {
    #[test]
    fn hostile_strings_stay_inside_their_line(
        hostile in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]){0,200}",
        bits in proptest::collection::vec(any::<i32>(), 7),
        end in any::<i32>(),
    ) {
        let mut incident = incident();
        incident.title = hostile.clone();
        incident.tenant = hostile.clone();
        incident.stages[1].tactic_name = hostile.clone();
        for entity in &mut incident.entities {
            entity.display = hostile.clone();
            entity.kind = hostile.clone();
        }
        for alert in &mut incident.alerts {
            alert.title = hostile.clone();
            alert.rule = hostile.clone();
            alert.uid.push_str(&hostile);
        }
        for (link, bits) in incident.links.iter_mut().zip(bits) {
            link.terms[0].bits = bits;
            link.bar = bits;
            link.gap_ms = i64::from(bits) * i64::from(end);
        }
        incident.links[2].to = end;
        incident.chain.push(end);
        incident.alert_count = i64::from(end) << 20;
        let told = text(&explain(&incident));
        check_sums(&told);
        for told in [told, alert_text(&explain_alert(&incident, "a4")), alert_text(&explain_alert(&incident, &hostile))] {
            for line in told.lines() {
                prop_assert!(line.chars().count() <= WIDTH, "{line}");
                prop_assert_eq!(visible::visible(line), line);
            }
        }
    }
}
