//! What the types cannot say: rules across keys.

use std::collections::BTreeMap;

use schemas::entity::EntityKind;

use super::kafka::is_secret;
use super::load::{Needs, Reading};
use super::tree::{Node, Origin, Step, Value, dotted};
use super::{Config, Insecure, Topic};

/// Notes every broken rule, and puts secrets that lie in files in their place.
pub(super) fn check(config: &mut Config, tree: &Node, needs: Needs, reading: &mut Reading<'_>) {
    match needs {
        Needs::Broker => need(config, tree, reading),
        Needs::Ingest => {
            need(config, tree, reading);
            need_alerts(config, tree, reading);
        }
        Needs::Nothing => {}
    }
    topics(config, tree, reading);
    secrets(config, tree, reading);
    encryption(config, tree, reading);
    limits(config, tree, reading);
    severity(config, tree, reading);
    entities(config, tree, reading);
    reserved(config, tree, reading);
}

fn key(keys: &[&str]) -> Vec<Step> {
    keys.iter()
        .map(|key| Step::Key((*key).to_owned()))
        .collect()
}

fn need(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let brokers = key(&["kafka", "brokers"]);
    if config.kafka.brokers.is_empty() && !reading.is_wrong_at(&brokers) {
        let message = "no broker is given: set kafka.brokers, as in [localhost:9092]";
        reading.mistake(tree, brokers, message.to_owned());
    }
    let inputs = key(&["inputs"]);
    if config.inputs.is_empty() && !reading.is_wrong_at(&inputs) {
        let message = "no input is given: set inputs, as in [{topic: alerts}]";
        reading.mistake(tree, inputs, message.to_owned());
    }
}

fn need_alerts(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let alerts = key(&["outputs", "alerts"]);
    if config.outputs.alerts.is_none() && !reading.is_wrong_at(&alerts) {
        let message = "no topic is given to write to: set outputs.alerts, as in fusor.alerts";
        reading.mistake(tree, alerts, message.to_owned());
    }
}

/// A topic has one use: read twice it would double alerts, and written it must not be read.
fn topics(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let outputs = &config.outputs;
    let mut uses: Vec<(Vec<Step>, Option<&Topic>)> = Vec::new();
    for (name, topic) in [
        ("incidents", Some(&outputs.incidents)),
        ("dead_letters", Some(&outputs.dead_letters)),
        ("state", Some(&outputs.state)),
        ("ocsf", outputs.ocsf.as_ref()),
        ("outcomes", Some(&outputs.outcomes)),
        ("audit", outputs.audit.as_ref()),
        ("alerts", outputs.alerts.as_ref()),
    ] {
        uses.push((key(&["outputs", name]), topic));
    }
    uses.push((key(&["bindings"]), config.bindings.as_ref()));
    uses.push((key(&["commands"]), config.commands.as_ref()));
    for path in input_topics(tree) {
        let text = tree.get(&path).map(|node| &node.value);
        let topic = config
            .inputs
            .iter()
            .map(|input| &input.topic)
            .find(|topic| matches!(text, Some(Value::Text(text)) if text == topic.as_str()));
        uses.push((path, topic));
    }
    let mut seen: BTreeMap<&Topic, Vec<Step>> = BTreeMap::new();
    for (path, topic) in uses {
        let Some(topic) = topic else { continue };
        match seen.get(topic) {
            Some(first) => {
                let message = format!(
                    "topic `{topic}` is used twice: already as {}",
                    dotted(first)
                );
                reading.mistake(tree, path, message);
            }
            None => {
                seen.insert(topic, path);
            }
        }
    }
}

/// The inputs as they were written, since mistaken ones are not in the configuration.
fn input_topics(tree: &Node) -> impl Iterator<Item = Vec<Step>> {
    let count = match tree.get(&key(&["inputs"])).map(|node| &node.value) {
        Some(Value::List(items)) => items.len(),
        Some(_) | None => 0,
    };
    (0..count).map(|index| {
        let mut path = key(&["inputs"]);
        path.push(Step::Index(index));
        path.push(Step::Key("topic".to_owned()));
        path
    })
}

