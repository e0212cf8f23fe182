//! Event time: milliseconds since 1970-01-01T00:00:00Z.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in event time, in milliseconds since the epoch, UTC.
///
/// In JSON it is RFC 3339 text (`2026-01-05T00:04:27.074Z`), in Avro a `timestamp-millis`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest moment that RFC 3339 can write: year 0.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The latest moment that RFC 3339 can write with any offset: 9999-12-30T22:00:00.000Z.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// Returns the milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the moment `millis` later, held inside [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis)).clamp(Self::MIN, Self::MAX)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = (*self).clamp(Self::MIN, Self::MAX);
        match jiff::Timestamp::from_millisecond(clamped.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// The text is no RFC 3339 time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct NotATime;

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| NotATime)?;
        Ok(Self(time.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// The value is no moment that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TimeError {
    /// Neither a date with a time nor a number.
    #[error("not a time")]
    NotATime,
    /// Outside [`Timestamp::MIN`] and [`Timestamp::MAX`].
    #[error("time out of range")]
    OutOfRange,
}

/// Reads a time as producers write it.
///
/// Text is RFC 3339 or near it: a space for the `T`, `+0000` without colon, no zone (UTC), any number of digits
/// after the second, no time of day (midnight). A number, also as text, counts from the epoch in seconds,
/// milliseconds, microseconds or nanoseconds, which its magnitude tells: seconds up to the year 5138, milliseconds
/// from March 1973.
///
/// # Errors
/// Returns why the text is no time.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return Err(TimeError::NotATime);
    }
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Some(number) = Decimal::of(text) {
        return number.since_epoch();
    }
    date_time(text)
}

/// Reads a number since the epoch; see [`parse_time`] for its unit.
///
/// # Errors
/// Returns [`TimeError::OutOfRange`] for a moment outside the years 0 to 9999.
pub fn parse_epoch(number: i64) -> Result<Timestamp, TimeError> {
    Decimal {
        whole: number,
        thousandths: 0,
    }
    .since_epoch()
}

/// Bound on the text of a time, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// A decimal number, cut to thousandths.
struct Decimal {
    whole: i64,
    thousandths: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
        let thousandths: i64 = digits.parse().ok()?;
        Some(Self {
            whole: whole.parse().ok()?,
            thousandths: if whole.starts_with('-') {
                -thousandths
            } else {
                thousandths
            },
        })
    }

    fn since_epoch(&self) -> Result<Timestamp, TimeError> {
        let millis = match self.whole.unsigned_abs() {
            0..100_000_000_000 => self
                .whole
                .saturating_mul(1000)
                .saturating_add(self.thousandths),
            100_000_000_000..100_000_000_000_000 => self.whole,
            100_000_000_000_000..100_000_000_000_000_000 => self.whole.div_euclid(1000),
            _ => self.whole.div_euclid(1_000_000),
        };
        in_range(millis)
    }
}

fn in_range(millis: i64) -> Result<Timestamp, TimeError> {
    let time = Timestamp(millis);
    (Timestamp::MIN..=Timestamp::MAX)
        .contains(&time)
        .then_some(time)
        .ok_or(TimeError::OutOfRange)
}

/// Reads `2026-01-05 00:04:27.0741234+0000` and its like: what the RFC's own form is not.
fn date_time(text: &str) -> Result<Timestamp, TimeError> {
    let text = text
        .strip_suffix(" UTC")
        .or_else(|| text.strip_suffix(" GMT"))
        .unwrap_or(text);
    let (local, zone) = split_zone(text);
    let (date, time) = match local.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, time.trim()),
        None => (local, "00:00:00"),
    };
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(TimeError::NotATime);
    }
    // Finer than a nanosecond, and nobody's clock.
    let fraction: String = fraction.chars().take(9).collect();
    let time: jiff::Timestamp = format!("{date}T{time}.{fraction}{zone}")
        .parse()
        .map_err(|_| TimeError::NotATime)?;
    in_range(time.as_millisecond())
}

/// Splits the zone off and returns it with a colon; no zone is UTC.
fn split_zone(text: &str) -> (&str, String) {
    let utc = || "Z".to_owned();
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return (local.trim_end(), utc());
    }
    // A sign after the date, which has dashes of its own.
    let Some(at) = text.rfind(['+', '-']).filter(|at| *at > 10) else {
        return (text, utc());
    };
    let Some((local, zone)) = text.split_at_checked(at) else {
        return (text, utc());
    };
    let sign = if zone.starts_with('-') { '-' } else { '+' };
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    match (digits.len(), digits.get(..2), digits.get(2..)) {
        (2, Some(hours), _) => (local.trim_end(), format!("{sign}{hours}:00")),
        (4, Some(hours), Some(minutes)) => (local.trim_end(), format!("{sign}{hours}:{minutes}")),
        _ => (text, utc()),
    }
}

#[cfg(test)]
mod tests;
