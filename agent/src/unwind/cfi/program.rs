//! Runs the instructions of a description and gives out a rule for each piece of the function.

use object::elf::{EM_AARCH64, EM_X86_64};
use sonde_ebpf::unwind::{Kind, Rule};

use super::{
    cursor::Cursor,
    entry::{Cie, Fde},
    expression::{CfaExpression, is_at_frame_pointer},
};
use crate::symbol::elf::ElfFile;

/// The machine that a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unwind) enum Target {
    X86_64,
    Aarch64,
}

impl Target {
    /// That of a file, if it is one that we unwind.
    pub(in crate::unwind) const fn of(elf: &ElfFile) -> Option<Self> {
        match elf.machine() {
            EM_X86_64 if elf.is_64() => Some(Self::X86_64),
            EM_AARCH64 => Some(Self::Aarch64),
            _ => None,
        }
    }

    pub(super) const fn stack_pointer(self) -> u64 {
        match self {
            Self::X86_64 => 7,
            Self::Aarch64 => 31,
        }
    }

    pub(super) const fn frame_pointer(self) -> u64 {
        match self {
            Self::X86_64 => 6,
            Self::Aarch64 => 29,
        }
    }

    /// What descriptions call the return address.
    const fn return_address(self) -> u64 {
        match self {
            Self::X86_64 => 16,
            Self::Aarch64 => 30,
        }
    }
}

/// Where a caller's register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    /// Nobody has changed it.
    Same,
    /// Nobody knows: for the return address, there is no caller.
    Undefined,
    /// So many bytes from the CFA.
    At(i64),
    /// In a register.
    Register(u64),
    /// At the address that the frame pointer holds.
    AtFramePointer,
    /// Somewhere that we have no rule for.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cfa {
    Register { register: u64, offset: i64 },
    Expression(CfaExpression),
}

/// The registers that an unwinder follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    cfa: Cfa,
    frame_pointer: Saved,
    return_address: Saved,
}

/// Registers are saved below the CFA, and no further than rules can tell: what follows would mean
/// another place.
const LOWEST_SAVED: i64 = 8 - Rule::AT_FRAME_POINTER;

/// Deeper than any compiler nests.
const MAX_REMEMBERED: usize = 64;

/// Calls `row` with the start (SVMA) of each piece of the function and its rule, in order. From where
/// the instructions make no sense on, it is [`Rule::UNSUPPORTED`].
pub(in crate::unwind) fn run(
    cie: &Cie,
    fde: &Fde<'_>,
    target: Target,
    mut row: impl FnMut(u64, Rule),
) {
    if cie.is_signal_frame {
        row(fde.start, Rule::SIGNAL);
        return;
    }
    if cie.return_register != target.return_address() {
        row(fde.start, Rule::UNSUPPORTED);
        return;
    }
    let mut machine = Machine::new(cie, target, fde.start);
    let made_sense = machine.execute(&cie.instructions, &mut |_, _| {}).is_some();
    machine.initial = machine.state;
    machine.location = fde.start;
    let made_sense =
        made_sense && machine.execute(fde.instructions, &mut |at, rule| row(at, rule)).is_some();
    let rule = if made_sense { machine.rule() } else { Rule::UNSUPPORTED };
    row(machine.location, rule);
}

struct Machine<'a> {
    cie: &'a Cie,
    target: Target,
    location: u64,
    state: State,
    initial: State,
    remembered: Vec<State>,
}

impl<'a> Machine<'a> {
    fn new(cie: &'a Cie, target: Target, location: u64) -> Self {
        let cfa = Cfa::Register { register: target.stack_pointer(), offset: 0 };
        let state = State { cfa, frame_pointer: Saved::Same, return_address: Saved::Same };
        Self { cie, target, location, state, initial: state, remembered: Vec::new() }
    }

    fn execute(&mut self, bytes: &[u8], row: &mut impl FnMut(u64, Rule)) -> Option<()> {
        let mut cursor = Cursor::new(bytes, 0);
        while !cursor.is_empty() {
            let opcode = cursor.u8()?;
            let operand = u64::from(opcode & 0x3f);
            match opcode >> 6 {
                1 => self.advance(operand, row)?,
                2 => {
                    let offset = self.scaled(i64::try_from(cursor.uleb()?).ok()?)?;
                    self.set(operand, Saved::At(offset));
                }
                3 => self.restore(operand),
                _ => self.extended(opcode, &mut cursor, row)?,
            }
        }
        Some(())
    }

