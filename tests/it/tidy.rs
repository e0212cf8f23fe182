//! What holds of the repository itself. Each rule is a function from text to complaints, shown below to complain.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use engine::metrics::METRICS;

#[test]
fn crates_depend_in_one_direction() {
    report(&manifests(), |manifest, text| {
        let member = folder_of(manifest);
        let Some((_, allowed)) = DIRECTION.iter().find(|(name, _)| *name == member) else {
            return vec![format!("{member} has no place in the order of the crates")];
        };
        wrong_direction(text, allowed)
    });
}

#[test]
fn pure_crates_know_no_io() {
    report(&manifests(), |manifest, text| {
        match PURE.iter().find(|(name, _)| *name == folder_of(manifest)) {
            Some((_, allowed)) => impure_dependencies(text, allowed),
            None => vec![],
        }
    });
}

#[test]
fn members_take_lints_and_versions_from_the_workspace() {
    report(&manifests(), |_, text| own_settings(text));
}

#[test]
fn workspace_dependencies_are_sorted_and_bare() {
    report(&[root().join("Cargo.toml")], |_, text| {
        untidy_workspace_dependencies(text)
    });
}

#[test]
fn top_level_is_the_agreed_one() {
    let unknown: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "visible at the top: {unknown:?}");
    let license = fs::read_to_string(root().join("LICENSE")).unwrap();
    assert!(license.contains("Apache License"));
}

#[test]
fn source_files_stay_short() {
    report(&sources(), |path, text| {
        if is_test(path) {
            vec![]
        } else {
            too_long(text)
        }
    });
}

#[test]
fn modules_are_not_in_mod_files() {
    report(&sources(), |path, _| {
        if path.ends_with("mod.rs") {
            vec!["foo/mod.rs is foo.rs here".to_owned()]
        } else {
            vec![]
        }
    });
}

#[test]
fn tests_neither_sleep_nor_hide() {
    report(&sources(), |path, text| {
        if path.ends_with("tests/it/tidy.rs") || path.ends_with("tests/src/wait.rs") {
            vec![]
        } else {
            hidden_or_sleeping_tests(path, text)
        }
    });
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    report(&files(), |path, text| {
        if path.ends_with("tests/it/tidy.rs") || path.ends_with(".ci/run") {
            vec![]
        } else {
            machine_words(text)
        }
    });
}

#[test]
fn metrics_are_documented() {
    let Ok(manual) = fs::read_to_string(root().join("deploy/README.md")) else {
        return;
    };
    let undocumented: Vec<&str> = METRICS
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !metric_names(&manual).contains(*name))
        .collect();
    assert!(
        undocumented.is_empty(),
        "not in deploy/README.md: {undocumented:?}"
    );
}

#[test]
fn pages_and_rules_name_only_metrics_that_exist() {
    report(&files(), |path, text| {
        if path.starts_with("deploy") || path.ends_with("README.md") {
            unknown_metrics(text)
        } else {
            vec![]
        }
    });
}

#[test]
fn commands_of_the_readme_are_run() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else {
        return;
    };
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let commands = runnable_commands(&readme);
    for command in ["cargo run --release -- demo --exit", "tests/run"] {
        assert!(
            commands.iter().any(|found| found == command),
            "the README has no block ```sh run with {command:?}"
        );
    }
    for command in commands {
        // CI pins the dependencies; nothing else may differ.
        let pinned = command.replace("cargo run --release", "cargo run --release --locked");
        assert!(ci.contains(&pinned), ".ci/run does not run {pinned:?}");
    }
}

