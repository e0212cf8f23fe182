//! Scores a replay against ground truth: how well its threads and incidents match the attacks that happened.
//!
//! A *campaign* is one real attack, a *small thread* real but minor activity (one infected host, one scan), and the
//! rest is noise. Pairs and alerts are judged where they touch a campaign, so that a million well separated noise
//! alerts do not make a bad result look good. It reads what `fusor replay` wrote and nothing else.

mod incidents;
mod labels;
mod membership;
mod table;
mod threads;

use std::path::PathBuf;

use serde::Serialize;

use crate::replay::input::InputError;

pub use table::write_table;

/// What to score.
#[derive(Clone, Debug)]
pub struct Options {
    /// The membership file of a replay.
    pub membership: PathBuf,
    /// Ground truth: one JSON object an alert, with its `id` and its class.
    pub labels: PathBuf,
    /// The incidents file of the same replay: gives the figures that need risk.
    pub incidents: Option<PathBuf>,
    /// Field of a label that names the class; by default the first of [`labels::CLASS_KEYS`] that the file uses.
    pub class: Option<String>,
}

/// Why nothing could be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A line is not what its file should hold.
    #[error("{}: line {line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line that is wrong, counted from 1 without blank ones.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// No field of the labels is known to hold a class.
    #[error("{}: no label has one of the fields {}; name the class with --class", .path.display(), labels::CLASS_KEYS.join(", "))]
    NoClassKey {
        /// The label file.
        path: PathBuf,
    },
    /// `--class` names a field that no label has.
    #[error("{}: no label has a field {key}", .path.display())]
    ClassKeyAbsent {
        /// The label file.
        path: PathBuf,
        /// The field.
        key: String,
    },
    /// The membership and the incidents are not of one replay.
    #[error("{}: incident {id} of the membership is missing", .path.display())]
    IncidentAbsent {
        /// The incidents file.
        path: PathBuf,
        /// The incident's id.
        id: String,
    },
}

/// How well a replay matches the ground truth. A figure that the data cannot give is `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The field of a label taken as its class.
    pub class_key: String,
    /// What was counted.
    pub alerts: AlertCounts,
    /// Number of threads, single alerts included.
    pub threads: u64,
    /// Alerts of the largest thread.
    pub largest_thread: u64,
    /// Its share of all alerts.
    pub largest_share: Option<f64>,
    /// Threads that hold alerts of two or more campaigns.
    pub threads_with_two_campaigns: u64,
    /// Those of them with most alerts of campaigns, at most 20.
    pub mixed_threads: Vec<MixedThread>,
    /// Threads that hold two tenants.
    pub threads_with_two_tenants: u64,
    /// Over pairs of alerts of one thread, or of one campaign, that touch a campaign.
    pub pairwise: Option<PrecisionRecall>,
    /// Mean over the campaigns' alerts.
    pub bcubed: Option<PrecisionRecall>,
    /// Adjusted Rand index of threads against classes, over all alerts.
    pub ari: Option<f64>,
    /// How many campaigns came out.
    pub campaigns: CampaignCounts,
    /// What was published.
    pub incidents: IncidentCounts,
    /// Ranking of the published incidents by risk; needs the incidents file.
    pub ranking: Option<Ranking>,
}

/// How many alerts were compared, and why others were not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct AlertCounts {
    /// Alerts compared: every accepted alert, and every labelled one.
    pub total: u64,
    /// Those that belong to a campaign.
    pub in_campaigns: u64,
    /// Accepted alerts without a label: each counts as noise of its own.
    pub unlabelled: u64,
    /// Labelled alerts that the membership does not hold: each counts as a thread of its own.
    pub missing: u64,
    /// Lines left out because they repeat an alert's id.
    pub repeated: u64,
    /// Lines left out because the record was refused.
    pub refused: u64,
}

/// Precision, recall and their harmonic mean, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Share of what was put together that belongs together.
    pub precision: f64,
    /// Share of what belongs together that was put together.
    pub recall: f64,
    /// Harmonic mean of the two; 0 where both are 0.
    pub f1: f64,
}

