//! Quantities with their bounds in the type: counts, sizes and lengths of time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::value::{Invalid, Scalar};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// Holds `value` inside the bounds.
    #[must_use]
    pub const fn clamped(value: u32) -> Self {
        if value < MIN {
            Self(MIN)
        } else if value > MAX {
            Self(MAX)
        } else {
            Self(value)
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number as a length.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for Count<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar::new("a whole number"))
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Count<MIN, MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(count) if (MIN..=MAX).contains(&count) => Ok(Self(count)),
            _ => Err(Invalid(format!(
                "`{}` is no whole number from {MIN} to {MAX}",
                text.escape_debug()
            ))),
        }
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Count<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Count{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let title = format!("a whole number from {MIN} to {MAX}");
        json_schema!({"title": title, "type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A number of bytes from `MIN` to `MAX`: `256KiB`, `4MiB` or plain bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Size<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    /// Holds `bytes` inside the bounds.
    #[must_use]
    pub const fn clamped(bytes: u64) -> Self {
        if bytes < MIN {
            Self(MIN)
        } else if bytes > MAX {
            Self(MAX)
        } else {
            Self(bytes)
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the bytes as a length.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Size<MIN, MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(not_a_size(text)),
        };
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .ok_or_else(|| not_a_size(text))?;
        if (MIN..=MAX).contains(&bytes) {
            return Ok(Self(bytes));
        }
        let (least, most) = (size_text(MIN), size_text(MAX));
        Err(Invalid(format!(
            "`{text}` is out of range: a size from {least} to {most}"
        )))
    }
}

fn not_a_size(text: &str) -> Invalid {
    Invalid(format!(
        "`{text}` is no size: bytes, or a number with KiB, MiB or GiB"
    ))
}

fn size_text(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Size<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&size_text(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Size<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Size<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar::new("a size such as 256KiB"))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Size<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Size{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let title = format!("a size from {} to {}", size_text(MIN), size_text(MAX));
        json_schema!({"title": title, "anyOf": [
            {"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$"},
            {"type": "integer", "minimum": MIN, "maximum": MAX},
        ]})
    }
}

/// A length of time from `MIN` to `MAX` milliseconds: `100ms`, `10m`, `1h 30m`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Interval<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Interval<MIN, MAX> {
    /// Holds `millis` inside the bounds.
    #[must_use]
    pub const fn clamped(millis: u64) -> Self {
        if millis < MIN {
            Self(MIN)
        } else if millis > MAX {
            Self(MAX)
        } else {
            Self(millis)
        }
    }

    /// Returns the length.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Returns the length in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Interval<MIN, MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parsed = text.parse().and_then(|span: jiff::Span| {
            span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        });
        let length = parsed.map_err(|_| {
            Invalid(format!(
                "`{text}` is no length of time: a number with ms, s, m, h or d"
            ))
        })?;
        match u64::try_from(length.as_millis()) {
            Ok(millis) if (MIN..=MAX).contains(&millis) => Ok(Self(millis)),
            _ => Err(Invalid(format!(
                "`{text}` is out of range: from {} to {}",
                interval_text(MIN),
                interval_text(MAX)
            ))),
        }
    }
}

fn interval_text(millis: u64) -> String {
    const DAY: u64 = 86_400_000;
    if millis >= DAY && millis.is_multiple_of(DAY) {
        return format!("{}d", millis / DAY);
    }
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    format!("{:#}", jiff::SignedDuration::from_millis(millis))
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Interval<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&interval_text(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Interval<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Interval<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar::new("a length of time such as 10m"))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Interval<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Interval{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (least, most) = (interval_text(MIN), interval_text(MAX));
        let title = format!("a length of time from {least} to {most}");
        json_schema!({"title": title, "type": "string", "pattern": "^([0-9]|P)", "examples": ["100ms", "10m", "1h 30m"]})
    }
}

/// A number with up to three decimals, from `MIN` to `MAX` thousandths: `6`, `5.5`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Decimal<const MIN: i32, const MAX: i32>(i32);

impl<const MIN: i32, const MAX: i32> Decimal<MIN, MAX> {
    /// Holds `thousandths` inside the bounds.
    #[must_use]
    pub const fn clamped(thousandths: i32) -> Self {
        if thousandths < MIN {
            Self(MIN)
        } else if thousandths > MAX {
            Self(MAX)
        } else {
            Self(thousandths)
        }
    }

    /// Returns the number in thousandths.
    #[must_use]
    pub const fn thousandths(self) -> i32 {
        self.0
    }
}

impl<const MIN: i32, const MAX: i32> FromStr for Decimal<MIN, MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        let legal = !unsigned.is_empty() && digits(unsigned) && digits(fraction);
        let thousandths = format!("{whole}{fraction:0<3}").parse();
        match thousandths {
            Ok(number) if legal && fraction.len() <= 3 && (MIN..=MAX).contains(&number) => {
                Ok(Self(number))
            }
            _ => Err(Invalid(format!(
                "`{}` is no number from {} to {} with up to three decimals",
                text.escape_debug(),
                decimal_text(MIN),
                decimal_text(MAX)
            ))),
        }
    }
}

fn decimal_text(thousandths: i32) -> String {
    (f64::from(thousandths) / 1_000.0).to_string()
}

impl<const MIN: i32, const MAX: i32> Serialize for Decimal<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1_000 == 0 {
            serializer.serialize_i32(self.0 / 1_000)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 1_000.0)
        }
    }
}

impl<'de, const MIN: i32, const MAX: i32> Deserialize<'de> for Decimal<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar::new("a number"))
    }
}

impl<const MIN: i32, const MAX: i32> JsonSchema for Decimal<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Decimal{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (least, most) = (f64::from(MIN) / 1_000.0, f64::from(MAX) / 1_000.0);
        let title = format!("a number from {least} to {most}");
        json_schema!({"title": title, "type": "number", "minimum": least, "maximum": most})
    }
}
