//! The two attacks of the scenario, written as a script: one line an alert.

use schemas::time::Timestamp;

use super::event::{Event, Kind, Level, Rule, Sensor, Thing};
use super::site::{
    ADMIN, ALPINE, BACKUP, C2, DAY, DC, FILES, HARBOR, MINUTE, NAT, PATIENT_ZERO, SPRAYER, START,
    account, address, host, ip, owner,
};

/// Harbor Foods, Thursday 09:12 to 12:07: from a mail to encrypted backups.
pub const RANSOMWARE: &str = "ransomware";
/// Alpine Clinic, Wednesday 14:05 to 16:11: a guessed password and a mailbox.
pub const MAILBOX: &str = "mailbox";

/// Appends every alert of both attacks.
pub(super) fn add(events: &mut Vec<Event>) {
    let begin = START.plus(3 * DAY + (9 * 60 + 12) * MINUTE);
    for step in RANSOMWARE_SCRIPT.lines().filter_map(Step::parse) {
        step.add(HARBOR, RANSOMWARE, begin, events);
    }
    let begin = START.plus(2 * DAY + (14 * 60 + 5) * MINUTE);
    for step in MAILBOX_SCRIPT.lines().filter_map(Step::parse) {
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
    /// Reads a line of a script; a blank one is no step.
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('|').map(str::trim);
        let minute = fields.next()?.parse().ok()?;
        let mut words = fields.next()?.split_whitespace();
        let sensor = match words.next()? {
            "endpoint" => Sensor::Endpoint,
            "network" => Sensor::Network,
            "identity" => Sensor::Identity,
            _ => return None,
        };
        let number = words.next()?.parse().ok()?;
        let severity = match words.next()? {
            "medium" => Level::Medium,
            "high" => Level::High,
            "critical" => Level::Critical,
            _ => return None,
        };
        let (tactic, technique) = (words.next()?, words.next()?);
        let title = fields.next()?;
        let things = fields
            .next()?
            .split_whitespace()
            .map(thing)
            .collect::<Option<_>>()?;
        let again = match fields.next()?.split_once('x') {
            Some((times, minutes)) => (times.parse().ok()?, minutes.parse().ok()?),
            None => (0, 0),
        };
        let rule = Rule {
            sensor,
            number,
            title,
            severity,
            tactic,
            technique,
        };
        Some(Self {
            minute,
            rule,
            things,
            again,
        })
    }

    fn add(
        self,
        tenant: &'static str,
        attack: &'static str,
        begin: Timestamp,
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
}

/// Returns what a word of a script stands for: `from:` and `to:` give it a part, `@` is its address on the day.
fn thing(word: &str) -> Option<Thing> {
    if let Some(word) = word.strip_prefix("from:") {
        return Some(thing(word)?.source());
    }
    if let Some(word) = word.strip_prefix("to:") {
        return Some(thing(word)?.target());
    }
    Some(match word {
        "zero" => host(PATIENT_ZERO),
        "@zero" => address(PATIENT_ZERO, START.plus(3 * DAY)),
        "clerk" => owner(PATIENT_ZERO),
        "admin" => host(ADMIN),
        "chief" => owner(ADMIN),
        "files" => host(FILES),
        "@files" => address(FILES, START),
        "backup" => host(BACKUP),
        "dc" => host(DC),
        "nat" => ip(NAT),
        "c2" => ip(C2),
        "lure" => Thing::new(Kind::Url, LURE),
        "loader" => Thing::new(Kind::FileHash, LOADER),
        "tool" => Thing::new(Kind::FileHash, TOOL),
        "locker" => Thing::new(Kind::FileHash, LOCKER),
        "nurse" => account("nils.berg"),
        "sprayer" => ip(SPRAYER),
        _ => return None,
    })
}

/// Minute, who raises it and how grave, tactic and technique, title, entities, and how often it is seen again.
const RANSOMWARE_SCRIPT: &str = "
  0 | identity 311 medium   initial-access      T1566.001 | Mail from a lookalike sender delivered          | clerk lure |
  4 | identity 312 medium   initial-access      T1566.002 | Link of a reported mail opened                  | clerk lure zero |
  6 | endpoint 121 high     execution           T1204.002 | Downloaded document ran a script                | zero clerk loader |
  7 | endpoint 122 high     execution           T1059.001 | Script fetched and ran code in memory           | zero clerk to:c2 |
  9 | network  211 high     command-and-control T1071.001 | Beacon at even intervals                        | from:@zero to:c2 | 8x19
 15 | endpoint 123 medium   persistence         T1547.001 | Autorun entry points into a user profile        | zero clerk loader |
 24 | endpoint 124 high     defense-evasion     T1055     | Process injected into another                   | zero loader |
 38 | endpoint 125 medium   discovery           T1482     | Domain groups and trusts listed                 | from:zero to:dc clerk |
 46 | endpoint 126 high     credential-access   T1003.001 | Memory of the logon process read                | zero clerk loader |
 48 | network  212 medium   command-and-control T1071.001 | Listed address contacted                        | from:nat to:c2 |
 63 | endpoint 131 high     lateral-movement    T1021.002 | Program copied to and started on an admin share | from:zero to:admin chief tool |
 66 | endpoint 122 high     execution           T1059.001 | Script fetched and ran code in memory           | admin chief to:c2 |
 72 | endpoint 132 high     credential-access   T1558.003 | Tickets asked for many services                 | from:admin to:dc chief |
 79 | endpoint 133 medium   discovery           T1135     | Shares searched for files of value              | from:admin to:files chief |
 88 | endpoint 134 high     lateral-movement    T1021.006 | Remote shell opened                             | from:admin to:files chief |
 91 | endpoint 124 high     defense-evasion     T1055     | Process injected into another                   | files tool |
 98 | endpoint 141 high     collection          T1560.001 | Whole share packed into one archive             | files chief tool | 2x6
105 | network  211 high     command-and-control T1071.001 | Beacon at even intervals                        | from:@files to:c2 | 2x17
117 | network  213 high     exfiltration        T1041     | Very large upload to one address                | from:@files to:c2 | 1x9
139 | endpoint 131 high     lateral-movement    T1021.002 | Program copied to and started on an admin share | from:files to:backup chief tool |
146 | endpoint 142 critical impact              T1490     | Shadow copies and backups deleted               | backup chief locker |
158 | endpoint 143 critical impact              T1486     | Many files encrypted in a short time            | files chief locker | 3x2
163 | endpoint 143 critical impact              T1486     | Many files encrypted in a short time            | backup chief locker | 2x2
169 | endpoint 143 critical impact              T1486     | Many files encrypted in a short time            | admin chief locker | 2x3
";

const MAILBOX_SCRIPT: &str = "
  0 | identity 321 medium   credential-access   T1110.003 | Passwords tried against many accounts           | nurse sprayer |
 17 | identity 322 high     initial-access      T1078.004 | Sign-in through an anonymous network            | nurse sprayer |
 31 | identity 323 high     persistence         T1556.006 | Second factor replaced                          | nurse sprayer |
 44 | identity 324 medium   defense-evasion     T1564.008 | Inbox rule hides replies                        | nurse sprayer |
 62 | identity 325 high     collection          T1213.002 | Document store downloaded at once               | nurse sprayer |
105 | identity 326 high     exfiltration        T1048     | Mail forwarded outside                          | nurse sprayer | 3x7
";

const LURE: &str = "https://invoices.harbor-foods.example.net/overdue";
const LOADER: &str = "5f1d3c7a9b2e48066d0c1fa2b3948576e8d9c0b1a2f3e4d5c6b7a8990a1b2c3d";
const TOOL: &str = "a70e4b1c2d3f5968778695a4b3c2d1e0f1029384756afbecd0c1b2a394857668";
const LOCKER: &str = "e93b6c5d4f7a8190a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5d6e7f8091";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_scripts_is_understood() {
        for line in RANSOMWARE_SCRIPT.lines().chain(MAILBOX_SCRIPT.lines()) {
            assert!(line.is_empty() || Step::parse(line).is_some(), "{line}");
        }
    }
}
