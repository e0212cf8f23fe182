//! The two attacks of the scenario.

use super::event::{Event, Kind, Level, Rule, Sensor, Thing};
use super::site::{
    ADMIN, ALPINE, BACKUP, C2, DAY, DC, FILES, HARBOR, MINUTE, NAT, PATIENT_ZERO, SPRAYER, START,
    account, address, host, ip, owner,
};

/// Harbor Foods, Thursday 09:12 to 12:07: from a mail to encrypted backups.
pub const RANSOMWARE: &str = "ransomware";
/// Alpine Clinic, Wednesday 14:05 to 15:50: a guessed password and a mailbox.
pub const MAILBOX: &str = "mailbox";

/// Appends every alert of both attacks.
pub(super) fn add(events: &mut Vec<Event>) {
    let begin = START.plus(3 * DAY + (9 * 60 + 12) * MINUTE);
    for step in ransomware() {
        step.add(HARBOR, RANSOMWARE, begin, events);
    }
    let begin = START.plus(2 * DAY + (14 * 60 + 5) * MINUTE);
    for step in mailbox() {
        step.add(ALPINE, MAILBOX, begin, events);
    }
}

/// One alert of an attack, and how it goes on.
struct Step {
    /// Minutes from the beginning.
    minute: i64,
    rule: Rule,
    things: Vec<Thing>,
    /// Times it is seen again, and the minutes between.
    again: (i64, i64),
}

impl Step {
    fn add(
        self,
        tenant: &'static str,
        attack: &'static str,
        begin: schemas::time::Timestamp,
        events: &mut Vec<Event>,
    ) {
        for repeat in 0..=self.again.0 {
            // Seconds that no clock would show round.
            let odd = (self.minute * 17 + repeat * 29) % 60 * 1000;
            events.push(Event {
                tenant,
                time: begin.plus((self.minute + repeat * self.again.1) * MINUTE + odd),
                rule: self.rule,
                things: self.things.clone(),
                attack: Some(attack),
            });
        }
    }

    fn again(self, times: i64, minutes: i64) -> Self {
        Self {
            again: (times, minutes),
            ..self
        }
    }
}

