//! How one caller is found from its callee, in four bytes.
//!
//! ```text
//!   31            16 15             4 3     0
//!  ┌────────────────┬────────────────┬───────┐
//!  │ operand        │ saved          │ kind  │
//!  └────────────────┴────────────────┴───────┘
//! ```
//! `saved`: the caller's frame pointer is so many words below the CFA ("canonical frame address",
//! the caller's stack pointer); 0 if the callee left it alone. A word has 8 bytes. Zero bytes are
//! the rule [`Kind::NoInfo`], so memory that nobody wrote says nothing.
//!
//! A function begins by pushing registers and ends by popping them. One rule tells of such a run:
//! ```text
//!   31              16 15         9   8  7     4 3     0
//!  ┌──────────────────┬───────────┬─────┬───────┬───────┐
//!  │ a step at byte n │ words     │ pop │ saved │ SpRun │
//!  └──────────────────┴───────────┴─────┴───────┴───────┘
//! ```
//! `words` is the CFA's distance from the stack pointer at the row's own address. Bit n of the steps
//! says that from n + 1 bytes behind it on, it is one word more, or in a run of pops one less.
//! `saved` holds from the push on that brings the CFA so far away, and through all pops: what was
//! popped is still below the stack pointer.

/// How to find the CFA, or that there is no caller. The numbers are the table's: append only.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// No table covers the address.
    NoInfo = 0,
    /// CFA = stack pointer + operand words.
    Sp = 1,
    /// CFA = frame pointer + operand words.
    Fp = 2,
    /// CFA = another register + words; those of the leaf are known, and callers may still hold them.
    Register = 3,
    /// CFA = word at (stack pointer + words) + words.
    DerefSp = 4,
    /// CFA = word at (frame pointer + words) + words.
    DerefFp = 5,
    /// A PLT stub of x86-64: one word more on the stack from a byte of each 16 on.
    Plt = 6,
    /// A signal handler returns to here: the registers are in the frame that the kernel made.
    Signal = 7,
    /// The thread's first function: nobody called it.
    End = 8,
    /// CFA = stack pointer + words; the return address is in a register (vfork of x86-64).
    ReturnRegister = 9,
    /// No table, but the code keeps frame pointers: Go, and most JIT compilers.
    FramePointer = 10,
    /// A table covers the address, but with a rule that does not fit here.
    Unsupported = 11,
    /// As `Sp`, but `saved` is the place of the return address (arm64).
    SpLinkSaved = 12,
    /// As `Fp`, but `saved` is the place of the return address (arm64).
    FpLinkSaved = 13,
    /// As `Sp`, of a frame of 256 KiB and more: the operand has 24 bits, and `saved` the four below.
    SpFar = 14,
    /// As `Sp` at the row's own address; each push or pop that follows moves the CFA by a word. Only
    /// in pages: whoever finds the row makes a plain rule of it with [`Rule::at`].
    SpRun = 15,
}

impl Kind {
    /// Every kind, by its number.
    pub const ALL: [Self; 16] = [
        Self::NoInfo,
        Self::Sp,
        Self::Fp,
        Self::Register,
        Self::DerefSp,
        Self::DerefFp,
        Self::Plt,
        Self::Signal,
        Self::End,
        Self::ReturnRegister,
        Self::FramePointer,
        Self::Unsupported,
        Self::SpLinkSaved,
        Self::FpLinkSaved,
        Self::SpFar,
        Self::SpRun,
    ];
}

/// What a dereferenced CFA starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The stack pointer.
    Sp,
    /// The frame pointer.
    Fp,
}

/// A rule. Two that are no runs are equal if and only if they say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule(pub u32);

/// Most words below the CFA that `saved` can tell.
const MAX_SAVED: i64 = 0xffe;

/// Where the steps of a run begin.
const STEPS_AT: u32 = 16;
/// The bit of a run of pops.
const POPS: u32 = 1 << 8;
/// Bits of a run's words.
const WORDS_BITS: u32 = STEPS_AT - 9;

impl Rule {
    /// No table covers the address.
    pub const NO_INFO: Self = Self::plain(Kind::NoInfo);
    /// The thread's first function.
    pub const END: Self = Self::plain(Kind::End);
    /// A signal handler returns to here.
    pub const SIGNAL: Self = Self::plain(Kind::Signal);
    /// Code that keeps frame pointers.
    pub const FRAME_POINTER: Self = Self::plain(Kind::FramePointer);
    /// A rule that does not fit.
    pub const UNSUPPORTED: Self = Self::plain(Kind::Unsupported);

    /// Bytes behind its row in which a run can have steps.
    pub const RUN_BYTES: u32 = 32 - STEPS_AT;

    /// In place of bytes below the CFA: the caller's frame pointer is where ours points to, as in
    /// functions that align their stack.
    pub const AT_FRAME_POINTER: i64 = 0xfff * 8;

    /// A PLT stub, whose CFA is a word further from the `from`th byte of each 16 on.
    #[must_use]
    pub const fn plt(from: u8) -> Self {
        Self::pack(Kind::Plt, 0, from as u16 & 0x1f)
    }

