//! What is committed of the configuration: schema, example and manual, each held to the types.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use expect_test::expect_file;
use serde_json::Value;

use super::super::{Config, Layers, Needs, schema};
use crate::check_topic::Rule;
use crate::cli::Exit;
use crate::metrics::{METRICS, Metric};

#[test]
fn the_committed_schema_is_the_generated_one() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../../../../deploy/fusor.schema.json"].assert_eq(&text);
}

#[test]
fn the_example_runs_without_a_warning_and_shows_the_defaults() {
    let layers = Layers {
        file: Some(deployed("fusor.yaml")),
        ..Layers::default()
    };
    let loaded = Config::load(&layers, Needs::Broker).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let shown = Config {
        kafka: Config::default().kafka,
        inputs: Vec::new(),
        ..loaded.config
    };
    assert_eq!(shown, Config::default());
}

#[test]
fn the_example_lists_every_key() {
    let text = fs::read_to_string(deployed("fusor.yaml")).unwrap();
    let all = uncommented(&text);
    let layers = Layers {
        file: Some(PathBuf::from("fusor.yaml")),
        ..Layers::default()
    };
    let loaded = Config::from_text(&all, &layers, Needs::Broker).unwrap();
    let written = serde_json::to_value(&loaded.tree).unwrap();
    let missing: Vec<String> = keys()
        .into_iter()
        .map(|key| key.name)
        .filter(|name| !is_in(&written, name))
        .collect();
    assert!(missing.is_empty(), "not in deploy/fusor.yaml: {missing:?}");
}

#[test]
fn the_manual_describes_every_key() {
    let mut table = "| key | value | default | what it is |\n|---|---|---|---|\n".to_owned();
    for key in keys() {
        let Key {
            name,
            value,
            default,
            what,
        } = key;
        table.push_str(&format!("| `{name}` | {value} | {default} | {what} |\n"));
    }
    check_manual("keys", &table);
}

#[test]
fn the_manual_describes_every_metric() {
    let mut table = "| metric | kind | what it is |\n|---|---|---|\n".to_owned();
    for Metric { name, kind, help } in METRICS {
        let kind = format!("{kind:?}").to_lowercase();
        table.push_str(&format!("| `{name}` | {kind} | {help} |\n"));
    }
    check_manual("metrics", &table);
}

#[test]
fn the_manual_gives_every_exit_code() {
    check_manual("exit codes", &format!("```text\n{}\n```\n", Exit::table()));
}

#[test]
fn the_manual_gives_every_rule_of_the_topics() {
    let mut table = "| rule | what it asks |\n|---|---|\n".to_owned();
    for rule in Rule::ALL {
        table.push_str(&format!("| {rule} | {} |\n", rule.meaning()));
    }
    check_manual("rules of the topics", &table);
}

/// Holds a part of the manual to what it should be; with `UPDATE_EXPECT` set it is written anew.
#[track_caller]
fn check_manual(part: &str, expected: &str) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock();
    let (begin, end) = (
        format!("<!-- {part} -->\n"),
        format!("<!-- end of {part} -->"),
    );
    let path = deployed("README.md");
    let manual = fs::read_to_string(&path).unwrap();
    let (head, rest) = manual.split_once(&begin).unwrap();
    let (found, tail) = rest.split_once(&end).unwrap();
    let expected = format!("\n{expected}\n");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{head}{begin}{expected}{end}{tail}")).unwrap();
    } else {
        assert_eq!(found, expected, "run again with UPDATE_EXPECT=1");
    }
}

