//! MITRE ATT&CK: tactics, techniques and what vendors call them.

use serde::{Deserialize, Serialize};

use crate::alert::words;

/// One tactic, technique or both, as an alert asserts or implies it.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Attack {
    /// Tactic id such as `TA0006`; an unknown tactic is kept as given.
    pub tactic_uid: Option<String>,
    /// Technique id such as `T1003`.
    pub technique_uid: Option<String>,
    /// Sub-technique id such as `T1003.001`.
    pub sub_technique_uid: Option<String>,
    /// The ATT&CK version the source used, where it says.
    pub attack_version: Option<String>,
    /// How the tactic was come by.
    pub origin: AttackOrigin,
}

words! {
    /// How an alert's tactic was come by.
    AttackOrigin {
        /// Not known.
        Unknown = "unknown",
        /// The source said so.
        Asserted = "asserted",
        /// Mapped from a vendor's own term.
        Mapped = "mapped",
        /// Expanded from a technique alone, which may have several tactics.
        Expanded = "expanded",
    } default Asserted
}
