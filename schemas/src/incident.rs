//! The incident: a promoted thread, whole, at one revision.
//!
//! The shape is that of `avro/incident.avsc`; a test holds the two together. In JSON, times are RFC 3339.
//! Bits of evidence are integers in thousandths of a bit (milli-bits).

mod words;

use serde::{Deserialize, Serialize};

pub use self::words::{
    Change, Classification, ClassificationReason, IncidentActivity, IncidentStatus, LinkKind,
    TermKind,
};
use crate::alert::Severity;
use crate::command::ActionKind;
use crate::time::Timestamp;

/// Full state of one incident at one revision. Consumers keep the greatest (generation, revision) of an id.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Incident {
    /// Stable id: UUIDv5 of (tenant, founder alert uid, founder event time).
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// Rises only when the state is rebuilt; 1 at first.
    pub generation: i32,
    /// Rises with every published change; gaps are normal.
    pub revision: i64,
    /// What this revision is.
    pub activity: IncidentActivity,
    /// What this revision changed against the one published before.
    pub changes: Vec<Change>,
    /// One line for people.
    pub title: String,
    /// The story in order, one line a stage.
    pub summary: String,
    /// Where the incident stands.
    pub status: IncidentStatus,
    /// Severity; never lowered while open.
    pub severity: Severity,
    /// Risk, 0 to 100, in steps of a tenth.
    pub risk: f64,
    /// How firmly it holds together, 0 to 100: `100*(1-2^(-b/6))` for the b bits of the weakest edge of its maximum spanning tree.
    pub confidence: i32,
    /// Founded in the tenant's first 12 hours, when every entity is new.
    pub learning: bool,
    /// Unblocked exfiltration or impact was seen.
    pub is_suspected_breach: bool,
    /// When it was promoted, event time.
    pub created_time: Timestamp,
    /// When it last changed, event time.
    pub modified_time: Timestamp,
    /// First activity of its alerts.
    pub first_activity_time: Timestamp,
    /// Last activity of its alerts.
    pub last_activity_time: Timestamp,
    /// When it was closed.
    pub closed_time: Option<Timestamp>,
    /// Kill-chain stages by first activity, one a tactic.
    pub stages: Vec<Stage>,
    /// The heaviest chain of episodes that rises strictly in phase: indices into `alerts`.
    pub chain: Vec<i32>,
    /// One entry an episode, by first activity; may be capped.
    pub alerts: Vec<AlertRef>,
    /// Real number of alerts, repeats included.
    pub alert_count: i64,
    /// Real number of episodes.
    pub episode_count: i64,
    /// The entities, by importance: pivots first; may be capped.
    pub entities: Vec<IncidentEntity>,
    /// Why the alerts are together; may be capped.
    pub links: Vec<Link>,
    /// The correlators that took part.
    pub correlators: Vec<String>,
    /// Incidents that would have merged had nothing forbidden it, or that continue this one.
    pub related_incidents: Vec<RelatedIncident>,
    /// The sealed incident this one continues.
    pub continues: Option<String>,
    /// The incident this one was split from.
    pub split_from: Option<String>,
    /// The survivor, when `status` is merged.
    pub merged_into: Option<String>,
    /// The incidents merged into this one.
    pub merged_from: Vec<String>,
    /// Who works on it.
    pub owner: Option<String>,
    /// Why it was closed.
    pub classification: Classification,
    /// The reason behind the classification.
    pub classification_reason: ClassificationReason,
    /// The closing comment.
    pub classification_comment: Option<String>,
    /// Analysts' comments, oldest first.
    pub comments: Vec<Comment>,
    /// Tags.
    pub tags: Vec<String>,
    /// A list above was capped.
    pub truncated: bool,
    /// Version of the engine that wrote it.
    pub engine_version: String,
    /// Hash of the correlation settings, so that a replay can be checked against the same rules.
    pub config_hash: String,
    /// What analysts did, oldest first; the oldest are left out of many.
    #[serde(default)]
    pub actions: Vec<AnalystAction>,
}

