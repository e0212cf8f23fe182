//! The JSON Schema of the configuration, for editors.

use super::Config;

/// Returns the JSON Schema (draft 2020-12) of `fusor.yaml`.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
