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
    let mut memory = Copied { start: resume.copied_from(), bytes, too_short: false, code };
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

#[cfg(test)]
mod tests {
    use sonde_ebpf::unwind::{Kind, Registers};

    use super::*;

    /// Code of a leaf whose frame this rule describes, called by a thread's first function.
    struct CalledOnce(Option<Rule>);

    impl Code for CalledOnce {
        fn find(&mut self, _address: u64) -> Found {
            Found::Rule(self.0.take().unwrap_or(Rule::END))
        }

        fn before(&mut self, _address: u64) -> Option<u64> {
            None
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_frame_pointer_that_was_popped_is_found_below_the_stack_pointer() {
        let leaf = Registers { pc: 0x40_0010, sp: 0x2000, exact: 1, leaf: 1, ..Default::default() };
        let resume = Resume { registers: leaf, general: [0; 16] };
        let mut words = vec![0_u64; 20];
        let at = |address: u64| usize::try_from((address - resume.copied_from()) / 8);
        words[at(0x1ff8).expect("small")] = 0x3000;
        words[at(0x2000).expect("small")] = 0x40_0020;
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let mut stack = vec![leaf.pc];
        let popped = Rule::offset(Kind::Sp, 8, 16);
        let end = walk(&resume, &bytes, &mut stack, &mut CalledOnce(Some(popped)));
        assert_eq!((end, &stack[..]), (StackEnd::Complete, &[0x40_0010, 0x40_0020][..]));
    }
}
