//! Published incidents against campaigns.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;

use super::labels::{Class, ClassKind};
use super::membership::Sample;
use super::threads::{Cells, campaigns_of, size, two_tenants};
use super::{
    CampaignCounts, IncidentCounts, Ranking, ScoreError, TopIncident, json_problem, share,
};
use crate::replay::input::Lines;

/// Counts what was published and which campaigns came out.
pub(super) fn counts(sample: &Sample) -> (CampaignCounts, IncidentCounts) {
    let cells = Cells::of_incidents(sample);
    let mut incidents = IncidentCounts {
        published: cells.clusters(),
        largest: cells.largest(),
        with_two_tenants: two_tenants(
            sample
                .rows
                .iter()
                .filter_map(|row| Some((row.incident?, row.tenant))),
        ),
        ..IncidentCounts::default()
    };
    // Campaign name to the number of incidents that hold some of it, and whether one is its own.
    let mut touched: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for (_, cells) in cells.iter() {
        match verdict(cells, &sample.classes) {
            Verdict::False => incidents.false_ += 1,
            Verdict::Minor => incidents.minor += 1,
            Verdict::Right | Verdict::Diluted => {}
        }
        let own = main_campaign(cells, &sample.classes)
            .filter(|(class, count)| 2 * count >= class.size && 2 * count >= size(cells))
            .map(|(class, _)| class.name.as_str());
        let mut large = 0;
        for (class, count) in campaigns_of(cells, &sample.classes) {
            let (held_by, found) = touched.entry(&class.name).or_default();
            *held_by += 1;
            *found |= own == Some(class.name.as_str());
            large += u32::from(5 * count >= class.size);
        }
        let holds_campaign = campaigns_of(cells, &sample.classes).next().is_some();
        incidents.mixed += u64::from(large >= 2 || (holds_campaign && size(cells) > HUGE_ALERTS));
    }
    let spread: u64 = touched.values().map(|(held_by, _)| held_by).sum();
    let campaigns = CampaignCounts {
        total: sample
            .classes
            .iter()
            .filter(|class| class.is_campaign())
            .count() as u64,
        found: touched.values().filter(|(_, found)| *found).count() as u64,
        touched: touched.len() as u64,
        fragmentation: share(spread, touched.len() as u64),
    };
    (campaigns, incidents)
}

/// Judges the order of the incidents by the risk that `path` gives them.
pub(super) fn ranking(sample: &Sample, path: &Path) -> Result<Ranking, ScoreError> {
    let risks = read_risks(path)?;
    let cells = Cells::of_incidents(sample);
    let mut ranked: Vec<(&str, f64, &BTreeMap<u32, u64>)> = Vec::new();
    for (incident, cells) in cells.iter() {
        let id = usize::try_from(incident)
            .ok()
            .and_then(|incident| sample.incidents.get(incident));
        let id = id.map(String::as_str).unwrap_or_default();
        let Some(risk) = risks.get(id) else {
            return Err(ScoreError::IncidentAbsent {
                path: path.to_owned(),
                id: id.to_owned(),
            });
        };
        ranked.push((id, *risk, cells));
    }
    ranked
        .sort_by(|(a, risk_a, _), (b, risk_b, _)| risk_b.total_cmp(risk_a).then_with(|| a.cmp(b)));
    let right: Vec<bool> = ranked
        .iter()
        .map(|(_, _, cells)| verdict(cells, &sample.classes))
        .filter(|verdict| *verdict != Verdict::Minor)
        .map(|verdict| verdict == Verdict::Right)
        .collect();
    let head = right.iter().take(10);
    Ok(Ranking {
        average_precision: average_precision(&right),
        precision_at_10: share(
            head.clone().filter(|right| **right).count() as u64,
            head.count() as u64,
        ),
        top: ranked
            .first()
            .map(|(id, risk, cells)| top(id, *risk, cells, &sample.classes)),
    })
}

fn top(id: &str, risk: f64, cells: &BTreeMap<u32, u64>, classes: &[Class]) -> TopIncident {
    let main = main_campaign(cells, classes);
    let of_main = |whole: u64| {
        main.and_then(|(_, count)| share(count, whole))
            .unwrap_or(0.0)
    };
    TopIncident {
        id: id.to_owned(),
        risk,
        alerts: size(cells),
        campaign: main.map(|(class, _)| class.name.clone()),
        purity: of_main(size(cells)),
        recall: of_main(main.map_or(0, |(class, _)| class.size)),
    }
}

/// What an incident turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// At least half of its alerts are of campaigns.
    Right,
    /// Fewer are, but some.
    Diluted,
    /// None, and at least half are one small thread.
    Minor,
    /// Noise.
    False,
}

fn verdict(cells: &BTreeMap<u32, u64>, classes: &[Class]) -> Verdict {
    let all = size(cells);
    let in_campaigns: u64 = campaigns_of(cells, classes).map(|(_, count)| count).sum();
    let small_thread = cells.iter().any(|(class, count)| {
        let class = usize::try_from(*class)
            .ok()
            .and_then(|class| classes.get(class));
        class.is_some_and(|class| class.kind == ClassKind::SmallThread) && 2 * count >= all
    });
    match (in_campaigns, small_thread) {
        (0, true) => Verdict::Minor,
        (0, false) => Verdict::False,
        (some, _) if 2 * some >= all => Verdict::Right,
        _ => Verdict::Diluted,
    }
}

/// Returns the campaign with most alerts in a cluster; of equals the first by name.
fn main_campaign<'a>(
    cells: &'a BTreeMap<u32, u64>,
    classes: &'a [Class],
) -> Option<(&'a Class, u64)> {
    campaigns_of(cells, classes).max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.name.cmp(&a.name)))
}

/// Mean of the precision at each right place; nothing where none is right.
fn average_precision(right: &[bool]) -> Option<f64> {
    let (mut hits, mut sum) = (0_u64, 0.0);
    for (place, _) in right.iter().enumerate().filter(|(_, right)| **right) {
        hits += 1;
        sum += hits as f64 / (place as f64 + 1.0);
    }
    (hits > 0).then(|| sum / hits as f64)
}

#[derive(Deserialize)]
struct Record {
    id: String,
    risk: f64,
}

/// Reads the incidents' risks; of several revisions of one incident the last line counts.
fn read_risks(path: &Path) -> Result<HashMap<String, f64>, ScoreError> {
    let mut risks = HashMap::new();
    let mut lines = Lines::open(path, LINE_BYTES_MAX)?;
    let (mut line, mut number) = (Vec::new(), 0_u64);
    while lines.next_line(&mut line)? {
        number += 1;
        let record: Record = serde_json::from_slice(&line).map_err(|error| ScoreError::Line {
            path: path.to_owned(),
            line: number,
            problem: json_problem(&error),
        })?;
        risks.insert(record.id, record.risk);
    }
    Ok(risks)
}

const HUGE_ALERTS: u64 = 1000;
const LINE_BYTES_MAX: usize = 16 << 20;
