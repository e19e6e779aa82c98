//! What large sets are made with: numbers that repeat for a seed, drawn as lots and as blur.

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % n.max(1)
    }

    /// Two draws of about N(0, 1): sums of four even ones.
    pub(crate) fn normals(&mut self) -> [f32; 2] {
        let draws = self.next().to_le_bytes();
        let (low, high) = draws.split_at(4);
        [low, high].map(|four| {
            let sum: u32 = four.iter().map(|&draw| u32::from(draw)).sum();
            (sum as f32 - 510.0) / 147.8
        })
    }
}
