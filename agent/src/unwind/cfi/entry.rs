//! The two kinds of entries: common information (CIE) and the description of one function (FDE).

use super::cursor::{Cursor, OMITTED};

/// What many descriptions have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::unwind) struct Cie {
    pub(super) code_alignment: u64,
    pub(super) data_alignment: i64,
    pub(super) return_register: u64,
    /// How addresses in the descriptions are written.
    address_encoding: u8,
    /// Whether descriptions have a block of other data before their instructions.
    augmented: bool,
    /// The function is where a signal handler returns to.
    pub(in crate::unwind) is_signal_frame: bool,
    pub(super) instructions: Box<[u8]>,
}

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unwind) struct Fde<'a> {
    /// SVMA of its first byte.
    pub(in crate::unwind) start: u64,
    /// SVMA behind its last byte.
    pub(in crate::unwind) end: u64,
    pub(super) instructions: &'a [u8],
}

impl Cie {
    /// Parses what follows the entry's id, which ends with `bytes`. `svma` is the first byte's.
    pub(super) fn parse(bytes: &[u8], svma: u64) -> Option<Self> {
        let mut cursor = Cursor::new(bytes, svma);
        let version = cursor.u8()?;
        if !matches!(version, 1 | 3 | 4) {
            return None;
        }
        let augmentation = cursor.text()?;
        if version == 4 {
            let [address_size, segment_size] = [cursor.u8()?, cursor.u8()?];
            if address_size != 8 || segment_size != 0 {
                return None;
            }
        }
        let code_alignment = cursor.uleb()?;
        let data_alignment = cursor.sleb()?;
        let return_register = if version == 1 { u64::from(cursor.u8()?) } else { cursor.uleb()? };
        let mut cie = Self {
            code_alignment,
            data_alignment,
            return_register,
            address_encoding: 0,
            augmented: false,
            is_signal_frame: false,
            instructions: Box::default(),
        };
        cie.augment(augmentation, &mut cursor)?;
        cie.instructions = bytes.get(cursor.position()..)?.into();
        Some(cie)
    }

    fn augment(&mut self, augmentation: &[u8], cursor: &mut Cursor<'_>) -> Option<()> {
        let letters = match augmentation {
            [] => return Some(()),
            [b'z', letters @ ..] => letters,
            _ => return None, // "eh", of compilers before this century.
        };
        self.augmented = true;
        let length = usize::try_from(cursor.uleb()?).ok()?;
        let end = cursor.position().checked_add(length)?;
        for letter in letters {
            match letter {
                b'R' => self.address_encoding = cursor.u8()?,
                b'L' => drop(cursor.u8()?),
                b'P' => {
                    let encoding = cursor.u8()?;
                    if encoding != OMITTED {
                        cursor.number(encoding)?;
                    }
                }
                b'S' => self.is_signal_frame = true,
                b'B' => {} // Signs return addresses with the second key (arm64).
                _ => break,
            }
        }
        cursor.take(end.checked_sub(cursor.position())?)?;
        Some(())
    }

    /// Parses what follows a description's pointer to this.
    pub(super) fn describe<'a>(&self, bytes: &'a [u8], svma: u64) -> Option<Fde<'a>> {
        let mut cursor = Cursor::new(bytes, svma);
        let start = cursor.pointer(self.address_encoding)?;
        let length = cursor.number(self.address_encoding & 0x0f)?;
        if self.augmented {
            cursor.block()?;
        }
        let instructions = bytes.get(cursor.position()..)?;
        Some(Fde { start, end: start.checked_add(length)?, instructions })
    }
}
