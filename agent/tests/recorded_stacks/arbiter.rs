//! The walk that gimli's reading of the descriptions leads to: all registers, every expression. Ends
//! where nothing describes the code.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection as _, UnwindTableRow,
};

use super::{
    evaluate::{Bytes, evaluate},
    modules::{Module, Modules},
    recording::Recording,
};

type Frames<'a> = EhFrame<Bytes<'a>>;

/// What DWARF calls the return address.
const RETURN_ADDRESS: usize = 16;

/// General registers by DWARF number, then the program counter; those that are known.
type Registers = [Option<u64>; 17];

pub(crate) fn walk(recording: &Recording, modules: &Modules) -> Vec<u64> {
    let mut registers: Registers = [None; 17];
    for (register, value) in registers.iter_mut().zip(recording.general) {
        *register = Some(value);
    }
    registers[RETURN_ADDRESS] = Some(recording.pc);
    let mut frames = vec![recording.pc];
    let mut exact = true;
    while frames.len() < 1024
        && let Some(pc) = registers[RETURN_ADDRESS]
        && let Some(module) = modules.at(pc - u64::from(!exact))
        && let Some((caller, signal)) = step(recording, module, pc - u64::from(!exact), &registers)
        && let Some(pc) = caller[RETURN_ADDRESS].filter(|pc| *pc != 0)
    {
        frames.push(pc + u64::from(signal));
        (registers, exact) = (caller, signal);
    }
    frames
}

/// The caller's registers, and whether a signal called.
fn step(
    recording: &Recording,
    module: &Module,
    address: u64,
    registers: &Registers,
) -> Option<(Registers, bool)> {
    let section = module.parsed.eh_frame.as_ref()?;
    let text = module.parsed.text.as_ref().map_or(0, |text| text.svma);
    let base = BaseAddresses::default().set_eh_frame(section.svma).set_text(text);
    let frames = EhFrame::new(&section.bytes, LittleEndian);
    let svma = address.wrapping_sub(module.bias);
    let fde = match &module.parsed.eh_frame_hdr {
        Some(header) => {
            let base = base.clone().set_eh_frame_hdr(header.svma);
            let header = gimli::EhFrameHdr::new(&header.bytes, LittleEndian);
            let header = header.parse(&base, 8).ok()?;
            header.table()?.fde_for_address(&frames, &base, svma, Frames::cie_from_offset).ok()?
        }
        None => frames.fde_for_address(&base, svma, Frames::cie_from_offset).ok()?,
    };
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(&frames, &base, &mut context, svma).ok()?;
    Some((apply(recording, row, &frames, registers)?, fde.is_signal_trampoline()))
}

fn apply(
    recording: &Recording,
    row: &UnwindTableRow<usize>,
    frames: &Frames<'_>,
    registers: &Registers,
) -> Option<Registers> {
    let evaluated = |at: &UnwindExpression<usize>, initial| {
        let register = |number: usize| *registers.get(number)?;
        evaluate(at.get(frames).ok()?, initial, register, |address| recording.word(address))
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            registers[usize::from(register.0)]?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(at) => evaluated(at, None)?,
    };
    let mut caller = *registers;
    for (number, value) in caller.iter_mut().enumerate() {
        *value = match row.register(Register(u16::try_from(number).ok()?)) {
            // What calls may change is not known of a caller.
            None if [0, 1, 2, 4, 5, 8, 9, 10, 11, RETURN_ADDRESS].contains(&number) => None,
            None | Some(RegisterRule::SameValue) => *value,
            Some(RegisterRule::Offset(offset)) => recording.word(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => registers[usize::from(other.0)],
            Some(RegisterRule::Expression(at)) => {
                evaluated(&at, Some(cfa)).and_then(|address| recording.word(address))
            }
            Some(RegisterRule::ValExpression(at)) => evaluated(&at, Some(cfa)),
            Some(_) => None,
        };
    }
    if row.register(Register(7)).is_none() {
        caller[7] = Some(cfa);
    }
    Some(caller)
}
