//! The closed sets of an incident.

use serde::Serialize;

use crate::alert::words;

words! {
    /// What a revision is.
    IncidentActivity {
        /// Not known.
        Unknown = "unknown",
        /// First published.
        Create = "create",
        /// Changed.
        Update = "update",
        /// Closed.
        Close = "close",
        /// Merged into another.
        Merge = "merge",
        /// Opened again.
        Reopen = "reopen",
    } default Unknown
}

words! {
    /// Where an incident stands.
    IncidentStatus {
        /// Not known.
        Unknown = "unknown",
        /// New.
        New = "new",
        /// Being worked on.
        InProgress = "in_progress",
        /// Closed.
        Closed = "closed",
        /// Merged into another, which `merged_into` names.
        Merged = "merged",
    } default New
}

words! {
    /// What a revision changed.
    Change {
        /// Something newer than this reader.
        Unknown = "unknown",
        /// First published.
        Created = "created",
        /// Episodes joined.
        AlertsAdded = "alerts_added",
        /// Repeats doubled a count.
        CountDoubled = "count_doubled",
        /// A tactic came in.
        StageAdded = "stage_added",
        /// Severity rose.
        SeverityRaised = "severity_raised",
        /// The title changed.
        TitleChanged = "title_changed",
        /// An alert was updated by its source.
        AlertUpdated = "alert_updated",
        /// Took in another incident.
        MergedFrom = "merged_from",
        /// Went into another incident.
        MergedInto = "merged_into",
        /// A cap was reached; a successor continues it.
        Sealed = "sealed",
        /// A related incident was noted.
        RelatedAdded = "related_added",
        /// Alerts were taken away.
        AlertsRemoved = "alerts_removed",
        /// Began as a part of another incident.
        SplitFrom = "split_from",
        /// An analyst moved it along.
        StatusSet = "status_set",
        /// An analyst gave it to someone, or to nobody.
        OwnerSet = "owner_set",
        /// An analyst set the severity.
        SeveritySet = "severity_set",
        /// An analyst commented on it.
        Commented = "commented",
        /// An analyst changed its tags.
        TagsChanged = "tags_changed",
        /// An analyst closed it.
        Closed = "closed",
        /// Opened again, by an analyst or by an alert.
        Reopened = "reopened",
        /// An analyst said what its alerts were worth.
        FeedbackGiven = "feedback_given",
    } default Unknown
}

words! {
    /// How a link came about.
    LinkKind {
        /// Not known.
        Unknown = "unknown",
        /// Two episodes by the entities they share.
        Pair = "pair",
        /// A further pair link that brought two threads together.
        Bridge = "bridge",
        /// An episode weighed against a hot thread.
        Attach = "attach",
        /// An earlier episode pulled in by a hot thread.
        LookBack = "look_back",
        /// Two threads, days apart.
        Stitch = "stitch",
        /// An analyst's word.
        Analyst = "analyst",
    } default Unknown
}

words! {
    /// What a term of evidence measures.
    TermKind {
        /// Not known.
        Unknown = "unknown",
        /// How surprising it is to share the entity within the time between.
        Surprise = "surprise",
        /// Held against an entity that the thread has touched with few rules.
        Support = "support",
        /// A further entity shared with another episode of the thread.
        Further = "further",
        /// Usual order of the two tactics.
        Order = "order",
        /// A hop from target to source, or the same source.
        Direction = "direction",
        /// Different sensors agree, or the same rule repeats.
        Product = "product",
        /// Whether the rule is expected at the entity.
        Rule = "rule",
        /// Tactics that the later thread adds.
        NewTactics = "new_tactics",
        /// An analyst's word.
        Analyst = "analyst",
    } default Unknown
}

words! {
    /// Why an incident was closed (Microsoft Sentinel's classifications).
    Classification {
        /// Not closed.
        Unset = "unset",
        /// True positive.
        TruePositive = "true_positive",
        /// Benign positive.
        BenignPositive = "benign_positive",
        /// False positive.
        FalsePositive = "false_positive",
        /// Undetermined.
        Undetermined = "undetermined",
    } default Unset
}

words! {
    /// The reason behind a classification.
    ClassificationReason {
        /// None.
        Unset = "unset",
        /// Suspicious activity.
        SuspiciousActivity = "suspicious_activity",
        /// Suspicious but expected.
        SuspiciousButExpected = "suspicious_but_expected",
        /// Incorrect alert logic.
        IncorrectAlertLogic = "incorrect_alert_logic",
        /// Inaccurate data.
        InaccurateData = "inaccurate_data",
    } default Unset
}
