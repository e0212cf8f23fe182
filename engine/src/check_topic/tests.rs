use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::command::{Outcome, Verdict};
use schemas::incident::IncidentStatus;

use super::*;
use crate::bus::Header;
use crate::state::{Block, Entry, Fate, Key, Meta, Placed};

mod world;
use world::{Attempt, Log, Random, World, decoder, epoch_of, incident, published};

const CONFIG: CheckConfig = CheckConfig {
    findings_max: 20,
    memory_ms: 14 * 86_400_000,
};
const EPOCHS: usize = 60;

fn check(log: &Log) -> Report {
    let mut checker = Checker::new(CONFIG, log.commits.clone());
    log.state.iter().for_each(|record| checker.state(record));
    checker.mark();
    for Attempt { record, committed } in &log.incidents {
        checker.attempt(record);
        if *committed {
            checker.incident(record);
        }
    }
    log.letters
        .iter()
        .for_each(|record| checker.dead_letter(record));
    log.outcomes
        .iter()
        .for_each(|record| checker.outcome(record));
    inputs(log, &mut checker);
    checker.finish(&log.commits)
}

fn inputs(log: &Log, checker: &mut Checker) {
    let decoder = decoder();
    let partitions: BTreeSet<Partition> = log.inputs.iter().map(|r| r.partition.clone()).collect();
    for topic in world::TOPICS {
        for number in 0..world::SHARDS {
            let partition = Partition {
                topic: topic.into(),
                number,
            };
            checker.input_range(&partition, 0, i64::MAX, false);
        }
    }
    for partition in partitions {
        for record in log.inputs.iter().filter(|r| r.partition == partition) {
            let content = decoder.decode(Arc::new(record.clone())).content;
            checker.input(record, &content);
        }
    }
}

#[track_caller]
fn assert_none(report: &Report) {
    let none: Vec<String> = Vec::new();
    let told: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(told, none);
}

#[test]
fn sound_topics_pass() {
    for seed in 0..60 {
        let log = World::log(seed, EPOCHS);
        let report = check(&log);
        assert_none(&report);
        assert_eq!(report.unchecked, Vec::<String>::new(), "seed {seed}");
        let checked = report.checked;
        let inputs = u64::try_from(log.inputs.len()).unwrap();
        assert_eq!((checked.epochs, checked.inputs), (60, inputs));
        assert!(checked.incidents > 3 && checked.alerts > 10, "{checked:?}");
        assert!(checked.attempts > checked.revisions, "{checked:?}");
    }
}

/// What is done to sound topics, and the rule that must tell.
struct Mutation {
    name: &'static str,
    rule: Rule,
    /// What cannot but break with it.
    also: &'static [Rule],
    /// Returns none where there is nothing to do it to.
    apply: fn(&mut Log, &mut Random) -> Option<()>,
}

const fn mutation(
    name: &'static str,
    rule: Rule,
    apply: fn(&mut Log, &mut Random) -> Option<()>,
) -> Mutation {
    Mutation {
        name,
        rule,
        also: &[],
        apply,
    }
}