    /// Instructions whose operands follow them (`DW_CFA_*`).
    fn extended(
        &mut self,
        opcode: u8,
        cursor: &mut Cursor<'_>,
        row: &mut impl FnMut(u64, Rule),
    ) -> Option<()> {
        match opcode {
            0x00 => {}
            0x01 => {
                let location = cursor.u64()?; // Absolute; only in `.debug_frame`.
                self.advance_to(location, row);
            }
            0x02 => self.advance(cursor.u8()?.into(), row)?,
            0x03 => self.advance(cursor.u16()?.into(), row)?,
            0x04 => self.advance(cursor.u32()?.into(), row)?,
            0x05 => {
                let register = cursor.uleb()?;
                let offset = self.scaled(i64::try_from(cursor.uleb()?).ok()?)?;
                self.set(register, Saved::At(offset));
            }
            0x06 => self.restore(cursor.uleb()?),
            0x07 => self.set(cursor.uleb()?, Saved::Undefined),
            0x08 => self.set(cursor.uleb()?, Saved::Same),
            0x09 => {
                let register = cursor.uleb()?;
                self.set(register, Saved::Register(cursor.uleb()?));
            }
            0x0a => {
                if self.remembered.len() >= MAX_REMEMBERED {
                    return None;
                }
                self.remembered.push(self.state);
            }
            0x0b => self.state = self.remembered.pop()?,
            0x0c => {
                let register = cursor.uleb()?;
                self.define_cfa(register, i64::try_from(cursor.uleb()?).ok()?);
            }
            0x0d => {
                let register = cursor.uleb()?;
                let offset = self.cfa_offset()?;
                self.define_cfa(register, offset);
            }
            0x0e => {
                let register = self.cfa_register()?;
                self.define_cfa(register, i64::try_from(cursor.uleb()?).ok()?);
            }
            0x0f => {
                let expression = CfaExpression::parse(cursor.block()?, self.target);
                self.state.cfa = match expression {
                    CfaExpression::Register { register, offset } => {
                        Cfa::Register { register, offset }
                    }
                    other => Cfa::Expression(other),
                };
            }
            0x10 => {
                let register = cursor.uleb()?;
                let expression = cursor.block()?;
                let at_it = is_at_frame_pointer(expression, self.target);
                self.set(register, if at_it { Saved::AtFramePointer } else { Saved::Other });
            }
            0x11 => {
                let register = cursor.uleb()?;
                let offset = self.scaled(cursor.sleb()?)?;
                self.set(register, Saved::At(offset));
            }
            0x12 => {
                let register = cursor.uleb()?;
                let offset = self.scaled(cursor.sleb()?)?;
                self.define_cfa(register, offset);
            }
            0x13 => {
                let register = self.cfa_register()?;
                let offset = self.scaled(cursor.sleb()?)?;
                self.define_cfa(register, offset);
            }
            0x14 | 0x15 => {
                let register = cursor.uleb()?;
                cursor.uleb()?;
                self.set(register, Saved::Other);
            }
            0x16 => {
                let register = cursor.uleb()?;
                cursor.block()?;
                self.set(register, Saved::Other);
            }
            0x2d => {} // Signs or checks the return address (arm64): we mask it always.
            0x2e => drop(cursor.uleb()?), // Size of arguments: for exception handlers.
            0x2f => {
                let register = cursor.uleb()?;
                let offset = self.scaled(i64::try_from(cursor.uleb()?).ok()?)?;
                self.set(register, Saved::At(offset.checked_neg()?));
            }
            _ => return None,
        }
        Some(())
    }

    fn advance(&mut self, distance: u64, row: &mut impl FnMut(u64, Rule)) -> Option<()> {
        let distance = distance.checked_mul(self.cie.code_alignment)?;
        self.advance_to(self.location.checked_add(distance)?, row);
        Some(())
    }

    fn advance_to(&mut self, location: u64, row: &mut impl FnMut(u64, Rule)) {
        if location != self.location {
            row(self.location, self.rule());
            self.location = location;
        }
    }

    fn scaled(&self, factored: i64) -> Option<i64> {
        factored.checked_mul(self.cie.data_alignment)
    }

    fn set(&mut self, register: u64, saved: Saved) {
        if register == self.target.frame_pointer() {
            self.state.frame_pointer = saved;
        } else if register == self.target.return_address() {
            self.state.return_address = saved;
        }
    }

    fn restore(&mut self, register: u64) {
        if register == self.target.frame_pointer() {
            self.state.frame_pointer = self.initial.frame_pointer;
        } else if register == self.target.return_address() {
            self.state.return_address = self.initial.return_address;
        }
    }

    fn define_cfa(&mut self, register: u64, offset: i64) {
        self.state.cfa = Cfa::Register { register, offset };
    }

    fn cfa_register(&self) -> Option<u64> {
        match self.state.cfa {
            Cfa::Register { register, .. } => Some(register),
            Cfa::Expression(_) => None,
        }
    }

    fn cfa_offset(&self) -> Option<i64> {
        match self.state.cfa {
            Cfa::Register { offset, .. } => Some(offset),
            Cfa::Expression(_) => None,
        }
    }

