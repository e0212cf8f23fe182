//! A replay's incidents, or a dump of the incidents topic.

use std::path::Path;

use schemas::incident::Incident;
use serde::Deserialize;

use super::{ExplainError, INCIDENT_BYTES_MAX, Seen};
use crate::replay::input::Lines;

/// What is read of every line; lines without it are no incidents and passed over.
#[derive(Deserialize)]
struct Key {
    id: String,
    generation: i32,
    revision: i64,
}

/// The greatest revision seen of an id, as it stands in the file.
struct Best {
    key: Key,
    line: Vec<u8>,
}

pub(super) fn find(asked: &str, path: &Path) -> Result<Incident, ExplainError> {
    let mut lines = Lines::open(path, INCIDENT_BYTES_MAX)?;
    let mut seen = Seen::default();
    // Of the id itself, and of the first id that only begins so: another one would make it ambiguous.
    let (mut exact, mut prefixed): (Option<Best>, Option<Best>) = (None, None);
    let mut line = Vec::new();
    let mut number = 0;
    while lines.next_line(&mut line)? {
        number += 1;
        if line.len() > INCIDENT_BYTES_MAX {
            return Err(ExplainError::TooLong {
                line: number,
                max: INCIDENT_BYTES_MAX,
            });
        }
        let Ok(key) = serde_json::from_slice::<Key>(&line) else {
            continue;
        };
        seen.note(asked, &key.id);
        if key.id == asked {
            keep(&mut exact, key, &line);
        } else if key.id.starts_with(asked) {
            keep(&mut prefixed, key, &line);
        }
    }
    let best = match exact {
        Some(best) => best,
        None => {
            let only = seen.only(asked)?;
            prefixed.ok_or_else(|| ExplainError::NotFound {
                asked: only,
                nearest: Vec::new(),
            })?
        }
    };
    serde_json::from_slice(&best.line).map_err(|source| ExplainError::Unreadable {
        id: best.key.id,
        source,
    })
}

fn keep(best: &mut Option<Best>, key: Key, line: &[u8]) {
    let newer = best.as_ref().is_none_or(|held| {
        held.key.id == key.id
            && (held.key.generation, held.key.revision) <= (key.generation, key.revision)
    });
    if newer {
        *best = Some(Best {
            key,
            line: line.to_owned(),
        });
    }
}
