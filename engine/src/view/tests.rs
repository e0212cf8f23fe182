use serde_json::json;

use super::*;

/// An incident without alerts, last changed `revision` seconds after midnight.
pub(crate) fn incident(id: &str, tenant: &str, risk: f64, revision: i64) -> Incident {
    let time = Timestamp(1_767_571_200_000 + 1_000 * revision);
    let severity = if risk >= 60.0 { "high" } else { "medium" };
    let value = json!({
        "id": id, "tenant": tenant, "generation": 1, "revision": revision, "activity": "update", "changes": [],
        "title": format!("incident {id}"), "summary": "", "status": "new", "severity": severity, "risk": risk,
        "confidence": 60, "learning": false, "is_suspected_breach": false,
        "created_time": time, "modified_time": time, "first_activity_time": time, "last_activity_time": time,
        "closed_time": null, "stages": [], "chain": [], "alerts": [], "alert_count": 3, "episode_count": 2,
        "entities": [], "links": [], "correlators": [], "related_incidents": [], "continues": null,
        "split_from": null, "merged_into": null, "merged_from": [], "owner": null, "classification": "unset",
        "classification_reason": "unset", "classification_comment": null, "comments": [], "tags": [],
        "truncated": false, "engine_version": "0.0.0", "config_hash": "",
    });
    serde_json::from_value(value).unwrap()
}

fn view(incidents: &[(&str, &str, f64)]) -> IncidentView {
    let view = IncidentView::default();
    for &(id, tenant, risk) in incidents {
        view.publish(Arc::new(incident(id, tenant, risk, 1)));
    }
    view
}

fn ids(page: &Page) -> Vec<&str> {
    page.incidents
        .iter()
        .map(|incident| incident.id.as_str())
        .collect()
}

#[test]
fn pages_cover_every_incident_once_by_risk_then_id() {
    let view = view(&[
        ("d", "x", 50.0),
        ("a", "x", 50.0),
        ("b", "y", 90.5),
        ("c", "x", 10.0),
        ("e", "y", 50.0),
    ]);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = view.page(&Filter::default(), after.as_ref(), 2);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["b", "a", "d", "e", "c"]);
}

#[test]
fn a_full_last_page_has_no_next() {
    let view = view(&[("a", "x", 1.0), ("b", "x", 2.0)]);
    assert_eq!(view.page(&Filter::default(), None, 2).next, None);
    assert!(view.page(&Filter::default(), None, 1).next.is_some());
}

#[test]
fn filters_by_tenant_and_severity() {
    let view = view(&[("a", "x", 90.0), ("b", "y", 90.0), ("c", "x", 10.0)]);
    let filter = Filter {
        tenant: Some("x".to_owned()),
        severities: vec![Severity::High, Severity::Critical],
    };
    assert_eq!(ids(&view.page(&filter, None, 9)), ["a"]);
}

#[test]
fn merged_incidents_are_found_by_id_and_not_listed() {
    let view = view(&[("a", "x", 90.0)]);
    let mut merged = incident("b", "x", 95.0, 2);
    merged.status = IncidentStatus::Merged;
    merged.merged_into = Some("a".to_owned());
    view.publish(Arc::new(merged));
    assert_eq!(ids(&view.page(&Filter::default(), None, 9)), ["a"]);
    assert_eq!(view.get("b").unwrap().merged_into.as_deref(), Some("a"));
}

#[test]
fn an_older_revision_changes_nothing() {
    let view = IncidentView::default();
    view.publish(Arc::new(incident("a", "x", 90.0, 5)));
    view.publish(Arc::new(incident("a", "x", 10.0, 4)));
    assert_eq!(view.get("a").unwrap().revision, 5);
    let mut rebuilt = incident("a", "x", 20.0, 1);
    rebuilt.generation = 2;
    view.publish(Arc::new(rebuilt));
    assert_eq!(view.get("a").unwrap().generation, 2);
    assert_eq!(view.len(), 1);
}

#[test]
fn the_longest_unchanged_go_when_the_bound_is_passed() {
    let view = IncidentView::new(2);
    for (id, revision) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
        view.publish(Arc::new(incident(id, "x", 1.0, revision)));
    }
    assert_eq!(ids(&view.page(&Filter::default(), None, 9)), ["a", "c"]);
    assert_eq!(view.evicted(), 1);
}

#[test]
fn an_incident_above_the_bound_is_held_alone() {
    let view = IncidentView::new(0);
    view.publish(Arc::new(incident("a", "x", 1.0, 1)));
    view.publish(Arc::new(incident("b", "x", 1.0, 2)));
    assert_eq!(ids(&view.page(&Filter::default(), None, 9)), ["b"]);
}
