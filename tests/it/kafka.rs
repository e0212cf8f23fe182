//! The program against real brokers.

use tests::kafka::{Cluster, Isolation, Outgoing};

#[test]
fn three_brokers_serve_while_one_is_dead() {
    let Some(cluster) = Cluster::start(3) else {
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
