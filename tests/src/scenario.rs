//! Scenarios: a few alerts as text, and what became of them as text below.
//!
//! ```text
//! set PATH VALUE                          a setting, such as `set limits.incident_episodes 3`
//! lease ADDRESS HOST FROM TO              who held an address when
//! time OFFSET                             tells the time
//! OFFSET PRODUCT/RULE SEVERITY TACTICS ENTITY… OPTION…
//! command OFFSET ACTOR ACTION INCIDENT WORD… OPTION…
//! explain ALERT                           asks for the links of an alert
//! revisions                               asks for every revision, not only the last
//! ---
//! what came of it
//! ```
//!
//! Offsets (`1d2h`, `90s`, `-5m`) count from a Monday at midnight. Tactics are words joined by commas, `-` for none. An
//! entity is `kind:value`, with its role before it (`source>ip:192.0.2.1`) and further names after it
//! (`account:bob~sid:S-1-…`); `weak?` before the kind makes its keys weak. Options: `id=`, `tenant=`, `rev=`, `end=OFFSET`,
//! `count=`, `kind=`, `disposition=`, `times=N/OFFSET` for N alerts that far
//! apart, whose rule `r*60` stands for sixty rules in turn. Alerts are called a1, a2, … unless an
//! `id` names them; what begins with `_` is background, which is counted and not listed.
//!
//! A command names an incident by the alert that founded it; what was split off is called as the first alert of the part with
//! a quote (`a3'`), what is called `nobody` is no incident. Its words are those of its action: a status, an owner (`-` for
//! nobody), a severity, a comment (`_` for a space), `+tag` and `-tag`, a classification with its reason (`true_positive`,
//! `false_positive/inaccurate_data`) and a comment, an incident, alerts. Options: `id=`, `rev=`, `tenant=`.
//!
//! Between two alerts the time told is the greatest event time so far less the lateness.

mod parse;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{env, fs, path::PathBuf};

use correlators::{Fusion, Output, Placement, Settings, Verdict};
use schemas::command::{Action, Command};
use schemas::incident::Incident;
use schemas::time::Timestamp;

use uuid::Uuid;

pub use parse::{Case, Step, blank};

