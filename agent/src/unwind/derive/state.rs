//! What an instruction does to a function's frame: where the CFA is, and the caller's frame pointer.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use sonde_ebpf::unwind::{Kind, Rule};

/// A frame before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// CFA = stack pointer + so many bytes, if that is known.
    sp: Option<i32>,
    fp: FramePointer,
    /// The caller's frame pointer is so many bytes below the CFA; 0: not saved. `None`: some ways to
    /// here save it and others don't.
    saved: Option<i32>,
    /// Nobody called this: the thread starts here.
    is_first: bool,
}

/// What the frame pointer's register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FramePointer {
    /// What it held when the function was called.
    Callers,
    /// CFA minus so many bytes.
    Frame(i32),
    /// Something else.
    Other,
}

impl State {
    /// A function's, before its first instruction.
    pub(super) const CALLED: Self =
        Self { sp: Some(8), fp: FramePointer::Callers, saved: Some(0), is_first: false };
    /// A program's, before its first instruction.
    pub(super) const STARTED: Self = Self { is_first: true, ..Self::CALLED };
    /// Nothing is known.
    pub(super) const UNKNOWN: Self =
        Self { sp: None, fp: FramePointer::Other, saved: None, is_first: false };

    /// Whether the function may return from here, or jump to another in its place: all is as it was.
    pub(super) fn is_as_called(&self) -> bool {
        self.sp == Some(8) && self.fp == FramePointer::Callers
    }

    /// Whether the CFA is at the same place, if that is known of both.
    pub(super) fn has_cfa_of(&self, other: &Self) -> Option<bool> {
        Some(self.sp? == other.sp?)
    }

    /// What holds on both of two ways to an instruction.
    pub(super) fn meet(&self, other: &Self) -> Self {
        if self.is_first != other.is_first {
            return Self::UNKNOWN;
        }
        Self {
            sp: self.sp.filter(|_| self.sp == other.sp),
            fp: if self.fp == other.fp { self.fp } else { FramePointer::Other },
            saved: self.saved.filter(|_| self.saved == other.saved),
            is_first: self.is_first,
        }
    }

    /// How a caller is found from here.
    pub(super) fn rule(&self) -> Rule {
        if self.is_first {
            return Rule::END;
        }
        // The last of what rules can tell means another place.
        let saved = self.saved.map(i64::from).filter(|saved| *saved != Rule::AT_FRAME_POINTER);
        let Some(saved) = saved else { return Rule::NO_INFO };
        if saved == 0 && self.fp != FramePointer::Callers {
            return Rule::NO_INFO; // The caller's is lost.
        }
        match (self.sp, self.fp) {
            (Some(sp @ 8..), _) => Rule::offset(Kind::Sp, sp.into(), saved),
            (_, FramePointer::Frame(offset)) => Rule::offset(Kind::Fp, offset.into(), saved),
            _ => Rule::NO_INFO,
        }
    }

    /// The frame behind an instruction that goes on to the next.
    pub(super) fn after(mut self, instruction: &Instruction) -> Self {
        let to = register(instruction, 0);
        match instruction.mnemonic() {
            Mnemonic::Push | Mnemonic::Pushfq => {
                self.grow(instruction);
                if to == Some(Register::RBP) {
                    self.save_at(self.sp);
                }
            }
            Mnemonic::Pop | Mnemonic::Popfq => {
                let from = self.sp;
                self.grow(instruction);
                match to {
                    Some(Register::RBP) => self.restore_from(from),
                    Some(Register::RSP) => self.sp = None,
                    _ => {}
                }
            }
            Mnemonic::Leave => {
                let frame = self.frame();
                self.sp = frame.and_then(|offset| offset.checked_sub(8));
                self.restore_from(frame);
            }
            Mnemonic::Enter => self = Self { is_first: self.is_first, ..Self::UNKNOWN },
            // Instructions that only read their first operand.
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt | Mnemonic::Call | Mnemonic::Nop => {}
            Mnemonic::Mul | Mnemonic::Div | Mnemonic::Idiv => {}
            mnemonic => {
                if mnemonic == Mnemonic::Mov && register(instruction, 1) == Some(Register::RBP) {
                    self.save_at(self.address(instruction));
                }
                // These write both operands.
                if matches!(mnemonic, Mnemonic::Xchg | Mnemonic::Xadd) {
                    self.write(register(instruction, 1), None);
                }
                match to {
                    Some(Register::RBP) if mnemonic == Mnemonic::Xor && is_zero(instruction) => {
                        // The ABI's mark of a thread's first function: another would lose its
                        // caller's.
                        self.is_first |= self.fp == FramePointer::Callers && self.saved == Some(0);
                        self.fp = FramePointer::Other;
                    }
                    Some(Register::RBP) if mnemonic == Mnemonic::Mov && is_load(instruction) => {
                        self.restore_from(self.address(instruction));
                    }
                    to => self.write(to, self.result(instruction)),
                }
            }
        }
        self
    }