const MUTATIONS: &[Mutation] = &[
    mutation("a revision comes twice", Rule::Revisions, |log, random| {
        let (_, (index, found)) = some_incident(log, random, |_| true)?;
        let like = log.incidents[index].record.clone();
        log.append(&found, &like);
        Some(())
    }),
    mutation("a revision falls", Rule::Revisions, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, |_| true)?;
        let like = log.incidents[index].record.clone();
        // A number that nobody has written.
        found.revision = 0;
        log.append(&found, &like);
        Some(())
    })
    .also(&[Rule::Content]),
    mutation("an incident moves", Rule::Revisions, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, is_live)?;
        found.revision += 1;
        let mut like = log.incidents[index].record.clone();
        like.partition.number = (like.partition.number + 1) % 3;
        log.append(&found, &like);
        Some(())
    }),
    mutation("a key is another's", Rule::Content, |log, random| {
        let (_, (index, _)) = some_incident(log, random, |_| true)?;
        log.incidents[index].record.key = Some(b"i-0".to_vec());
        Some(())
    }),
    mutation("a header is another's", Rule::Content, |log, random| {
        let (_, (index, _)) = some_incident(log, random, |_| true)?;
        let headers = &mut log.incidents[index].record.headers;
        let header = headers.iter_mut().find(|h| h.name == "ce_id")?;
        header.value = Some(b"i-0:1".to_vec());
        Some(())
    }),
    mutation("a value is no incident", Rule::Content, |log, random| {
        let (_, (index, _)) = some_incident(log, random, |_| true)?;
        let mut record = log.incidents[index].record.clone();
        let place = log.place("fusor.incidents", record.partition.number, 0);
        (record.partition, record.offset) = place;
        record.value = (random.one_in(2)).then(|| b"{}".to_vec());
        log.incidents.push(Attempt {
            record,
            committed: true,
        });
        Some(())
    }),
    mutation(
        "a word is none of the schema's",
        Rule::Content,
        |log, random| {
            let (_, (index, found)) = some_incident(log, random, |_| true)?;
            log.rewrite(index, |_| ());
            for attempt in &mut log.incidents {
                let same = incident(&attempt.record);
                if (&same.id, same.revision) == (&found.id, found.revision) {
                    let text = String::from_utf8(attempt.record.value.take()?).ok()?;
                    let text = text.replace(
                        "\"severity\":\"high\",\"risk\"",
                        "\"severity\":\"huge\",\"risk\"",
                    );
                    attempt.record.value = Some(text.into_bytes());
                }
            }
            Some(())
        },
    ),
    mutation("the terms do not add up", Rule::Content, |log, random| {
        let linked = |found: &schemas::incident::Incident| !found.links.is_empty();
        let (_, (index, _)) = some_incident(log, random, linked)?;
        log.rewrite(index, |found| found.links[0].weight += 1);
        Some(())
    }),
    mutation("a chain names nothing", Rule::Content, |log, random| {
        let (_, (index, _)) = some_incident(log, random, |_| true)?;
        log.rewrite(index, |found| found.chain.push(900));
        Some(())
    }),
    mutation(
        "a survivor does not exist",
        Rule::Redirects,
        |log, random| {
            let (_, (index, _)) = some_incident(log, random, |found| !is_live(found))?;
            log.rewrite(index, |found| found.merged_into = Some("i-none".to_owned()));
            Some(())
        },
    ),
    mutation(
        "redirects go in a circle",
        Rule::Redirects,
        |log, random| {
            let merged = log.newest();
            let (gone, survivor) = merged.values().find_map(|(_, found)| {
                let into = found.merged_into.clone()?;
                let survivor = merged.get(&into).filter(|(_, found)| is_live(found))?;
                Some((found.id.clone(), survivor.clone()))
            })?;
            let _seeded = random.below(2);
            let (index, mut survivor) = survivor;
            survivor.revision += 1;
            survivor.status = IncidentStatus::Merged;
            survivor.merged_into = Some(gone);
            let like = log.incidents[index].record.clone();
            log.append(&survivor, &like);
            Some(())
        },
    ),
    mutation(
        "what was taken in lives on",
        Rule::Redirects,
        |log, random| {
            let (id, (index, found)) = some_incident(log, random, is_live)?;
            let mut others = log.newest().into_iter().filter(|(other, (_, live))| {
                *other != id && is_live(live) && live.tenant == found.tenant
            });
            let (other, _) = others.next_back()?;
            log.rewrite(index, |found| found.merged_from.push(other.clone()));
            Some(())
        },
    ),
    mutation("a merged incident goes on", Rule::Final, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, |found| !is_live(found))?;
        found.revision += 1;
        let like = log.incidents[index].record.clone();
        log.append(&found, &like);
        Some(())
    }),
    mutation(
        "an alert is in two incidents",
        Rule::Membership,
        |log, random| {
            let full =
                |found: &schemas::incident::Incident| is_live(found) && !found.alerts.is_empty();
            let (id, (index, mut found)) = some_incident(log, random, full)?;
            let others = log.newest().into_iter().find(|(other, (_, live))| {
                *other != id && full(live) && live.tenant == found.tenant
            });
            let (_, (_, other)) = others?;
            found.revision += 1;
            found.alerts.push(other.alerts[0].clone());
            let like = log.incidents[index].record.clone();
            log.append(&found, &like);
            Some(())
        },
    ),
    mutation("a redirect is missing", Rule::Redirects, |log, random| {
        let merged = |found: &schemas::incident::Incident| !is_live(found);
        let (_, (index, found)) = some_incident(log, random, merged)?;
        let before = log.incidents.iter().filter(|attempt| attempt.committed);
        let mut before = before.map(|attempt| incident(&attempt.record));
        before.rfind(|before| before.id == found.id && !before.alerts.is_empty())?;
        let (committed, _) = (&mut log.incidents[index].committed, ());
        *committed = false;
        Some(())
    })
    .also(&[Rule::Membership, Rule::Applied]),
    mutation(
        "an incident changes its tenant",
        Rule::Tenants,
        |log, random| {
            let (_, (index, mut found)) = some_incident(log, random, is_live)?;
            found.revision += 1;
            found.tenant = "another".to_owned();
            found.alerts.clear();
            found.links.clear();
            let like = log.incidents[index].record.clone();
            log.append(&found, &like);
            Some(())
        },
    ),
    mutation("an alert is nobody's", Rule::Tenants, |log, random| {
        let full = |found: &schemas::incident::Incident| is_live(found) && !found.alerts.is_empty();
        let (_, (index, mut found)) = some_incident(log, random, full)?;
        found.revision += 1;
        found.alerts[0].repeat_uids.push("edr:made-up".to_owned());
        let like = log.incidents[index].record.clone();
        log.append(&found, &like);
        Some(())
    }),
    mutation("a tenant is in two shards", Rule::Tenants, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, is_live)?;
        found.revision += 1;
        found.alerts.clear();
        found.links.clear();
        let mut like = log.incidents[index].record.clone();
        let (shard, _) = epoch_of(&like);
        like.headers = published(&found, 1 - shard, 1).headers;
        log.append(&found, &like);
        Some(())
    }),
    mutation(
        "an aborted revision says otherwise",
        Rule::Versions,
        |log, random| {
            let (_, (index, mut found)) = some_incident(log, random, |_| true)?;
            found.title = "another".to_owned();
            let record = log.incidents[index].record.clone();
            let (shard, epoch) = epoch_of(&record);
            let record = log.put(published(&found, shard, epoch), record.partition.number, 1);
            log.incidents.push(Attempt {
                record,
                committed: false,
            });
            Some(())
        },
    ),
    mutation("a record names no epoch", Rule::Epochs, |log, random| {
        let (_, (index, _)) = some_incident(log, random, |_| true)?;
        let headers = &mut log.incidents[index].record.headers;
        headers.retain(|header| header.name != EPOCH_HEADER);
        Some(())
    })
    // Without its epoch it is not known when it took its alerts over.
    .also(&[Rule::Membership]),
    mutation("an incident without state", Rule::Epochs, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, is_live)?;
        found.revision += 1;
        let like = &log.incidents[index].record;
        let (shard, number) = (epoch_of(like).0, like.partition.number);
        let epoch = log.last_epoch(shard) + 1;
        let record = log.put(published(&found, shard, epoch), number, 1);
        log.incidents.push(Attempt {
            record,
            committed: true,
        });
        Some(())
    }),
    mutation("an epoch falls", Rule::Epochs, |log, random| {
        let (_, (index, mut found)) = some_incident(log, random, is_live)?;
        found.revision += 1;
        let like = log.incidents[index].record.clone();
        let (shard, epoch) = epoch_of(&like);
        let record = published(&found, shard, epoch.checked_sub(1)?);
        let record = log.put(record, like.partition.number, 1);
        log.incidents.push(Attempt {
            record,
            committed: true,
        });
        Some(())
    })
    .also(&[Rule::Applied]),
    mutation("a row is damaged", Rule::State, |log, random| {
        let index = some_state(log, random, |key| matches!(key, Key::Row { .. }))?;
        log.state[index].value = Some(b"row".to_vec());
        Some(())
    }),
    mutation("a row is of another epoch", Rule::State, |log, random| {
        let index = some_state(log, random, |key| matches!(key, Key::Row { .. }))?;
        log.state[index].value = Some(state_frame(7_000));
        Some(())
    }),
    mutation("a key is none of ours", Rule::State, |log, random| {
        let index = some_state(log, random, |key| matches!(key, Key::Row { .. }))?;
        log.state[index].key = Some(b"metas".to_vec());
        Some(())
    }),
    mutation("a tenant forges a key", Rule::State, |log, random| {
        let index = some_state(log, random, |key| matches!(key, Key::Row { .. }))?;
        log.state[index].key = Some(b"row/a b/tenant".to_vec());
        Some(())
    }),
    mutation("an epoch has no meta", Rule::State, |log, random| {
        let index = some_state(log, random, |key| *key == Key::Meta)?;
        let shard = log.state[index].partition.number;
        let last = log
            .state
            .iter()
            .rposition(|r| r.partition.number == shard)?;
        log.state.remove(last);
        Some(())
    })
    .also(&[
        Rule::Epochs,
        Rule::Group,
        Rule::Conservation,
        Rule::Letters,
        Rule::Outcomes,
        Rule::Tenants,
    ]),
    mutation("an epoch is missing", Rule::Gapless, |log, random| {
        let idle = |log: &Log, index: usize| {
            block(log, index).is_some_and(|block| matches!(block.entries[0].fate, Fate::Time))
        };
        let found: Vec<usize> = (0..log.state.len()).filter(|i| idle(log, *i)).collect();
        let index = random.pick(&found)?;
        let shard = log.state[index].partition.number;
        let next = log.state.iter().skip(index + 2);
        let goes_on = next
            .filter(|record| record.partition.number == shard)
            .count()
            > 0;
        let first = log.state.iter().position(|r| r.partition.number == shard)?;
        // Row, block, meta; behind the first epoch, before the last.
        if !goes_on || index < first + 5 {
            return None;
        }
        log.state.drain(index - 1..=index + 1);
        Some(())
    }),
    mutation("an older member writes", Rule::Rising, |log, random| {
        change_last_meta(log, random, |meta| meta.writer = 1)
    }),
    mutation("the watermark falls", Rule::Rising, |log, random| {
        change_last_meta(log, random, |meta| meta.watermark = None)
    }),
    mutation(
        "the group is behind the state",
        Rule::Group,
        |log, random| {
            let inputs: Vec<Partition> = log.commits.keys().cloned().collect();
            let commit = log.commits.get_mut(&random.pick(&inputs)?)?;
            commit.next -= 1;
            Some(())
        },
    ),
    mutation("the group has nothing", Rule::Group, |log, random| {
        let inputs: Vec<Partition> = log.commits.keys().cloned().collect();
        log.commits.remove(&random.pick(&inputs)?)?;
        Some(())
    }),
    mutation(
        "the group is of a later epoch",
        Rule::Group,
        |log, random| {
            let inputs: Vec<Partition> = log.commits.keys().cloned().collect();
            let commit = log.commits.get_mut(&random.pick(&inputs)?)?;
            commit.epoch = Some(9_000);
            Some(())
        },
    ),
    mutation("records change places", Rule::Order, |log, random| {
        change_block(log, random, |block| {
            let alerts = |entry: &Entry| entry.partition == Some(0);
            let first = block.entries.iter().position(alerts)?;
            let last = block.entries.iter().rposition(alerts)?;
            block.entries.swap(first, last);
            (first != last).then_some(())
        })
    }),
    mutation("a record is applied twice", Rule::Order, |log, random| {
        change_block(log, random, |block| {
            let entry = block
                .entries
                .iter()
                .find(|e| matches!(e.fate, Fate::Binding(_)))?;
            block.entries.push(entry.clone());
            Some(())
        })
    })
    .also(&[Rule::Counts]),
    mutation("a record is lost", Rule::Conservation, |log, random| {
        let mut of = None;
        change_block(log, random, |block| {
            let lost = block
                .entries
                .iter()
                .position(|e| matches!(e.fate, Fate::Binding(_)))?;
            block.entries.remove(lost);
            of = Some(block.partitions[0].1);
            Some(())
        })?;
        // The counters know as little of it.
        let shard = of?;
        recount(log, shard);
        Some(())
    }),
    mutation("a record is made up", Rule::Conservation, |log, random| {
        let sound = |record: &Record| record.value.as_deref() != Some(b"{");
        let sound: Vec<usize> = (0..log.inputs.len())
            .filter(|i| sound(&log.inputs[*i]))
            .collect();
        log.inputs.remove(random.pick(&sound)?);
        Some(())
    }),
    mutation("a record was another", Rule::Fate, |log, random| {
        let sound = |record: &Record| {
            record.value.as_deref() != Some(b"{") && &*record.partition.topic == "alerts"
        };
        let sound: Vec<usize> = (0..log.inputs.len())
            .filter(|i| sound(&log.inputs[*i]))
            .collect();
        let record = &mut log.inputs[random.pick(&sound)?];
        let text = String::from_utf8(record.value.take()?).ok()?;
        record.value = Some(text.replace("\"id\":\"a", "\"id\":\"b").into_bytes());
        Some(())
    }),
    mutation("a count is off", Rule::Counts, |log, random| {
        change_last_meta(log, random, |meta| meta.counts.late += 1)
    }),
    mutation("a duplicate counts as new", Rule::Counts, |log, random| {
        change_block(log, random, |block| {
            let digest = block
                .entries
                .iter_mut()
                .find_map(|entry| match &mut entry.fate {
                    Fate::Alerts(alerts) => Some(&mut alerts[0]),
                    Fate::Binding(_) | Fate::DeadLetter(_) | Fate::Command { .. } | Fate::Time => {
                        None
                    }
                })?;
            digest.placed = if digest.placed == Placed::New {
                Placed::Duplicate
            } else {
                Placed::New
            };
            Some(())
        })
    }),
    mutation(
        "a dead letter is damaged",
        Rule::LetterBytes,
        |log, random| {
            let index = random.below(log.letters.len());
            let letter = log.letters.get_mut(index)?;
            match random.below(3) {
                0 => letter.value = Some(b"}".to_vec()),
                1 => letter.key = Some(b"other".to_vec()),
                _ => letter.headers[0] = Header::text("h", "2"),
            }
            Some(())
        },
    ),
    mutation("a dead letter is missing", Rule::Letters, |log, random| {
        let index = random.below(log.letters.len());
        (!log.letters.is_empty()).then(|| drop(log.letters.remove(index)))
    }),
    mutation("a dead letter comes twice", Rule::Letters, |log, random| {
        let mut letter = random.pick(&log.letters)?;
        letter.offset += 1_000;
        log.letters.push(letter);
        Some(())
    }),
    mutation(
        "a dead letter is for another reason",
        Rule::Letters,
        |log, random| {
            let index = random.below(log.letters.len());
            let headers = &mut log.letters.get_mut(index)?.headers;
            let code = headers.iter_mut().find(|h| h.name == "fusor.dlq.code")?;
            code.value = Some(b"other".to_vec());
            Some(())
        },
    ),
    mutation("a command has no outcome", Rule::Outcomes, |log, random| {
        let index = random.below(log.outcomes.len());
        log.outcomes.remove(index);
        Some(())
    }),
    mutation(
        "a command has two outcomes",
        Rule::Outcomes,
        |log, random| {
            let mut record = random.pick(&log.outcomes)?;
            (record.partition, record.offset) =
                log.place("fusor.outcomes", record.partition.number, 0);
            log.outcomes.push(record);
            Some(())
        },
    ),
    mutation("outcomes change places", Rule::Outcomes, |log, random| {
        let number = log.outcomes[random.below(log.outcomes.len())]
            .partition
            .number;
        let mut same =
            (0..log.outcomes.len()).filter(|i| log.outcomes[*i].partition.number == number);
        let (a, b) = (same.next()?, same.next()?);
        log.outcomes.swap(a, b);
        Some(())
    }),
    mutation(
        "an outcome is of an alert",
        Rule::Outcomes,
        |log, random| {
            let alerts = log
                .inputs
                .iter()
                .filter(|record| *record.partition.topic == *"alerts");
            let alert = random.pick(&alerts.cloned().collect::<Vec<_>>())?;
            let mut record = random.pick(&log.outcomes)?;
            (record.partition, record.offset) = log.place("fusor.outcomes", 7, 0);
            for (name, value) in [
                ("fusor.source.topic", "alerts".to_owned()),
                ("fusor.source.partition", alert.partition.number.to_string()),
                ("fusor.source.offset", alert.offset.to_string()),
            ] {
                let header = record
                    .headers
                    .iter_mut()
                    .find(|header| header.name == name)?;
                header.value = Some(value.into_bytes());
            }
            log.outcomes.push(record);
            Some(())
        },
    ),
    mutation(
        "an outcome names no command",
        Rule::Outcomes,
        |log, random| {
            let index = random.below(log.outcomes.len());
            log.outcomes[index]
                .headers
                .retain(|header| header.name != "fusor.source.offset");
            Some(())
        },
    ),
    mutation("an outcome is no JSON", Rule::Outcomes, |log, random| {
        let index = random.below(log.outcomes.len());
        log.outcomes[index].value = Some(b"{".to_vec());
        Some(())
    }),
    mutation(
        "an outcome answers another command",
        Rule::Outcomes,
        |log, random| {
            change_outcome(log, random, |outcome| {
                outcome.command.push('x');
                Some(())
            })
        },
    ),
    mutation(
        "an applied command is told to be refused",
        Rule::Outcomes,
        |log, random| {
            change_outcome(log, random, |outcome| {
                matches!(outcome.verdict, Verdict::Applied { .. }).then_some(())?;
                outcome.verdict = correlators::no_such_incident();
                Some(())
            })
        },
    ),
    mutation(
        "a command is applied at a revision to come",
        Rule::Applied,
        |log, random| change_applied(log, random, |revision, _| *revision += 1_000),
    ),
    mutation(
        "a command makes an incident that is not there",
        Rule::Applied,
        |log, random| {
            change_applied(log, random, |_, incidents| {
                incidents.push("i-none".to_owned())
            })
        },
    ),
    mutation(
        "a command is applied at a revision long gone",
        Rule::Applied,
        |log, random| {
            let newest = log.newest();
            let (at, outcome, revision) =
                log.outcomes.iter().enumerate().find_map(|(at, record)| {
                    let outcome: Outcome = serde_json::from_slice(record.value.as_ref()?).ok()?;
                    let Verdict::Applied { revision, .. } = outcome.verdict else {
                        return None;
                    };
                    let (_, head) = newest.get(&outcome.incident)?;
                    (head.revision == revision).then_some((at, outcome, revision))
                })?;
            let _seeded = random.below(2);
            // The incident had that revision before the command came: the outcome is of a later epoch.
            let record = &mut log.outcomes[at];
            let header = record
                .headers
                .iter_mut()
                .find(|header| header.name == EPOCH_HEADER)?;
            let shard = record.partition.number;
            header.value = None;
            let epoch = log.last_epoch(shard);
            let written = log
                .newest()
                .get(&outcome.incident)
                .map(|(index, _)| epoch_of(&log.incidents[*index].record).1)?;
            (written < epoch).then_some(())?;
            let record = &mut log.outcomes[at];
            let header = record
                .headers
                .iter_mut()
                .find(|header| header.name == EPOCH_HEADER)?;
            header.value = Some(format!("{shard}:{epoch}").into_bytes());
            let verdict = Verdict::Applied {
                revision: revision - 1,
                incidents: Vec::new(),
            };
            record.value =
                Some(schemas::encode::outcome_json(&Outcome { verdict, ..outcome }).ok()?);
            Some(())
        },
    ),
];

