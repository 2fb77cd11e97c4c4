//! From one frame to its caller.

use super::rule::{Kind, Rule};
use crate::StackEnd;

/// Reads of the unwound thread's stack.
pub trait Memory {
    /// The word at an address; `None` if it can't be read.
    fn word(&mut self, address: u64) -> Option<u64>;
    /// The words at an address and after it.
    fn two_words(&mut self, address: u64) -> Option<[u64; 2]>;
    /// The eight bytes of code before an address, which need not be on the stack's side of memory.
    fn code_before(&mut self, address: u64) -> Option<u64>;
}

/// What differs between machines.
pub trait Machine {
    /// Whether a call leaves the return address in a register rather than on the stack.
    const LINK_REGISTER: bool;
    /// Bits of a return address that are the address; the others are a signature.
    const ADDRESS_MASK: u64;
}

/// What is known of a frame's registers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Address of the next instruction.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer: rbp, x29.
    pub fp: u64,
    /// Return address of a function that did not save it yet (arm64).
    pub link: u64,
    /// 1 if `pc` was running when the sample was taken or a signal came, 0 if it is a return
    /// address: the call is then before it.
    pub exact: u32,
    /// What the leaf's other registers are worth here: [`LEAF`], [`CALLER`] or [`INTERRUPTED`].
    pub leaf: u32,
}

/// This is the leaf: they are known.
pub const LEAF: u32 = 1;
/// The leaf's functions may have changed them since.
pub const CALLER: u32 = 2;
/// A signal came since: they are another function's.
pub const INTERRUPTED: u32 = 0;

impl Registers {
    /// The address whose rule holds: for a return address, that of the call.
    #[inline(always)]
    #[must_use]
    pub const fn rule_address(&self) -> u64 {
        self.pc.wrapping_sub(1 - (self.exact & 1) as u64)
    }
}

/// Frames that are larger than this do not exist; pointers that say so are broken.
const MAX_FRAME_BYTES: u64 = 64 << 20;

/// Bytes that a frame may have whose CFA is in a register that callees may have changed. Such frames
/// are written in assembly: a table of AES, or all vector registers (`_dl_runtime_resolve`, 11 KiB
/// with AMX).
const MAX_HELD_FRAME_BYTES: u64 = 16 << 10;

/// The kernel's signal frame on x86-64: bytes from the stack pointer, once the handler has
/// returned, to the saved registers.
mod signal_x86_64 {
    pub(super) const RBP: u64 = 120;
    pub(super) const RSP: u64 = 160;
    pub(super) const RIP: u64 = 168;
}

/// The same on arm64: after `siginfo` (128 bytes) `ucontext`, whose registers are 184 bytes in.
mod signal_aarch64 {
    pub(super) const X29: u64 = 128 + 184 + 29 * 8;
    pub(super) const SP: u64 = 128 + 184 + 31 * 8;
}

/// Makes `registers` those of the caller. `general` are the leaf's registers by DWARF number.
///
/// # Errors
/// Says why there is no caller: with [`StackEnd::Complete`] all is well.
#[inline(always)]
pub fn step<A: Machine, M: Memory>(
    rule: Rule,
    registers: &mut Registers,
    general: &[u64; 16],
    memory: &mut M,
) -> Result<(), StackEnd> {
    let Registers { sp, fp, .. } = *registers;
    let kind = rule.kind();
    let cfa = if kind == Kind::Sp as u32 || kind == Kind::SpLinkSaved as u32 {
        sp.wrapping_add_signed(rule.offset_bytes())
    } else if kind == Kind::Fp as u32 || kind == Kind::FpLinkSaved as u32 {
        fp.wrapping_add_signed(rule.offset_bytes())
    } else if kind == Kind::FramePointer as u32 {
        return by_frame_pointer::<A, M>(registers, memory);
    } else {
        match unusual::<A, M>(rule, registers, general, memory)? {
            Some(cfa) => cfa,
            None => return Ok(()),
        }
    };
    // A frame that does not shrink the stack would be met again for ever.
    let grown = cfa.wrapping_sub(sp);
    if grown > MAX_FRAME_BYTES || (grown == 0 && !(A::LINK_REGISTER && registers.leaf == LEAF)) {
        return Err(StackEnd::ReadFault);
    }
    let (pc, fp) = if A::LINK_REGISTER {
        linked(rule, registers, cfa, memory)?
    } else {
        on_stack(rule, fp, cfa, memory)?
    };
    enter::<A>(registers, pc, cfa, fp)
}

