//! T-3 and the half of T-6 that is about redirects: where merged incidents lead.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Findings, Rule};
use super::incidents::{Head, Moment};

type Heads = BTreeMap<String, Head>;

/// Follows every redirect that was committed everywhere.
pub(super) fn check(
    heads: &Heads,
    cut: bool,
    horizon: &dyn Fn(i32) -> Option<Moment>,
    findings: &mut Findings,
) {
    let settled = |head: &Head| horizon(head.at.shard).is_none_or(|last| head.at.moment <= last);
    for (id, head) in heads.iter().filter(|(_, head)| settled(head)) {
        if let Some(into) = &head.merged_into {
            match heads.get(into) {
                None if cut => {}
                None => {
                    let text = format!("{id} went into {into}, which does not exist");
                    findings.add(Rule::Redirects, &head.place, text);
                }
                Some(survivor) if survivor.tenant != head.tenant => {
                    let text = format!("{id} went into {into} of tenant {}", survivor.tenant);
                    findings.add(Rule::Tenants, &head.place, text);
                }
                Some(_) => {}
            }
        }
        for taken in &head.merged_from {
            // A rebuild may have found the two apart.
            let gone = heads.get(taken).is_none_or(|taken| {
                taken.merged_into.is_some() || taken.version.0 != head.version.0
            });
            if !gone {
                let text = format!("{id} says that it took in {taken}, which is live");
                findings.add(Rule::Redirects, &head.place, text);
            }
        }
    }
    cycles(heads, findings);
}

/// Reports every circle of redirects once, at the smallest id in it.
fn cycles(heads: &Heads, findings: &mut Findings) {
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    for start in heads.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        let mut at: &str = start;
        while !ended.contains(at) && on_path.insert(at) {
            path.push(at);
            match heads.get(at).and_then(|head| head.merged_into.as_deref()) {
                Some(next) => at = next,
                None => break,
            }
        }
        // It came back to something of this very path: the circle begins there.
        let merged = heads.get(at).is_some_and(|head| head.merged_into.is_some());
        if merged && !ended.contains(at) {
            let circle = path.iter().skip_while(|id| **id != at);
            let first = circle.min().and_then(|id| heads.get_key_value(*id));
            if let Some((id, head)) = first {
                let text = format!("following the redirect of {id} leads back to it");
                findings.add(Rule::Redirects, &head.place, text);
            }
        }
        ended.extend(path);
    }
}
