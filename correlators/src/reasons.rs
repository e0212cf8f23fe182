//! Evidence in the words of Microsoft Graph's `correlationReason`.

use schemas::entity::EntityKind;
use schemas::incident::{LinkKind, TermKind};

use crate::entity::EntityId;
use crate::episode::Evidence;

const HOUR_MS: i64 = 3_600_000;

/// Returns the reasons a piece of evidence gives, each once, in the order of Graph's enumeration.
pub(crate) fn reasons(
    evidence: &Evidence,
    kind: impl Fn(EntityId) -> Option<EntityKind>,
) -> Vec<String> {
    let mut found = Vec::new();
    let shared = evidence.terms.iter().filter(|term| {
        matches!(term.kind, TermKind::Surprise | TermKind::Further) && term.bits > 0
    });
    for kind in shared.filter_map(|term| term.entity).filter_map(kind) {
        found.push(match kind {
            EntityKind::Host
            | EntityKind::CloudResource
            | EntityKind::IotDevice
            | EntityKind::Container
            | EntityKind::K8sObject => "sameTargetedAsset",
            EntityKind::Account | EntityKind::Mailbox | EntityKind::SecurityGroup => "sameActor",
            EntityKind::Ip | EntityKind::FileHash | EntityKind::Dns | EntityKind::Url => {
                "sharedIndicators"
            }
            EntityKind::CloudApplication => "sameAsset",
            EntityKind::File
            | EntityKind::Process
            | EntityKind::MailMessage
            | EntityKind::RegistryKey
            | EntityKind::RegistryValue
            | EntityKind::Malware
            | EntityKind::NetworkConnection
            | EntityKind::Vulnerability
            | EntityKind::Other => "similarArtifacts",
        });
    }
    let bits = |kind: TermKind| {
        evidence
            .terms
            .iter()
            .filter(|term| term.kind == kind)
            .map(|term| term.bits)
            .sum::<i32>()
    };
    if bits(TermKind::Order) > 0 || bits(TermKind::NewTactics) > 0 {
        found.push("eventSequence");
    }
    match bits(TermKind::Direction) {
        0 => {}
        bits if bits >= 1_000 => found.push("lateralMovementPath"),
        _ => found.push("sameThreatSource"),
    }
    if evidence.gap_ms <= HOUR_MS {
        found.push("timeFrame");
    }
    if evidence.kind == LinkKind::Stitch {
        found.push("sameCampaign");
    }
    found.sort_by_key(|reason| ORDER.iter().position(|known| known == reason));
    found.dedup();
    found.into_iter().map(str::to_owned).collect()
}

const ORDER: [&str; 10] = [
    "similarArtifacts",
    "sameTargetedAsset",
    "eventSequence",
    "timeFrame",
    "sameThreatSource",
    "sameActor",
    "sameCampaign",
    "sharedIndicators",
    "sameAsset",
    "lateralMovementPath",
];