/// Runs the scenario of that name and compares what came of it with what its file says; `UPDATE_EXPECT=1` rewrites the file.
///
/// # Panics
/// When the two differ.
#[track_caller]
pub fn check(name: &str) {
    let path = folder().join(name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap();
    let (input, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
    let actual = report::report(&run(&Case::parse(input)));
    if actual == expected {
        return;
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{input}{SEPARATOR}{actual}")).unwrap();
        return;
    }
    panic!("{name} expects\n{expected}\nand got\n{actual}\n(UPDATE_EXPECT=1 rewrites it)");
}

/// Returns the names of all scenarios.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// What became of a scenario.
#[derive(Debug)]
pub struct Ran {
    /// By tenant.
    pub tenants: BTreeMap<String, Tenant>,
    /// Alerts whose links are asked for.
    pub explained: Vec<String>,
    /// Every revision is asked for.
    pub revisions: bool,
}

/// What became of one tenant.
#[derive(Debug)]
pub struct Tenant {
    /// The core.
    pub fusion: Fusion,
    /// Alerts by episode, founder first; an alert seen again is not listed again.
    pub episodes: BTreeMap<u64, Vec<String>>,
    /// The alert that founded each thread or incident, by id.
    pub founders: BTreeMap<String, String>,
    /// Episodes by thread, as told.
    pub threads: BTreeMap<u64, Vec<u64>>,
    /// Every revision polled, in order.
    pub published: Vec<Incident>,
    /// Alerts that changed nothing or were updates, with the word for it.
    pub again: Vec<(String, &'static str)>,
    /// What became of each command: who did what to which incident, as it is called, and the verdict.
    pub verdicts: Vec<(Command, Verdict)>,
    newest: Option<i64>,
}

/// Runs a scenario; incidents are polled after every step.
pub fn run(case: &Case) -> Ran {
    let settings = Arc::new(case.settings.clone());
    let mut tenants: BTreeMap<String, Tenant> = BTreeMap::new();
    for step in &case.steps {
        let name = match step {
            Step::Alert(alert) => &alert.tenant,
            Step::Lease(lease) => &lease.tenant,
            Step::Time(tenant, _) => tenant,
            Step::Command(command) => &command.tenant,
        };
        let tenant = tenants
            .entry(name.clone())
            .or_insert_with(|| Tenant::new(name, &settings));
        tenant.step(step, &settings);
    }
    Ran {
        tenants,
        explained: case.explained.clone(),
        revisions: case.revisions,
    }
}

impl Tenant {
    fn new(name: &str, settings: &Arc<Settings>) -> Self {
        Self {
            fusion: Fusion::new(name, Arc::clone(settings)),
            episodes: BTreeMap::new(),
            founders: BTreeMap::new(),
            threads: BTreeMap::new(),
            published: Vec::new(),
            again: Vec::new(),
            verdicts: Vec::new(),
            newest: None,
        }
    }

    fn step(&mut self, step: &Step, settings: &Settings) {
        match step {
            Step::Lease(lease) => self.fusion.handle_binding(lease),
            Step::Time(_, time) => self.fusion.handle_time(*time),
            Step::Command(command) => {
                let mut sent = Command::clone(command);
                sent.incident = self.id_of(&command.incident);
                if let Action::Merge { into } = &mut sent.action {
                    *into = self.id_of(into);
                }
                let verdict = self.fusion.handle_command(&sent);
                self.verdicts.push((Command::clone(command), verdict));
                self.follow("");
            }
            Step::Alert(alert) => {
                if let Some(newest) = self.newest {
                    self.fusion
                        .handle_time(Timestamp(newest - settings.lateness_ms));
                }
                self.newest = self.newest.max(Some(alert.start_time.millis()));
                let uid = &alert.uid;
                match self.fusion.handle_alert(alert) {
                    Placement::Placed { episode, .. } => {
                        self.episodes.entry(episode).or_default().push(uid.clone());
                    }
                    Placement::Duplicate { .. } => self.again.push((uid.clone(), "duplicate")),
                    Placement::Updated { .. } => self.again.push((uid.clone(), "update")),
                }
                self.follow(uid);
            }
        }
        self.published
            .extend(std::iter::from_fn(|| self.fusion.poll_incident()));
    }

    fn follow(&mut self, uid: &str) {
        while let Some(output) = self.fusion.poll_output() {
            match output {
                Output::EpisodeOpened { episode, id } => {
                    self.threads.insert(episode, vec![episode]);
                    self.founders.insert(id.to_string(), uid.to_owned());
                }
                Output::ThreadMerged { thread, into } => {
                    let moved = self.threads.remove(&thread).unwrap();
                    self.threads.get_mut(&into).unwrap().extend(moved);
                }
                Output::ThreadSplit { thread, parts } => {
                    self.threads.remove(&thread).unwrap();
                    for part in parts {
                        let mut name = self.episodes[&part.thread].first().unwrap().clone();
                        while self.founders.values().any(|known| *known == name) {
                            name.push('\'');
                        }
                        self.founders.entry(part.id.to_string()).or_insert(name);
                        self.threads.insert(part.thread, part.episodes);
                    }
                }
                Output::ThreadPromoted { .. } => {}
            }
        }
    }
}

impl Tenant {
    /// The id of the incident that is called so.
    fn id_of(&self, name: &str) -> String {
        let mut known = self.founders.iter();
        let found = known.find(|(_, founder)| *founder == name);
        found.map_or_else(|| Uuid::nil().to_string(), |(id, _)| id.clone())
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

const SEPARATOR: &str = "---\n";