#[test]
fn every_rule_complains_of_what_it_forbids() {
    let backwards = "[dependencies]\nengine.workspace = true\n";
    assert_eq!(wrong_direction(backwards, &["schemas"]).len(), 1);
    assert_eq!(wrong_direction(backwards, &["engine"]).len(), 0);
    let client =
        "[dependencies]\nrdkafka.workspace = true\n\n[dev-dependencies]\ntokio.workspace = true\n";
    assert_eq!(impure_dependencies(client, &["serde"]).len(), 1);
    assert_eq!(
        own_settings("[dependencies]\nserde = \"1\"\n\n[lints]\nworkspace = true\n").len(),
        1
    );
    assert_eq!(
        own_settings("[dependencies]\nserde.workspace = true\n").len(),
        1
    );
    let unsorted =
        "[workspace.dependencies]\nb = { version = \"1\", default-features = false }\na = \"1\"\n";
    assert_eq!(untidy_workspace_dependencies(unsorted).len(), 2);
    assert_eq!(too_long(&"fn a() {}\n".repeat(401)).len(), 1);
    let tested = "fn a() {}\n".repeat(390) + "#[cfg(test)]\nmod tests {\n" + &"\n".repeat(50);
    assert_eq!(too_long(&tested).len(), 0);
    let source = Path::new("engine/src/lib.rs");
    for hidden in ["#[ignore]", "#[ignore = \"slow\"]", "#[should_panic]"] {
        assert_eq!(hidden_or_sleeping_tests(source, hidden).len(), 1);
    }
    let sleeps = "thread::sleep(second);";
    assert_eq!(hidden_or_sleeping_tests(source, sleeps).len(), 0);
    assert_eq!(
        hidden_or_sleeping_tests(source, &format!("#[cfg(test)]\nmod tests {{\n{sleeps}\n}}"))
            .len(),
        1
    );
    assert_eq!(
        hidden_or_sleeping_tests(Path::new("tests/it/a.rs"), sleeps).len(),
        1
    );
    assert_eq!(machine_words(MACHINE_WORDS[0]).len(), 1);
    assert_eq!(machine_words("as issue 7 says").len(), 1);
    assert_eq!(machine_words("an issue of 7 kinds").len(), 0);
    assert_eq!(
        runnable_commands("```sh run\na b\n# why\n```\n```sh\nc\n```\n"),
        ["a b"]
    );
    assert_eq!(
        Vec::from_iter(metric_names("x \"fusor_a_total\" fusor_a_total fusor-b")),
        ["fusor_a_total"]
    );
    assert_eq!(unknown_metrics("rate(fusor_made_up_total[5m])").len(), 1);
    assert_eq!(unknown_metrics(METRICS[0].name).len(), 0);
    assert!(is_series_of("fusor_a_seconds_bucket", "fusor_a_seconds"));
    assert!(!is_series_of("fusor_a_seconds_old", "fusor_a_seconds"));
}

/// Complains of an edge between our own crates that is not allowed.
fn wrong_direction(manifest: &str, allowed: &[&str]) -> Vec<String> {
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| DIRECTION.iter().any(|(name, _)| *name == dependency.name))
        .filter(|dependency| !allowed.contains(&dependency.name))
        .map(|dependency| format!("may not depend on {}", dependency.name))
        .collect()
}

/// Complains of a crate that a pure crate has no use for; what only its tests use is free.
fn impure_dependencies(manifest: &str, allowed: &[&str]) -> Vec<String> {
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| dependency.section != "dev-dependencies")
        .filter(|dependency| !allowed.contains(&dependency.name))
        .map(|dependency| format!("may not depend on {}", dependency.name))
        .collect()
}

fn own_settings(manifest: &str) -> Vec<String> {
    let mut complaints: Vec<String> = dependencies(manifest)
        .into_iter()
        .filter(|dependency| dependency.line != format!("{}.workspace = true", dependency.name))
        .map(|dependency| format!("{:?} is not taken from the workspace", dependency.line))
        .collect();
    if !manifest.contains("[lints]\nworkspace = true") {
        complaints.push("[lints] are not the workspace's".to_owned());
    }
    complaints
}

fn untidy_workspace_dependencies(manifest: &str) -> Vec<String> {
    let dependencies: Vec<Dependency<'_>> = dependencies(manifest)
        .into_iter()
        .filter(|dependency| dependency.section == "workspace.dependencies")
        .collect();
    let unsorted = dependencies
        .windows(2)
        .filter(|pair| pair[0].name > pair[1].name)
        .map(|pair| format!("{} stands before {}", pair[0].name, pair[1].name));
    let features = dependencies
        .iter()
        .filter(|dependency| !dependency.line.contains("path = "))
        .filter(|dependency| !dependency.line.contains("default-features = false"))
        .map(|dependency| format!("{} takes the default features", dependency.name));
    unsorted.chain(features).collect()
}

fn too_long(source: &str) -> Vec<String> {
    let generated = source
        .lines()
        .next()
        .is_some_and(|line| line.contains(GENERATED));
    let lines = without_tests(source).lines().count();
    if lines > LINES_MAX && !generated {
        vec![format!("{lines} lines, more than {LINES_MAX}")]
    } else {
        vec![]
    }
}