/// A secret is neither in the file, which is shown and copied, nor on a command line, which all processes see.
fn secrets(config: &mut Config, tree: &Node, reading: &mut Reading<'_>) {
    let secret: Vec<String> = config
        .kafka
        .properties
        .iter()
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_secret(name))
        .collect();
    for name in secret {
        let path = key(&["kafka", "properties", &name]);
        if !matches!(tree.locate(&path).1, Origin::Env(_)) {
            let variable = name.to_uppercase().replace('.', "_");
            let message = format!(
                "`{name}` is a secret: set `{name}_file` to a file that holds it, or FUSOR__KAFKA__PROPERTIES__{variable}"
            );
            reading.mistake(tree, path, message);
        }
    }
    for (name, problem) in config.kafka.properties.read_files() {
        reading.mistake(tree, key(&["kafka", "properties", &name]), problem);
    }
}

fn encryption(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let protocol = key(&["kafka", "properties", "security.protocol"]);
    if config.kafka.properties.encrypts() || reading.is_wrong_at(&protocol) {
        return;
    }
    let Some(remote) = config.kafka.brokers.iter().find(|b| !b.is_loopback()) else {
        return;
    };
    let path = if tree.get(&protocol).is_some() {
        protocol
    } else {
        key(&["kafka", "brokers"])
    };
    match config.kafka.insecure {
        Insecure::Refuse => {
            let message = format!(
                "the link to {remote} would not be encrypted: set security.protocol to ssl or sasl_ssl in kafka.properties, or kafka.insecure to allow"
            );
            reading.mistake(tree, path, message);
        }
        Insecure::Allow => {
            let message = format!("the link to {remote} is not encrypted");
            reading.warning(tree, &key(&["kafka", "insecure"]), message);
        }
    }
}

fn limits(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let limits = &config.limits;
    if limits.record.get() > limits.epoch_size.get() {
        let message = format!(
            "limits.record of {} does not fit limits.epoch_size of {}",
            limits.record, limits.epoch_size
        );
        reading.mistake(tree, key(&["limits", "record"]), message);
    }
    if limits.epoch_records.get() > limits.buffered_records.get() {
        let message = format!(
            "limits.epoch_records of {} is more than limits.buffered_records of {}",
            limits.epoch_records.get(),
            limits.buffered_records.get()
        );
        reading.mistake(tree, key(&["limits", "epoch_records"]), message);
    }
    if limits.epoch_size.get() > limits.buffered_size.get() {
        let message = format!(
            "limits.epoch_size of {} is more than limits.buffered_size of {}",
            limits.epoch_size, limits.buffered_size
        );
        reading.mistake(tree, key(&["limits", "epoch_size"]), message);
    }
}

fn severity(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let severity = &config.correlation.severity;
    if severity.medium > severity.high {
        let message = "medium begins above high";
        let path = key(&["correlation", "severity", "medium"]);
        reading.mistake(tree, path, message.to_owned());
    }
    if severity.high > severity.critical {
        let message = "high begins above critical";
        let path = key(&["correlation", "severity", "high"]);
        reading.mistake(tree, path, message.to_owned());
    }
}

fn entities(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    for kind in config.entities.never_link.keys() {
        if EntityKind::ALL.iter().all(|known| known.word() != kind) {
            let known: Vec<_> = EntityKind::ALL.iter().map(|kind| kind.word()).collect();
            let message = format!(
                "`{}` is no kind fusor knows: it matches only entities that a source calls so; known are {}",
                kind.escape_debug(),
                known.join(", ")
            );
            reading.warning(tree, &key(&["entities", "never_link", kind]), message);
        }
    }
}

fn reserved(config: &Config, tree: &Node, reading: &mut Reading<'_>) {
    let outputs = &config.outputs;
    for (path, topic) in [
        (key(&["outputs", "ocsf"]), &outputs.ocsf),
        (key(&["outputs", "audit"]), &outputs.audit),
    ] {
        if topic.is_some() {
            let message = format!("{} is reserved and not used yet", dotted(&path));
            reading.warning(tree, &path, message);
        }
    }
}