/// Return address and frame pointer where a call pushes the first.
#[inline(always)]
fn on_stack<M: Memory>(
    rule: Rule,
    fp: u64,
    cfa: u64,
    memory: &mut M,
) -> Result<(u64, u64), StackEnd> {
    let saved = rule.saved_bytes();
    if saved == 16 {
        // The usual prologue leaves both side by side: one read for two.
        let [fp, pc] = memory.two_words(cfa.wrapping_sub(16)).ok_or(StackEnd::ReadFault)?;
        return Ok((pc, fp));
    }
    let pc = memory.word(cfa.wrapping_sub(8)).ok_or(StackEnd::ReadFault)?;
    if saved == 0 {
        return Ok((pc, fp));
    }
    let at = if saved == Rule::AT_FRAME_POINTER as u64 { fp } else { cfa.wrapping_sub(saved) };
    Ok((pc, memory.word(at).ok_or(StackEnd::ReadFault)?))
}

/// The same where a call leaves the return address in a register.
#[inline(always)]
fn linked<M: Memory>(
    rule: Rule,
    registers: &Registers,
    cfa: u64,
    memory: &mut M,
) -> Result<(u64, u64), StackEnd> {
    let saved = rule.saved_bytes();
    if saved == 0 {
        // Only what was interrupted can still have its return address in the register.
        if registers.exact != 1 {
            return Err(StackEnd::NoUnwindInfo);
        }
        return Ok((registers.link, registers.fp));
    }
    let at = cfa.wrapping_sub(saved);
    if rule.kind() == Kind::SpLinkSaved as u32 || rule.kind() == Kind::FpLinkSaved as u32 {
        return Ok((memory.word(at).ok_or(StackEnd::ReadFault)?, registers.fp));
    }
    let [fp, pc] = memory.two_words(at).ok_or(StackEnd::ReadFault)?;
    Ok((pc, fp))
}

/// Rules that few functions have. The CFA, or nothing if `registers` are already the caller's. Kept
/// apart so that the usual way is short: a sample's code comes from far-away caches.
#[inline(never)]
fn unusual<A: Machine, M: Memory>(
    rule: Rule,
    registers: &mut Registers,
    general: &[u64; 16],
    memory: &mut M,
) -> Result<Option<u64>, StackEnd> {
    let Registers { pc, sp, fp, .. } = *registers;
    let kind = rule.kind();
    if kind == Kind::Plt as u32 {
        let pushed = pc & 15 >= u64::from(rule.register_number());
        return Ok(Some(sp.wrapping_add(8 + 8 * u64::from(pushed))));
    }
    if kind == Kind::DerefSp as u32 || kind == Kind::DerefFp as u32 {
        let base = if kind == Kind::DerefSp as u32 { sp } else { fp };
        let word = memory.word(base.wrapping_add_signed(rule.long_bytes()));
        let word = word.ok_or(StackEnd::ReadFault)?;
        return Ok(Some(word.wrapping_add_signed(rule.short_bytes())));
    }
    if kind == Kind::SpFar as u32 {
        return Ok(Some(sp.wrapping_add(rule.far_bytes())));
    }
    if kind == Kind::Register as u32 && registers.leaf != INTERRUPTED {
        let value = general[(rule.register_number() & 15) as usize];
        let cfa = value.wrapping_add_signed(rule.long_bytes());
        if registers.leaf == CALLER && !is_held::<A, M>(cfa, sp, memory) {
            return Err(StackEnd::UnsupportedRule);
        }
        return Ok(Some(cfa));
    }
    if kind == Kind::ReturnRegister as u32 && registers.leaf == LEAF {
        let pc = general[(rule.register_number() & 15) as usize];
        let cfa = sp.wrapping_add_signed(rule.long_bytes());
        return enter::<A>(registers, pc, cfa, fp).map(|()| None);
    }
    if kind == Kind::Signal as u32 {
        return interrupted::<A, M>(registers, memory).map(|()| None);
    }
    Err(if kind == Kind::End as u32 {
        StackEnd::Complete
    } else if kind == Kind::NoInfo as u32 {
        StackEnd::NoUnwindInfo
    } else {
        StackEnd::UnsupportedRule
    })
}

