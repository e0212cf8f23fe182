//! Integer arithmetic of evidence: the same bits on every machine.
//!
//! Evidence is counted in thousandths of a bit ([`Millibits`]), event counts in 1/65,536 ([`Q16`]),
//! probabilities and expected counts in 1/2^32. Logarithms and powers come from tables that the compiler
//! computes with integers, interpolated linearly; the error stays below a thousandth of a bit.

/// Thousandths of a bit.
pub type Millibits = i32;
/// A count in units of 1/65,536.
pub type Q16 = u64;

/// One whole event in [`Q16`].
pub const ONE_Q16: Q16 = 1 << 16;
/// One in units of 1/2^32.
const ONE_Q32: u64 = 1 << 32;
/// log2(e) in units of 1/2^32.
const LOG2_E_Q32: u128 = 6_196_328_019;

const STEPS: usize = 256;
/// `log2(1 + i/256)` in units of 1/2^32.
static LOG2: [u64; STEPS + 1] = log2_table();
/// `2^(-i/256)` in units of 1/2^32.
static EXP2: [u64; STEPS + 1] = exp2_table();

/// Returns `log2(numerator / denominator)` in millibits; both must be at least 1.
#[must_use]
pub fn log2_ratio(numerator: u64, denominator: u64) -> Millibits {
    to_millibits(log2_q32(numerator) - log2_q32(denominator))
}

/// Returns `value * 2^(-elapsed/half_life)`; `half_life` must be positive, a negative `elapsed` counts as none.
#[must_use]
pub fn decay(value: Q16, elapsed_ms: i64, half_life_ms: i64) -> Q16 {
    if value == 0 || elapsed_ms <= 0 {
        return value;
    }
    let halvings_q32 = (u128::from(elapsed_ms.unsigned_abs()) << 32)
        / u128::from(half_life_ms.unsigned_abs().max(1));
    let factor = exp2_neg_q32(u64::try_from(halvings_q32).unwrap_or(u64::MAX));
    narrow((u128::from(value) * u128::from(factor)) >> 32)
}

/// Returns the surprise, in millibits, of at least one event where `expected` (in 1/2^32) are expected:
/// `-log2(1 - exp(-expected))`, at most `cap`.
#[must_use]
pub fn surprise(expected_q32: u64, cap: Millibits) -> Millibits {
    let probability = one_minus_exp(expected_q32);
    if probability == 0 {
        return cap;
    }
    to_millibits(log2_q32(ONE_Q32) - log2_q32(probability)).clamp(0, cap)
}

/// Events per hour, in units of 1/2^32.
pub type Hourly = u64;
const HOUR_MS: u128 = 3_600_000;

/// Returns the rate of `count` events in `window` milliseconds.
#[must_use]
pub fn hourly(count: Q16, window_ms: i64) -> Hourly {
    narrow((u128::from(count) << 16) * HOUR_MS / u128::from(window_ms.max(1).unsigned_abs()))
}

/// Returns the number of events, in 1/2^32, to expect at `rate` within `span` milliseconds.
#[must_use]
pub fn expected(rate: Hourly, span_ms: i64) -> u64 {
    narrow(u128::from(rate) * u128::from(span_ms.max(0).unsigned_abs()) / HOUR_MS)
}

/// Returns `1 - exp(-x/scale)` in millionths, for `x` and `scale` in the same unit.
#[must_use]
pub fn saturation_ppm(x: u64, scale: u64) -> u32 {
    let ratio = (u128::from(x) << 32) / u128::from(scale.max(1));
    let probability = one_minus_exp(narrow(ratio));
    u32::try_from((u128::from(probability) * 1_000_000 + u128::from(ONE_Q32 / 2)) >> 32)
        .unwrap_or(1_000_000)
}

/// Returns `2^(-bits)` in thousandths, rounded.
#[must_use]
pub fn exp2_neg_milli(bits: Millibits) -> u32 {
    let halvings = (u128::from(bits.max(0).unsigned_abs()) << 32) / 1_000;
    let value = u128::from(exp2_neg_q32(narrow(halvings)));
    u32::try_from((value * 1_000 + u128::from(ONE_Q32 / 2)) >> 32).unwrap_or(1_000)
}

/// Returns `factor * millibits / 1000`, rounded towards negative infinity.
#[must_use]
pub fn scale(bits: Millibits, factor_milli: i32) -> Millibits {
    let product = i64::from(bits) * i64::from(factor_milli);
    i32::try_from(product.div_euclid(1_000)).unwrap_or(if product < 0 {
        i32::MIN
    } else {
        i32::MAX
    })
}

/// Returns `1 - exp(-x)` for `x` and the result in 1/2^32.
fn one_minus_exp(x: u64) -> u64 {
    // Below 1/64 the difference from one would lose the leading digits: three terms of the series are exact to 2^-26.
    if x < ONE_Q32 / 64 {
        let wide = u128::from(x);
        let square = (wide * wide) >> 32;
        let cube = (square * wide) >> 32;
        return narrow(wide - square / 2 + cube / 6);
    }
    let halvings = (u128::from(x) * LOG2_E_Q32) >> 32;
    ONE_Q32 - exp2_neg_q32(narrow(halvings))
}

/// Returns `log2(value)` in 1/2^32 for a value of at least 1.
fn log2_q32(value: u64) -> i64 {
    let value = value.max(1);
    let exponent = value.ilog2();
    let mantissa = (value << (63 - exponent)) << 1;
    let index = usize::try_from(mantissa >> 56).unwrap_or(0);
    let rest = (mantissa >> 24) & 0xffff_ffff;
    let low = table(&LOG2, index);
    let high = table(&LOG2, index + 1);
    let fraction = low + narrow((u128::from(high - low) * u128::from(rest)) >> 32);
    (i64::from(exponent) << 32) + i64::try_from(fraction).unwrap_or(0)
}