impl Mutation {
    const fn also(mut self, also: &'static [Rule]) -> Self {
        self.also = also;
        self
    }
}

fn is_live(incident: &schemas::incident::Incident) -> bool {
    incident.merged_into.is_none()
}

type Found = (String, (usize, schemas::incident::Incident));

fn some_incident(
    log: &Log,
    random: &mut Random,
    wanted: impl Fn(&schemas::incident::Incident) -> bool,
) -> Option<Found> {
    let newest = log.newest().into_iter();
    let found: Vec<Found> = newest.filter(|(_, (_, found))| wanted(found)).collect();
    random.pick(&found)
}

fn change_outcome(
    log: &mut Log,
    random: &mut Random,
    change: impl Fn(&mut Outcome) -> Option<()>,
) -> Option<()> {
    let count = log.outcomes.len();
    let start = random.below(count);
    for index in (start..count).chain(0..start) {
        let value = &mut log.outcomes[index].value;
        let mut outcome: Outcome = serde_json::from_slice(value.as_ref()?).ok()?;
        if change(&mut outcome).is_some() {
            *value = Some(schemas::encode::outcome_json(&outcome).ok()?);
            return Some(());
        }
    }
    None
}

fn change_applied(
    log: &mut Log,
    random: &mut Random,
    change: impl Fn(&mut i64, &mut Vec<String>),
) -> Option<()> {
    change_outcome(log, random, |outcome| match &mut outcome.verdict {
        Verdict::Applied {
            revision,
            incidents,
        } => {
            change(revision, incidents);
            Some(())
        }
        Verdict::Refused { .. } => None,
    })
}

