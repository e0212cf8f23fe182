//! Flags over environment over file over defaults, leaf by leaf, and every mistake at once.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_path_to_error::{Path as SerdePath, Segment};

use super::mistake::{Mistake, Mistakes, Source};
use super::tree::{Node, Origin, Place, Step, Value};
use super::{Config, rules};

/// Where a configuration comes from, the weaker layer first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `FUSOR__` count.
    pub env: Vec<(String, String)>,
    /// `key=value` flags.
    pub set: Vec<String>,
}

impl Layers {
    /// Takes the file, the process's environment and the flags.
    #[must_use]
    pub fn from_process(file: Option<&Path>, set: &[String]) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            file: file.map(Path::to_owned),
            env: std::env::vars_os().filter_map(text).collect(),
            set: set.to_vec(),
        }
    }
}

/// What a configuration is needed for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// Kafka: at least one broker and one input.
    Broker,
    /// As [`Needs::Broker`], and a topic for what is ingested.
    Ingest,
    /// Neither broker nor input.
    Nothing,
}

/// A valid configuration, and where its values come from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is not wrong and yet worth a look.
    pub warnings: Vec<Mistake>,
    pub(super) tree: Node,
    pub(super) file: Option<PathBuf>,
}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// Returns every mistake in every layer at once.
    pub fn load(layers: &Layers, needs: Needs) -> Result<Loaded, Mistakes> {
        let text = match &layers.file {
            None => String::new(),
            Some(path) => read(path).map_err(|mistake| Mistakes(vec![mistake]))?,
        };
        Self::from_text(&text, layers, needs)
    }

    /// Reads all layers, the file's text at hand.
    pub(super) fn from_text(text: &str, layers: &Layers, needs: Needs) -> Result<Loaded, Mistakes> {
        let mut reading = Reading::new(layers.file.as_deref(), text);
        let mut tree = reading.file_layer().map_err(|m| Mistakes(vec![m]))?;
        for (name, value) in &layers.env {
            if let Some(keys) = name.strip_prefix(PREFIX) {
                reading.env_layer(&mut tree, name, keys, value);
            }
        }
        for set in &layers.set {
            reading.flag_layer(&mut tree, set);
        }
        let written = tree.clone();
        let mut config = reading.typed(&mut tree);
        rules::check(&mut config, &written, needs, &mut reading);
        reading.finish(config, written)
    }
}

const PREFIX: &str = "FUSOR__";
/// More than anybody mends before the next check.
const MISTAKES_MAX: usize = 100;
/// Far above any real configuration, and little enough to hold in memory.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn read(path: &Path) -> Result<String, Mistake> {
    bounded(path, FILE_BYTES_MAX).map_err(|problem| {
        let message = format!("cannot read {}: {problem}", path.display());
        Mistake::new(message, Source::Nowhere)
    })
}

/// Reads a text file of at most so many bytes; a device without end is no trap.
pub(super) fn bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= bytes_max) {
        Ok(text)
    } else {
        Err(format!("larger than {bytes_max} bytes"))
    }
}