impl PrecisionRecall {
    fn new(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        let f1 = if sum > 0.0 {
            2.0 * precision * recall / sum
        } else {
            0.0
        };
        Self {
            precision,
            recall,
            f1,
        }
    }
}

/// A thread that holds alerts of several campaigns.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MixedThread {
    /// Its id.
    pub thread: String,
    /// Campaigns and their alerts in it, by name.
    pub campaigns: Vec<(String, u64)>,
}

/// How many campaigns came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CampaignCounts {
    /// Campaigns of the ground truth.
    pub total: u64,
    /// Campaigns with an incident that holds at least half of their alerts, which are at least half of its alerts.
    pub found: u64,
    /// Campaigns with any alert in an incident.
    pub touched: u64,
    /// Incidents a touched campaign is spread over, on average.
    pub fragmentation: Option<f64>,
}

/// What was published.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct IncidentCounts {
    /// Incidents.
    pub published: u64,
    /// Those without any alert of a campaign that are not minor either.
    #[serde(rename = "false")]
    pub false_: u64,
    /// Those without any alert of a campaign whose half at least is one small thread.
    pub minor: u64,
    /// Those with a fifth or more of each of two campaigns, or with more than 1,000 alerts next to a campaign's.
    pub mixed: u64,
    /// Those that hold two tenants.
    pub with_two_tenants: u64,
    /// Alerts of the largest.
    pub largest: u64,
}

/// Whether the riskiest incidents are the real ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Average precision of the order by risk; an incident is right when at least half of its alerts are of campaigns. Minor ones are left out.
    pub average_precision: Option<f64>,
    /// Share of right ones among the first ten (or all, where fewer were published), minor ones left out.
    pub precision_at_10: Option<f64>,
    /// The incident of highest risk.
    pub top: Option<TopIncident>,
}

/// The incident of highest risk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopIncident {
    /// Its id.
    pub id: String,
    /// Its risk, 0 to 100.
    pub risk: f64,
    /// Its alerts.
    pub alerts: u64,
    /// The campaign that most of its campaign alerts belong to.
    pub campaign: Option<String>,
    /// That campaign's share of the incident.
    pub purity: f64,
    /// The incident's share of that campaign.
    pub recall: f64,
}

/// Scores a replay.
///
/// # Errors
/// Returns the first file that cannot be read, line that cannot be understood, or mismatch between the files.
pub fn score(options: &Options) -> Result<Scores, ScoreError> {
    let labels = labels::read(&options.labels, options.class.as_deref())?;
    let class_key = labels.class_key.clone();
    let sample = membership::read(&options.membership, labels)?;
    let ranking = match &options.incidents {
        Some(path) => Some(incidents::ranking(&sample, path)?),
        None => None,
    };
    let cells = threads::Cells::of_threads(&sample);
    let mut mixed_threads = threads::mixed(&sample, &cells);
    let threads_with_two_campaigns = mixed_threads.len() as u64;
    mixed_threads.truncate(MIXED_THREADS_MAX);
    let (campaigns, incidents) = incidents::counts(&sample);
    Ok(Scores {
        class_key,
        alerts: sample.counts,
        threads: cells.clusters(),
        largest_thread: cells.largest(),
        largest_share: share(cells.largest(), sample.counts.total),
        threads_with_two_campaigns,
        mixed_threads,
        threads_with_two_tenants: threads::with_two_tenants(&sample),
        pairwise: cells.pairwise(&sample.classes),
        bcubed: cells.bcubed(&sample.classes),
        ari: cells.adjusted_rand(&sample.classes),
        campaigns,
        incidents,
        ranking,
    })
}

/// Says what is wrong with a line of JSON, by its column.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line 1 column ") {
        Some((problem, column)) => format!("column {column}: {problem}"),
        None => text,
    }
}

/// Returns `part` of `whole`, or nothing where the whole is empty.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

const MIXED_THREADS_MAX: usize = 20;

#[cfg(test)]
mod tests;