    fn rule(&self) -> Rule {
        if self.state.return_address == Saved::Undefined {
            return Rule::END;
        }
        match self.target {
            Target::X86_64 => self.x86_64_rule(),
            Target::Aarch64 => self.aarch64_rule(),
        }
    }

    fn x86_64_rule(&self) -> Rule {
        let State { cfa, frame_pointer, return_address } = self.state;
        let saved = match frame_pointer {
            // What nobody knows can't be found either; most callers have no use for it.
            Saved::Same | Saved::Undefined => 0,
            Saved::At(offset @ LOWEST_SAVED..0) => -offset,
            Saved::AtFramePointer => Rule::AT_FRAME_POINTER,
            _ => return Rule::UNSUPPORTED,
        };
        if let (Saved::Register(register), Cfa::Register { register: 7, offset }, 0) =
            (return_address, cfa, saved)
            && let Ok(register @ 0..16) = u16::try_from(register)
        {
            return Rule::register(Kind::ReturnRegister, register, offset, 0);
        }
        if return_address != Saved::At(-8) {
            return Rule::UNSUPPORTED;
        }
        match cfa {
            Cfa::Register { register: 7, offset } => Rule::offset(Kind::Sp, offset, saved),
            Cfa::Register { register: 6, offset } => Rule::offset(Kind::Fp, offset, saved),
            Cfa::Register { register, offset } => match u16::try_from(register) {
                Ok(register @ 0..16) => Rule::register(Kind::Register, register, offset, saved),
                _ => Rule::UNSUPPORTED,
            },
            Cfa::Expression(CfaExpression::Plt { from }) => Rule::plt(from),
            Cfa::Expression(CfaExpression::Deref { base, at, add }) => {
                Rule::deref(base, at, add, saved)
            }
            Cfa::Expression(_) => Rule::UNSUPPORTED,
        }
    }

    fn aarch64_rule(&self) -> Rule {
        let State { cfa, frame_pointer, return_address } = self.state;
        let (link_saved, saved) = match (frame_pointer, return_address) {
            (Saved::Same, Saved::Same) => (false, 0),
            // The pair is stored by one instruction, side by side.
            (Saved::At(pointer @ LOWEST_SAVED..0), Saved::At(link)) if link == pointer + 8 => {
                (false, -pointer)
            }
            (Saved::Same, Saved::At(link @ LOWEST_SAVED..0)) => (true, -link),
            _ => return Rule::UNSUPPORTED,
        };
        let kind = match (cfa, link_saved) {
            (Cfa::Register { register: 31, .. }, false) => Kind::Sp,
            (Cfa::Register { register: 29, .. }, false) => Kind::Fp,
            (Cfa::Register { register: 31, .. }, true) => Kind::SpLinkSaved,
            (Cfa::Register { register: 29, .. }, true) => Kind::FpLinkSaved,
            _ => return Rule::UNSUPPORTED,
        };
        let offset = self.cfa_offset().unwrap_or(0);
        Rule::offset(kind, offset, saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last rule of a function whose offsets are multiples of a number, as the bytes of a CIE
    /// say it.
    fn rule(data_alignment: &[u8], return_register: u8, target: Target, program: &[u8]) -> Rule {
        let head: &[u8] = &[1, 0, 1];
        let bytes = [head, data_alignment, &[return_register]].concat();
        let cie = Cie::parse(&bytes, 0).expect("makes sense");
        let mut last = Rule::NO_INFO;
        let fde = Fde { start: 0x1000, end: 0x2000, instructions: program };
        run(&cie, &fde, target, |_, rule| last = rule);
        last
    }

    /// SLEB128 of the least number.
    const LEAST: [u8; 10] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];

    #[test]
    fn a_register_saved_as_far_away_as_numbers_go_is_unsupported() {
        // Register 6 is saved at one unit from the CFA.
        assert_eq!(rule(&LEAST, 16, Target::X86_64, &[0x86, 1]), Rule::UNSUPPORTED);
        // Registers 29 and 30, and 30 alone.
        let both = [0x9d, 1, 0x9e, 1];
        assert_eq!(rule(&LEAST, 30, Target::Aarch64, &both), Rule::UNSUPPORTED);
        assert_eq!(rule(&LEAST, 30, Target::Aarch64, &both[2..]), Rule::UNSUPPORTED);
    }

    #[test]
    fn a_register_saved_far_below_the_cfa_is_not_where_the_frame_pointer_points() {
        // The CFA is 16 bytes above the stack pointer, the return address 8 bytes below it.
        let saved = |words: [u8; 2]| {
            let program = [0x0c, 7, 16, 0x90, 1, 0x86, words[0], words[1]];
            rule(&[0x78], 16, Target::X86_64, &program)
        };
        assert_eq!(saved([0xfe, 0x1f]), Rule::offset(Kind::Sp, 16, 0xffe * 8));
        assert_eq!(saved([0xff, 0x1f]), Rule::UNSUPPORTED, "that is what another place is told by");
    }
}
