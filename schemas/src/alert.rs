//! The canonical alert: one security alert, normalised from any producer.
//!
//! The shape is that of `avro/alert.avsc`; a test holds the two together.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, EnumAccess, Unexpected, VariantAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::entity::Entity;
use crate::time::Timestamp;

/// One security alert, normalised from any producer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Alert {
    /// Unique and stable across redelivery: `<product_key>:<native uid>`.
    pub uid: String,
    /// The correlation domain; correlation never crosses it.
    pub tenant: String,
    /// What the record says happened to the alert.
    pub activity: AlertActivity,
    /// The source's modified time in milliseconds, or its sequence: orders updates of one `uid`.
    pub revision: i64,
    /// What kind of finding it is; only detections open incidents.
    pub kind: AlertKind,
    /// Who raised it, by which rule.
    pub source: Source,
    /// One line for people.
    pub title: String,
    /// Free text.
    pub description: Option<String>,
    /// First activity the alert covers: the time the kill chain is ordered by.
    pub start_time: Timestamp,
    /// Last activity; equals `start_time` where the source gives one time.
    pub end_time: Timestamp,
    /// When the product raised it.
    pub detected_time: Timestamp,
    /// The broker's time of the record; equals `detected_time` where there is no broker.
    pub ingest_time: Timestamp,
    /// How far `start_time` can be trusted.
    pub time_quality: TimeQuality,
    /// How many occurrences the source folded into this alert, at least 1.
    pub count: i32,
    /// Canonical severity.
    pub severity: Severity,
    /// The source's own severity, as written.
    pub severity_native: Option<String>,
    /// Risk 0 to 100 where the source scores risk.
    pub risk_score: Option<i32>,
    /// Confidence 0 to 100.
    pub confidence: Option<i32>,
    /// The source's workflow state.
    pub status: AlertStatus,
    /// The source's verdict.
    pub verdict: Verdict,
    /// Whether the activity was stopped.
    pub disposition: AlertDisposition,
    /// ATT&CK tactics and techniques.
    pub attacks: Vec<Attack>,
    /// The entities the alert names.
    pub entities: Vec<Entity>,
    /// The source's own grouping keys.
    pub correlation_hints: Vec<String>,
    /// Unknown or additional fields worth keeping, as text.
    pub labels: BTreeMap<String, String>,
    /// Where the record came from and how it was read.
    pub provenance: Provenance,
}

/// Who raised an alert, by which rule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Source {
    /// Slug of the decoder or, in format `fusor`, of the producer: `ocsf`, `sentinel`, `edr`, …
    pub product_key: String,
    /// Vendor name.
    pub vendor: Option<String>,
    /// Product name.
    pub product: Option<String>,
    /// Product version.
    pub product_version: Option<String>,
    /// The record's own id as its vendor wrote it.
    pub native_uid: String,
    /// Id of the detection rule.
    pub rule_uid: Option<String>,
    /// Name of the detection rule.
    pub rule_name: Option<String>,
    /// Link into the product.
    pub url: Option<String>,
}

impl Alert {
    /// Returns the name correlation knows the alert's rule by: rule id, else rule name, else title.
    #[must_use]
    pub fn rule(&self) -> &str {
        let source = &self.source;
        source
            .rule_uid
            .as_deref()
            .or(source.rule_name.as_deref())
            .unwrap_or(&self.title)
    }

    /// Returns the name correlation knows the sensor by: product, else product key.
    #[must_use]
    pub fn product(&self) -> &str {
        self.source
            .product
            .as_deref()
            .unwrap_or(&self.source.product_key)
    }
}

/// Where a record came from and how it was read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Provenance {
    /// Topic, or file name in a replay.
    pub topic: String,
    /// Partition; 0 in a replay.
    pub partition: i32,
    /// Offset; the line number from 0 in a replay.
    pub offset: i64,
    /// The decoder that read it.
    pub mapper: String,
    /// What was odd about the record, as closed words such as `cyclic_reference`.
    pub warnings: Vec<String>,
}

