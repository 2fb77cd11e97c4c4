//! The few shapes of DWARF expressions that compilers and assembler authors really use.

use sonde_ebpf::unwind::Base;

use super::{cursor::Cursor, program::Target};

const DEREF: u8 = 0x06;
const PLUS_UCONST: u8 = 0x23;
const LITERAL: u8 = 0x30;
const REGISTER: u8 = 0x70;

/// What an expression for the CFA computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CfaExpression {
    /// register + offset
    Register { register: u64, offset: i64 },
    /// word at (register + at) + add
    Deref { base: Base, at: i64, add: i64 },
    /// The procedure linkage table's: a word more from this byte of each 16 on.
    Plt { from: u8 },
    /// None of these.
    Other,
}

impl CfaExpression {
    pub(super) fn parse(bytes: &[u8], target: Target) -> Self {
        plt(bytes).or_else(|| chain(bytes, target)).unwrap_or(Self::Other)
    }
}

/// `rsp + 8 + ((rip & 15) >= n) * 8`
fn plt(bytes: &[u8]) -> Option<CfaExpression> {
    match bytes {
        [0x77, 8, 0x80, 0, 0x3f, 0x1a, literal, 0x2a, 0x33, 0x24, 0x22] => {
            let from = literal.checked_sub(LITERAL)?;
            (from < 16).then_some(CfaExpression::Plt { from })
        }
        _ => None,
    }
}

/// `register + n`, then perhaps "the word there", then perhaps `+ n`.
fn chain(bytes: &[u8], target: Target) -> Option<CfaExpression> {
    let mut cursor = Cursor::new(bytes, 0);
    let (register, mut offset) = breg(&mut cursor)?;
    let mut deref = None;
    while !cursor.is_empty() {
        match cursor.u8()? {
            PLUS_UCONST => offset = offset.checked_add(i64::try_from(cursor.uleb()?).ok()?)?,
            DEREF if deref.is_none() => deref = Some(std::mem::take(&mut offset)),
            _ => return None,
        }
    }
    let Some(at) = deref else { return Some(CfaExpression::Register { register, offset }) };
    let base = if register == target.stack_pointer() {
        Base::Sp
    } else if register == target.frame_pointer() {
        Base::Fp
    } else {
        return None;
    };
    Some(CfaExpression::Deref { base, at, add: offset })
}

fn breg(cursor: &mut Cursor<'_>) -> Option<(u64, i64)> {
    let register = cursor.u8()?.checked_sub(REGISTER).filter(|register| *register < 32)?;
    Some((register.into(), cursor.sleb()?))
}

/// Whether an expression for a saved register is "where the frame pointer points": functions that
/// align their stack save it so.
pub(super) fn is_at_frame_pointer(bytes: &[u8], target: Target) -> bool {
    let mut cursor = Cursor::new(bytes, 0);
    breg(&mut cursor) == Some((target.frame_pointer(), 0)) && cursor.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> CfaExpression {
        CfaExpression::parse(bytes, Target::X86_64)
    }

    #[test]
    fn the_shapes_in_use_are_known() {
        assert_eq!(
            parse(&[0x76, 0x78, 0x06]),
            CfaExpression::Deref { base: Base::Fp, at: -8, add: 0 }
        );
        assert_eq!(
            parse(&[0x77, 0x90, 0x01, 0x06, 0x23, 8]),
            CfaExpression::Deref { base: Base::Sp, at: 144, add: 8 }
        );
        assert_eq!(
            parse(&[0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22]),
            CfaExpression::Plt { from: 11 }
        );
        assert_eq!(parse(&[0x77, 16]), CfaExpression::Register { register: 7, offset: 16 });
    }

    #[test]
    fn others_are_not_guessed() {
        for bytes in [&[][..], &[0x77], &[0x77, 8, 0x1c], &[0x72, 0, 0x06], &[0x77, 8, 0x06, 0x06]]
        {
            assert_eq!(parse(bytes), CfaExpression::Other, "{bytes:x?}");
        }
    }

    #[test]
    fn the_frame_pointer_s_own_place_is_known() {
        assert!(is_at_frame_pointer(&[0x76, 0], Target::X86_64));
        assert!(!is_at_frame_pointer(&[0x76, 8], Target::X86_64));
        assert!(!is_at_frame_pointer(&[0x76, 0, 0x06], Target::X86_64));
    }
}