/// Whether a CFA from a register that callees may have changed is one: near, and with a return
/// address below it. Assembly calls its own functions so, and knows that they leave the register
/// alone (AES-GCM of libcrypto, `_dl_runtime_resolve`).
#[inline(always)]
fn is_held<A: Machine, M: Memory>(cfa: u64, sp: u64, memory: &mut M) -> bool {
    let near = cfa.wrapping_sub(sp).wrapping_sub(8) < MAX_HELD_FRAME_BYTES;
    if A::LINK_REGISTER || !near {
        return false;
    }
    let Some(pc) = memory.word(cfa.wrapping_sub(8)) else { return false };
    memory.code_before(pc).is_some_and(ends_in_call)
}

/// Whether the last bytes of eight of x86-64 code are a call: relative, or of one of the forms of an
/// indirect one.
#[inline(always)]
const fn ends_in_call(code: u64) -> bool {
    // `ff /2`: the second of the two bytes has the operation in its middle.
    const fn is_indirect(code: u64, from_end: u32) -> bool {
        (code >> (64 - 8 * from_end)) & 0x38ff == 0x10ff
    }
    const RELATIVE: u64 = 0xe8;
    (code >> (64 - 8 * 5)) & 0xff == RELATIVE
        || is_indirect(code, 2)
        || is_indirect(code, 3)
        || is_indirect(code, 4)
        || is_indirect(code, 6)
        || is_indirect(code, 7)
}

/// Takes the registers that the kernel saved when it called a signal handler.
#[inline(always)]
fn interrupted<A: Machine, M: Memory>(
    registers: &mut Registers,
    memory: &mut M,
) -> Result<(), StackEnd> {
    let sp = registers.sp;
    if A::LINK_REGISTER {
        let [fp, link] =
            memory.two_words(sp.wrapping_add(signal_aarch64::X29)).ok_or(StackEnd::ReadFault)?;
        let [sp, pc] =
            memory.two_words(sp.wrapping_add(signal_aarch64::SP)).ok_or(StackEnd::ReadFault)?;
        *registers = Registers { pc, sp, fp, link, exact: 1, leaf: INTERRUPTED };
    } else {
        let fp = memory.word(sp.wrapping_add(signal_x86_64::RBP)).ok_or(StackEnd::ReadFault)?;
        const { assert!(signal_x86_64::RIP == signal_x86_64::RSP + 8, "read together") };
        let [sp, pc] =
            memory.two_words(sp.wrapping_add(signal_x86_64::RSP)).ok_or(StackEnd::ReadFault)?;
        *registers = Registers { pc, sp, fp, link: 0, exact: 1, leaf: INTERRUPTED };
    }
    if registers.pc == 0 { Err(StackEnd::ReadFault) } else { Ok(()) }
}

/// Follows the chain of frame pointers. Unlike a table's rule this is a guess, so it is checked:
/// the chain goes up the stack, and in steps that a frame may have.
#[inline(always)]
fn by_frame_pointer<A: Machine, M: Memory>(
    registers: &mut Registers,
    memory: &mut M,
) -> Result<(), StackEnd> {
    let fp = registers.fp;
    if fp == 0 {
        return Err(StackEnd::Complete); // The ABI's mark of a thread's first frame.
    }
    if fp & 7 != 0 || fp.wrapping_sub(registers.sp) > MAX_FRAME_BYTES {
        return Err(StackEnd::FramePointerEnd);
    }
    let [caller_fp, pc] = memory.two_words(fp).ok_or(StackEnd::FramePointerEnd)?;
    enter::<A>(registers, pc, fp.wrapping_add(16), caller_fp)
}

