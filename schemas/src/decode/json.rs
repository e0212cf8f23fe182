//! A record as a tree that borrows from its bytes, and the cursor that decoders read it with.
//!
//! Names are looked up without regard to ASCII case. A cursor knows its document, so the path of a field is
//! worked out only when an error has to name it.

mod value;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub(crate) use self::value::{Number, Value};
use super::{DecodeError, Reason};
use crate::time::{Timestamp, parse_time};

/// Bytes of a field name that an error repeats; longer names, and names no vendor would choose, show as `?`.
const NAME_BYTES_MAX: usize = 64;

/// Up to how many fields are compared pair by pair.
const FEW_FIELDS: usize = 64;

/// A parsed text and where it lies in the record.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    root: Value<'a>,
    /// Path of the text in the record, empty for the record itself.
    at: String,
}

impl<'a> Document<'a> {
    /// Parses a whole record.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::embedded(bytes, String::new())
    }

    /// Parses a text found at path `at` of a record.
    fn embedded(bytes: &'a [u8], at: String) -> Result<Self, DecodeError> {
        match value::parse(bytes) {
            Ok(root) => Ok(Self { root, at }),
            Err(problem) => Err(DecodeError {
                reason: Reason::NotJson,
                field: if at.is_empty() { "/".into() } else { at },
                problem,
            }),
        }
    }

    /// Returns the cursor at the top.
    pub(crate) fn root(&'a self) -> Node<'a> {
        Node {
            document: self,
            value: &self.root,
        }
    }
}

/// A place in a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    document: &'a Document<'a>,
    value: &'a Value<'a>,
}

impl<'a> Node<'a> {
    /// Returns the value as it was written.
    pub(crate) fn value(self) -> &'a Value<'a> {
        self.value
    }

    /// Returns the object at this place, if it is one.
    pub(crate) fn object(self) -> Option<Object<'a>> {
        match self.value {
            Value::Object(fields) => Some(Object { node: self, fields }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                None
            }
        }
    }

    /// Returns a text, number or truth value as trimmed text; none for null, blank text, lists and objects.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self.value {
            Value::Text(text) => Some(text.trim())
                .filter(|text| !text.is_empty())
                .map(Cow::Borrowed),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(true) => Some(Cow::Borrowed("true")),
            Value::Bool(false) => Some(Cow::Borrowed("false")),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// Returns trimmed text that was written as text; none if blank.
    pub(crate) fn str(self) -> Option<&'a str> {
        match self.value {
            Value::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                None
            }
        }
    }

    /// Returns a whole number, written as a number or as text.
    pub(crate) fn integer(self) -> Option<i64> {
        match self.value {
            Value::Number(Number::Unsigned(number)) => i64::try_from(*number).ok(),
            Value::Number(Number::Signed(number)) => Some(*number),
            Value::Number(Number::Float(number)) => format!("{number}").parse().ok(),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// Returns a finite number, written as a number or as text.
    pub(crate) fn float(self) -> Option<f64> {
        let text = self.text()?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns a truth value, written as one or as text.
    pub(crate) fn boolean(self) -> Option<bool> {
        let text = self.text()?;
        if text.eq_ignore_ascii_case("true") {
            Some(true)
        } else if text.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }

    /// Returns the members of a list; any other value but null counts as a list of one.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> {
        let values = match self.value {
            Value::List(values) => values.as_slice(),
            Value::Null => &[],
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => {
                std::slice::from_ref(self.value)
            }
        };
        values.iter().map(move |value| Self { value, ..self })
    }

    /// Returns whether the value is a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// Returns whether the value is null or blank text.
    pub(crate) fn blank(self) -> bool {
        match self.value {
            Value::Null => true,
            Value::Text(text) => text.trim().is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => false,
        }
    }

    /// Returns what is here, parsed first where it is JSON inside a text.
    pub(crate) fn unfolded(self) -> Result<Unfolded<'a>, DecodeError> {
        let parsed = match self.str() {
            Some(text) => Some(Document::embedded(text.as_bytes(), self.path())?),
            None => None,
        };
        Ok(Unfolded {
            given: self,
            parsed,
        })
    }

    /// Returns the time at this place.
    pub(crate) fn time(self) -> Result<Timestamp, DecodeError> {
        let Some(text) = self.text() else {
            return Err(self.invalid("not a time"));
        };
        parse_time(&text).map_err(|error| self.invalid(&error.to_string()))
    }

    /// Returns the error that this field has the wrong shape.
    pub(crate) fn invalid(self, problem: &str) -> DecodeError {
        self.refuse(Reason::InvalidField, problem)
    }

    /// Returns the error that names this field.
    pub(crate) fn refuse(self, reason: Reason, problem: &str) -> DecodeError {
        DecodeError {
            reason,
            field: self.path(),
            problem: problem.to_owned(),
        }
    }

    /// Returns the path of this place in the record, `/` for the record itself.
    pub(crate) fn path(self) -> String {
        let mut steps = Vec::new();
        find(&self.document.root, self.value, &mut steps);
        let mut path = self.document.at.clone();
        for step in steps.iter().rev() {
            path.push('/');
            path.push_str(step);
        }
        if path.is_empty() { "/".into() } else { path }
    }

    /// Returns a number that is this place's own in its document, to look it up by; it means nothing else.
    pub(crate) fn place(self) -> usize {
        std::ptr::from_ref(self.value).addr()
    }
}

/// A value that may have been JSON inside a text.
#[derive(Debug)]
pub(crate) struct Unfolded<'a> {
    given: Node<'a>,
    parsed: Option<Document<'a>>,
}

