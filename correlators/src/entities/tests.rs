use std::collections::BTreeMap;

use super::{Entities, index};
use crate::entity::{EntityId, EntityState};

impl Entities {
    /// Fails where its indexes disagree; `named` is how many live episodes name each entity. `check` looks at each further.
    #[track_caller]
    pub(crate) fn consistent(
        &self,
        named: &BTreeMap<u32, u32>,
        check: impl Fn(EntityId, &EntityState),
    ) {
        let mut live = 0;
        for (state, at) in self.slots.iter().zip(0..) {
            let id = EntityId(at);
            let named = named.get(&at).copied().unwrap_or(0);
            let Some(state) = state else {
                assert_eq!(named, 0, "episodes name {id:?}, which is forgotten");
                continue;
            };
            live += 1;
            assert_eq!(state.live, named, "episodes that name {id:?}");
            for key in state.keys() {
                assert_eq!(self.by_key.get(key), Some(&id), "{key}");
            }
            check(id, state);
        }
        assert_eq!(live, self.live);
        for (key, id) in &self.by_key {
            let state = self.slots.get(index(*id)).unwrap().as_deref();
            assert!(state.is_some_and(|state| state.keys().any(|known| known == &**key)));
        }
        for (key, weak) in &self.by_weak_key {
            assert!(!weak.owners.is_empty());
            for owner in &weak.owners {
                let state = self.get(*owner).unwrap();
                assert!(state.weak_keys.contains(key));
            }
        }
    }
}
