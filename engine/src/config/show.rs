//! The effective configuration, value by value, with the layer each came from.

use serde::Serialize;
use serde_json::Value;

use super::load::Loaded;
use super::tree::{Node, Origin, Step};

/// One effective value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Leaf {
    /// Path of the key, with dots.
    pub key: String,
    /// The value; secrets redacted.
    pub value: Value,
    /// `default`, `FILE:LINE`, the environment variable or the flag.
    pub layer: String,
}

impl Loaded {
    /// Returns every effective value, by key.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if let Ok(value) = serde_json::to_value(&self.config) {
            self.gather(&mut Vec::new(), value, &mut leaves);
        }
        leaves
    }

    fn gather(&self, path: &mut Vec<Step>, value: Value, leaves: &mut Vec<Leaf>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    path.push(Step::Key(key));
                    self.gather(path, value, leaves);
                    path.pop();
                }
            }
            Value::Object(_)
            | Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => leaves.push(Leaf {
                key: super::tree::dotted(path),
                value,
                layer: self.layer(path),
            }),
        }
    }

    fn layer(&self, path: &[Step]) -> String {
        let written = self.tree.get(path).or_else(|| self.secret_file(path));
        match written.map(|node| &node.origin) {
            None => "default".to_owned(),
            Some(Origin::Env(name) | Origin::Flag(name)) => name.clone(),
            Some(Origin::File(place)) => match &self.file {
                Some(file) => format!("{}:{}", file.display(), place.line),
                None => "default".to_owned(),
            },
        }
    }

    /// A secret read from a file was written under the name with `_file` behind it.
    fn secret_file(&self, path: &[Step]) -> Option<&Node> {
        let (last, head) = path.split_last()?;
        let Step::Key(name) = last else { return None };
        let mut path = head.to_vec();
        path.push(Step::Key(format!("{name}_file")));
        self.tree.get(&path)
    }
}