fn some_state(log: &Log, random: &mut Random, wanted: fn(&Key) -> bool) -> Option<usize> {
    let key = |record: &Record| Key::read(record.key.as_ref().unwrap()).unwrap();
    let found: Vec<usize> = (0..log.state.len())
        .filter(|index| wanted(&key(&log.state[*index])))
        .collect();
    random.pick(&found)
}

fn state_frame(epoch: u64) -> Vec<u8> {
    crate::state::frame(epoch, b"row")
}

fn block(log: &Log, index: usize) -> Option<Block> {
    let record = &log.state[index];
    let key = Key::read(record.key.as_ref()?).ok()?;
    matches!(key, Key::Block { .. }).then_some(())?;
    let (_, block) = crate::state::decode(record.value.as_ref()?).ok()?;
    Some(block)
}

fn change_block(
    log: &mut Log,
    random: &mut Random,
    mut change: impl FnMut(&mut Block) -> Option<()>,
) -> Option<()> {
    let count = log.state.len();
    let start = random.below(count);
    for index in (start..count).chain(0..start) {
        let Some(mut found) = block(log, index) else {
            continue;
        };
        if change(&mut found).is_some() {
            let record = &mut log.state[index];
            let (epoch, _) = crate::state::unframe(record.value.as_ref()?).ok()?;
            record.value = Some(crate::state::encode(epoch, &found));
            return Some(());
        }
    }
    None
}

