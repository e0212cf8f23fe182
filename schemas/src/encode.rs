//! Bytes out: the one place that decides how an incident looks on the wire.

use crate::incident::Incident;

/// Encodes an incident as one line of JSON, without the line's end.
///
/// # Errors
/// Never for an incident the engine made: every key is text and every number finite.
pub fn incident_json(incident: &Incident) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(incident)
}
