//! Records applied again in the order that was recorded, outside of any epoch.

use std::sync::Arc;

use correlators::Placement;
use schemas::incident::Incident;
use schemas::time::Timestamp;

use super::clock::Mark;
use super::is_applied;
use super::{Fate, Shard};
use crate::decode::{Broken, Content, Decoded, Stage};
use crate::state::{self, Block, Placed};

/// What came of the records of a block.
#[derive(Debug, Default)]
pub struct AppliedAgain {
    /// Where something else came of one.
    pub findings: Vec<String>,
    /// The incidents that changed, in order.
    pub incidents: Vec<Arc<Incident>>,
}

impl Shard {
    /// Applies the records of a block as it says.
    pub fn apply_again(
        &mut self,
        epoch: u64,
        block: &Block,
        records: Vec<Decoded>,
    ) -> AppliedAgain {
        let mut records = records.into_iter().peekable();
        let mut again = AppliedAgain::default();
        for entry in &block.entries {
            let mark = Mark {
                watermark: entry.watermark.map(Timestamp),
                broadcast: entry.broadcast,
            };
            let is_next = |decoded: &Decoded| {
                entry.partition.is_some() && decoded.record.offset == entry.offset
            };
            let mut fates: Vec<Fate> = records
                .next_if(is_next)
                .map(|decoded| Fate {
                    decoded,
                    placements: Vec::new(),
                    verdict: None,
                })
                .into_iter()
                .collect();
            for fate in &mut fates {
                refuse_again(fate, &entry.fate);
                self.tenants.admit_all(&mut fate.decoded, &self.config);
            }
            let done = self.tenants.correlate(&mut fates, &[mark], &self.config);
            let Ok(done) = done else {
                again.findings.push(format!(
                    "epoch {epoch}: the core panicked at offset {}",
                    entry.offset
                ));
                self.tenants.undo();
                continue;
            };
            let incidents = done.into_iter().flat_map(|done| done.output.incidents);
            again.incidents.extend(incidents);
            self.tenants.commit();
            let same = fates.first().is_none_or(|fate| is_same(fate, entry));
            if !same {
                let of = entry.partition.and_then(|at| block.partition(at));
                let of = of.map_or_else(String::new, |(topic, number)| format!("{topic}/{number}"));
                again.findings.push(format!(
                    "epoch {epoch}: something else came of offset {} of {of}",
                    entry.offset
                ));
            }
        }
        again
    }
}

/// What was refused after decoding is refused again: why is not in the record.
fn refuse_again(fate: &mut Fate, recorded: &state::Fate) {
    if let state::Fate::DeadLetter(_) = recorded {
        fate.decoded.content = Content::Broken(Broken {
            reason: "refused_before",
            stage: Stage::Correlate,
            message: String::new(),
        });
    }
}

fn is_same(fate: &Fate, entry: &state::Entry) -> bool {
    if let state::Fate::Command { applied, .. } = entry.fate {
        return fate.verdict.as_ref().map(is_applied) == Some(applied);
    }
    let digests = entry.digests();
    let same = |(digest, placement): (&state::Digest, &Placement)| {
        let (episode, placed) = Placed::of(*placement);
        digest.episode == episode && digest.placed == placed
    };
    digests.len() == fate.placements.len() && digests.iter().zip(&fate.placements).all(same)
}
