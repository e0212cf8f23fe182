//! The layers as one tree: every value knows where it was written.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_saphyr::Spanned;

/// Where a value was written.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Origin {
    /// Line and column, from 1, and length in characters, in the file.
    File(Place),
    /// The environment variable of this name.
    Env(String),
    /// A flag.
    Flag(String),
}

/// A stretch of the file.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) length: u64,
}

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) node: Node,
    /// Found to be wrong, so that nothing reads it any more.
    pub(super) pruned: bool,
}

/// A step from a value into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Writes a path as people do: `inputs[0].topic`.
pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

impl Node {
    /// Reads YAML; nothing in it is a map without keys.
    pub(super) fn parse(yaml: &str) -> Result<Self, serde_saphyr::Error> {
        // Aliases multiply what a small file holds: the bounds are far above any real configuration.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 20_000 },
        };
        let node: Option<Self> = serde_saphyr::from_str_with_options(yaml, options)?;
        Ok(node.unwrap_or_else(Self::empty))
    }

    pub(super) fn empty() -> Self {
        Self {
            value: Value::Map(Vec::new()),
            origin: Origin::File(Place::default()),
        }
    }

    /// Gives the value and all in it another origin.
    pub(super) fn relabel(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.relabel(origin)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.origin = origin.clone();
                    entry.node.relabel(origin);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            }
        }
    }

    /// Lays `over` on top: maps are merged key by key, everything else is replaced.
    pub(super) fn overlay(&mut self, over: Self) {
        let (Value::Map(entries), Value::Map(_)) = (&mut self.value, &over.value) else {
            *self = over;
            return;
        };
        let Value::Map(upper) = over.value else {
            return;
        };
        for entry in upper {
            match entries.iter_mut().find(|lower| lower.key == entry.key) {
                Some(lower) => {
                    lower.node.overlay(entry.node);
                    lower.origin = entry.origin;
                }
                None => entries.push(entry),
            }
        }
    }

    /// Wraps the value in maps, so that it lies at `path`.
    pub(super) fn at(path: impl DoubleEndedIterator<Item = String>, leaf: Self) -> Self {
        path.rev().fold(leaf, |node, key| Self {
            origin: node.origin.clone(),
            value: Value::Map(vec![Entry {
                key,
                origin: node.origin.clone(),
                node,
                pruned: false,
            }]),
        })
    }

    fn child(&self, step: &Step) -> Option<(&Origin, &Self)> {
        match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (&entry.origin, &entry.node)),
            (Value::List(items), Step::Index(index)) => {
                items.get(*index).map(|item| (&item.origin, item))
            }
            _ => None,
        }
    }

    /// Returns where the last key of the path that is there was written, and where its value was.
    pub(super) fn locate(&self, path: &[Step]) -> (&Origin, &Origin) {
        let mut found = (&self.origin, self);
        for step in path {
            match found.1.child(step) {
                Some(deeper) => found = deeper,
                None => break,
            }
        }
        (found.0, &found.1.origin)
    }

    /// Returns the value at the path.
    pub(super) fn get(&self, path: &[Step]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |node, step| node.child(step).map(|(_, node)| node))
    }

    /// Takes the deepest value on the path out, and every list or map that this leaves empty.
    /// Returns whether there was anything to take out.
    pub(super) fn prune(&mut self, path: &[Step]) -> bool {
        let Some((step, rest)) = path.split_first() else {
            return false;
        };
        match (&mut self.value, step) {
            (Value::Map(entries), Step::Key(key)) => {
                let found = entries.iter_mut().find(|entry| entry.key == *key);
                let Some(entry) = found.filter(|entry| !entry.pruned) else {
                    return false;
                };
                entry.pruned = !entry.node.prune(rest) || entry.node.is_bare();
                true
            }
            (Value::List(items), Step::Index(index)) => {
                let Some(item) = items.get_mut(*index) else {
                    return false;
                };
                if !item.prune(rest) || item.is_bare() {
                    items.remove(*index);
                }
                true
            }
            _ => false,
        }
    }

    /// Says whether the map at the path had this key before it was found wrong.
    pub(super) fn lost(&self, path: &[Step], key: &str) -> bool {
        let Some(Value::Map(entries)) = self.get(path).map(|node| &node.value) else {
            return false;
        };
        entries.iter().any(|entry| entry.pruned && entry.key == key)
    }

    fn is_bare(&self) -> bool {
        match &self.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.iter().all(|entry| entry.pruned),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
                false
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<Value> = Spanned::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            origin: Origin::File(Place::of(&spanned.referenced)),
        })
    }
}

impl Place {
    pub(super) fn of(location: &serde_saphyr::Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
            length: location.span().len(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Integer)
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry {
                key: key.value,
                origin: Origin::File(Place::of(&key.referenced)),
                node: map.next_value()?,
                pruned: false,
            });
        }
        Ok(Value::Map(entries))
    }
}

/// Without the origins: what the typed configuration is read from.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => {
                let live = entries.iter().filter(|entry| !entry.pruned);
                serializer.collect_map(live.map(|entry| (&entry.key, &entry.node)))
            }
        }
    }
}