#[test]
fn the_schema_and_the_types_accept_the_same_examples() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (yaml, valid) in [
        ("{}", true),
        ("group: a\ninputs: [{topic: a, tenant: {key: true}}]", true),
        ("limits: {record: 64KiB, epoch_interval: 1s}", true),
        (
            "kafka: {properties: {client.rack: a, fetch.wait.max.ms: 5}}",
            true,
        ),
        ("correlation: {link: {evidence: 6.5}}", true),
        ("kafka: {properties: {group.id: a}}", false),
        ("correlation: {latenes: 1m}", false),
        ("inputs: [{topic: a b}]", false),
        ("inputs: [{format: ocsf}]", false),
        (
            "inputs: [{topic: a, tenant: {key: true, header: a}}]",
            false,
        ),
        ("limits: {entities: 0}", false),
        ("http: {listen: '0.0.0.0:1'}", false),
        ("version: 2", false),
    ] {
        let json: Value = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(validator.is_valid(&json), valid, "{yaml}");
        let loaded = super::load(yaml, &[], &[], Needs::Nothing);
        assert_eq!(loaded.is_ok(), valid, "{yaml}");
    }
}

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name)
}

/// `#key:` is a key left out, `# text` a remark.
fn uncommented(text: &str) -> String {
    let mut all = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match line.trim_start().strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => all.push_str(&format!("{:indent$}{key}", "")),
            _ => all.push_str(line),
        }
        all.push('\n');
    }
    all
}

fn is_in(written: &Value, name: &str) -> bool {
    let mut found = vec![written];
    for part in name.split('.') {
        let key = part.trim_end_matches("[]");
        found = found
            .into_iter()
            .filter_map(|value| value.get(key))
            .collect();
        if part.ends_with("[]") {
            found = found
                .iter()
                .filter_map(|list| list.as_array())
                .flatten()
                .collect();
        }
    }
    !found.is_empty()
}

struct Key {
    name: String,
    value: String,
    default: String,
    what: String,
}

fn keys() -> Vec<Key> {
    let schema = schema();
    let mut keys = Vec::new();
    gather(&schema, &schema, "", &mut keys);
    keys
}

fn gather(root: &Value, object: &Value, prefix: &str, keys: &mut Vec<Key>) {
    for (key, schema) in object["properties"].as_object().unwrap() {
        let name = format!("{prefix}{key}");
        let target = resolved(root, schema);
        if target.get("properties").is_some() {
            gather(root, target, &format!("{name}."), keys);
        } else if target["items"].get("$ref").is_some() {
            let item = resolved(root, &target["items"]);
            gather(root, item, &format!("{name}[]."), keys);
        } else {
            keys.push(described(root, name, schema));
        }
    }
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let inner = schema["anyOf"].get(0).unwrap_or(schema);
    match inner["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn described(root: &Value, name: String, schema: &Value) -> Key {
    let text = schema["description"].as_str().unwrap().replace('\n', " ");
    let text = text.trim_end_matches('.');
    let (what, default) = match text.rsplit_once("; default") {
        Some((what, default)) => (what, default.trim_start_matches([':', ' '])),
        None => (text, "–"),
    };
    let holds = &schema["default"];
    let said = default.trim_matches('`');
    let same = holds
        .as_str()
        .map_or_else(|| holds.to_string(), str::to_owned)
        == said;
    let unsaid = holds.is_null()
        || holds.as_array().is_some_and(Vec::is_empty)
        || holds.as_object().is_some_and(|map| map.is_empty());
    assert!(same || unsaid, "{name} is {holds} by default, not {said}");
    Key {
        value: value(root, schema),
        default: default.to_owned(),
        what: what.to_owned(),
        name,
    }
}

fn value(root: &Value, schema: &Value) -> String {
    let target = resolved(root, schema);
    if let Some(words) = target["oneOf"]
        .as_array()
        .filter(|words| words[0].get("const").is_some())
    {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", word["const"].as_str().unwrap()))
            .collect();
        return words.join(", ");
    }
    if let Some(only) = target.get("const") {
        return format!("`{only}`");
    }
    if let Some(title) = target["title"].as_str() {
        return title.to_owned();
    }
    match target["type"].as_str() {
        Some("array") => format!("list: {}", value(root, &target["items"])),
        Some("object") => "a map".to_owned(),
        _ => "a text".to_owned(),
    }
}