fn change_last_meta(
    log: &mut Log,
    random: &mut Random,
    change: impl FnOnce(&mut Meta),
) -> Option<()> {
    let shard = i32::try_from(random.below(2)).ok()?;
    let meta = |record: &&mut Record| {
        record.partition.number == shard && record.key.as_deref() == Some(b"meta")
    };
    let record = log.state.iter_mut().rev().find(meta)?;
    let (epoch, mut meta): (u64, Meta) = crate::state::decode(record.value.as_ref()?).ok()?;
    change(&mut meta);
    record.value = Some(crate::state::encode(epoch, &meta));
    Some(())
}

/// Makes the counters of every meta those of the blocks.
fn recount(log: &mut Log, shard: i32) {
    let mut bindings = 0;
    let mut records = 0;
    for index in 0..log.state.len() {
        if log.state[index].partition.number != shard {
            continue;
        }
        for entry in block(log, index)
            .into_iter()
            .flat_map(|block| block.entries)
        {
            bindings += u64::from(matches!(entry.fate, Fate::Binding(_)));
            records += u64::from(!matches!(entry.fate, Fate::Time));
        }
        let record = &mut log.state[index];
        if record.key.as_deref() == Some(b"meta") {
            let value = record.value.as_ref().unwrap();
            let (epoch, mut meta): (u64, Meta) = crate::state::decode(value).unwrap();
            meta.counts.bindings = bindings;
            meta.counts.records = records;
            record.value = Some(crate::state::encode(epoch, &meta));
        }
    }
}

