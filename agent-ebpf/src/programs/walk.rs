//! The user stack: from the leaf to the thread's first function, by tables.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated, macros::map, maps::ProgramArray, programs::PerfEventContext};
use sonde_ebpf::{
    Resume, StackEnd,
    limits::MAX_USER_FRAMES,
    unwind::{Machine, MappedCode, MappingKind, ProcessCode, Rule, step},
};

use super::{stack::Stack, tables};

/// Where a walk has got to. Lives in a map: the BPF stack is too small for it.
#[repr(C)]
pub(crate) struct Walk {
    /// The current frame.
    pub(crate) resume: Resume,
    /// The mapping that the last frame was in; the next is often in the same.
    mapping: MappedCode,
    code: ProcessCode,
    epoch: u32,
    /// A [`StackEnd`]; [`GOES_ON`] before there is one.
    end: u32,
    /// Frames so far.
    pub(crate) frames: u32,
    /// 1 if the last step followed a frame pointer without a table's word for it.
    guessed: u32,
}

const GOES_ON: u32 = u32::MAX;

/// The user's frames in a record.
pub(crate) type Frames = [u64; MAX_USER_FRAMES];

impl Walk {
    /// Puts the leaf down as the first frame. `self.resume` has been filled.
    #[inline(always)]
    pub(crate) fn begin(&mut self, pid: u32, frames: &mut Frames) {
        frames[0] = self.resume.registers.pc;
        self.frames = 1;
        self.guessed = 0;
        self.mapping = MappedCode::default();
        self.epoch = tables::epoch();
        self.end = GOES_ON;
        match tables::process(pid) {
            Some(code) => self.code = code,
            None => self.end = StackEnd::ProcessUnknown as u32,
        }
    }

    /// There is no user stack to walk.
    #[inline(always)]
    pub(crate) fn refuse(&mut self, end: StackEnd) {
        self.frames = 0;
        self.end = end as u32;
    }

    /// Whether the agent has told of the process.
    #[inline(always)]
    pub(crate) fn is_of_known_process(&self) -> bool {
        self.end != StackEnd::ProcessUnknown as u32 && self.end != StackEnd::KernelThread as u32
    }

    /// Whether there is another frame to look for.
    #[inline(always)]
    pub(crate) fn goes_on(&self) -> bool {
        self.end == GOES_ON
    }

    /// Why the walk is over.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        if self.end == GOES_ON { StackEnd::Truncated as u32 } else { self.end }
    }

    /// Whether the agent may be able to go on where this side could not.
    #[inline(always)]
    pub(crate) fn can_be_resumed(&self) -> bool {
        let end = self.end;
        end == StackEnd::ProcessUnknown as u32
            || end == StackEnd::TableNotLoaded as u32
            || (end == StackEnd::NoMapping as u32 && self.guessed == 0)
            // No end yet: a kernel without loops let no more programs follow.
            || (end == GOES_ON && self.frames < MAX_USER_FRAMES as u32)
    }

    /// Goes to the caller; says whether there may be another.
    #[inline(always)]
    fn advance(&mut self, frames: &mut Frames, stack: &mut Stack) -> bool {
        if self.end != GOES_ON {
            return false;
        }
        let stepped = self.step(stack);
        if let Err(end) = stepped {
            self.end = end as u32;
            return false;
        }
        let registers = &self.resume.registers;
        // Readers move return addresses back into the call; what a signal interrupted did not call.
        let address = registers.pc.wrapping_add(registers.exact as u64);
        // The mask is for the verifier of 5.10, which forgets the comparison: behind the frames is
        // room for as many again.
        let at = self.frames as usize & (2 * MAX_USER_FRAMES - 1);
        if at >= MAX_USER_FRAMES {
            self.end = StackEnd::Truncated as u32;
            return false;
        }
        frames[at] = address;
        self.frames = at as u32 + 1;
        true
    }

    #[inline(always)]
    fn step(&mut self, stack: &mut Stack) -> Result<(), StackEnd> {
        let address = self.resume.registers.rule_address();
        if address.wrapping_sub(self.mapping.start) >= self.mapping.end - self.mapping.start {
            let unmapped =
                if self.guessed == 1 { StackEnd::FramePointerEnd } else { StackEnd::NoMapping };
            self.mapping = tables::mapping(self.code, address).ok_or(unmapped)?;
        }
        let kind = self.mapping.kind;
        let rule = if kind == MappingKind::Tables as u32 {
            tables::rule(&self.mapping, address.wrapping_sub(self.mapping.bias), self.epoch)?
        } else if kind == MappingKind::Opaque as u32 {
            Rule::NO_INFO
        } else {
            Rule::FRAME_POINTER
        };
        self.guessed = (rule.kind() == Rule::FRAME_POINTER.kind()) as u32;
        let Resume { registers, general } = &mut self.resume;
        let stepped = step::<Native, _>(rule, registers, general, stack);
        match stepped {
            Err(StackEnd::FramePointerEnd) if kind == MappingKind::Jit as u32 => Err(StackEnd::Jit),
            other => other,
        }
    }
}

/// What the loop helper hands to each round.
struct Round {
    walk: *mut Walk,
    frames: *mut Frames,
    stack: *mut Stack,
}

/// Walks to the end, however deep.
#[inline(always)]
pub(crate) fn walk(walk: &mut Walk, frames: &mut Frames, stack: &mut Stack) {
    let mut round = Round { walk, frames, stack };
    let context = (&raw mut round).cast::<c_void>();
    // SAFETY: `one_round` has the signature that the helper wants, and `round` outlives the call.
    unsafe {
        generated::bpf_loop(MAX_USER_FRAMES as u32, one_round as *mut c_void, context, 0);
    }
}

/// Programs that follow each other on kernels without the loop helper; the agent puts
/// `cpu_sample_more` first.
#[map]
static MORE: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Steps of one such program. A kernel lets [at least 32][limit] follow, so all frames fit in.
///
/// [limit]: https://elixir.bootlin.com/linux/v5.10/source/include/linux/bpf.h `MAX_TAIL_CALL_CNT`
const STEPS: usize = MAX_USER_FRAMES / 32;

/// Walks a few frames further.
#[inline(always)]
pub(crate) fn walk_steps(walk: &mut Walk, frames: &mut Frames, stack: &mut Stack) {
    for _ in 0..STEPS {
        if !walk.advance(frames, stack) {
            return;
        }
    }
}

/// Goes on in `cpu_sample_more`, and comes back only if that can't be: the agent walks the rest then,
/// as after a missing table.
#[inline(always)]
pub(crate) fn follow(ctx: &PerfEventContext, walk: &Walk) {
    if walk.goes_on() {
        // SAFETY: only programs that expect this context are in the array.
        let _not_followed = unsafe { MORE.tail_call(ctx, 0) };
    }
}

extern "C" fn one_round(_index: u32, context: *mut c_void) -> i64 {
    let round = context.cast::<Round>();
    // SAFETY: the context is `walk`'s, whose pointers are valid for the whole loop and not used
    // by others meanwhile.
    let (walk, frames, stack) =
        unsafe { (&mut *(*round).walk, &mut *(*round).frames, &mut *(*round).stack) };
    i64::from(!walk.advance(frames, stack))
}

struct Native;

#[cfg(bpf_target_arch = "x86_64")]
impl Machine for Native {
    const LINK_REGISTER: bool = false;
    const ADDRESS_MASK: u64 = u64::MAX;
}

#[cfg(bpf_target_arch = "aarch64")]
impl Machine for Native {
    const LINK_REGISTER: bool = true;
    const ADDRESS_MASK: u64 = 0x0000_ffff_ffff_ffff;
}
