//! What goes on at a site every day without any attack.

use schemas::time::Timestamp;

use super::event::{Event, Kind, Level, Rule, Sensor, Thing};
use super::random::Random;
use super::site::{
    BACKUP, DAY, DAYS, DC, DEPLOY, FILES, MINUTE, NAT, SCANNER, START, WORKSTATIONS, account,
    address, host, ip, owner,
};

/// Who is behind a kind of noise.
#[derive(Clone, Copy, Debug)]
enum Actors {
    /// A workstation and its owner.
    Person,
    /// The same with one of a few common files.
    PersonWithFile,
    /// One of the helpdesk's six workstations.
    Helpdesk,
    /// Software distribution on a workstation.
    Deployment,
    /// The vulnerability scanner on a machine, seen by the machine.
    Scanned,
    /// The vulnerability scanner on a machine, seen on the wire.
    ScannedOnWire,
    /// The nightly copy of the file server.
    BackupJob,
    /// A person on the file server.
    FileServer,
    /// The domain controller and a person.
    DirectoryPerson,
    /// The domain controller and a workstation.
    DirectoryHost,
    /// The domain controller and a service account.
    DirectoryService,
    /// Anyone on the internet, at the site's address.
    Inbound,
    /// A workstation to one of a few popular addresses, seen inside.
    Outbound,
    /// The same seen outside, where only the site's address shows.
    OutboundBehindNat,
    /// A person signing in from somewhere.
    SignIn,
    /// A person's mail with a link.
    Mail,
    /// A person's mailbox.
    Mailbox,
}

/// Appends the noise of one tenant, `share` hundredths of a busy site's.
pub(super) fn add(tenant: &'static str, share: u32, random: &mut Random, events: &mut Vec<Event>) {
    for day in 0..DAYS {
        for (rule, per_day, actors) in NOISE {
            let wanted = per_day * share;
            let chance = u32::from(random.below(100) < wanted % 100);
            for _ in 0..wanted / 100 + chance {
                let time = START.plus(day * DAY + time_of_day(*actors, random));
                let things = things(*actors, time, random);
                events.push(Event {
                    tenant,
                    time,
                    rule: *rule,
                    things,
                    attack: None,
                });
            }
        }
    }
}

/// People work from eight to six, machines all day, the backup at night.
fn time_of_day(actors: Actors, random: &mut Random) -> i64 {
    let (from, hours) = match actors {
        Actors::Person
        | Actors::PersonWithFile
        | Actors::Helpdesk
        | Actors::FileServer
        | Actors::DirectoryPerson
        | Actors::Outbound
        | Actors::OutboundBehindNat
        | Actors::SignIn
        | Actors::Mail
        | Actors::Mailbox => (8, 10),
        Actors::BackupJob => (1, 3),
        Actors::Deployment
        | Actors::Scanned
        | Actors::ScannedOnWire
        | Actors::DirectoryHost
        | Actors::DirectoryService
        | Actors::Inbound => (0, 24),
    };
    from * 60 * MINUTE + i64::from(random.below(hours * 3_600_000))
}

fn things(actors: Actors, time: Timestamp, random: &mut Random) -> Vec<Thing> {
    let workstation = 1 + random.below(WORKSTATIONS);
    let person = || vec![host(workstation), owner(workstation)];
    match actors {
        Actors::Person => person(),
        Actors::PersonWithFile => {
            let file = Thing::new(
                Kind::FileHash,
                format!("{:064x}", 0xadd_0000 + random.below(8)),
            );
            [person(), vec![file]].concat()
        }
        Actors::Helpdesk => vec![host(70 + random.below(6)), account("helpdesk")],
        Actors::Deployment => vec![
            host(DEPLOY).source(),
            host(workstation).target(),
            account("svc-deploy"),
        ],
        Actors::Scanned => vec![host(SCANNER).source(), host(any_host(random)).target()],
        Actors::ScannedOnWire => vec![
            address(SCANNER, time).source(),
            address(any_host(random), time).target(),
        ],
        Actors::BackupJob => vec![
            host(BACKUP).source(),
            host(FILES).target(),
            account("svc-backup"),
        ],
        Actors::FileServer => vec![host(FILES), owner(workstation)],
        Actors::DirectoryPerson => vec![host(DC).target(), owner(workstation)],
        Actors::DirectoryHost => vec![host(workstation).source(), host(DC).target()],
        Actors::DirectoryService => {
            vec![
                host(DC).target(),
                account(
                    random
                        .pick(&["svc-print", "svc-sql", "svc-web"])
                        .unwrap_or_default(),
                ),
            ]
        }
        Actors::Inbound => vec![
            ip(format!("192.0.2.{}", 1 + random.below(250))).source(),
            ip(NAT).target(),
        ],
        Actors::Outbound => vec![address(workstation, time).source(), popular(random)],
        Actors::OutboundBehindNat => vec![ip(NAT).source(), popular(random)],
        Actors::SignIn => vec![
            owner(workstation),
            ip(format!("203.0.113.{}", 100 + random.below(150))),
        ],
        Actors::Mail => {
            let link = format!("https://offers.example/{}", random.below(40));
            vec![owner(workstation), Thing::new(Kind::Url, link)]
        }
        Actors::Mailbox => vec![owner(workstation)],
    }
}