/// Defines a closed set of words: its enum, the wire word of each, and its reader, for which the word of a newer
/// writer is `unknown` or, in an enum without that word, the default.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? } default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every word, in ordinal order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self { Self::$default }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let of = |word: &str| {
                    let found = |name: &str| Self::ALL.iter().copied().find(|known| known.word() == name);
                    found(word).or_else(|| found("unknown")).unwrap_or_default()
                };
                deserializer.deserialize_enum(
                    stringify!($name),
                    &[$($word),+],
                    $crate::alert::WordVisitor(of, Self::ALL),
                )
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}
pub(crate) use words;

/// Reads a word without copying it, by the function that knows what it stands for; or, where a format writes ordinals, its
/// ordinal among all of them.
pub(crate) struct WordVisitor<F, T: 'static>(pub(crate) F, pub(crate) &'static [T]);

impl<'de, T: Copy, F: Fn(&str) -> T> Visitor<'de> for WordVisitor<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
        Ok((self.0)(word))
    }

    fn visit_u64<E: de::Error>(self, ordinal: u64) -> Result<T, E> {
        let word = usize::try_from(ordinal).ok().and_then(|at| self.1.get(at));
        word.copied()
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(ordinal), &self))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<T, A::Error> {
        let (value, variant) = access.variant_seed(self)?;
        variant.unit_variant()?;
        Ok(value)
    }
}

impl<'de, T: Copy, F: Fn(&str) -> T> DeserializeSeed<'de> for WordVisitor<F, T> {
    type Value = T;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

words! {
    /// What a record says happened to the alert.
    AlertActivity {
        /// Not said.
        Unknown = "unknown",
        /// Raised.
        Create = "create",
        /// Changed: same `uid`, higher `revision`.
        Update = "update",
        /// Closed at the source.
        Close = "close",
    } default Create
}

words! {
    /// What kind of finding an alert is.
    AlertKind {
        /// Not known.
        Unknown = "unknown",
        /// A detection: opens incidents.
        Detection = "detection",
        /// A vulnerability: context for its host.
        Vulnerability = "vulnerability",
        /// A compliance finding: context.
        Compliance = "compliance",
        /// Something the source already correlated: linked, and reason enough to publish.
        Incident = "incident",
    } default Detection
}

words! {
    /// How far an alert's `start_time` can be trusted.
    TimeQuality {
        /// Not known.
        Unknown = "unknown",
        /// The source gave the time of activity.
        Exact = "exact",
        /// Only the time of detection was given.
        DetectionOnly = "detection_only",
        /// Only the broker's time is known.
        IngestOnly = "ingest_only",
        /// The time given lay too far from the broker's and was clamped.
        Clamped = "clamped",
    } default Exact
}

words! {
    /// Severity; ordinals 0 to 6 are those of OCSF `severity_id` (99 maps to unknown).
    Severity {
        /// Not known.
        Unknown = "unknown",
        /// Informational.
        Informational = "informational",
        /// Low.
        Low = "low",
        /// Medium.
        Medium = "medium",
        /// High.
        High = "high",
        /// Critical.
        Critical = "critical",
        /// Fatal: OCSF's seventh level.
        Fatal = "fatal",
    } default Unknown
}

words! {
    /// The source's workflow state of an alert.
    AlertStatus {
        /// Not known.
        Unknown = "unknown",
        /// New.
        New = "new",
        /// Being worked on.
        InProgress = "in_progress",
        /// Suppressed.
        Suppressed = "suppressed",
        /// Resolved.
        Resolved = "resolved",
    } default New
}

words! {
    /// The source's verdict on an alert.
    Verdict {
        /// None given.
        Unknown = "unknown",
        /// True positive.
        TruePositive = "true_positive",
        /// Benign positive.
        BenignPositive = "benign_positive",
        /// False positive.
        FalsePositive = "false_positive",
        /// Suspicious.
        Suspicious = "suspicious",
        /// A test.
        Test = "test",
        /// Something else.
        Other = "other",
    } default Unknown
}

words! {
    /// Whether the activity an alert reports was stopped.
    AlertDisposition {
        /// Not known.
        Unknown = "unknown",
        /// Seen.
        Detected = "detected",
        /// Let through.
        Allowed = "allowed",
        /// Blocked: the step did not complete.
        Blocked = "blocked",
        /// Quarantined.
        Quarantined = "quarantined",
    } default Unknown
}