    /// Moves the stack pointer as the instruction does by itself.
    fn grow(&mut self, instruction: &Instruction) {
        let by = instruction.stack_pointer_increment();
        // Two bytes at a time are pushed by nobody who means a frame.
        self.sp = self.sp.filter(|_| by % 8 == 0).and_then(|sp| sp.checked_sub(by));
    }

    /// The caller's frame pointer is stored so many bytes below the CFA, if it is still there.
    fn save_at(&mut self, below: Option<i32>) {
        if let Some(below @ 16..) = below
            && self.fp == FramePointer::Callers
            && self.saved == Some(0)
        {
            self.saved = Some(below);
        }
    }

    /// The frame pointer is loaded from so many bytes below the CFA.
    fn restore_from(&mut self, below: Option<i32>) {
        if below.is_some() && below == self.saved && below != Some(0) {
            self.fp = FramePointer::Callers;
            self.saved = Some(0);
        } else {
            self.fp = FramePointer::Other;
        }
    }

    /// A register now holds the CFA minus so many bytes, or something unknown.
    fn write(&mut self, register: Option<Register>, below: Option<i32>) {
        match register {
            Some(Register::RSP) => self.sp = below,
            Some(Register::RBP) => self.fp = below.map_or(FramePointer::Other, FramePointer::Frame),
            _ => {}
        }
    }

    /// How far below the CFA the instruction's result is, if it is an address in the frame.
    fn result(&self, instruction: &Instruction) -> Option<i32> {
        let held = |register: Option<Register>| match register? {
            Register::RSP => self.sp,
            Register::RBP => self.frame(),
            _ => None,
        };
        let constant = || i32::try_from(instruction.try_immediate(1).ok()?.cast_signed()).ok();
        match instruction.mnemonic() {
            Mnemonic::Mov => held(register(instruction, 1)),
            Mnemonic::Sub => held(register(instruction, 0))?.checked_add(constant()?),
            Mnemonic::Add => held(register(instruction, 0))?.checked_sub(constant()?),
            Mnemonic::Lea => self.address(instruction),
            _ => None,
        }
        .filter(|_| is_64_bit(instruction))
    }

    /// How far below the CFA the memory operand is, if it is in the frame.
    fn address(&self, instruction: &Instruction) -> Option<i32> {
        let base = match instruction.memory_base() {
            Register::RSP => self.sp,
            Register::RBP => self.frame(),
            _ => None,
        };
        if instruction.memory_index() != Register::None {
            return None;
        }
        let displacement = i32::try_from(instruction.memory_displacement64().cast_signed()).ok()?;
        base?.checked_sub(displacement)
    }

    const fn frame(&self) -> Option<i32> {
        match self.fp {
            FramePointer::Frame(offset) => Some(offset),
            _ => None,
        }
    }
}

/// The whole register that an operand is, or is a part of.
fn register(instruction: &Instruction, operand: u32) -> Option<Register> {
    let is_register =
        operand < instruction.op_count() && instruction.op_kind(operand) == OpKind::Register;
    is_register.then(|| instruction.op_register(operand).full_register())
}

fn is_64_bit(instruction: &Instruction) -> bool {
    instruction.op0_register().size() == 8
}

fn is_load(instruction: &Instruction) -> bool {
    instruction.op_kind(1) == OpKind::Memory && is_64_bit(instruction)
}

/// Whether `xor` makes zero of its register.
fn is_zero(instruction: &Instruction) -> bool {
    instruction.op_kind(1) == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
        && instruction.op0_register().size() >= 4
}

#[cfg(test)]
impl State {
    /// Whether a description's rule says the same; `None` if this says nothing.
    pub(super) fn agrees(&self, told: Rule) -> Option<bool> {
        let rule = self.rule();
        if rule == Rule::NO_INFO {
            return None;
        }
        let as_far = |kind: Kind, offset: Option<i32>| {
            told.kind() == kind as u32 && offset.map(i64::from) == Some(told.offset_bytes())
        };
        let same_cfa = as_far(Kind::Sp, self.sp) || as_far(Kind::Fp, self.frame());
        let same_saved = self.fp == FramePointer::Callers
            || self
                .saved
                .is_some_and(|saved| u64::from(saved.unsigned_abs()) == told.saved_bytes());
        Some(rule == told || same_cfa && same_saved)
    }
}
