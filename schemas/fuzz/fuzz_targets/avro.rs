#![no_main]

use schemas::encode::{alert_avro, read_alert_avro, read_incident_avro};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(alert) = read_alert_avro(bytes) {
        alert_avro(&alert).expect("what was read can be written");
    }
    let _ = read_incident_avro(bytes);
});
