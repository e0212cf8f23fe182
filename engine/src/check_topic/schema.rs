//! Whether JSON has the shape of an Avro schema, read from the schema itself.

use std::collections::BTreeMap;
use std::fmt;

use schemas::encode::INCIDENT_SCHEMA;
use schemas::time::Timestamp;
use serde_json::{Map, Value};

/// A schema as JSON values are held against it.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    root: Value,
    /// Records and enums by name: a schema says them once and names them from then on.
    named: BTreeMap<String, Value>,
}

/// Where a value does not fit, and how.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Misfit {
    path: String,
    problem: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        write!(f, "{path}: {}", self.problem)
    }
}

/// How deep a schema may nest: an incident nests 4 deep.
const DEPTH_MAX: usize = 32;

impl Shape {
    /// Returns the shape of an incident.
    pub(super) fn of_incidents() -> Self {
        // The schema is part of the program and a test reads it; as null it would refuse every value.
        let root: Value = serde_json::from_str(INCIDENT_SCHEMA).unwrap_or_default();
        let mut named = BTreeMap::new();
        collect(&root, &mut named);
        Self { root, named }
    }

    /// Says where `value` does not fit.
    pub(super) fn check(&self, value: &Value) -> Result<(), Misfit> {
        self.value(&self.root, value, &Path(None, ""), DEPTH_MAX)
    }

    fn value(
        &self,
        schema: &Value,
        value: &Value,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Misfit> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(path.misfit("nested too deep"));
        };
        match schema {
            Value::String(name) => self.by_name(name, value, path, depth),
            Value::Array(union) => {
                let fits = |schema: &Value| self.value(schema, value, path, depth).is_ok();
                if union.iter().any(fits) {
                    Ok(())
                } else {
                    Err(path.misfit("fits none of what it may be"))
                }
            }
            Value::Object(schema) => self.complex(schema, value, path, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(path.misfit("the schema has no type here"))
            }
        }
    }

    fn by_name(
        &self,
        name: &str,
        value: &Value,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Misfit> {
        let fits = match name {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "int" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "long" => value.as_i64().is_some(),
            "double" => value.is_number(),
            named => match self.named.get(named) {
                Some(schema) => return self.value(schema, value, path, depth),
                None => false,
            },
        };
        if fits {
            Ok(())
        } else {
            Err(path.misfit(format!("is no {name}")))
        }
    }

    fn complex(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Misfit> {
        if schema.get("logicalType").and_then(Value::as_str) == Some("timestamp-millis") {
            let time = value.as_str().map(str::parse::<Timestamp>);
            return match time {
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => Err(path.misfit("is no time")),
            };
        }
        match schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
        {
            "record" => self.record(schema, value, path, depth),
            "enum" => {
                let symbols = schema.get("symbols").and_then(Value::as_array);
                if value.is_string() && symbols.is_some_and(|all| all.contains(value)) {
                    Ok(())
                } else {
                    Err(path.misfit("is none of the words"))
                }
            }
            "array" => {
                let Some(items) = value.as_array() else {
                    return Err(path.misfit("is no array"));
                };
                let schema = schema.get("items").unwrap_or(&Value::Null);
                items
                    .iter()
                    .try_for_each(|item| self.value(schema, item, &path.below("[]"), depth))
            }
            other => self.by_name(other, value, path, depth),
        }
    }

    fn record(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Misfit> {
        let Some(value) = value.as_object() else {
            return Err(path.misfit("is no object"));
        };
        let mut known = 0;
        let fields = schema.get("fields").and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let name = field
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let kind = field.get("type").unwrap_or(&Value::Null);
            match value.get(name) {
                Some(value) => {
                    known += 1;
                    self.value(kind, value, &path.below(name), depth)?;
                }
                // A release from before the field did not write it.
                None if field.get("default").is_some() => {}
                None => return Err(path.below(name).misfit("is missing")),
            }
        }
        if known == value.len() {
            return Ok(());
        }
        Err(path.misfit(format!(
            "{} fields are not in the schema",
            value.len().saturating_sub(known)
        )))
    }
}

/// Notes every record and enum of a schema under its name.
fn collect(schema: &Value, named: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, named)),
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            if let (Some("record" | "enum"), Some(Value::String(name))) = (kind, object.get("name"))
            {
                named.insert(name.clone(), schema.clone());
            }
            for part in ["type", "items", "fields"] {
                if let Some(part) = object.get(part) {
                    collect(part, named);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where a value stands, written out only when something is wrong there.
struct Path<'a>(Option<&'a Self>, &'a str);

impl<'a> Path<'a> {
    fn below(&'a self, name: &'a str) -> Self {
        Self(Some(self), name)
    }

    fn misfit(&self, problem: impl Into<String>) -> Misfit {
        Misfit {
            path: self.to_string(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.0 {
            write!(f, "{above}/{}", self.1)?;
        }
        Ok(())
    }
}
