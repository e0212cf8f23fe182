//! Reproducible chance: SplitMix64, the same on every machine.

/// A stream of numbers that depends on its seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to, but not, `end`; 0 for an empty range.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        let scaled = (self.next() >> 32) * u64::from(end);
        u32::try_from(scaled >> 32).unwrap_or(0)
    }

    /// Returns a number from 0 up to, but not, `end`, by Zipf's law in steps: every doubling of the rank is as likely as
    /// the one before.
    pub(crate) fn zipf(&mut self, end: u32) -> u32 {
        let end = end.max(1);
        let octave = 1 << self.below(end.ilog2() + 1);
        (octave - 1 + self.below(octave)) % end
    }
}
