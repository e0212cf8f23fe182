//! Not written yet.

use super::record::Record;
use super::{DecodeError, Reason};
use crate::alert::Alert;

/// Decodes one record.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let node = record.fields.node();
    Err(node.refuse(Reason::UnsupportedClass, "no decoder yet"))
}