/// One tactic of an incident's story.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Stage {
    /// Rank in the story from 0, by first activity.
    pub order: i32,
    /// Tactic id, or the source's word where it is unknown; empty where the alerts name no tactic.
    pub tactic_uid: String,
    /// Tactic name.
    pub tactic_name: String,
    /// Techniques seen, sorted.
    pub technique_uids: Vec<String>,
    /// First activity.
    pub first_time: Timestamp,
    /// Last activity.
    pub last_time: Timestamp,
    /// First alert of each episode of the stage, by time.
    pub alert_uids: Vec<String>,
    /// Every alert of the stage was blocked.
    pub blocked: bool,
}

/// One episode of an incident: an alert and its repeats.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AlertRef {
    /// Uid of the episode's first alert.
    pub uid: String,
    /// That alert's id as its vendor wrote it.
    pub native_uid: String,
    /// The sensor.
    pub product: String,
    /// The rule.
    pub rule: String,
    /// Title.
    pub title: String,
    /// Greatest severity of the episode.
    pub severity: Severity,
    /// First activity.
    pub start_time: Timestamp,
    /// Last activity.
    pub end_time: Timestamp,
    /// Alerts folded into the episode, at least 1.
    pub count: i64,
    /// Up to 16 uids of the repeats.
    pub repeat_uids: Vec<String>,
    /// Tactic ids.
    pub tactic_uids: Vec<String>,
    /// Technique and sub-technique ids.
    pub technique_uids: Vec<String>,
    /// Keys of its entities that take part in correlation.
    pub entity_keys: Vec<String>,
    /// How new the rule was at these entities, milli-bits.
    pub novelty: i32,
    /// A routine alert that joined an incident but could not have started one.
    pub context: bool,
    /// Came after the watermark had passed it.
    pub late: bool,
    /// The activity was blocked.
    pub blocked: bool,
}

/// One entity of an incident.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct IncidentEntity {
    /// The key it is known by.
    pub key: String,
    /// Kind word.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to show people.
    pub display: String,
    /// Further keys.
    pub aliases: Vec<String>,
    /// Parts it played.
    pub roles: Vec<String>,
    /// Two or more episodes were joined through it.
    pub pivot: bool,
    /// Episodes that name it.
    pub alert_count: i64,
    /// First activity.
    pub first_time: Timestamp,
    /// Last activity.
    pub last_time: Timestamp,
}

/// Why two episodes are together. The terms add up to `weight`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Link {
    /// Index into `alerts` of the earlier-placed end.
    pub from: i32,
    /// Index into `alerts` of the episode that joined.
    pub to: i32,
    /// How the link came about.
    pub kind: LinkKind,
    /// Microsoft Graph `correlationReason` words.
    pub reasons: Vec<String>,
    /// Milliseconds between the two ends; 0 where they overlap.
    pub gap_ms: i64,
    /// The evidence, term by term.
    pub terms: Vec<Term>,
    /// Sum of the terms, milli-bits.
    pub weight: i32,
    /// What the sum had to reach, milli-bits.
    pub bar: i32,
    /// This link made the episode (or thread) join; the others only strengthen.
    pub joined: bool,
}

/// One term of evidence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Term {
    /// What it measures.
    pub kind: TermKind,
    /// The entity's key, for the terms that are about one.
    pub entity: Option<String>,
    /// Milli-bits, negative where it speaks against.
    pub bits: i32,
}

/// An incident with evidence of belonging that was not merged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RelatedIncident {
    /// Its id.
    pub id: String,
    /// Why it stays apart, a closed word such as `size_cap`.
    pub reason: String,
    /// The evidence, milli-bits.
    pub weight: i32,
}

/// One analyst's comment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Comment {
    /// Stable id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub time: Timestamp,
    /// The text.
    pub text: String,
}

/// One action of an analyst.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AnalystAction {
    /// Id of the command.
    pub command: String,
    /// Who acted.
    pub actor: String,
    /// When.
    pub time: Timestamp,
    /// What the action is.
    pub action: ActionKind,
    /// What it is about, for people: the new owner, the tags, the other incident.
    pub detail: String,
}
