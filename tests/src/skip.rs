//! A test that cannot run says so: by name, with the reason, counted by `tests/run`. None passes in silence.

use std::{env, fs::OpenOptions, io::Write, path::PathBuf, thread};

/// Records that the calling test is skipped, and why. The test returns after it.
///
/// `tests/run` names the file to append to in `FUSOR_SKIPPED`; one line is one write, so tests may append at once.
pub fn skip(why: &str) {
    let name = test_name();
    eprintln!("SKIPPED {name}: {why}");
    if let Some(path) = env::var_os("FUSOR_SKIPPED") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{name}: {why}\n").as_bytes())
            .unwrap();
    }
}

/// Returns the file `name` of the folder of recorded data sets, `FUSOR_DATA`. Without it the calling test is skipped.
///
/// # Panics
/// When the folder is named but the file is not in it.
pub fn data(name: &str) -> Option<PathBuf> {
    let Some(folder) = env::var_os("FUSOR_DATA") else {
        skip("FUSOR_DATA is not set");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// nextest names the test; libtest names its thread.
fn test_name() -> String {
    env::var("NEXTEST_TEST_NAME")
        .ok()
        .or_else(|| thread::current().name().map(str::to_owned))
        .unwrap_or_else(|| "unnamed".to_owned())
}
