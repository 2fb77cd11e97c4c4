//! The rest of a walk, from the registers and the stack that came with a sample.

use sonde_ebpf::{
    Resume, StackEnd,
    limits::{MAX_STACK_COPY, MAX_USER_FRAMES},
    unwind::{Machine, Memory, Rule, step},
};

/// Where an address lies, as far as unwinding goes.
pub(super) enum Found {
    /// This rule holds there.
    Rule(Rule),
    /// Code made at run time.
    Jit,
    /// No code is known there.
    Nothing,
    /// There is code, but its file can't be read (any more).
    Unreadable,
}

/// The code of one process.
pub(super) trait Code {
    fn find(&mut self, address: u64) -> Found;
    /// The eight bytes before an address.
    fn before(&mut self, address: u64) -> Option<u64>;
}

/// Walks on from `resume`. Addresses are added to `stack`; says why it ends where it does.
pub(super) fn walk(
    resume: &Resume,
    bytes: &[u8],
    stack: &mut Vec<u64>,
    code: &mut impl Code,
) -> StackEnd {
    let mut registers = resume.registers;
    let mut memory = Copied { start: registers.sp & !7, bytes, too_short: false, code };
    let mut guessed = false;
    while stack.len() < MAX_USER_FRAMES {
        let (rule, jit) = match memory.code.find(registers.rule_address()) {
            Found::Rule(rule) => (rule, false),
            Found::Jit => (Rule::FRAME_POINTER, true),
            Found::Nothing if guessed => return StackEnd::FramePointerEnd,
            Found::Nothing => return StackEnd::NoMapping,
            Found::Unreadable => return StackEnd::TableNotLoaded,
        };
        guessed = rule == Rule::FRAME_POINTER;
        match step::<Native, _>(rule, &mut registers, &resume.general, &mut memory) {
            Ok(()) => stack.push(registers.pc.wrapping_add(u64::from(registers.exact))),
            Err(StackEnd::FramePointerEnd) if jit => return StackEnd::Jit,
            Err(StackEnd::ReadFault) if memory.too_short => return StackEnd::Truncated,
            Err(end) => return end,
        }
    }
    StackEnd::Truncated
}

/// The piece of the thread's stack that came with the sample, and the code of its process.
struct Copied<'a, C> {
    start: u64,
    bytes: &'a [u8],
    /// Something was asked for behind a copy that has as much as a copy can have.
    too_short: bool,
    code: &'a mut C,
}

impl<C: Code> Memory for Copied<'_, C> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let from = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(from..from.checked_add(8)?).and_then(|word| word.try_into().ok());
        self.too_short |= word.is_none() && self.bytes.len() + 4096 > MAX_STACK_COPY;
        word.map(u64::from_ne_bytes)
    }

    fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
        Some([self.word(address)?, self.word(address.checked_add(8)?)?])
    }

    fn code_before(&mut self, address: u64) -> Option<u64> {
        self.code.before(address)
    }
}

struct Native;

#[cfg(target_arch = "aarch64")]
impl Machine for Native {
    const LINK_REGISTER: bool = true;
    const ADDRESS_MASK: u64 = 0x0000_ffff_ffff_ffff;
}

#[cfg(not(target_arch = "aarch64"))]
impl Machine for Native {
    const LINK_REGISTER: bool = false;
    const ADDRESS_MASK: u64 = u64::MAX;
}
