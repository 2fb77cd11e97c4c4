//! Reads of numbers from a piece of a section.

/// How pointers are written (DWARF's `DW_EH_PE_*`).
const ABSOLUTE: u8 = 0x00;
const PC_RELATIVE: u8 = 0x10;
const INDIRECT: u8 = 0x80;
/// There is no pointer.
pub(super) const OMITTED: u8 = 0xff;

/// A position in bytes whose first has the address `svma`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    svma: u64,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8], svma: u64) -> Self {
        Self { bytes, at: 0, svma }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Bytes read so far.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn uleb(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn sleb(&mut self) -> Option<i64> {
        let mut value = 0_i64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let unused = 64_u32.saturating_sub(shift + 7);
                return Some(value << unused >> unused);
            }
        }
        None
    }

    /// A block with its length in front.
    pub(super) fn block(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uleb()?).ok()?;
        self.take(length)
    }

    /// A text with its zero behind.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        self.at += length + 1;
        Some(&rest[..length])
    }

    /// A pointer that is written as `encoding` says. Relative to data or text is not supported:
    /// nobody writes frame descriptions so.
    pub(super) fn pointer(&mut self, encoding: u8) -> Option<u64> {
        let here = self.svma.wrapping_add(self.at as u64);
        let value = self.number(encoding)?;
        match encoding & 0x70 {
            _ if encoding & INDIRECT != 0 => None,
            ABSOLUTE => Some(value),
            PC_RELATIVE => Some(here.wrapping_add(value)),
            _ => None,
        }
    }

    /// A number in the format of a pointer, such as the length of a function.
    #[expect(clippy::cast_sign_loss, reason = "addresses wrap around, and so do distances")]
    pub(super) fn number(&mut self, encoding: u8) -> Option<u64> {
        let signed = |value: i64| value as u64;
        match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.u64(),
            0x01 => self.uleb(),
            0x02 => self.u16().map(u64::from),
            0x03 => self.u32().map(u64::from),
            0x09 => self.sleb().map(signed),
            0x0a => self.array().map(|bytes| signed(i16::from_le_bytes(bytes).into())),
            0x0b => self.array().map(|bytes| signed(i32::from_le_bytes(bytes).into())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn numbers_of_any_length_come_back() {
        let mut cursor = Cursor::new(&[0xe5, 0x8e, 0x26, 0x7f, 0x80, 0x7f, 2], 0);
        assert_eq!(cursor.uleb(), Some(624_485));
        assert_eq!(cursor.sleb(), Some(-1));
        assert_eq!(cursor.sleb(), Some(-128));
        assert_eq!(cursor.u16(), None, "one byte is left");
        assert_eq!(cursor.u8(), Some(2));
    }

    #[test]
    fn a_number_without_end_is_refused() {
        assert_eq!(Cursor::new(&[0x80; 20], 0).uleb(), None);
        assert_eq!(Cursor::new(&[0xff; 20], 0).sleb(), None);
    }

    #[test]
    fn a_pointer_is_relative_to_itself() {
        let mut cursor = Cursor::new(&[0, 0xfc, 0xff, 0xff, 0xff], 0x1000);
        cursor.u8();
        assert_eq!(cursor.pointer(0x1b), Some(0xffd));
        assert_eq!(Cursor::new(&[0; 8], 0).pointer(0x9b), None, "indirect");
    }
}
