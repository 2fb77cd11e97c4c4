//! Code that no description covers: whether it keeps frame pointers, told by its own instructions.
//!
//! V8's builtins are a megabyte of such code inside node, and the stack goes on behind them.

use sonde_ebpf::unwind::Rule;

use super::cfi::Target;
use crate::symbol::{Svma, elf::ElfFile, image::FileRange};

/// Shorter pieces are assembly, and padding.
const MIN_GAP_BYTES: u64 = 4 << 10;
/// Of longer ones, so much is looked at.
const MAX_LOOKED_AT_BYTES: u64 = 256 << 10;
/// A function that sets up a frame pointer is found this often, or they are there by accident. V8
/// has one in 900 bytes; code without frame pointers has none.
const BYTES_PER_FRAME: usize = 4 << 10;
/// Gaps to remember the answer for.
const MAX_JUDGED: usize = 64;

/// The gaps of one file.
#[derive(Debug)]
pub(super) struct Gaps {
    elf: ElfFile,
    target: Target,
    judged: Vec<(u64, u64, Rule)>,
}

impl Gaps {
    pub(super) const fn new(elf: ElfFile, target: Target) -> Self {
        Self { elf, target, judged: Vec::new() }
    }

    /// The rule for code between two functions with descriptions.
    pub(super) fn rule(&mut self, from: u64, to: u64) -> Rule {
        if to.saturating_sub(from) < MIN_GAP_BYTES {
            return Rule::NO_INFO;
        }
        if let Some((.., rule)) =
            self.judged.iter().find(|(start, end, _)| (from, to) == (*start, *end))
        {
            return *rule;
        }
        let rule = judge(&self.elf, self.target, from, to);
        if self.judged.len() < MAX_JUDGED {
            self.judged.push((from, to, rule));
        }
        rule
    }
}

/// The rule for the code of a file without any description.
pub(super) fn rule_of_all(elf: &ElfFile, target: Target) -> Rule {
    let segments = elf.segments();
    let mut code = segments.iter().filter(|segment| segment.executable);
    let keeps = |start: u64, size: u64| {
        judge(elf, target, start, start.saturating_add(size)) == Rule::FRAME_POINTER
    };
    if code.any(|segment| keeps(segment.svma.0, segment.file.size)) {
        Rule::FRAME_POINTER
    } else {
        Rule::NO_INFO
    }
}

fn judge(elf: &ElfFile, target: Target, from: u64, to: u64) -> Rule {
    let segments = elf.segments();
    let parts = segments.iter().filter(|segment| segment.executable).filter_map(|segment| {
        let start = segment.svma.0.max(from);
        let end = segment.svma.0.saturating_add(segment.file.size).min(to);
        (start < end).then(|| (start, end - start))
    });
    // The longest: what lies around it is other sections' padding.
    let Some((start, size)) = parts.max_by_key(|(_, size)| *size) else { return Rule::NO_INFO };
    let size = size.min(MAX_LOOKED_AT_BYTES);
    let read = elf.offset_of(Svma(start)).and_then(|offset| {
        let range = FileRange { offset: offset.0, size };
        elf.image().read(range, MAX_LOOKED_AT_BYTES, "code").ok()
    });
    match read {
        Some(code) if keeps_frame_pointers(&code, target) => Rule::FRAME_POINTER,
        _ => Rule::NO_INFO,
    }
}

fn keeps_frame_pointers(code: &[u8], target: Target) -> bool {
    let sets_one_up: &[u8; 4] = match target {
        Target::X86_64 => &[0x55, 0x48, 0x89, 0xe5], // push %rbp; mov %rsp,%rbp
        Target::Aarch64 => &[0xfd, 0x03, 0x00, 0x91], // mov x29, sp
    };
    let frames = code.windows(4).filter(|window| window == sets_one_up).count();
    frames * BYTES_PER_FRAME >= code.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_pointers_are_told_by_how_often_they_are_set_up() {
        let frame = [0x55, 0x48, 0x89, 0xe5];
        let mut code = vec![0x90; 4096];
        assert!(!keeps_frame_pointers(&code, Target::X86_64));
        code[100..104].copy_from_slice(&frame);
        assert!(keeps_frame_pointers(&code, Target::X86_64));
        assert!(!keeps_frame_pointers(&code, Target::Aarch64));
        code.resize(8192, 0x90);
        assert!(!keeps_frame_pointers(&code, Target::X86_64), "by accident");
        assert!(!keeps_frame_pointers(&[], Target::X86_64));
    }
}