#[test]
fn every_mutation_is_found_by_its_rule_and_by_no_other() {
    for mutation in MUTATIONS {
        let mut applied = 0;
        for seed in 0..20 {
            let mut log = World::log(seed, EPOCHS);
            let mut random = Random(seed);
            if (mutation.apply)(&mut log, &mut random).is_none() {
                continue;
            }
            applied += 1;
            let report = check(&log);
            let name = mutation.name;
            let found = || format!("{name}, seed {seed}: {:#?}", report.findings);
            assert!(report.counts.contains_key(&mutation.rule), "{}", found());
            let expected = |rule: &Rule| *rule == mutation.rule || mutation.also.contains(rule);
            assert!(report.counts.keys().all(expected), "{}", found());
        }
        assert!(applied > 5, "{}: {applied}", mutation.name);
    }
}

#[test]
fn every_rule_has_a_mutation() {
    let told: BTreeSet<Rule> = MUTATIONS.iter().map(|mutation| mutation.rule).collect();
    assert_eq!(told, Rule::ALL.iter().copied().collect());
    let numbers: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.number()).collect();
    assert_eq!(numbers.len(), Rule::ALL.len());
}

#[test]
fn what_nobody_relies_on_may_change() {
    for seed in 0..10 {
        let mut log = World::log(seed, EPOCHS);
        let (_, (index, _)) = some_incident(&log, &mut Random(seed), |_| true).unwrap();
        log.rewrite(index, |found| found.title = "another".to_owned());
        log.incidents[index]
            .record
            .headers
            .retain(|h| h.name != "ce_time");
        let key = b"row/acme/tenant";
        let rows = log
            .state
            .iter_mut()
            .filter(|r| r.key.as_deref() == Some(key));
        for row in rows {
            let (epoch, _) = crate::state::unframe(row.value.as_ref().unwrap()).unwrap();
            row.value = Some(crate::state::frame(epoch, b"other"));
        }
        assert_none(&check(&log));
    }
}

