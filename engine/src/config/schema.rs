//! The JSON Schema of the configuration, for editors.

use schemars::generate::SchemaSettings;

use super::Config;

/// Returns the JSON Schema (draft 2020-12) of `fusor.yaml`.
#[must_use]
pub fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}