#[inline(always)]
fn enter<A: Machine>(registers: &mut Registers, pc: u64, sp: u64, fp: u64) -> Result<(), StackEnd> {
    let pc = pc & A::ADDRESS_MASK;
    if pc == 0 {
        return Err(StackEnd::Complete); // What starts a thread by hand leaves no return address.
    }
    let leaf = if registers.leaf == INTERRUPTED { INTERRUPTED } else { CALLER };
    *registers = Registers { pc, sp, fp, link: 0, exact: 0, leaf };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::Base;

    struct X86_64;

    impl Machine for X86_64 {
        const LINK_REGISTER: bool = false;
        const ADDRESS_MASK: u64 = u64::MAX;
    }

    struct Arm64;

    impl Machine for Arm64 {
        const LINK_REGISTER: bool = true;
        const ADDRESS_MASK: u64 = 0x0000_ffff_ffff_ffff;
    }

    /// A stack of words from `0x1000` on.
    struct Words<'a>(&'a [u64]);

    impl Memory for Words<'_> {
        fn word(&mut self, address: u64) -> Option<u64> {
            let index = address.checked_sub(0x1000)? / 8;
            self.0.get(index as usize).copied()
        }

        fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
            Some([self.word(address)?, self.word(address.checked_add(8)?)?])
        }

        fn code_before(&mut self, address: u64) -> Option<u64> {
            self.word(address.checked_sub(8)?)
        }
    }

    fn leaf() -> Registers {
        Registers { pc: 0x40_0010, sp: 0x1000, fp: 0x1020, link: 0x77, exact: 1, leaf: LEAF }
    }

    fn stepped<A: Machine>(rule: Rule, words: &[u64]) -> Result<Registers, StackEnd> {
        let mut registers = leaf();
        let mut general = [0; 16];
        general[10] = 0x1010;
        general[5] = 0x40_0099;
        step::<A, _>(rule, &mut registers, &general, &mut Words(words))?;
        Ok(registers)
    }

    const WORDS: [u64; 8] = [0x10, 0x11, 0x12, 0x1018, 0x14, 0x15, 0x16, 0x17];

    fn caller(rule: Rule) -> (u64, u64, u64) {
        let registers = stepped::<X86_64>(rule, &WORDS).expect("a caller");
        (registers.pc, registers.sp, registers.fp)
    }

    #[test]
    fn the_return_address_is_below_the_cfa_and_the_frame_pointer_where_the_rule_says() {
        assert_eq!(caller(Rule::offset(Kind::Sp, 24, 0)), (0x12, 0x1018, 0x1020));
        assert_eq!(caller(Rule::offset(Kind::Sp, 24, 16)), (0x12, 0x1018, 0x11));
        assert_eq!(caller(Rule::offset(Kind::Sp, 24, 24)), (0x12, 0x1018, 0x10));
        assert_eq!(caller(Rule::offset(Kind::Fp, 16, 16)), (0x15, 0x1030, 0x14));
        assert_eq!(caller(Rule::deref(Base::Sp, 24, 8, 0)), (0x1018, 0x1020, 0x1020));
        assert_eq!(caller(Rule::register(Kind::Register, 10, 8, 0)), (0x12, 0x1018, 0x1020));
        assert_eq!(caller(Rule::register(Kind::ReturnRegister, 5, 8, 0)).0, 0x40_0099);
        assert_eq!(caller(Rule::plt(0)), (0x11, 0x1010, 0x1020));
        let aligned = Rule::deref(Base::Sp, 24, 8, Rule::AT_FRAME_POINTER);
        assert_eq!(caller(aligned), (0x1018, 0x1020, 0x14));
        assert_eq!(caller(Rule::FRAME_POINTER), (0x15, 0x1030, 0x14));
        assert_eq!(caller(Rule::plt(11)), (0x10, 0x1008, 0x1020));
    }

    #[test]
    fn a_link_register_is_the_caller_until_it_is_saved() {
        let registers = stepped::<Arm64>(Rule::offset(Kind::Sp, 0, 0), &WORDS).expect("a caller");
        assert_eq!((registers.pc, registers.sp, registers.fp), (0x77, 0x1000, 0x1020));
        let registers = stepped::<Arm64>(Rule::offset(Kind::Sp, 32, 24), &WORDS).expect("a caller");
        assert_eq!((registers.pc, registers.sp, registers.fp), (0x12, 0x1020, 0x11));
        let rule = Rule::offset(Kind::SpLinkSaved, 32, 24);
        let registers = stepped::<Arm64>(rule, &WORDS).expect("a caller");
        assert_eq!((registers.pc, registers.fp), (0x11, 0x1020));
    }

    #[test]
    fn a_signed_return_address_loses_its_signature() {
        let words = [0x20, 0x00ba_0000_0040_1234, 0, 0];
        let registers = stepped::<Arm64>(Rule::offset(Kind::Sp, 16, 16), &words).expect("a caller");
        assert_eq!(registers.pc, 0x40_1234);
    }

    #[test]
    fn a_signal_frame_gives_the_interrupted_registers_back() {
        let mut words = [0; 32];
        words[signal_x86_64::RBP as usize / 8] = 0xb;
        words[signal_x86_64::RSP as usize / 8] = 0x900;
        words[signal_x86_64::RIP as usize / 8] = 0x40_0000;
        let registers = stepped::<X86_64>(Rule::SIGNAL, &words).expect("a caller");
        let expected = Registers { pc: 0x40_0000, sp: 0x900, fp: 0xb, link: 0, exact: 1, leaf: 0 };
        assert_eq!(registers, expected);
        assert_eq!(registers.rule_address(), 0x40_0000, "it did not call");
    }

    #[test]
    fn a_stack_at_the_end_of_memory_is_an_end_and_no_overflow() {
        for rule in [Rule::SIGNAL, Rule::FRAME_POINTER, Rule::offset(Kind::Sp, 16, 16)] {
            let (sp, fp) = (u64::MAX - 7, u64::MAX - 7);
            let mut registers = Registers { sp, fp, ..leaf() };
            let stepped =
                step::<X86_64, _>(rule, &mut registers, &[u64::MAX; 16], &mut Words(&WORDS));
            assert!(stepped.is_err(), "{rule:?}");
            let mut registers = Registers { sp, fp, ..leaf() };
            let stepped =
                step::<Arm64, _>(rule, &mut registers, &[u64::MAX; 16], &mut Words(&WORDS));
            assert!(stepped.is_err(), "{rule:?}");
        }
    }

    #[test]
    fn every_stack_that_can_t_go_on_says_why() {
        let end = |rule| stepped::<X86_64>(rule, &WORDS).expect_err("an end");
        assert_eq!(end(Rule::END), StackEnd::Complete);
        assert_eq!(end(Rule::NO_INFO), StackEnd::NoUnwindInfo);
        assert_eq!(end(Rule::UNSUPPORTED), StackEnd::UnsupportedRule);
        assert_eq!(end(Rule::offset(Kind::Sp, 4096, 0)), StackEnd::ReadFault);
        assert_eq!(end(Rule::offset(Kind::Sp, 0, 0)), StackEnd::ReadFault, "no progress");
        assert_eq!(end(Rule::offset(Kind::Sp, -8, 0)), StackEnd::ReadFault, "backwards");
        let ended = stepped::<X86_64>(Rule::offset(Kind::Sp, 8, 0), &[0]).expect_err("an end");
        assert_eq!(ended, StackEnd::Complete, "a null return address");
    }

    /// The caller of a leaf, whose CFA is in a register; the stack, and code behind it at 0x1040.
    fn held(register: u64, code: u64) -> Result<Registers, StackEnd> {
        let mut registers = Registers { leaf: CALLER, ..leaf() };
        let words = [0, 0, 0, 0, 0, 0x1048, 0, 0, code];
        let mut general = [0; 16];
        general[10] = register;
        let rule = Rule::register(Kind::Register, 10, 8, 0);
        step::<X86_64, _>(rule, &mut registers, &general, &mut Words(&words))?;
        Ok(registers)
    }

    #[test]
    fn a_register_of_a_caller_counts_if_a_call_s_return_address_is_there() {
        let code = |bytes| u64::from_le_bytes(bytes);
        for call in [
            code([0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4]),
            code([0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0]),
            code([0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd2]),
            code([0x90, 0x90, 0xff, 0x15, 1, 2, 3, 4]),
            code([0x90, 0xff, 0x94, 0x24, 1, 2, 3, 4]),
        ] {
            let caller = held(0x1028, call).expect("a caller");
            assert_eq!((caller.pc, caller.sp, caller.leaf), (0x1048, 0x1030, CALLER));
        }
        let jump = code([0x90, 0x90, 0x90, 0xe9, 1, 2, 3, 4]);
        assert_eq!(held(0x1028, jump), Err(StackEnd::UnsupportedRule), "not called from there");
        let call = code([0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4]);
        for elsewhere in [0x1000 - 8, 0x1020, 0x1000 + (17 << 10), u64::MAX] {
            assert_eq!(held(elsewhere, call), Err(StackEnd::UnsupportedRule), "{elsewhere:#x}");
        }
    }

    #[test]
    fn registers_behind_a_signal_are_not_guessed() {
        let mut registers = Registers { leaf: INTERRUPTED, ..leaf() };
        let rule = Rule::register(Kind::Register, 10, 8, 0);
        let stepped = step::<X86_64, _>(rule, &mut registers, &[0x1000; 16], &mut Words(&WORDS));
        assert_eq!(stepped, Err(StackEnd::UnsupportedRule));
    }
}
