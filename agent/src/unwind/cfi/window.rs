//! A piece of a file, of which some bytes are kept for the reads that follow. How much may be looked
//! at is for whoever uses it to say: files may lead their readers in circles.

use crate::symbol::image::{FileRange, Image};

#[derive(Debug)]
pub(super) struct Window {
    image: Image,
    range: FileRange,
    /// Read at a time.
    step: u64,
    /// What is kept, from a position in the piece on.
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that may still be looked at.
    allowed: u64,
}

impl Window {
    /// Nothing is read, nor allowed, yet.
    pub(super) const fn new(image: Image, range: FileRange, step: u64) -> Self {
        Self { image, range, step, start: 0, bytes: Vec::new(), allowed: 0 }
    }

    /// From here on, so many bytes may be looked at.
    pub(super) const fn allow(&mut self, bytes: u64) {
        self.allowed = bytes;
    }

    /// Whether more was asked for than was allowed.
    pub(super) const fn is_used_up(&self) -> bool {
        self.allowed == 0
    }

    /// Counts work that comes with bytes of the piece.
    pub(super) const fn spend(&mut self, bytes: u64) {
        self.allowed = self.allowed.saturating_sub(bytes);
    }

    /// Bytes of the whole piece.
    pub(super) const fn size(&self) -> u64 {
        self.range.size
    }

    pub(super) fn bytes(&mut self, at: u64, length: u64) -> Option<&[u8]> {
        let end = at.checked_add(length).filter(|end| *end <= self.range.size)?;
        self.spend(length.max(1));
        if at < self.start || end > self.start + self.bytes.len() as u64 {
            self.read(at & !7, end)?;
        }
        if self.is_used_up() {
            return None;
        }
        let from = usize::try_from(at - self.start).ok()?;
        self.bytes.get(from..from + usize::try_from(length).ok()?)
    }

    fn read(&mut self, start: u64, end: u64) -> Option<()> {
        let size = (end - start).max(self.step).min(self.range.size - start);
        self.spend(size);
        let offset = self.range.offset.checked_add(start)?;
        self.bytes.resize(usize::try_from(size).ok()?, 0);
        self.start = start;
        let read = self.image.read_into(offset, &mut self.bytes, "frame descriptions");
        if read.is_err() {
            self.bytes.clear();
        }
        read.ok()
    }

    /// Lets go of what is kept.
    pub(super) fn rest(&mut self) {
        self.bytes = Vec::new();
    }

    /// Memory that is held for good.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.image.memory_bytes() + self.bytes.capacity() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        let image = Image::from_bytes((0..=255).collect());
        Window::new(image, FileRange { offset: 16, size: 200 }, 32)
    }

    #[test]
    fn bytes_are_the_piece_s_wherever_the_last_read_was() {
        let mut window = window();
        window.allow(u64::MAX);
        for (at, length) in [(0, 4), (28, 8), (3, 1), (199, 1), (0, 200), (150, 50)] {
            let first = u8::try_from(16 + at).expect("small");
            let found = window.bytes(at, length).expect("there");
            assert_eq!((found[0], found.len() as u64), (first, length));
        }
        assert_eq!(window.bytes(199, 2), None, "behind the piece");
        assert_eq!(window.bytes(u64::MAX, 2), None);
    }

    #[test]
    fn what_could_not_be_read_is_not_taken_for_bytes() {
        let image = Image::from_bytes((0..=255).collect());
        let mut window = Window::new(image, FileRange { offset: u64::MAX - 7, size: 64 }, 16);
        window.allow(1000);
        assert_eq!(window.bytes(16, 8), None);
        assert_eq!(window.bytes(16, 8), None, "nor the second time");
    }

    #[test]
    fn a_reader_led_in_circles_comes_to_an_end() {
        let mut window = window();
        window.allow(1000);
        let rounds = (0..1000).take_while(|round| window.bytes(round % 2 * 100, 4).is_some());
        assert!(rounds.count() < 30);
        assert!(window.is_used_up());
    }
}
