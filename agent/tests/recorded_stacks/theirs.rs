//! framehop's walk over the same stack.

use std::sync::Arc;

use framehop::{
    ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, Unwinder as _,
    x86_64::{CacheX86_64, Reg, UnwindRegsX86_64, UnwinderX86_64},
};

use super::{
    modules::{Modules, Piece},
    recording::Recording,
};

/// By DWARF number.
const GENERAL: [Reg; 16] = [
    Reg::RAX,
    Reg::RDX,
    Reg::RCX,
    Reg::RBX,
    Reg::RSI,
    Reg::RDI,
    Reg::RBP,
    Reg::RSP,
    Reg::R8,
    Reg::R9,
    Reg::R10,
    Reg::R11,
    Reg::R12,
    Reg::R13,
    Reg::R14,
    Reg::R15,
];

/// More frames than any of our programs has.
const MAX_FRAMES: usize = 1024;

pub(crate) fn walk(recording: &Recording, modules: &Modules) -> Vec<u64> {
    let mut unwinder: UnwinderX86_64<Arc<[u8]>> = UnwinderX86_64::new();
    let mut cache = CacheX86_64::<MayAllocateDuringUnwind>::new();
    for module in &modules.0 {
        let parsed = &module.parsed;
        let sections = ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: parsed.text.as_ref().map(Piece::range),
            text: parsed.text.as_ref().map(|piece| Arc::clone(&piece.bytes)),
            eh_frame_svma: parsed.eh_frame.as_ref().map(Piece::range),
            eh_frame: parsed.eh_frame.as_ref().map(|piece| Arc::clone(&piece.bytes)),
            eh_frame_hdr_svma: parsed.eh_frame_hdr.as_ref().map(Piece::range),
            eh_frame_hdr: parsed.eh_frame_hdr.as_ref().map(|piece| Arc::clone(&piece.bytes)),
            ..ExplicitModuleSectionInfo::default()
        };
        let (path, code) = (module.path.clone(), module.code.clone());
        unwinder.add_module(Module::new(path, code, module.bias, sections));
    }
    let mut registers = UnwindRegsX86_64::new(recording.pc, recording.sp(), recording.fp());
    for (register, value) in GENERAL.into_iter().zip(recording.general) {
        registers.set(register, value);
    }
    let mut read = |address| recording.word(address).ok_or(());
    let mut frames = unwinder.iter_frames(recording.pc, registers, &mut cache, &mut read);
    let mut found = Vec::new();
    while found.len() < MAX_FRAMES
        && let Ok(Some(frame)) = frames.next()
    {
        found.push(frame.address());
    }
    found
}
