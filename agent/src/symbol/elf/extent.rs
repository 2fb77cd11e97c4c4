//! How far a function goes that nothing states the size of: as far as its instructions lead (x86-64).

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use object::elf::EM_X86_64;

use super::ElfFile;
use crate::symbol::{Svma, image::FileRange};

/// Code that is looked at: assembly of C libraries has less.
const MAX_BYTES: usize = 8 << 10;

/// Whether the function that begins at `start` may come to `svma` behind it. A yes where that can't
/// be told.
pub(super) fn may_reach(elf: &ElfFile, start: Svma, svma: Svma) -> bool {
    let distance = svma.0.checked_sub(start.0).and_then(|distance| usize::try_from(distance).ok());
    let Some(distance) = distance.filter(|distance| *distance < MAX_BYTES) else { return false };
    if elf.machine != EM_X86_64 || !elf.is_64 {
        return true;
    }
    let Some(offset) = elf.offset_of(start) else { return true };
    let size = (MAX_BYTES as u64).min(elf.image.size_bytes().saturating_sub(offset.0));
    match elf.image.read(FileRange { offset: offset.0, size }, size, "code") {
        Ok(code) => leads_to(&code, distance),
        Err(_) => true,
    }
}

/// Whether instructions lead from the beginning of `code` to the one that is at `wanted` or around
/// it.
fn leads_to(code: &[u8], wanted: usize) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut seen = vec![false; code.len()];
    let mut ways = vec![0];
    while let Some(mut at) = ways.pop() {
        while at < code.len() && !std::mem::replace(&mut seen[at], true) {
            if decoder.set_position(at).is_err() {
                break;
            }
            decoder.set_ip(at as u64);
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                break;
            }
            let behind = at + instruction.len();
            if (at..behind).contains(&wanted) {
                return true;
            }
            ways.extend(target(&instruction));
            match instruction.flow_control() {
                FlowControl::IndirectBranch => return true,
                FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Exception => {
                    break;
                }
                _ => at = behind,
            }
        }
    }
    false
}

/// Where a jump leads.
fn target(instruction: &Instruction) -> Option<usize> {
    let is_jump = matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    let is_near = is_jump && instruction.op0_kind() == OpKind::NearBranch64;
    is_near.then(|| usize::try_from(instruction.near_branch_target()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_ends_where_its_instructions_do() {
        let code = [
            0x75, 0x02, // jne 4
            0x89, 0xf8, // mov %edi,%eax
            0xc3, // ret
            0x0f, 0x05, // syscall: another's
        ];
        assert!(leads_to(&code, 0));
        assert!(leads_to(&code, 3), "in the middle of an instruction");
        assert!(leads_to(&code, 4));
        assert!(!leads_to(&code, 5));
    }

    #[test]
    fn jumps_lead_over_what_is_not_the_function_s() {
        let code = [
            0xeb, 0x01, // jmp 3
            0xc3, // ret
            0x90, // nop
            0xc3, // ret
        ];
        assert!(leads_to(&code, 3) && leads_to(&code, 4));
        assert!(!leads_to(&code, 2));
    }

    #[test]
    fn a_jump_through_a_table_may_lead_anywhere() {
        assert!(leads_to(&[0xff, 0xe0, 0xc3], 2));
    }

    #[test]
    fn code_that_jumps_in_circles_or_out_ends() {
        assert!(!leads_to(&[0xeb, 0xfe, 0xc3], 2));
        assert!(!leads_to(&[0xe9, 0, 0, 0, 0x70, 0xc3], 5));
        assert!(!leads_to(&[0xeb], 0));
        assert!(!leads_to(&[], 0));
    }
}
