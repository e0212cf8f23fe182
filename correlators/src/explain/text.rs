//! An explanation as plain text, at most [`WIDTH`] characters wide, without colours.

use super::member::Found;
use super::page::{Page, bits, column, day_time, signed};
use super::words::{counted, few, hashes, hold, label, sentence, shown, span};
use super::{
    AlertExplanation, Chapter, Deed, Explanation, Head, Held, Hold, Member, Origin, Tie, Without,
};

pub use super::page::WIDTH;

/// Writes an explanation of an incident.
#[must_use]
pub fn text(explanation: &Explanation) -> String {
    let mut page = Page::default();
    page.head(&explanation.incident);
    page.limits(&explanation.limits);
    page.actions(&explanation.actions);
    if explanation.alerts.is_empty() {
        page.line(2, "The record holds no alerts.");
        return page.out;
    }
    page.heading("STORY");
    for (index, chapter) in explanation.story.iter().enumerate() {
        page.chapter(index + 1, chapter);
    }
    page.heading("WHY EACH ALERT BELONGS");
    page.line(
        2,
        "Evidence is in bits: each bit halves the odds that chance brought two alerts together.",
    );
    for member in &explanation.alerts {
        page.member(member);
        page.because(member);
    }
    page.heading("WHAT HOLDS IT TOGETHER");
    page.held(&explanation.held, explanation.alerts.len());
    page.heading("WHAT IT WOULD FALL INTO");
    page.without(explanation.without.as_ref());
    page.out
}

/// Writes an explanation of one alert.
#[must_use]
pub fn alert_text(explanation: &AlertExplanation) -> String {
    let mut page = Page::default();
    page.head(&explanation.incident);
    page.limits(&explanation.limits);
    page.heading("ALERT");
    if explanation.found.is_empty() {
        let where_not = if explanation.lists_all {
            "not part of this incident"
        } else {
            "not among the alerts that this record lists"
        };
        page.line(2, &format!("{} is {where_not}.", explanation.asked));
    }
    for found in &explanation.found {
        page.found(found, &explanation.asked);
    }
    page.out
}

impl Page {
    fn head(&mut self, head: &Head) {
        self.line(0, &format!("INCIDENT {}", head.id));
        self.line(2, &head.title);
        let mut facts = vec![
            format!("severity {}", head.severity),
            format!("risk {:.1} of 100", head.risk),
            format!("status {}", head.status),
        ];
        if let Some(owner) = &head.owner {
            facts.push(format!("owner {owner}"));
        }
        if head.is_suspected_breach {
            facts.push("suspected breach".to_owned());
        }
        if head.learning {
            facts.push("still learning".to_owned());
        }
        self.line(2, &facts.join(" · "));
        let length = head
            .last_activity_time
            .millis()
            .saturating_sub(head.first_activity_time.millis());
        self.line(
            2,
            &format!(
                "{} to {} UTC ({}) · {} in {}",
                day_time(head.first_activity_time),
                day_time(head.last_activity_time),
                span(length),
                counted(head.alert_count, "alert"),
                counted(head.episode_count, "episode"),
            ),
        );
        self.line(
            2,
            &format!(
                "tenant {} · revision {}.{}",
                head.tenant, head.generation, head.revision
            ),
        );
        if let Some(survivor) = &head.merged_into {
            self.line(
                2,
                &format!("merged: its alerts and its story are now in {survivor}"),
            );
        }
    }

    fn actions(&mut self, actions: &[Deed]) {
        if actions.is_empty() {
            return;
        }
        self.heading("WHAT ANALYSTS DID");
        for deed in actions {
            let (time, action) = (day_time(deed.time), deed.action.word().replace('_', " "));
            let line = format!("{time}  {} {action} {}", deed.actor, deed.detail);
            self.line(2, line.trim_end());
            for line in deed.comment.iter().flat_map(|text| text.lines()) {
                self.line(6, line);
            }
        }
    }

    fn limits(&mut self, limits: &[String]) {
        for limit in limits {
            self.line(2, &format!("Note: {limit}"));
        }
    }

    fn chapter(&mut self, number: usize, chapter: &Chapter) {
        let tactic = if chapter.tactic.is_empty() {
            "(no tactic named)"
        } else {
            &chapter.tactic
        };
        let length = chapter
            .last_time
            .millis()
            .saturating_sub(chapter.first_time.millis());
        let lasting = if length > 0 {
            format!(", for {}", span(length))
        } else {
            String::new()
        };
        let when = format!("{}{lasting}", day_time(chapter.first_time));
        let blocked = if chapter.blocked { "  blocked" } else { "" };
        let alerts = hashes(&chapter.alerts);
        self.hanging(
            2,
            6,
            &format!(
                "{number:>2}. {} {when:<38} {alerts}{blocked}",
                column(tactic, 24)
            ),
        );
        let lists = [&chapter.techniques, &chapter.hosts, &chapter.accounts];
        let named = lists.into_iter().filter(|list| !list.is_empty());
        let named: Vec<String> = named.map(|list| few(list)).collect();
        if !named.is_empty() {
            self.line(6, &named.join(" · "));
        }
    }