fn step(
    minute: i64,
    rule: (Sensor, u32, &'static str, Level),
    attack: (&'static str, &'static str),
    things: &[Thing],
) -> Step {
    let ((sensor, number, title, severity), (tactic, technique)) = (rule, attack);
    Step {
        minute,
        rule: Rule {
            sensor,
            number,
            title,
            severity,
            tactic,
            technique,
        },
        things: things.to_vec(),
        again: (0, 0),
    }
}

use Level::{Critical, High, Medium};
use Sensor::{Endpoint, Identity, Network};

fn ransomware() -> Vec<Step> {
    [foothold(), spread(), harm()]
        .into_iter()
        .flatten()
        .collect()
}

/// From the mail to the first password, all on one workstation.
fn foothold() -> Vec<Step> {
    let (zero, clerk) = (host(PATIENT_ZERO), owner(PATIENT_ZERO));
    let thursday = START.plus(3 * DAY);
    let inside = address(PATIENT_ZERO, thursday).source();
    let (loader, c2) = (file(LOADER), ip(C2).target());
    vec![
        step(
            0,
            (
                Identity,
                311,
                "Mail from a lookalike sender delivered",
                Medium,
            ),
            ("initial-access", "T1566.001"),
            &[clerk.clone(), Thing::new(Kind::Url, LURE)],
        ),
        step(
            4,
            (Identity, 312, "Link of a reported mail opened", Medium),
            ("initial-access", "T1566.002"),
            &[clerk.clone(), Thing::new(Kind::Url, LURE), zero.clone()],
        ),
        step(
            6,
            (Endpoint, 121, "Downloaded document ran a script", High),
            ("execution", "T1204.002"),
            &[zero.clone(), clerk.clone(), loader.clone()],
        ),
        step(
            7,
            (Endpoint, 122, "Script fetched and ran code in memory", High),
            ("execution", "T1059.001"),
            &[zero.clone(), clerk.clone(), c2.clone()],
        ),
        step(
            9,
            (Network, 211, "Beacon at even intervals", High),
            ("command-and-control", "T1071.001"),
            &[inside.clone(), c2.clone()],
        )
        .again(8, 19),
        step(
            15,
            (
                Endpoint,
                123,
                "Autorun entry points into a user profile",
                Medium,
            ),
            ("persistence", "T1547.001"),
            &[zero.clone(), clerk.clone(), loader.clone()],
        ),
        step(
            24,
            (Endpoint, 124, "Process injected into another", High),
            ("defense-evasion", "T1055"),
            &[zero.clone(), loader.clone()],
        ),
        step(
            38,
            (Endpoint, 125, "Domain groups and trusts listed", Medium),
            ("discovery", "T1482"),
            &[zero.clone().source(), host(DC).target(), clerk.clone()],
        ),
        step(
            46,
            (Endpoint, 126, "Memory of the logon process read", High),
            ("credential-access", "T1003.001"),
            &[zero, clerk, loader],
        ),
        step(
            48,
            (Network, 212, "Listed address contacted", Medium),
            ("command-and-control", "T1071.001"),
            &[ip(NAT).source(), c2],
        ),
    ]
}

/// Three hops: the administrator's workstation, the file server, the backup server.
fn spread() -> Vec<Step> {
    let (zero, admin, files, backup) = (host(PATIENT_ZERO), host(ADMIN), host(FILES), host(BACKUP));
    let chief = owner(ADMIN);
    let (tool, c2) = (file(TOOL), ip(C2).target());
    vec![
        step(
            63,
            (
                Endpoint,
                131,
                "Program copied to and started on an admin share",
                High,
            ),
            ("lateral-movement", "T1021.002"),
            &[
                zero.source(),
                admin.clone().target(),
                chief.clone(),
                tool.clone(),
            ],
        ),
        step(
            66,
            (Endpoint, 122, "Script fetched and ran code in memory", High),
            ("execution", "T1059.001"),
            &[admin.clone(), chief.clone(), c2],
        ),
        step(
            72,
            (Endpoint, 132, "Tickets asked for many services", High),
            ("credential-access", "T1558.003"),
            &[admin.clone().source(), host(DC).target(), chief.clone()],
        ),
        step(
            79,
            (Endpoint, 133, "Shares searched for files of value", Medium),
            ("discovery", "T1135"),
            &[
                admin.clone().source(),
                files.clone().target(),
                chief.clone(),
            ],
        ),
        step(
            88,
            (Endpoint, 134, "Remote shell opened", High),
            ("lateral-movement", "T1021.006"),
            &[admin.source(), files.clone().target(), chief.clone()],
        ),
        step(
            91,
            (Endpoint, 124, "Process injected into another", High),
            ("defense-evasion", "T1055"),
            &[files.clone(), tool.clone()],
        ),
        step(
            139,
            (
                Endpoint,
                131,
                "Program copied to and started on an admin share",
                High,
            ),
            ("lateral-movement", "T1021.002"),
            &[files.source(), backup.target(), chief, tool],
        ),
    ]
}

/// What it was all for.
fn harm() -> Vec<Step> {
    let (files, backup) = (host(FILES), host(BACKUP));
    let chief = owner(ADMIN);
    let inside = address(FILES, START).source();
    let (tool, locker, c2) = (file(TOOL), file(LOCKER), ip(C2).target());
    vec![
        step(
            98,
            (Endpoint, 141, "Whole share packed into one archive", High),
            ("collection", "T1560.001"),
            &[files.clone(), chief.clone(), tool],
        )
        .again(2, 6),
        step(
            105,
            (Network, 211, "Beacon at even intervals", High),
            ("command-and-control", "T1071.001"),
            &[inside.clone(), c2.clone()],
        )
        .again(2, 17),
        step(
            117,
            (Network, 213, "Very large upload to one address", High),
            ("exfiltration", "T1041"),
            &[inside, c2],
        )
        .again(1, 9),
        step(
            146,
            (Endpoint, 142, "Shadow copies and backups deleted", Critical),
            ("impact", "T1490"),
            &[backup.clone(), chief.clone(), locker.clone()],
        ),
        step(
            158,
            (
                Endpoint,
                143,
                "Many files encrypted in a short time",
                Critical,
            ),
            ("impact", "T1486"),
            &[files, chief.clone(), locker.clone()],
        )
        .again(3, 2),
        step(
            163,
            (
                Endpoint,
                143,
                "Many files encrypted in a short time",
                Critical,
            ),
            ("impact", "T1486"),
            &[backup, chief.clone(), locker.clone()],
        )
        .again(2, 2),
        step(
            169,
            (
                Endpoint,
                143,
                "Many files encrypted in a short time",
                Critical,
            ),
            ("impact", "T1486"),
            &[host(ADMIN), chief, locker],
        )
        .again(2, 3),
    ]
}

fn mailbox() -> Vec<Step> {
    let (nurse, sprayer) = (account("nils.berg"), ip(SPRAYER));
    let at = |minute, number, title, level, attack: (&'static str, &'static str)| {
        step(
            minute,
            (Identity, number, title, level),
            attack,
            &[nurse.clone(), sprayer.clone()],
        )
    };
    vec![
        at(
            0,
            321,
            "Passwords tried against many accounts",
            Medium,
            ("credential-access", "T1110.003"),
        ),
        at(
            17,
            322,
            "Sign-in through an anonymous network",
            High,
            ("initial-access", "T1078.004"),
        ),
        at(
            31,
            323,
            "Second factor replaced",
            High,
            ("persistence", "T1556.006"),
        ),
        at(
            44,
            324,
            "Inbox rule hides replies",
            Medium,
            ("defense-evasion", "T1564.008"),
        ),
        at(
            62,
            325,
            "Document store downloaded at once",
            High,
            ("collection", "T1213.002"),
        ),
        at(
            105,
            326,
            "Mail forwarded outside",
            High,
            ("exfiltration", "T1048"),
        )
        .again(3, 7),
    ]
}

fn file(sha256: &str) -> Thing {
    Thing::new(Kind::FileHash, sha256)
}

const LURE: &str = "https://invoices.harbor-foods.example.net/overdue";
const LOADER: &str = "5f1d3c7a9b2e48066d0c1fa2b3948576e8d9c0b1a2f3e4d5c6b7a8990a1b2c3d";
const TOOL: &str = "a70e4b1c2d3f5968778695a4b3c2d1e0f1029384756afbecd0c1b2a394857668";
const LOCKER: &str = "e93b6c5d4f7a8190a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5d6e7f8091";
