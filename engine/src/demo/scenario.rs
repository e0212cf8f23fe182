//! The scenario: four days at two sites, two attacks, and thousands of alerts that mean nothing.
//!
//! Everything is made up and made anew by every call; the same seed gives the same bytes.

mod attacks;
mod background;
mod event;
mod random;
mod render;
mod site;

use schemas::binding::Binding;

use event::{Event, Sensor};
use random::Random;

/// What the sensors of both sites send, and who held which address.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Records in order of event time.
    pub records: Vec<Sent>,
    /// Leases of both sites.
    pub leases: Vec<Binding>,
}

/// One record as a sensor sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The topic it goes to.
    pub topic: String,
    /// The record.
    pub bytes: Vec<u8>,
    /// The attack it belongs to, [`RANSOMWARE`] or [`MAILBOX`]; none for noise.
    pub attack: Option<&'static str>,
}

pub use attacks::{MAILBOX, RANSOMWARE};
pub use site::{ALPINE, HARBOR, START};

/// The site's own address on the internet, shared by everyone behind it.
pub const OWN_ADDRESS: &str = site::NAT;

/// The scenario's topics with the tenant each is fixed to; records of the first name theirs.
pub const TOPICS: [(&str, Option<&str>); 5] = [
    (ENDPOINT_TOPIC, None),
    ("harbor.network", Some(HARBOR)),
    ("harbor.identity", Some(HARBOR)),
    ("alpine.network", Some(ALPINE)),
    ("alpine.identity", Some(ALPINE)),
];

const ENDPOINT_TOPIC: &str = "alerts.endpoint";

/// The seed the demo plays unless told otherwise. With any seed the attack is one incident; with this one nothing else of
/// that site is.
pub const SEED: u64 = 5;

/// Makes the scenario of a seed.
#[must_use]
pub fn scenario(seed: u64) -> Scenario {
    let mut random = Random::new(seed);
    let mut events = Vec::new();
    background::add(HARBOR, 100, &mut random, &mut events);
    background::add(ALPINE, 20, &mut random, &mut events);
    attacks::add(&mut events);
    // A stable sort: what one loop made at one moment keeps its order.
    events.sort_by_key(|event| event.time);
    let records = events
        .iter()
        .zip(1..)
        .map(|(event, number)| sent(event, number))
        .collect();
    Scenario {
        records,
        leases: site::leases(),
    }
}

fn sent(event: &Event, number: u64) -> Sent {
    let site = if event.tenant == HARBOR {
        "harbor"
    } else {
        "alpine"
    };
    let topic = match event.rule.sensor {
        Sensor::Endpoint => ENDPOINT_TOPIC.to_owned(),
        Sensor::Network => format!("{site}.network"),
        Sensor::Identity => format!("{site}.identity"),
    };
    Sent {
        topic,
        bytes: render::record(event, number),
        attack: event.attack,
    }
}

#[cfg(test)]
mod tests;
