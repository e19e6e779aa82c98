//! Bytes as a stream of choices.

/// What is left of them; zeros once they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// The next four.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Any float, the next four bytes.
    pub fn f32(&mut self) -> f32 {
        f32::from_bits(self.u32())
    }

    /// A number below a limit, from the next two.
    pub fn below(&mut self, limit: usize) -> usize {
        (usize::from(self.byte()) | usize::from(self.byte()) << 8) % limit.max(1)
    }

    /// One of several, from the next byte.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// Whether the next byte is a multiple of a number.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    /// Whether they are used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
