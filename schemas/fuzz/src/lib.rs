//! What every fuzz target of a decoder asks.

use schemas::decode::{Envelope, Format, Limits, decode as read};
use schemas::encode::{alert_json, command_json};

/// Decodes `bytes`: it returns, and what it accepts can be written and has an id and keys.
pub fn decode(bytes: &[u8], format: Option<Format>) {
    let envelope = Envelope {
        topic: "fuzz",
        partition: 0,
        offset: 0,
        timestamp: Some(1_767_571_467_074),
        tenant: None,
    };
    let Ok(alerts) = read(bytes, format, &envelope, &Limits::default()) else {
        return;
    };
    for alert in alerts {
        assert!(!alert.uid.is_empty() && !alert.tenant.is_empty());
        assert!(alert.start_time <= alert.end_time);
        for entity in &alert.entities {
            assert!(entity.strong_keys().all(|key| !key.is_empty()));
        }
        alert_json(&alert).expect("an accepted alert can be written");
    }
}

/// Decodes a command: it returns, and what it accepts is written and read back as the same.
pub fn command(bytes: &[u8]) {
    let Ok(command) = schemas::decode::command(bytes) else {
        return;
    };
    let written = command_json(&command).expect("an accepted command can be written");
    assert_eq!(schemas::decode::command(&written), Ok(command));
}