    const fn plain(kind: Kind) -> Self {
        Self(kind as u32)
    }

    /// CFA = `kind`'s register + `cfa_bytes`, the frame pointer `saved_bytes` below it (0: not
    /// saved). [`Self::UNSUPPORTED`] where the numbers do not fit.
    #[must_use]
    pub const fn offset(kind: Kind, cfa_bytes: i64, saved_bytes: i64) -> Self {
        let words = cfa_bytes / 8;
        let fits = cfa_bytes % 8 == 0 && words >= i16::MIN as i64 && words <= i16::MAX as i64;
        match saved_words(saved_bytes) {
            Some(saved) if fits => Self::pack(kind, saved, words as i16 as u16),
            Some(saved) if matches!(kind, Kind::Sp) && cfa_bytes % 8 == 0 => {
                if saved < 16 && words > 0 && words < 1 << 24 {
                    Self(Kind::SpFar as u32 | saved << 4 | (words as u32) << 8)
                } else {
                    Self::UNSUPPORTED
                }
            }
            _ => Self::UNSUPPORTED,
        }
    }

    /// CFA = `register` + `cfa_bytes`; or, as [`Kind::ReturnRegister`], the return address in it.
    #[must_use]
    pub const fn register(kind: Kind, register: u16, cfa_bytes: i64, saved_bytes: i64) -> Self {
        let words = cfa_bytes / 8;
        let fits = cfa_bytes % 8 == 0 && words >= -1024 && words < 1024 && register < 32;
        match saved_words(saved_bytes) {
            Some(saved) if fits => Self::pack(kind, saved, ((words as i16 as u16) << 5) | register),
            _ => Self::UNSUPPORTED,
        }
    }

    /// CFA = word at (`base` + `at_bytes`) + `add_bytes`.
    #[must_use]
    pub const fn deref(base: Base, at_bytes: i64, add_bytes: i64, saved_bytes: i64) -> Self {
        let kind = match base {
            Base::Sp => Kind::DerefSp,
            Base::Fp => Kind::DerefFp,
        };
        if add_bytes % 8 != 0 || add_bytes < -128 || add_bytes >= 128 {
            return Self::UNSUPPORTED;
        }
        let add = (add_bytes / 8) as u16 & 0x1f;
        Self::register(kind, add, at_bytes, saved_bytes)
    }

    /// A run of pushes or pops from a plain rule on, with a step at each byte behind its row that a
    /// bit of `steps` stands for; `saved_bytes` as the last of the pushes leaves it. `None` where the
    /// numbers do not fit.
    #[must_use]
    pub const fn run(cfa_bytes: i64, pops: bool, saved_bytes: i64, steps: u32) -> Option<Self> {
        let words = cfa_bytes / 8;
        match saved_words(saved_bytes) {
            Some(saved @ 0..16)
                if cfa_bytes % 8 == 0
                    && words >= 0
                    && words < 1 << WORDS_BITS
                    && steps < 1 << Self::RUN_BYTES =>
            {
                let run = Kind::SpRun as u32 | saved << 4 | if pops { POPS } else { 0 };
                Some(Self(run | (words as u32) << 9 | steps << STEPS_AT))
            }
            _ => None,
        }
    }

    /// The rule that holds so many bytes behind its row: of a run, what its steps up to there leave.
    #[inline(always)]
    #[must_use]
    pub const fn at(self, distance: u32) -> Self {
        if self.kind() != Kind::SpRun as u32 {
            return self;
        }
        let near = if distance < Self::RUN_BYTES { distance } else { Self::RUN_BYTES };
        let passed = (self.0 >> STEPS_AT & !(u32::MAX << near)).count_ones();
        let first = self.0 >> 9 & ((1 << WORDS_BITS) - 1);
        let saved = self.0 >> 4 & 0xf;
        if self.0 & POPS != 0 {
            return Self(Kind::Sp as u32 | saved << 4 | first.wrapping_sub(passed) << 16);
        }
        let words = first + passed;
        let saved = if words < saved { 0 } else { saved };
        Self(Kind::Sp as u32 | saved << 4 | words << 16)
    }

    const fn pack(kind: Kind, saved: u32, operand: u16) -> Self {
        Self(kind as u32 | saved << 4 | (operand as u32) << 16)
    }

    /// The kind's number; what is not in [`Kind`] was not written by our builder.
    #[inline(always)]
    #[must_use]
    pub const fn kind(self) -> u32 {
        self.0 & 0xf
    }

    /// Bytes that the saved register is below the CFA; 0 if it was not saved.
    #[inline(always)]
    #[must_use]
    pub const fn saved_bytes(self) -> u64 {
        let mask = if self.kind() == Kind::SpFar as u32 { 0xf } else { 0xfff };
        (self.0 >> 4 & mask) as u64 * 8
    }

    /// The operand of [`Kind::SpFar`] as bytes to add.
    #[inline(always)]
    #[must_use]
    pub const fn far_bytes(self) -> u64 {
        (self.0 >> 8) as u64 * 8
    }