    fn member(&mut self, member: &Member) {
        let when = day_time(member.start_time);
        self.hanging(
            2,
            6,
            &format!(
                "#{} {when}  {} · {} · {}",
                member.number, member.product, member.severity, member.title
            ),
        );
        let mut facts = Vec::new();
        if member.count > 1 {
            facts.push(format!(
                "{} times until {}",
                member.count,
                day_time(member.end_time)
            ));
        }
        facts.extend(
            [&member.tactics, &member.techniques]
                .into_iter()
                .filter(|list| !list.is_empty())
                .map(|list| list.join(", ")),
        );
        if !member.entities.is_empty() {
            facts.push(
                member
                    .entities
                    .iter()
                    .map(shown)
                    .collect::<Vec<_>>()
                    .join(", "),
            );
        }
        let marks = [
            (member.in_chain, "main chain"),
            (member.context, "routine: could join, not start an incident"),
            (member.late, "came late"),
            (member.blocked, "blocked"),
        ];
        facts.extend(
            marks
                .into_iter()
                .filter(|(holds, _)| *holds)
                .map(|(_, mark)| mark.to_owned()),
        );
        if !facts.is_empty() {
            self.line(6, &facts.join(" · "));
        }
    }

    fn because(&mut self, member: &Member) {
        match member.origin {
            Origin::First => self.line(6, "the incident grew from it"),
            Origin::Joined => member.because.iter().for_each(|tie| self.tie(tie)),
            Origin::OwnThread => {
                self.line(6, "began a thread of its own, which came in later:");
                for tie in &member.because {
                    self.line(8, &sentence(tie));
                }
            }
            Origin::Unsaid => self.line(6, "the record holds no link that says why"),
        }
    }

    fn tie(&mut self, tie: &Tie) {
        self.line(6, &sentence(tie));
        for term in &tie.terms {
            let bits = signed(term.bits.into());
            let label = column(&label(term), LABEL);
            self.hanging(
                6,
                17 + LABEL,
                &format!("{bits:>8}  {label} {}", term.meaning),
            );
        }
        self.line(6, &format!("{:>8}  in all", format!("={}", bits(tie.sum))));
        if tie.sum != i64::from(tie.published) {
            self.line(
                6,
                &format!(
                    "Note: the record says {}: it was not written by this program",
                    bits(tie.published.into())
                ),
            );
        }
    }

    fn held(&mut self, held: &Held, num_alerts: usize) {
        if num_alerts < 2 {
            self.line(2, "It is one episode: there is nothing to hold together.");
            return;
        }
        if held.parts > 1 {
            self.line(
                2,
                &format!(
                    "The links of the record join it into {} parts only.",
                    held.parts
                ),
            );
        }
        if let Some(weakest) = &held.weakest {
            let told = format!(
                "Confidence {} of 100: of the links it cannot do without, the weakest carries {} bits, {}.",
                held.confidence,
                bits(weakest.sum.into()),
                hold(weakest)
            );
            self.line(2, &told);
        }
        let mut by: Vec<&Hold> = held.by.iter().collect();
        by.sort_by_key(|hold| hold.sum);
        self.line(
            2,
            "The fewest and strongest links that are enough, weakest first:",
        );
        for link in by.iter().take(HOLDS_MAX) {
            let single = if held.single.contains(link) {
                " (the only link)"
            } else {
                ""
            };
            let bits = bits(link.sum.into());
            self.hanging(4, 14, &format!("{bits:>8}  {}{single}", hold(link)));
        }
        if let Some(more @ 1..) = by.len().checked_sub(HOLDS_MAX) {
            self.line(4, &format!("and {more} stronger ones"));
        }
        if !held.pivots.is_empty() {
            self.line(
                2,
                &format!(
                    "Alerts whose loss would split the rest: {}",
                    hashes(&held.pivots)
                ),
            );
        }
    }

    fn without(&mut self, without: Option<&Without>) {
        let Some(without) = without else {
            self.line(2, "It stays whole without any one of its entities.");
            return;
        };
        let told = format!(
            "Were {} no evidence (shared by everyone, or a wrong lead), {} would fall away and {} remain:",
            shown(&without.entity),
            counted(without.links, "link"),
            counted(without.parts.len(), "part"),
        );
        self.line(2, &told);
        for part in without.parts.iter().take(PARTS_MAX) {
            self.hanging(
                4,
                18,
                &format!("{:<12}  {}", counted(part.len(), "episode"), hashes(part)),
            );
        }
        if let Some(more @ 1..) = without.parts.len().checked_sub(PARTS_MAX) {
            self.line(4, &format!("and {more} smaller ones"));
        }
    }

    fn found(&mut self, found: &Found, asked: &str) {
        let alert = &found.alert;
        if found.repeat {
            self.line(
                2,
                &format!("{asked} is a repeat, folded into {}:", alert.uid),
            );
        }
        self.member(alert);
        self.line(
            6,
            &format!(
                "uid {} · rule {} · novelty {} bits",
                alert.uid,
                alert.rule,
                bits(alert.novelty.into())
            ),
        );
        self.because(alert);
        if found.others.is_empty() {
            self.line(6, "It has no other link.");
        } else {
            self.line(6, "Its other links, strongest first:");
        }
        for tie in &found.others {
            self.tie(tie);
        }
        if found.pivot {
            self.line(6, "Without it the rest of the incident would split.");
        }
    }
}

/// Characters of a term's label.
const LABEL: usize = 30;
const HOLDS_MAX: usize = 12;
const PARTS_MAX: usize = 12;