/// The engine goes on while it is looked at: each topic is read a little further than the one before.
#[test]
fn a_running_engine_is_no_finding() {
    for seed in 0..20 {
        let log = World::log(seed, EPOCHS);
        let before = log.state.len() / 2;
        let mut checker = Checker::new(CONFIG, Commits::new());
        log.state[..before].iter().for_each(|r| checker.state(r));
        checker.mark();
        let seen: Vec<u64> = (0..2)
            .map(|shard| {
                let all = log.state[..before].iter();
                let of_shard = all.filter(|r| r.partition.number == shard);
                let mut metas = of_shard.filter(|r| r.key.as_deref() == Some(b"meta"));
                let value = metas.next_back().and_then(|meta| meta.value.as_ref());
                value.map_or(0, |value| crate::state::unframe(value).unwrap().0)
            })
            .collect();
        for Attempt { record, committed } in &log.incidents {
            let (shard, epoch) = epoch_of(record);
            // The other partitions were looked at before.
            let late = epoch > seen[usize::try_from(shard).unwrap()];
            if late && record.partition.number > 0 {
                continue;
            }
            checker.attempt(record);
            if *committed {
                checker.incident(record);
            }
        }
        log.letters.iter().for_each(|r| checker.dead_letter(r));
        log.outcomes.iter().for_each(|r| checker.outcome(r));
        log.state[before..].iter().for_each(|r| checker.state(r));
        inputs(&log, &mut checker);
        assert_none(&checker.finish(&log.commits));
    }
}

#[test]
fn a_shard_that_never_had_an_epoch_is_no_finding_and_lost_state_is() {
    let mut log = World::log(1, EPOCHS);
    let inputs = log.commits.clone();
    log = Log {
        state: log.state.into_iter().take(1).collect(),
        ..Log::default()
    };
    assert_none(&check(&log));
    log.commits = inputs;
    let rules: Vec<Rule> = check(&log).counts.into_keys().collect();
    assert_eq!(rules, [Rule::Group]);
}