    /// The operand as bytes to add.
    #[inline(always)]
    #[must_use]
    pub const fn offset_bytes(self) -> i64 {
        (self.0 as i32 >> 16) as i64 * 8
    }

    /// The operand's upper eleven bits as bytes to add.
    #[inline(always)]
    #[must_use]
    pub const fn long_bytes(self) -> i64 {
        (self.0 as i32 >> 21) as i64 * 8
    }

    /// The operand's lower five bits, as a register's DWARF number.
    #[inline(always)]
    #[must_use]
    pub const fn register_number(self) -> u32 {
        self.0 >> 16 & 0x1f
    }

    /// The operand's lower five bits as signed bytes to add.
    #[inline(always)]
    #[must_use]
    pub const fn short_bytes(self) -> i64 {
        ((self.0 << 11) as i32 >> 27) as i64 * 8
    }
}

const fn saved_words(bytes: i64) -> Option<u32> {
    let words = bytes / 8;
    if bytes == Rule::AT_FRAME_POINTER {
        return Some(0xfff);
    }
    if bytes % 8 != 0 || words < 0 || words > MAX_SAVED { None } else { Some(words as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_s_place_in_the_list_is_its_number() {
        for (place, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(place, *kind as usize, "{kind:?}");
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        let rule = Rule::offset(Kind::Sp, 4096, 16);
        assert_eq!((rule.kind(), rule.offset_bytes(), rule.saved_bytes()), (1, 4096, 16));
        let rule = Rule::offset(Kind::Sp, 540_080, 16);
        assert_eq!((rule.kind(), rule.far_bytes(), rule.saved_bytes()), (14, 540_080, 16));
        let rule = Rule::register(Kind::Register, 10, -8, 0);
        assert_eq!((rule.register_number(), rule.long_bytes(), rule.saved_bytes()), (10, -8, 0));
        let rule = Rule::deref(Base::Fp, -8, 8, 16);
        assert_eq!((rule.kind(), rule.long_bytes(), rule.short_bytes()), (5, -8, 8));
        assert_eq!(Rule::deref(Base::Sp, 120, -16, 0).short_bytes(), -16);
    }

    #[test]
    fn numbers_that_do_not_fit_are_said_to_be_unsupported() {
        for rule in [
            Rule::offset(Kind::Sp, 4, 0),
            Rule::offset(Kind::Fp, 8 << 15, 0),
            Rule::offset(Kind::Sp, 8 << 15, 128),
            Rule::offset(Kind::Sp, 8 << 24, 0),
            Rule::offset(Kind::Sp, 16, 8 << 13),
            Rule::offset(Kind::Sp, 16, -8),
            Rule::register(Kind::Register, 32, 8, 0),
            Rule::register(Kind::Register, 1, 8 << 10, 0),
            Rule::deref(Base::Sp, 8, 128, 0),
        ] {
            assert_eq!(rule, Rule::UNSUPPORTED);
        }
    }

    #[test]
    fn a_run_grows_with_each_push_and_saves_the_frame_pointer_with_its_own() {
        let run = Rule::run(8, false, 16, 0b10_0000_0101).expect("fits");
        let told = |distance| {
            let rule = run.at(distance);
            (rule.kind(), rule.offset_bytes(), rule.saved_bytes())
        };
        assert_eq!(told(0), (1, 8, 0));
        assert_eq!([told(1), told(2)], [(1, 16, 16); 2]);
        assert_eq!([told(3), told(9)], [(1, 24, 16); 2]);
        assert_eq!([told(10), told(16), told(17), told(255)], [(1, 32, 16); 4]);
    }

    #[test]
    fn a_run_of_pops_shrinks_to_the_return_address_and_keeps_what_was_saved() {
        let run = Rule::run(32, true, 24, 0b1000_0000_0001_0010).expect("fits");
        let told = |distance| (run.at(distance).offset_bytes(), run.at(distance).saved_bytes());
        assert_eq!([told(0), told(1), told(2), told(4)], [(32, 24), (32, 24), (24, 24), (24, 24)]);
        assert_eq!(
            [told(5), told(15), told(16), told(200)],
            [(16, 24), (16, 24), (8, 24), (8, 24)]
        );
    }

    #[test]
    fn what_is_no_run_is_the_same_at_any_distance() {
        for rule in [Rule::offset(Kind::Sp, 8, 16), Rule::END, Rule::plt(11), Rule::NO_INFO] {
            assert_eq!([rule.at(0), rule.at(9), rule.at(255)], [rule; 3]);
        }
    }

    #[test]
    fn a_run_that_does_not_fit_is_none() {
        assert_eq!(Rule::run(8 << 7, false, 0, 1), None);
        assert_eq!(Rule::run(8, false, 16 << 3, 1), None);
        assert_eq!(Rule::run(-8, false, 0, 1), None);
        assert_eq!(Rule::run(12, false, 0, 1), None);
        assert_eq!(Rule::run(8, false, 0, 1 << 16), None);
    }

    #[test]
    fn memory_that_nobody_wrote_says_nothing() {
        assert_eq!(Rule::default(), Rule::NO_INFO);
    }
}