impl Unfolded<'_> {
    /// Returns the cursor at the value.
    pub(crate) fn root(&self) -> Node<'_> {
        self.parsed.as_ref().map_or(self.given, Document::root)
    }
}

/// An object at a place in a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    node: Node<'a>,
    fields: &'a [(Cow<'a, str>, Value<'a>)],
}

impl<'a> Object<'a> {
    /// Returns the object's place.
    pub(crate) fn node(self) -> Node<'a> {
        self.node
    }

    /// Returns a field that is not null; of a name given twice, the last.
    pub(crate) fn get(self, name: &str) -> Option<Node<'a>> {
        self.named(name)
            .next_back()
            .filter(|node| !matches!(node.value, Value::Null))
    }

    /// Returns a field that is not null by its path, names joined by dots.
    pub(crate) fn find(self, path: &str) -> Option<Node<'a>> {
        match path.split_once('.') {
            Some((name, rest)) => self.get(name)?.object()?.find(rest),
            None => self.get(path),
        }
    }

    /// Returns whether a field of that name is there and not null.
    pub(crate) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns a field that identity or time is read from.
    ///
    /// Given twice it is refused: two readers of one record must not see two alerts.
    pub(crate) fn sole(self, name: &str) -> Result<Option<Node<'a>>, DecodeError> {
        let mut named = self.named(name);
        let first = named.next();
        match named.next_back() {
            Some(twice) => Err(twice.invalid("given twice")),
            None => Ok(first.filter(|node| !matches!(node.value, Value::Null))),
        }
    }

    /// Returns a field whose very name is given twice.
    pub(crate) fn repeated(self) -> Option<Node<'a>> {
        if self.fields.len() > FEW_FIELDS {
            let mut seen = BTreeSet::new();
            return self
                .fields()
                .find(|(name, _)| !seen.insert(*name))
                .map(|(_, node)| node);
        }
        let mut before = self.fields;
        while let Some(((name, value), rest)) = before.split_last() {
            if rest.iter().any(|(other, _)| other == name) {
                return Some(Node { value, ..self.node });
            }
            before = rest;
        }
        None
    }

    /// Returns the text of a field; none if it is missing, blank, a list or an object.
    pub(crate) fn text(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.text()
    }

    /// Returns the text of a field that was written as text; none if it is anything else or blank.
    pub(crate) fn str(self, name: &str) -> Option<&'a str> {
        self.get(name)?.str()
    }

    /// Returns the text of a field that identity is read from; none if it is missing or blank.
    pub(crate) fn sole_text(self, name: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.sole(name)? {
            Some(node) if node.blank() => Ok(None),
            Some(node) => node
                .text()
                .map(Some)
                .ok_or_else(|| node.invalid("not a text")),
            None => Ok(None),
        }
    }

    /// Returns the text of a field that identity is read from and that must be there.
    pub(crate) fn required_text(self, name: &str) -> Result<Cow<'a, str>, DecodeError> {
        self.sole_text(name)?.ok_or_else(|| self.missing(name))
    }

    /// Returns the time of a field; none if it is missing or blank.
    pub(crate) fn time(self, name: &str) -> Result<Option<Timestamp>, DecodeError> {
        match self.sole(name)? {
            Some(node) if node.blank() => Ok(None),
            Some(node) => node.time().map(Some),
            None => Ok(None),
        }
    }

    /// Returns the object at a field; none if it is missing or no object.
    pub(crate) fn object(self, name: &str) -> Option<Self> {
        self.get(name)?.object()
    }

    /// Returns the members of a field: none if it is missing, one if it is no list.
    pub(crate) fn items(self, name: &str) -> impl Iterator<Item = Node<'a>> {
        self.get(name).into_iter().flat_map(Node::items)
    }

    /// Returns the texts of a field: of a list's members, or the field's own.
    pub(crate) fn texts(self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.items(name).filter_map(Node::text)
    }

    /// Returns every field with its name as written.
    pub(crate) fn fields(self) -> impl DoubleEndedIterator<Item = (&'a str, Node<'a>)> {
        let document = self.node.document;
        let place = move |value| Node { document, value };
        self.fields
            .iter()
            .map(move |(name, value)| (name.as_ref(), place(value)))
    }

    /// Returns the error that a field is missing.
    pub(crate) fn missing(self, name: &str) -> DecodeError {
        let own = self.node.path();
        let own = own.strip_suffix('/').unwrap_or(&own);
        DecodeError {
            reason: Reason::MissingField,
            field: format!("{own}/{name}"),
            problem: "missing".into(),
        }
    }

    fn named(self, name: &str) -> impl DoubleEndedIterator<Item = Node<'a>> {
        self.fields()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, node)| node)
    }
}

/// Collects the steps that lead to `wanted`, last step first; returns whether it was found.
fn find(value: &Value<'_>, wanted: &Value<'_>, steps: &mut Vec<String>) -> bool {
    if std::ptr::eq(value, wanted) {
        return true;
    }
    match value {
        Value::List(values) => {
            let place = values.iter().position(|value| find(value, wanted, steps));
            steps.extend(place.map(|place| place.to_string()));
            place.is_some()
        }
        Value::Object(fields) => {
            let field = fields.iter().find(|(_, value)| find(value, wanted, steps));
            steps.extend(field.map(|(name, _)| shown(name)));
            field.is_some()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
    }
}

/// Returns a field name fit for an error, a log and a header.
fn shown(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@$-".contains(&byte);
    if name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) {
        name.to_owned()
    } else {
        "?".to_owned()
    }
}

#[cfg(test)]
mod tests;
