//! 1,000 alerts a second, each sent at its own time whatever the engine does, and when a reader of what is committed sees the
//! revision of the incident that the newest of its alerts led to.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::workload::{Profile, Workload};
use engine::bus::kafka::KafkaBus;
use engine::run;
use engine::worker::{NoObserver, Worker};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use schemas::decode::Format;
use serde_json::Value;
use tests::kafka::Cluster;

use crate::{SEED, cluster, group, quantile};

const INPUT: &str = "alerts";
const GROUP: &str = "latency";
const PER_SECOND: u32 = 1_000;
const SECONDS: u32 = 60;
/// What comes before the first of the rates is known is not counted.
const WARM: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(3);

pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<()> {
    let cluster = cluster()?;
    cluster.create_topic(INPUT, 1);
    let (config, shape) = group(&cluster, GROUP, INPUT)?;
    let stop = Arc::new(AtomicBool::new(false));
    let worker = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || -> anyhow::Result<()> {
            let settings = run::worker_config(&config, 1, 1);
            let bus = KafkaBus::join(config, shape, Arc::default())?;
            Worker::new(bus, settings, Arc::default(), Arc::default(), stop)
                .run(&mut NoObserver)?;
            Ok(())
        })
    };
    let reader = reader(&cluster)?;
    let begin = Instant::now() + QUIET;
    let sender = send(&cluster, begin)?;
    let seen = watch(&reader, begin);
    let sent = sender
        .join()
        .map_err(|_| anyhow::anyhow!("the sender panicked"))?;
    stop.store(true, Ordering::Relaxed);
    worker
        .join()
        .map_err(|_| anyhow::anyhow!("the worker panicked"))??;
    let mut taken: Vec<Duration> = seen
        .into_iter()
        .filter_map(|(ids, at)| {
            let newest = ids.iter().filter_map(|id| sent.get(id)).max()?;
            (*newest > begin + WARM).then(|| at.saturating_duration_since(*newest))
        })
        .collect();
    anyhow::ensure!(
        !taken.is_empty(),
        "no revision of an alert that was sent was seen"
    );
    taken.sort_unstable();
    writeln!(
        out,
        "alert to incident at {PER_SECOND} alerts/s: {} revisions, p50 {:.0?}, p99 {:.0?}, max {:.0?}",
        taken.len(),
        quantile(&taken, 500),
        quantile(&taken, 990),
        quantile(&taken, 1_000)
    )?;
    Ok(())
}

/// Sends in a thread, and returns when each alert was meant to be sent.
fn send(
    cluster: &Cluster,
    begin: Instant,
) -> anyhow::Result<thread::JoinHandle<HashMap<String, Instant>>> {
    let producer: BaseProducer = cluster.client().set("linger.ms", "0").create()?;
    let number = usize::try_from(PER_SECOND * SECONDS)?;
    let values: Vec<Vec<u8>> = Workload::new(Profile::Soc, SEED)
        .take(number)
        .filter_map(|event| event.record(Format::Fusor))
        .collect();
    Ok(thread::spawn(move || {
        let mut sent = HashMap::new();
        let gap = Duration::from_secs(1) / PER_SECOND;
        for (value, turn) in values.iter().zip(0..) {
            let meant = begin + gap * turn;
            while Instant::now() < meant {
                producer.poll(Duration::ZERO);
                thread::sleep(Duration::from_micros(200));
            }
            let record = BaseRecord::<(), [u8]>::to(INPUT)
                .partition(0)
                .payload(value);
            if producer.send(record).is_ok()
                && let Ok(alert) = serde_json::from_slice::<Value>(value)
                && let Some(id) = alert.get("id").and_then(Value::as_str)
            {
                sent.insert(id.to_owned(), meant);
            }
        }
        drop(producer.flush(QUIET));
        sent
    }))
}

fn reader(cluster: &Cluster) -> anyhow::Result<BaseConsumer> {
    let reader: BaseConsumer = cluster
        .client()
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(&format!("{GROUP}.incidents"), 0, Offset::Beginning)?;
    reader.assign(&all)?;
    Ok(reader)
}

/// Returns the alerts of every revision, and when it was seen.
fn watch(reader: &BaseConsumer, begin: Instant) -> Vec<(Vec<String>, Instant)> {
    let end = begin + Duration::from_secs(SECONDS.into()) + QUIET;
    let mut seen = Vec::new();
    while Instant::now() < end {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else {
            continue;
        };
        let at = Instant::now();
        let value = message.payload().map(serde_json::from_slice::<Value>);
        let Some(Ok(incident)) = value else { continue };
        // What time or an analyst changed has no alert that it is late after.
        let changes = incident.get("changes").and_then(Value::as_array);
        let mut words = changes.into_iter().flatten().filter_map(Value::as_str);
        if !words.any(|word| matches!(word, "created" | "alerts_added")) {
            continue;
        }
        let alerts = incident.get("alerts").and_then(Value::as_array);
        let id = |alert: &Value| Some(alert.get("native_uid")?.as_str()?.to_owned());
        let ids = alerts.into_iter().flatten().filter_map(id).collect();
        seen.push((ids, at));
    }
    seen
}