fn any_host(random: &mut Random) -> u32 {
    let number = 1 + random.below(WORKSTATIONS + 4);
    if number > WORKSTATIONS {
        DC + number - WORKSTATIONS - 1
    } else {
        number
    }
}

fn popular(random: &mut Random) -> Thing {
    ip(format!("198.51.100.{}", 200 + random.below(30))).target()
}

const fn rule(
    sensor: Sensor,
    number: u32,
    title: &'static str,
    severity: Level,
    tactic: &'static str,
    technique: &'static str,
) -> Rule {
    Rule {
        sensor,
        number,
        title,
        severity,
        tactic,
        technique,
    }
}

use Level::{Low, Medium};
use Sensor::{Endpoint, Identity, Network};

/// Each rule, how often it fires in a day at a busy site, and who is behind it.
#[rustfmt::skip]
const NOISE: &[(Rule, u32, Actors)] = &[
    (rule(Endpoint, 101, "Office program started a script", Low, "execution", "T1059"), 25, Actors::Person),
    (rule(Endpoint, 102, "Command line is encoded", Medium, "execution", "T1059.001"), 40, Actors::Helpdesk),
    (rule(Endpoint, 103, "New autorun entry", Low, "persistence", "T1547.001"), 60, Actors::Person),
    (rule(Endpoint, 104, "Unsigned library loaded", Low, "defense-evasion", "T1574.001"), 45, Actors::Person),
    (rule(Endpoint, 105, "Unwanted program removed", Medium, "execution", "T1204.002"), 14, Actors::PersonWithFile),
    (rule(Endpoint, 106, "Service created from afar", Low, "lateral-movement", "T1021.002"), 60, Actors::Deployment),
    (rule(Endpoint, 107, "Local accounts listed", Low, "discovery", "T1087.001"), 70, Actors::Scanned),
    (rule(Endpoint, 108, "Many files read in one run", Low, "collection", "T1005"), 24, Actors::BackupJob),
    (rule(Endpoint, 109, "Archive larger than usual", Low, "collection", "T1560.001"), 10, Actors::FileServer),
    (rule(Endpoint, 110, "Logon failed repeatedly", Low, "credential-access", "T1110"), 260, Actors::DirectoryPerson),
    (rule(Endpoint, 111, "Directory searched widely", Low, "discovery", "T1087.002"), 160, Actors::DirectoryHost),
    (rule(Endpoint, 112, "Ticket with a weak cipher", Medium, "credential-access", "T1558.003"), 20, Actors::DirectoryService),
    (rule(Network, 201, "Port sweep from outside", Low, "reconnaissance", "T1595.001"), 150, Actors::Inbound),
    (rule(Network, 202, "Self-signed certificate", Low, "command-and-control", "T1573.002"), 90, Actors::Outbound),
    (rule(Network, 203, "Long connection to outside", Low, "command-and-control", "T1071.001"), 60, Actors::OutboundBehindNat),
    (rule(Network, 204, "Probe for a known weakness", Medium, "initial-access", "T1190"), 120, Actors::ScannedOnWire),
    (rule(Identity, 301, "Sign-in from an unfamiliar place", Low, "initial-access", "T1078.004"), 50, Actors::SignIn),
    (rule(Identity, 302, "Mail with a doubtful link removed", Low, "initial-access", "T1566.002"), 30, Actors::Mail),
    (rule(Identity, 303, "Inbox rule created", Low, "persistence", "T1137.005"), 6, Actors::Mailbox),
];