/// Returns `2^(-halvings)`, both in 1/2^32.
fn exp2_neg_q32(halvings: u64) -> u64 {
    let whole = halvings >> 32;
    if whole > 32 {
        return 0;
    }
    let index = usize::try_from((halvings >> 24) & 0xff).unwrap_or(0);
    let rest = (halvings & 0x00ff_ffff) << 8;
    let high = table(&EXP2, index);
    let low = table(&EXP2, index + 1);
    (high - narrow((u128::from(high - low) * u128::from(rest)) >> 32)) >> whole
}

fn to_millibits(bits_q32: i64) -> Millibits {
    let milli = (i128::from(bits_q32) * 1_000 + (1 << 31)) >> 32;
    i32::try_from(milli).unwrap_or(if milli < 0 { i32::MIN } else { i32::MAX })
}

fn narrow(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}

fn table(values: &'static [u64; STEPS + 1], index: usize) -> u64 {
    values.get(index).copied().unwrap_or(0)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler; the bounds are the loop's"
)]
const fn log2_table() -> [u64; STEPS + 1] {
    let mut out = [0; STEPS + 1];
    let mut i = 0;
    while i <= STEPS {
        // Digit by digit: square the mantissa (62 fraction bits), each time it passes 2 the next binary digit is 1.
        let mut mantissa: u128 = ((STEPS + i) as u128) << 54;
        let mut digits: u64 = 0;
        let mut n = 0;
        if i == STEPS {
            out[i] = ONE_Q32;
        } else {
            while n < 33 {
                mantissa = (mantissa * mantissa) >> 62;
                digits <<= 1;
                if mantissa >= 1 << 63 {
                    digits |= 1;
                    mantissa >>= 1;
                }
                n += 1;
            }
            out[i] = digits.div_ceil(2);
        }
        i += 1;
    }
    out
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler; the bounds are the loop's"
)]
const fn exp2_table() -> [u64; STEPS + 1] {
    // 2^(-1/256) is the eighth repeated square root of one half; 62 fraction bits.
    let mut root: u128 = 1 << 61;
    let mut n = 0;
    while n < 8 {
        root = (root << 62).isqrt();
        n += 1;
    }
    let mut out = [0; STEPS + 1];
    let mut power: u128 = 1 << 62;
    let mut i = 0;
    while i <= STEPS {
        out[i] = ((power + (1 << 29)) >> 30) as u64;
        power = (power * root) >> 62;
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
    }

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in 0..63_i32 {
            assert_eq!(log2_ratio(1_u64 << exponent, 1), exponent * 1_000);
        }
        assert_eq!(exp2_neg_milli(0), 1_000);
        assert_eq!(exp2_neg_milli(1_000), 500);
        assert_eq!(decay(ONE_Q16, 5, 5), ONE_Q16 / 2);
        assert_eq!(decay(ONE_Q16, -5, 5), ONE_Q16);
    }

    #[test]
    fn confidence_of_six_bits_is_a_half() {
        assert_eq!(1_000 - exp2_neg_milli(6_000 / 6), 500);
    }

    proptest! {
        #[test]
        fn log2_agrees_with_floating_point(a in 1_u64.., b in 1_u64..) {
            #[expect(clippy::cast_precision_loss, reason = "an oracle in floating point")]
            let want = ((a as f64).log2() - (b as f64).log2()) * 1_000.0;
            near(f64::from(log2_ratio(a, b)), want, 1.0);
        }

        #[test]
        fn surprise_agrees_with_floating_point(milli in 1_u32..20_000_000) {
            let expected = u64::from(milli) * (ONE_Q32 / 1_000_000);
            #[expect(clippy::cast_precision_loss, reason = "an oracle in floating point")]
            let x = expected as f64 / ONE_Q32 as f64;
            let want = (-(-(-x).exp_m1()).log2() * 1_000.0).clamp(0.0, 10_000.0);
            near(f64::from(surprise(expected, 10_000)), want, 2.0);
        }

        #[test]
        fn decay_agrees_with_floating_point(value in 0_u64..1 << 40, elapsed in 0_i64..10_000_000_000, half in 1_i64..1_000_000_000) {
            #[expect(clippy::cast_precision_loss, reason = "an oracle in floating point")]
            let want = value as f64 * (-(elapsed as f64) / half as f64).exp2();
            #[expect(clippy::cast_precision_loss, reason = "an oracle in floating point")]
            let got = decay(value, elapsed, half) as f64;
            #[expect(clippy::cast_precision_loss, reason = "an oracle in floating point")]
            let rounding = 2.0 + value as f64 / 4e9;
            near(got, want, rounding + want * 3e-6);
        }

        #[test]
        fn nothing_overflows(a: u64, b: u64, t: i64, u: i64, bits: i32) {
            prop_assert!(log2_ratio(a, b).abs() <= 64_000);
            prop_assert!(decay(a, t, u) <= a);
            prop_assert!(surprise(a, bits.max(0)) >= 0);
            prop_assert!(expected(hourly(a, t), 0) == 0);
            prop_assert!(saturation_ppm(a, b) <= 1_000_000);
            prop_assert!(exp2_neg_milli(bits) <= 1_000);
            prop_assert!(scale(bits, 1_000) == bits);
        }
    }
}
