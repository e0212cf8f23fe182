//! What holds of the core whatever comes in, and that it does what the reference model does.

pub(crate) mod arbitrary;
mod commands;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arbitrary::{Kind, steps};
use correlators::invariants::check;
use correlators::limits::Limits;
use correlators::{Fusion, Output, Placement, Settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use schemas::alert::Severity;
use schemas::incident::{Incident, IncidentStatus, LinkKind};
use schemas::time::Timestamp;
use tests::reference::{Joined, Model};
use tests::scenario::Step;

proptest! {
    #[test]
    fn invariants_hold_after_every_input(steps in steps(Kind::Aliased, 60)) {
        let mut driver = Driver::new(&Settings::default());
        for step in &steps {
            driver.step(step);
            prop_assert_eq!(check(&driver.fusion), Ok(()));
        }
    }

    #[test]
    fn bounds_hold_under_floods(steps in steps(Kind::Hostile, 60), limits in tiny()) {
        let mut driver = Driver::new(&Settings { limits, ..Settings::default() });
        for step in &steps {
            driver.step(step);
            prop_assert_eq!(check(&driver.fusion), Ok(()));
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(steps in steps(Kind::Aliased, 60)) {
        let settings = Settings::default();
        prop_assert_eq!(bytes(&run(&steps, &settings, 3)), bytes(&run(&steps, &settings, 3)));
    }

    #[test]
    fn it_does_not_matter_when_incidents_are_polled(steps in steps(Kind::Aliased, 60), limits in some_limits()) {
        let settings = Settings { limits, ..Settings::default() };
        let always = run(&steps, &settings, 1);
        let known: BTreeMap<_, _> = always.iter().map(|incident| (key(incident), text(incident))).collect();
        for every in [7, usize::MAX] {
            let seldom = run(&steps, &settings, every);
            for incident in &seldom {
                prop_assert_eq!(known.get(&key(incident)), Some(&text(incident)));
            }
            prop_assert_eq!(last(&seldom), last(&always));
        }
    }

    #[test]
    fn it_does_not_matter_how_often_time_is_told(steps in steps(Kind::Aliased, 60), limits in some_limits()) {
        let settings = Settings { limits, ..Settings::default() };
        let seldom = run(&steps, &settings, 1);
        let mut driver = Driver { tells: 5, ..Driver::new(&settings) };
        let often: Vec<Incident> = steps.iter().flat_map(|step| { driver.step(step); driver.poll() }).collect();
        prop_assert_eq!(bytes(&seldom), bytes(&often));
    }

    #[test]
    fn revisions_rise_and_redirects_end(steps in steps(Kind::Aliased, 60), limits in some_limits()) {
        let published = run(&steps, &Settings { limits, ..Settings::default() }, 1);
        let mut last: BTreeMap<&str, &Incident> = BTreeMap::new();
        for incident in &published {
            if let Some(before) = last.insert(&incident.id, incident) {
                prop_assert!(incident.revision > before.revision);
                prop_assert!(incident.severity >= before.severity);
                prop_assert!(before.merged_into.is_none(), "{} was merged", incident.id);
            } else {
                prop_assert_eq!(incident.revision, 1);
            }
        }
        for incident in last.values() {
            let (mut at, mut hops) = (*incident, 0);
            while let Some(into) = &at.merged_into {
                at = last[into.as_str()];
                hops += 1;
                prop_assert!(hops <= last.len(), "redirects of {} do not end", incident.id);
            }
            prop_assert_eq!(incident.status == IncidentStatus::Merged, incident.merged_into.is_some());
        }
    }

    #[test]
    fn every_accepted_alert_is_in_one_thread(steps in steps(Kind::Aliased, 60)) {
        let mut driver = Driver::new(&Settings::default());
        let mut threads: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for step in &steps {
            let placement = driver.step(step);
            while let Some(output) = driver.fusion.poll_output() {
                match output {
                    Output::EpisodeOpened { episode, .. } => {
                        prop_assert_eq!(threads.insert(episode, BTreeSet::from([episode])), None);
                    }
                    Output::ThreadMerged { thread, into } => {
                        let moved = threads.remove(&thread).unwrap();
                        threads.get_mut(&into).unwrap().extend(moved);
                    }
                    Output::ThreadSplit { .. } => panic!("nobody split it"),
                    Output::ThreadPromoted { thread } => prop_assert!(threads.contains_key(&thread)),
                }
            }
            if let Some(Placement::Placed { episode, .. }) = placement {
                let holding = threads.values().filter(|thread| thread.contains(&episode)).count();
                prop_assert_eq!(holding, 1);
            }
        }
    }

    #[test]
    fn incidents_say_what_adds_up(steps in steps(Kind::Aliased, 60)) {
        let published = run(&steps, &Settings::default(), 1);
        for incident in &published {
            let counted: i64 = incident.alerts.iter().map(|alert| alert.count).sum();
            prop_assert_eq!(counted, incident.alert_count);
            let entities: BTreeSet<&str> = incident.entities.iter().map(|entity| entity.key.as_str()).collect();
            for link in &incident.links {
                prop_assert_eq!(link.terms.iter().map(|term| term.bits).sum::<i32>(), link.weight);
                prop_assert!(!link.joined || link.weight >= link.bar);
                prop_assert!(link.from != link.to);
                for entity in link.terms.iter().filter_map(|term| term.entity.as_deref()) {
                    prop_assert!(entities.contains(entity), "{entity} is no entity of {}", incident.id);
                }
            }
            if incident.merged_into.is_none() {
                let joins = incident.links.iter().filter(|link| link.joined).count();
                prop_assert_eq!(joins + 1, incident.alerts.len(), "a tree of links that joined");
            }
        }
        let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
        for incident in last(&published).values() {
            for alert in &incident.alerts {
                prop_assert_eq!(homes.insert(&alert.uid, &incident.id), None, "{} is in two incidents", alert.uid);
            }
        }
    }

    #[test]
    fn another_tenant_changes_nothing(own in steps(Kind::Aliased, 40), others in steps(Kind::Hostile, 40)) {
        let (mut alone, mut beside) = (Driver::new(&Settings::default()), Driver::new(&Settings::default()));
        let mut other = Driver::new(&Settings::default());
        let mut others = others.iter();
        for step in &own {
            alone.step(step);
            if let Some(step) = others.next() {
                other.step(step);
            }
            beside.step(step);
            prop_assert_eq!(bytes(&alone.poll()), bytes(&beside.poll()));
        }
    }

    #[test]
    fn nothing_panics_on_hostile_values(steps in steps(Kind::Hostile, 60)) {
        for incident in run(&steps, &Settings::default(), 1) {
            prop_assert!((0.0..=100.0).contains(&incident.risk));
            prop_assert!(incident.severity >= Severity::Low);
            let read: Incident = serde_json::from_str(&text(&incident)).unwrap();
            prop_assert_eq!(read, incident);
        }
    }
}

#[test]
fn the_core_does_what_the_model_does() {
    agrees(false);
}

#[test]
fn every_thread_of_the_core_is_linked_as_in_the_model() {
    agrees(true);
}

/// Compares the core with the model on made-up streams. Where the model finds a decision too close to call the stream is not
/// compared; few may be.
#[track_caller]
fn agrees(publish_all: bool) {
    let mut settings = Settings::default();
    if publish_all {
        settings.promote.rules = 0;
        settings.promote.risk_alone_tenths = 0;
    }
    let (seen, skipped) = (Cell::new(0), Cell::new(0));
    // The same streams on every run: what is close is judged by tolerances, which some stream will defeat.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let ran = runner.run(&steps(Kind::Plain, 40), |steps| {
        let mut model = Model::new(publish_all);
        let mut core = Core::new(&settings);
        for step in &steps {
            core.step(step);
            model_step(&mut model, step, core.driver.watermark());
        }
        seen.set(seen.get() + 1);
        if model.close {
            skipped.set(skipped.get() + 1);
            return Ok(());
        }
        let report = model.report();
        prop_assert_eq!(core.threads(), report.threads);
        if publish_all {
            let (core, model) = (core.joined(), told(report.joined));
            let apart = |(a, b): (&Joined, &Joined)| {
                (&a.to, a.kind) == (&b.to, b.kind)
                    && (a.weight - b.weight).abs() <= TOLERANCE
                    && (a.bar - b.bar).abs() <= TOLERANCE
            };
            let same = core.len() == model.len() && core.iter().zip(&model).all(apart);
            prop_assert!(same, "core {core:#?}\nmodel {model:#?}");
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let (seen, skipped) = (seen.get(), skipped.get());
    assert!(
        skipped * 3 <= seen,
        "{skipped} of {seen} streams were too close to call"
    );
}

fn model_step(model: &mut Model, step: &Step, watermark: i64) {
    match step {
        Step::Alert(alert) => {
            model.time(watermark);
            model.alert(alert);
        }
        Step::Lease(lease) => model.lease(lease),
        Step::Time(_, time) => model.time(time.millis()),
        Step::Command(_) => panic!("the model knows no commands"),
    }
}

/// The core, and what it told of its threads.
struct Core {
    driver: Driver,
    /// Founders of the episodes of each thread, and whether it is published.
    threads: BTreeMap<u64, (BTreeSet<String>, bool)>,
    last: BTreeMap<String, Incident>,
}

impl Core {
    fn new(settings: &Settings) -> Self {
        Self {
            driver: Driver::new(settings),
            threads: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        self.driver.step(step);
        while let Some(output) = self.driver.fusion.poll_output() {
            match output {
                Output::EpisodeOpened { episode, .. } => {
                    let Step::Alert(alert) = step else {
                        panic!("no alert opened it")
                    };
                    let founder = BTreeSet::from([alert.uid.clone()]);
                    self.threads.insert(episode, (founder, false));
                }
                Output::ThreadMerged { thread, into } => {
                    let (members, published) = self.threads.remove(&thread).unwrap();
                    let kept = self.threads.get_mut(&into).unwrap();
                    kept.0.extend(members);
                    kept.1 |= published;
                }
                Output::ThreadSplit { .. } => panic!("nobody split it"),
                Output::ThreadPromoted { thread } => {
                    self.threads.get_mut(&thread).unwrap().1 = true
                }
            }
        }
        for incident in self.driver.poll() {
            self.last.insert(incident.id.clone(), incident);
        }
    }

    fn threads(&self) -> BTreeMap<BTreeSet<String>, bool> {
        self.threads.values().cloned().collect()
    }

    fn joined(&self) -> Vec<Joined> {
        let links = self.last.values().flat_map(|incident| {
            let joined = incident.links.iter().filter(|link| link.joined);
            joined.map(|link| {
                let to = usize::try_from(link.to).unwrap();
                Joined {
                    to: (link.kind != LinkKind::Stitch).then(|| incident.alerts[to].uid.clone()),
                    kind: link.kind.word(),
                    weight: f64::from(link.weight) / 1_000.0,
                    bar: f64::from(link.bar) / 1_000.0,
                }
            })
        });
        told(links.collect())
    }
}

fn told(mut joined: Vec<Joined>) -> Vec<Joined> {
    joined.sort_by(|a, b| {
        let key = |joined: &Joined| (joined.to.clone(), joined.kind);
        key(a).cmp(&key(b)).then(a.weight.total_cmp(&b.weight))
    });
    joined
}

/// Tells a core what comes in, and between two alerts the time, as the engine does.
struct Driver {
    fusion: Fusion,
    newest: i64,
    lateness: i64,
    told: i64,
    /// How often time is told on the way.
    tells: i64,
}

impl Driver {
    fn new(settings: &Settings) -> Self {
        Self {
            fusion: Fusion::new("acme", Arc::new(settings.clone())),
            newest: Timestamp::MIN.0,
            lateness: settings.lateness_ms,
            told: Timestamp::MIN.0,
            tells: 1,
        }
    }

    fn step(&mut self, step: &Step) -> Option<Placement> {
        match step {
            Step::Lease(lease) => self.fusion.handle_binding(lease),
            Step::Time(_, time) => self.fusion.handle_time(*time),
            Step::Command(command) => {
                self.fusion.handle_command(command);
            }
            Step::Alert(alert) => {
                let newest = self.newest.max(alert.start_time.millis());
                for told in 1..=self.tells {
                    let time = self.newest + (newest - self.newest) / self.tells * told;
                    let time = if told == self.tells { newest } else { time };
                    self.fusion.handle_time(Timestamp(time - self.lateness));
                }
                self.newest = newest;
                self.told = newest - self.lateness;
                return Some(self.fusion.handle_alert(alert));
            }
        }
        None
    }

    const fn watermark(&self) -> i64 {
        self.told
    }

    fn poll(&mut self) -> Vec<Incident> {
        std::iter::from_fn(|| self.fusion.poll_incident()).collect()
    }
}

fn run(steps: &[Step], settings: &Settings, every: usize) -> Vec<Incident> {
    let mut driver = Driver::new(settings);
    let mut published = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        driver.step(step);
        if (number + 1) % every == 0 {
            published.extend(driver.poll());
        }
    }
    published.extend(driver.poll());
    published
}

fn key(incident: &Incident) -> (String, i64) {
    (incident.id.clone(), incident.revision)
}

pub(crate) fn text(incident: &Incident) -> String {
    serde_json::to_string(incident).unwrap()
}

fn bytes(incidents: &[Incident]) -> Vec<String> {
    incidents.iter().map(text).collect()
}

fn last(published: &[Incident]) -> BTreeMap<&str, &Incident> {
    published
        .iter()
        .map(|incident| (incident.id.as_str(), incident))
        .collect()
}

/// The defaults, or bounds that these few alerts reach.
pub(crate) fn some_limits() -> impl Strategy<Value = Limits> {
    prop_oneof![Just(Limits::default()), tiny()]
}

pub(crate) fn tiny() -> impl Strategy<Value = Limits> {
    (
        (1_u32..8, 2_u32..8, 1_u32..4, 1_u32..4),
        (1_u32..4, 0_u32..4, 4_u32..20, 3_u32..12),
        (1_u32..6, 1_u32..4, 1_u32..12, 1_u32..4),
        (1_i64..30, 1_i64..60, 1_i64..40),
    )
        .prop_map(|(incident, kept, known, hours)| Limits {
            incident_episodes: incident.0,
            incident_entities: incident.1,
            ring: incident.2,
            ring_threads: incident.3,
            links: kept.0,
            repeat_uids: kept.1,
            episodes: kept.2,
            entities: kept.3,
            rules: known.0,
            rules_at_entity: known.1,
            uids: known.2,
            leases: known.3,
            cold_idle_ms: hours.0 * HOUR_MS,
            warm_idle_ms: (hours.0 + hours.1) * HOUR_MS,
            entity_idle_ms: hours.2 * HOUR_MS,
            incident_life_ms: hours.1 * HOUR_MS,
            comments: known.2,
            comment_bytes: 64,
            tags: known.1,
            unlinked: known.3,
            expected: known.0,
            commands: known.2,
        })
}

const HOUR_MS: i64 = 3_600_000;
/// In bits.
const TOLERANCE: f64 = 0.005;