/// Only the last record of each key below a place is left there.
#[test]
fn compaction_is_no_finding() {
    for seed in 0..20 {
        let mut log = World::log(seed, EPOCHS);
        let cut = i64::try_from(log.state.len()).unwrap() / 4;
        let all = std::mem::take(&mut log.state);
        let is_last = |record: &Record| {
            let same =
                |other: &&Record| other.key == record.key && other.partition == record.partition;
            let below = all.iter().filter(same).filter(|other| other.offset < cut);
            below.map(|other| other.offset).max() == Some(record.offset)
        };
        let expired = |record: &Record| {
            record.offset < cut / 2 && record.key.as_ref().unwrap().starts_with(b"block")
        };
        log.state = all
            .iter()
            .filter(|r| r.offset >= cut || (is_last(r) && !expired(r)))
            .cloned()
            .collect();
        let report = check(&log);
        assert_none(&report);
        assert!(!report.unchecked.is_empty(), "it says what is gone");
    }
}

#[test]
fn no_bytes_end_the_check() {
    for seed in 0..200 {
        let mut log = World::log(seed % 5, 20);
        let mut random = Random(seed);
        let incidents = log.incidents.iter_mut().map(|attempt| &mut attempt.record);
        let mut all: Vec<&mut Record> = incidents
            .chain(&mut log.state)
            .chain(&mut log.letters)
            .chain(&mut log.outcomes)
            .chain(&mut log.inputs)
            .collect();
        let index = random.below(all.len());
        let record = &mut all[index];
        let bytes = match random.below(3) {
            0 => record.key.as_mut(),
            1 => record.headers.last_mut().and_then(|h| h.value.as_mut()),
            _ => record.value.as_mut(),
        };
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        let report = check(&log);
        assert!(report.findings.len() <= 20 * Rule::ALL.len());
    }
}

#[test]
fn findings_are_bounded_and_all_counted() {
    let mut log = World::log(1, EPOCHS);
    for attempt in &mut log.incidents {
        attempt.record.key = None;
    }
    let report = check(&log);
    let committed = log.incidents.iter().filter(|attempt| attempt.committed);
    let count = u64::try_from(committed.count()).unwrap();
    assert_eq!(report.counts.get(&Rule::Content), Some(&count));
    assert_eq!(report.findings.len(), CONFIG.findings_max);
    let first = report.findings.first().unwrap().to_string();
    expect_test::expect!["T-2 fusor.incidents/1/1: the key is not the id"].assert_eq(&first);
}

/// The state is forgotten and everything applied anew, under the next generation.
#[test]
fn a_rebuild_is_no_finding() {
    for seed in 0..10 {
        let mut log = World::log(seed, EPOCHS);
        let again = log.state.clone();
        for shard in 0..world::SHARDS {
            let last = log.last_epoch(shard);
            let mut next = Vec::new();
            let blank = Meta {
                generation: 2,
                epoch: last + 1,
                ..Meta::default()
            };
            next.push((Key::Meta, crate::state::encode(blank.epoch, &blank)));
            for record in again.iter().filter(|r| r.partition.number == shard) {
                let (key, value) = (record.key.as_ref().unwrap(), record.value.as_ref().unwrap());
                let epoch = |epoch: u64| epoch + last + 1;
                match Key::read(key).unwrap() {
                    Key::Meta => {
                        let (_, mut meta): (u64, Meta) = crate::state::decode(value).unwrap();
                        meta.generation = 2;
                        meta.epoch = epoch(meta.epoch);
                        next.push((Key::Meta, crate::state::encode(meta.epoch, &meta)));
                    }
                    Key::Block { epoch: of, part } => {
                        let (_, block): (u64, Block) = crate::state::decode(value).unwrap();
                        let epoch = epoch(of);
                        let key = Key::Block { epoch, part };
                        next.push((key, crate::state::encode(epoch, &block)));
                    }
                    Key::Row { .. }
                    | Key::Start
                    | Key::Claim
                    | Key::Origin
                    | Key::Quarantine { .. } => {}
                }
            }
            for (key, value) in next {
                log.write_state(shard, &key, value);
            }
            for commit in log.commits.iter_mut().filter(|(p, _)| p.number == shard) {
                let epoch = commit.1.epoch.as_mut().unwrap();
                *epoch += last + 1;
            }
        }
        let letters = log.letters.clone();
        for mut letter in letters {
            letter.offset += 1_000;
            log.letters.push(letter);
        }
        let outcomes = log.outcomes.clone();
        for mut outcome in outcomes {
            outcome.offset += 1_000;
            log.outcomes.push(outcome);
        }
        assert_none(&check(&log));
    }
}