fn hidden_or_sleeping_tests(path: &Path, source: &str) -> Vec<String> {
    let tests = if is_test(path) {
        source
    } else {
        source
            .strip_prefix(without_tests(source))
            .unwrap_or_default()
    };
    let attributes = ["#[ignore", "#[should_panic"]
        .into_iter()
        .filter(|attribute| source.contains(attribute));
    let sleeps = ["sleep("].into_iter().filter(|call| tests.contains(call));
    attributes
        .chain(sleeps)
        .map(|word| format!("holds {word:?}"))
        .collect()
}

fn machine_words(text: &str) -> Vec<String> {
    let words = MACHINE_WORDS
        .into_iter()
        .filter(|word| text.contains(word))
        .map(str::to_owned);
    let issues = text
        .split("issue ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .map(|number| format!("issue {number}"));
    words
        .chain(issues)
        .map(|word| format!("holds {word:?}"))
        .collect()
}

/// Returns the commands in the blocks of a page that are marked ```` ```sh run ````.
fn runnable_commands(page: &str) -> Vec<String> {
    page.split("```sh run\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn metric_names(text: &str) -> BTreeSet<String> {
    text.split(|part: char| !part.is_ascii_alphanumeric() && part != '_')
        .filter(|word| word.starts_with("fusor_"))
        .map(str::to_owned)
        .collect()
}

fn unknown_metrics(text: &str) -> Vec<String> {
    metric_names(text)
        .into_iter()
        .filter(|name| !METRICS.iter().any(|metric| is_series_of(name, metric.name)))
        .map(|name| format!("there is no metric {name}"))
        .collect()
}

/// A histogram is scraped as several series.
fn is_series_of(name: &str, metric: &str) -> bool {
    name.strip_prefix(metric)
        .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
}

struct Dependency<'a> {
    section: &'a str,
    name: &'a str,
    line: &'a str,
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut section = "";
    let mut found = vec![];
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies")
            && let Some((key, _)) = line.split_once('=')
        {
            let name = key.trim().trim_end_matches(".workspace");
            found.push(Dependency {
                section,
                name,
                line,
            });
        }
    }
    found
}

/// Returns the part of a source file before its tests, which stand last.
fn without_tests(source: &str) -> &str {
    source
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(source, |(before, _)| before)
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// Applies a rule to every file, named from the root, and fails with all complaints at once.
fn report(paths: &[PathBuf], rule: impl Fn(&Path, &str) -> Vec<String>) {
    assert!(!paths.is_empty(), "there is nothing to look at");
    let mut complaints = String::new();
    for path in paths {
        // Only text has rules.
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        let path = path.strip_prefix(root()).unwrap();
        for complaint in rule(path, &text) {
            complaints += &format!("{}: {complaint}\n", path.display());
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

fn folder_of(manifest: &Path) -> &str {
    let folder = manifest.parent().unwrap().file_name().unwrap();
    folder.to_str().unwrap()
}

/// Returns the manifests of the workspace's members, which stand one folder deep.
fn manifests() -> Vec<PathBuf> {
    let all: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter(|path| path.parent().and_then(Path::parent) == Some(root().as_path()))
        .collect();
    assert_eq!(all.len(), DIRECTION.len());
    all
}

fn sources() -> Vec<PathBuf> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Returns every file of the repository but for what is built or installed.
fn files() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if ![".git", "target", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if name != ".git" {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Each crate with those of ours it may depend on.
const DIRECTION: [(&str, &[&str]); 5] = [
    ("schemas", &[]),
    ("correlators", &["schemas"]),
    ("engine", &["schemas", "correlators"]),
    ("tests", &["schemas", "correlators", "engine"]),
    ("benches", &["schemas", "correlators", "engine", "tests"]),
];

/// The crates without I/O, clock, threads or randomness, with everything they may be built from.
const PURE: [(&str, &[&str]); 2] = [
    (
        "schemas",
        &[
            "apache-avro",
            "ipnet",
            "jiff",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "unicode-normalization",
            "url",
            "uuid",
        ],
    ),
    (
        "correlators",
        &[
            "ipnet",
            "petgraph",
            "postcard",
            "schemas",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tracing",
            "uuid",
        ],
    ),
];

const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "correlators",
    "deploy",
    "engine",
    "schemas",
    "tests",
];

const MACHINE_WORDS: [&str; 5] = ["../shared", "/work/", "/tmp/wt", "/root/", "/.library"];

const LINES_MAX: usize = 400;

/// In the first line of a source file that a committed script writes.
const GENERATED: &str = "not by hand";