/// A configuration being read: the file's text and the mistakes so far.
pub(super) struct Reading<'a> {
    file: Option<(&'a Path, &'a str)>,
    mistakes: Vec<(Vec<Step>, Mistake)>,
    warnings: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    fn new(file: Option<&'a Path>, text: &'a str) -> Self {
        Self {
            file: file.map(|path| (path, text)),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn source(&self, origin: &Origin) -> Source {
        Source::of(origin, self.file)
    }

    fn file_layer(&self) -> Result<Node, Mistake> {
        let Some((_, text)) = self.file else {
            return Ok(Node::empty());
        };
        let node = Node::parse(text).map_err(|error| {
            let place = error.location().map(|at| Place::of(&at));
            let origin = Origin::File(place.unwrap_or_default());
            Mistake::new(syntax(&error), self.source(&origin))
        })?;
        if !matches!(node.value, Value::Map(_)) {
            let message = "the file is no map of keys to values";
            return Err(Mistake::new(message, self.source(&node.origin)));
        }
        Ok(node)
    }

    fn env_layer(&mut self, tree: &mut Node, name: &str, keys: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let keys: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
        let path = match keys.as_slice() {
            [kafka, properties, rest @ ..]
                if kafka == "kafka" && properties == "properties" && !rest.is_empty() =>
            {
                let property = property_name(&rest.join("_"));
                vec![kafka.clone(), properties.clone(), property]
            }
            _ => keys,
        };
        let origin = Origin::Env(name.to_owned());
        self.lay(tree, path, value, origin);
    }

    fn flag_layer(&mut self, tree: &mut Node, set: &str) {
        let Some((key, value)) = set.split_once('=') else {
            let message = format!("`{}` is no key=value", set.escape_debug());
            let mistake = Mistake::new(message, Source::Flag("--set".to_owned()));
            self.mistakes.push((Vec::new(), mistake));
            return;
        };
        let path = match key.strip_prefix("kafka.properties.") {
            Some(property) => ["kafka", "properties", property].map(str::to_owned).into(),
            None => key.split('.').map(str::to_owned).collect(),
        };
        self.lay(tree, path, value, Origin::Flag(format!("--set {key}")));
    }

    /// Lays one value over the tree. A property is text as it stands, so that a password may look like YAML.
    fn lay(&mut self, tree: &mut Node, path: Vec<String>, text: &str, origin: Origin) {
        let verbatim = path.starts_with(&["kafka".to_owned(), "properties".to_owned()]);
        let parsed = if verbatim && path.len() > 2 {
            Ok(Node {
                value: Value::Text(text.to_owned()),
                origin: origin.clone(),
            })
        } else {
            Node::parse(text)
        };
        match parsed {
            Ok(mut node) => {
                node.relabel(&origin);
                tree.overlay(Node::at(path.into_iter(), node));
            }
            Err(error) => {
                let steps = path.into_iter().map(Step::Key).collect();
                let mistake = Mistake::new(syntax(&error), self.source(&origin));
                self.mistakes.push((steps, mistake));
            }
        }
    }

    /// Reads the typed configuration. What is wrong is noted, taken out, and the rest read again.
    fn typed(&mut self, tree: &mut Node) -> Config {
        loop {
            let Ok(json) = serde_json::to_value(&*tree) else {
                return Config::default();
            };
            let error = match serde_path_to_error::deserialize(json) {
                Ok(config) => return config,
                Err(error) => error,
            };
            let mut path = steps(error.path());
            let message = plain(&error.inner().to_string());
            if let Some(key) = quoted_after("unknown field ", &message) {
                let key = Step::Key(key.to_owned());
                if path.last() != Some(&key) {
                    path.push(key);
                }
            }
            let lost = quoted_after("missing field ", &message);
            if !lost.is_some_and(|key| tree.lost(&path, key)) {
                self.mistake(tree, path.clone(), message);
            }
            if self.mistakes.len() >= MISTAKES_MAX || !tree.prune(&path) {
                return Config::default();
            }
        }
    }

    /// Notes a mistake at the path.
    pub(super) fn mistake(&mut self, tree: &Node, path: Vec<Step>, message: String) {
        let (key, value) = tree.locate(&path);
        // Where nothing of the path is written, no line is to blame.
        let unwritten = path
            .first()
            .is_some_and(|step| tree.get(std::slice::from_ref(step)).is_none());
        // A message that names the key is about the key, any other about its value.
        let names_key =
            matches!(path.last(), Some(Step::Key(key)) if message.contains(&format!("`{key}`")));
        let origin = if names_key { key } else { value };
        let source = if unwritten {
            Source::Nowhere
        } else {
            self.source(origin)
        };
        let mut mistake = Mistake::new(message, source);
        mistake.help = nearest(&mistake.message);
        self.mistakes.push((path, mistake));
    }

    /// Notes a warning at the path.
    pub(super) fn warning(&mut self, tree: &Node, path: &[Step], message: String) {
        let (key, _) = tree.locate(path);
        let mistake = Mistake::new(message, self.source(key));
        self.warnings.push(mistake);
    }

    /// Says whether something at or under the path was wrong, so that what is missing there is no further mistake.
    pub(super) fn is_wrong_at(&self, path: &[Step]) -> bool {
        self.mistakes
            .iter()
            .any(|(at, _)| at.starts_with(path) || path.starts_with(at) && !at.is_empty())
    }

    fn finish(self, config: Config, tree: Node) -> Result<Loaded, Mistakes> {
        if self.mistakes.is_empty() {
            return Ok(Loaded {
                config,
                warnings: self.warnings,
                tree,
                file: self.file.map(|(path, _)| path.to_owned()),
            });
        }
        let mut mistakes: Vec<Mistake> = self.mistakes.into_iter().map(|(_, m)| m).collect();
        mistakes.sort_by_key(|mistake| mistake.source.rank());
        Err(Mistakes(mistakes))
    }
}

/// `SASL_PASSWORD_FILE` names `sasl.password_file`: librdkafka's names have dots and no underscores.
fn property_name(words: &str) -> String {
    match words.strip_suffix("_file") {
        Some(words) => format!("{}_file", words.replace('_', ".")),
        None => words.replace('_', "."),
    }
}

fn syntax(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = [" at line ", ", set ", "; use "]
        .iter()
        .fold(first, |text, end| {
            text.split_once(end).map_or(text, |(head, _)| head)
        });
    message.to_owned()
}

fn steps(path: &SerdePath) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Says in a configuration's words what serde says in a program's.
fn plain(message: &str) -> String {
    let message = match message.split_once("expected struct ") {
        Some((head, _)) => format!("{head}expected a map of keys"),
        None => message.to_owned(),
    };
    message
        .replace("invalid type: null", "no value is given")
        .replace("invalid type: sequence", "invalid type: list")
        .replace("invalid type: string", "invalid type: text")
        .replace("expected a sequence", "expected a list")
        .replace("unknown variant", "unknown value")
}

fn quoted_after<'a>(head: &str, message: &'a str) -> Option<&'a str> {
    message.strip_prefix(head)?.split('`').nth(1)
}

/// Finds the alternative that the refused word was most likely meant to be.
fn nearest(message: &str) -> Option<String> {
    let (refused, alternatives) = message.split_once(", expected ")?;
    let refused = refused.split('`').nth(1)?;
    alternatives
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|word| (strsim::damerau_levenshtein(refused, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 3)
        .min()
        .map(|(_, word)| format!("did you mean `{word}`?"))
}
