//! The program under test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns a command that starts the `fusor` that was built beside the running test, with no configuration from the
/// caller's environment.
///
/// # Panics
/// When it is not built, or is older than a source file it was built from. `tests/run` builds it.
pub fn fusor() -> Command {
    let program = build_folder().join("fusor");
    let built =
        modified(&program).unwrap_or_else(|| panic!("{} is missing: {BUILD}", program.display()));
    for source in sources(&program.with_extension("d")) {
        let newer = modified(&source).is_none_or(|time| time > built);
        assert!(!newer, "fusor is older than {}: {BUILD}", source.display());
    }
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("FUSOR") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns the folder cargo builds into: `target/debug` unless told otherwise.
pub(crate) fn build_folder() -> PathBuf {
    let program = env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    if folder.ends_with("deps") {
        folder.parent().unwrap().to_owned()
    } else {
        folder.to_owned()
    }
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Reads the list of sources that cargo writes beside a binary: `binary: source source…`, a space in a path as `\ `.
fn sources(list: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let (_, sources) = text.split_once(": ").unwrap_or_default();
    sources
        .trim()
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|path| PathBuf::from(path.replace('\0', " ")))
        .collect()
}

const BUILD: &str = "run tests/run, or cargo build --workspace --bins --tests";
