//! The scores for people.

use std::io::{self, Write};

use super::{PrecisionRecall, Ranking, Scores};

/// Writes the scores as a table of name and figure; what the data cannot give is a dash.
///
/// # Errors
/// Returns why `out` takes no more.
pub fn write_table(scores: &Scores, out: &mut dyn Write) -> io::Result<()> {
    for (name, figure) in rows(scores) {
        writeln!(out, "{name:<27} {figure}")?;
    }
    Ok(())
}

fn rows(scores: &Scores) -> Vec<(&'static str, String)> {
    let alerts = scores.alerts;
    let mut rows = vec![
        ("class", scores.class_key.clone()),
        (
            "alerts",
            format!("{} ({} in campaigns)", alerts.total, alerts.in_campaigns),
        ),
    ];
    for (name, count) in [
        ("  without a label", alerts.unlabelled),
        ("  missing", alerts.missing),
        ("  repeated", alerts.repeated),
        ("  refused", alerts.refused),
    ] {
        if count > 0 {
            rows.push((name, count.to_string()));
        }
    }
    let (campaigns, incidents) = (scores.campaigns, scores.incidents);
    rows.extend([
        ("threads", scores.threads.to_string()),
        (
            "largest thread",
            format!(
                "{} alerts, share {}",
                scores.largest_thread,
                figure(scores.largest_share)
            ),
        ),
        (
            "threads with two campaigns",
            scores.threads_with_two_campaigns.to_string(),
        ),
        (
            "threads with two tenants",
            scores.threads_with_two_tenants.to_string(),
        ),
        ("pairwise", precision_recall(scores.pairwise)),
        ("b-cubed", precision_recall(scores.bcubed)),
        ("adjusted rand index", figure(scores.ari)),
        (
            "campaigns found",
            format!(
                "{} of {} ({} touched)",
                campaigns.found, campaigns.total, campaigns.touched
            ),
        ),
        ("fragmentation", figure(campaigns.fragmentation)),
        (
            "incidents published",
            format!(
                "{}, largest {} alerts",
                incidents.published, incidents.largest
            ),
        ),
        ("  false", incidents.false_.to_string()),
        ("  minor", incidents.minor.to_string()),
        ("  mixed", incidents.mixed.to_string()),
        ("  with two tenants", incidents.with_two_tenants.to_string()),
    ]);
    rows.extend(scores.ranking.iter().flat_map(ranking_rows));
    rows
}

fn ranking_rows(ranking: &Ranking) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        (
            "average precision by risk",
            figure(ranking.average_precision),
        ),
        ("precision at 10", figure(ranking.precision_at_10)),
    ];
    if let Some(top) = &ranking.top {
        let campaign = top.campaign.as_deref().unwrap_or("no campaign");
        let (purity, recall) = (figure(Some(top.purity)), figure(Some(top.recall)));
        rows.push(("top incident", format!("{} risk {:.1}", top.id, top.risk)));
        rows.push((
            "",
            format!(
                "{campaign}, purity {purity}, recall {recall}, {} alerts",
                top.alerts
            ),
        ));
    }
    rows
}

fn precision_recall(figures: Option<PrecisionRecall>) -> String {
    let Some(PrecisionRecall {
        precision,
        recall,
        f1,
    }) = figures
    else {
        return figure(None);
    };
    format!("precision {precision:.3}, recall {recall:.3}, F1 {f1:.3}")
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
