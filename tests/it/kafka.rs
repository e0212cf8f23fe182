//! Against real brokers.

use tests::kafka::{Cluster, Isolation, Outgoing};

#[test]
fn brokers_keep_what_they_are_given() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    cluster.create_topic("alerts", 2);
    cluster.produce((0..1_000).map(|n| Outgoing {
        topic: "alerts".to_owned(),
        partition: n % 2,
        value: n.to_string().into_bytes(),
        timestamp: 0,
    }));
    assert_eq!(cluster.read("alerts", Isolation::Committed).len(), 1_000);
    assert_eq!(cluster.committed("fusor", "alerts"), [None, None]);
}

#[test]
fn three_brokers_serve_while_one_is_dead() {
    let Some(mut cluster) = Cluster::start(3) else {
        return;
    };
    cluster.create_topic("alerts", 1);
    let record = Outgoing {
        topic: "alerts".to_owned(),
        partition: 0,
        value: b"{}".to_vec(),
        timestamp: 0,
    };
    cluster.kill(2);
    cluster.produce(vec![record; 100]);
    cluster.restart(2);
    assert_eq!(cluster.read("alerts", Isolation::Committed).len(), 100);
}
