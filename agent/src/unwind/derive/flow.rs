//! Which instructions are reached with which frame: from the functions that are known to begin
//! somewhere, along every jump, and by trial where only a table of jumps leads.

use std::{collections::VecDeque, ops::Range};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};
use rustc_hash::FxHashMap;

use super::state::State;

/// Instructions of code that may be decoded for each of its bytes. Compilers' take half of that, with
/// all trials; what hostile code makes us remember is bounded with it.
const DECODED_PER_BYTE: usize = 1;
/// Of a few bytes each instruction is looked at several times.
const DECODED_AT_LEAST: usize = 16;
/// Frames that one function jumps through tables with; more are not tried.
const MAX_SWITCHES: usize = 4;

/// What is known of the instruction at a byte: which frame it has, and which function it is of.
#[derive(Clone, Copy, Default)]
struct Visit {
    /// Into `states`, plus one; 0 if no instruction that begins here has been reached.
    state: u16,
    function: u16,
    bytes: u8,
}

/// A way into code: an offset, and the frame and function there.
#[derive(Clone, Copy)]
struct Way {
    at: u32,
    state: State,
    function: u16,
}

#[derive(Default)]
struct Function {
    returns: bool,
    /// It returned with a frame that is not its caller's: something was misread.
    is_broken: bool,
    /// Frames with which it jumps to where nobody can tell.
    switches: Vec<State>,
    /// What goes on when it is known to return.
    waiting: Vec<Way>,
    /// Functions that end by jumping to it.
    callers_by_jump: Vec<u16>,
}

/// One stretch of code.
pub(super) struct Flow<'a> {
    code: &'a [u8],
    svma: u64,
    decoder: Decoder<'a>,
    visits: Vec<Visit>,
    states: Vec<State>,
    state_numbers: FxHashMap<State, u16>,
    functions: Vec<Function>,
    function_at: FxHashMap<u32, u16>,
    ways: VecDeque<Way>,
    /// Addresses of code that other code takes.
    taken: Vec<u32>,
    /// Instructions that may still be decoded.
    left: usize,
}

/// How a trial went.
enum Trial {
    /// It returned to its caller, or met what was known, with the same frame.
    Proven {
        returns: bool,
    },
    /// Nothing speaks against it.
    Possible,
    Refuted,
}

impl<'a> Flow<'a> {
    pub(super) fn new(code: &'a [u8], svma: u64) -> Self {
        Self {
            code,
            svma,
            decoder: Decoder::with_ip(64, code, svma, DecoderOptions::NONE),
            visits: vec![Visit::default(); code.len()],
            states: Vec::new(),
            state_numbers: FxHashMap::default(),
            functions: Vec::new(),
            function_at: FxHashMap::default(),
            ways: VecDeque::new(),
            taken: Vec::new(),
            left: code.len().saturating_mul(DECODED_PER_BYTE).max(DECODED_AT_LEAST),
        }
    }

    /// A function begins at an address.
    pub(super) fn begin(&mut self, svma: u64, state: State) {
        if let Some(at) = self.offset(svma) {
            self.function(at, state);
        }
    }

    /// What is called here never returns.
    pub(super) fn end(&mut self, svma: u64) {
        if let (Some(at), Some(number)) = (self.offset(svma), self.new_function()) {
            self.function_at.insert(at, number);
        }
    }

    /// Follows all that is known, then tries what is not.
    pub(super) fn run(&mut self) {
        self.follow();
        while self.sweep() && self.left > 0 {}
    }

    /// Instructions in order of address: their bytes, and the frame before each.
    pub(super) fn frames(&self) -> impl Iterator<Item = (Range<u64>, State)> {
        self.visits.iter().enumerate().filter(|(_, visit)| visit.state != 0).map(|(at, visit)| {
            let broken = self.functions[usize::from(visit.function)].is_broken;
            let state = if broken { State::UNKNOWN } else { self.state(*visit) };
            let start = self.svma + at as u64;
            (start..start + u64::from(visit.bytes), state)
        })
    }

    fn offset(&self, svma: u64) -> Option<u32> {
        let at = svma.checked_sub(self.svma)?;
        u32::try_from(at).ok().filter(|at| (*at as usize) < self.code.len())
    }

    fn state(&self, visit: Visit) -> State {
        self.states[usize::from(visit.state) - 1]
    }

    /// The number of a function that begins somewhere, which is followed if it is new.
    fn function(&mut self, at: u32, state: State) -> Option<u16> {
        if let Some(known) = self.function_at.get(&at) {
            return Some(*known);
        }
        let number = self.new_function()?;
        self.function_at.insert(at, number);
        self.ways.push_back(Way { at, state, function: number });
        Some(number)
    }

    fn new_function(&mut self) -> Option<u16> {
        let number = u16::try_from(self.functions.len()).ok()?;
        self.functions.push(Function::default());
        Some(number)
    }

    fn state_number(&mut self, state: State) -> Option<u16> {
        if let Some(number) = self.state_numbers.get(&state) {
            return Some(*number);
        }
        let number = u16::try_from(self.states.len() + 1).ok()?;
        self.states.push(state);
        self.state_numbers.insert(state, number);
        Some(number)
    }

    /// Decodes the instruction at an offset.
    fn decode(&mut self, at: u32) -> Option<Instruction> {
        self.left = self.left.checked_sub(1)?;
        self.decoder.set_position(at as usize).ok()?;
        self.decoder.set_ip(self.svma + u64::from(at));
        let instruction = self.decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    fn follow(&mut self) {
        loop {
            while let Some(way) = self.ways.pop_front() {
                self.follow_one(way);
            }
            // Code whose address is taken is a function, but for the labels that GNU C can name.
            let Some(at) = self.taken.pop() else { return };
            let is_new = self.visits[at as usize].state == 0 && !self.function_at.contains_key(&at);
            if is_new && !matches!(self.attempt(at, State::CALLED), Trial::Refuted) {
                self.function(at, State::CALLED);
            }
        }
    }

    fn follow_one(&mut self, mut way: Way) {
        let mut is_entry = true;
        loop {
            // Who comes here otherwise than by a call has misjudged a call that never returns.
            let begins = self.function_at.get(&way.at).copied();
            if !is_entry && begins.is_some_and(|function| function != way.function) {
                return;
            }
            is_entry = false;
            let Some(visit) = self.visits.get(way.at as usize).copied() else { return };
            if visit.state != 0 {
                let known = self.state(visit);
                let met = known.meet(&way.state);
                self.returns_with(way.function, visit.function);
                if met == known {
                    return;
                }
                way.state = met;
            }
            let Some(state) = self.state_number(way.state) else { return };
            let Some(instruction) = self.decode(way.at) else { return };
            let function = if visit.state == 0 { way.function } else { visit.function };
            self.visits[way.at as usize] = Visit { state, function, bytes: size(&instruction) };
            if ends_it(&instruction) {
                return;
            }
            self.taken.extend(self.taken_address(&instruction));
            let behind = way.at + u32::from(size(&instruction));
            let state = way.state.after(&instruction);
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => {
                    if let Some(at) = self.target(&instruction) {
                        self.jump(Way { at, state, ..way });
                    }
                }
                FlowControl::UnconditionalBranch => {
                    match self.target(&instruction) {
                        Some(at) => self.jump(Way { at, state, ..way }),
                        // Of another piece of code; most are calls in place of a return.
                        None if way.state.is_as_called() => self.returns(way.function),
                        None => {}
                    }
                    return;
                }
                FlowControl::IndirectBranch => {
                    let function = &mut self.functions[usize::from(way.function)];
                    if !function.switches.contains(&state) && function.switches.len() < MAX_SWITCHES
                    {
                        function.switches.push(state);
                    }
                    if way.state.is_as_called() {
                        self.returns(way.function); // Most are calls in place of a return.
                    }
                    return;
                }
                FlowControl::Return => {
                    self.leave(way);
                    return;
                }
                FlowControl::Call => {
                    if let Some(at) = self.target(&instruction)
                        && let Some(called) = self.function(at, State::CALLED)
                    {
                        let called = &mut self.functions[usize::from(called)];
                        if !called.returns {
                            called.waiting.push(Way { at: behind, state, function: way.function });
                            return;
                        }
                    }
                }
                FlowControl::IndirectCall | FlowControl::Interrupt | FlowControl::Exception => {}
            }
            way = Way { at: behind, state, ..way };
        }
    }

    /// Where a branch leads, if it is within this code.
    fn target(&self, instruction: &Instruction) -> Option<u32> {
        let is_near = instruction.op_count() > 0
            && matches!(
                instruction.op0_kind(),
                OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16
            );
        is_near.then(|| self.offset(instruction.near_branch_target())).flatten()
    }

    /// An address of this code that the instruction puts into a register.
    fn taken_address(&self, instruction: &Instruction) -> Option<u32> {
        match instruction.mnemonic() {
            Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
                self.offset(instruction.ip_rel_memory_address())
            }
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Immediate32 => {
                self.offset(instruction.immediate32().into())
            }
            _ => None,
        }
    }

    /// Another place of this function, or another function in place of a return.
    fn jump(&mut self, way: Way) {
        match self.function_at.get(&way.at).copied() {
            Some(other) if other != way.function => {
                if way.state.is_as_called() {
                    self.returns_with(way.function, other);
                }
            }
            _ => self.ways.push_back(way),
        }
    }

    /// The function ends here, and should leave everything as it was.
    fn leave(&mut self, way: Way) {
        if way.state.is_as_called() {
            self.returns(way.function);
        } else if way.state != State::UNKNOWN {
            self.functions[usize::from(way.function)].is_broken = true;
        }
    }

    /// A function goes on in another, and so returns if that does.
    fn returns_with(&mut self, function: u16, other: u16) {
        if function == other {
            return;
        }
        let other = &mut self.functions[usize::from(other)];
        if other.returns {
            self.returns(function);
        } else {
            other.callers_by_jump.push(function);
        }
    }

    fn returns(&mut self, function: u16) {
        let mut found = vec![function];
        while let Some(number) = found.pop() {
            let function = &mut self.functions[usize::from(number)];
            if !std::mem::replace(&mut function.returns, true) {
                self.ways.extend(function.waiting.drain(..));
                found.append(&mut function.callers_by_jump);
            }
        }
    }

    /// Tries all code that nothing leads to. Whether any of it made sense.
    fn sweep(&mut self) -> bool {
        let mut waiting: FxHashMap<u32, Way> = FxHashMap::default();
        for way in self.functions.iter().flat_map(|function| &function.waiting) {
            waiting.insert(way.at, *way);
        }
        let (mut at, mut last, mut found) = (0, None, false);
        while at < self.code.len() && self.left > 0 {
            let visit = self.visits[at];
            let Some(instruction) = u32::try_from(at).ok().and_then(|at| self.decode(at)) else {
                at += 1;
                continue;
            };
            if visit.state != 0 {
                last = Some(visit.function);
            } else if !is_padding(&instruction) && self.try_all(at, last, &waiting) {
                found = true;
                self.follow();
                last = Some(self.visits[at].function);
            } else if !is_padding(&instruction) {
                at = self.behind_end(at);
                continue;
            }
            at += instruction.len();
        }
        found
    }

    /// Where the next piece of code can begin that nothing leads to: behind the end of this one.
    fn behind_end(&mut self, mut at: usize) -> usize {
        while at < self.code.len() && self.visits[at].state == 0 {
            let Some(instruction) = u32::try_from(at).ok().and_then(|at| self.decode(at)) else {
                return at + 1;
            };
            at += instruction.len();
            let ends = matches!(
                instruction.flow_control(),
                FlowControl::Return
                    | FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
            );
            if ends || ends_it(&instruction) || is_padding(&instruction) {
                break;
            }
        }
        at
    }

    fn try_all(&mut self, at: usize, last: Option<u16>, waiting: &FxHashMap<u32, Way>) -> bool {
        let Ok(offset) = u32::try_from(at) else { return false };
        let mut tried = Vec::new();
        if let Some(function) = last {
            let switches = self.functions[usize::from(function)].switches.clone();
            tried.extend(switches.into_iter().map(|state| (state, Some(function))));
        }
        if let Some(way) = waiting.get(&offset) {
            tried.push((way.state, Some(way.function)));
        }
        tried.push((State::CALLED, None));
        tried.into_iter().any(|(state, function)| self.accept(offset, state, function))
    }

    /// Tries one frame; what is proven is followed like everything else.
    fn accept(&mut self, at: u32, state: State, function: Option<u16>) -> bool {
        let Trial::Proven { returns } = self.attempt(at, state) else { return false };
        match function {
            Some(function) => {
                self.ways.push_back(Way { at, state, function });
                if returns {
                    self.returns(function);
                }
            }
            None => drop(self.function(at, state)),
        }
        true
    }

    /// Follows a frame on a sheet of its own, until it is proven or refuted.
    fn attempt(&mut self, at: u32, state: State) -> Trial {
        let mut seen: FxHashMap<u32, State> = FxHashMap::default();
        let mut ways = vec![(at, state, true)];
        let (mut proven, mut returns) = (false, false);
        while let Some((at, state, is_jump)) = ways.pop() {
            let Some(visit) = self.visits.get(at as usize).copied() else { return Trial::Refuted };
            let function = self.function_at.get(&at);
            if let Some(function) = function {
                if is_jump && !state.is_as_called() {
                    return Trial::Refuted;
                }
                // Who falls into it has misjudged a call that never returns.
                proven |= is_jump;
                returns |= is_jump && self.functions[usize::from(*function)].returns;
                continue;
            }
            if visit.state != 0 {
                match self.state(visit).has_cfa_of(&state) {
                    Some(false) => return Trial::Refuted,
                    Some(true) => {
                        proven |= !self.functions[usize::from(visit.function)].is_broken;
                    }
                    None => {}
                }
                continue;
            }
            let mut state = state;
            if let Some(known) = seen.get(&at) {
                if known.has_cfa_of(&state) == Some(false) {
                    return Trial::Refuted;
                }
                state = known.meet(&state);
                if *known == state {
                    continue;
                }
            }
            seen.insert(at, state);
            let Some(instruction) = self.decode(at) else { return Trial::Refuted };
            if ends_it(&instruction) {
                continue;
            }
            let behind = at + u32::from(size(&instruction));
            let after = state.after(&instruction);
            match instruction.flow_control() {
                FlowControl::Return => {
                    if !state.is_as_called() {
                        return Trial::Refuted;
                    }
                    (proven, returns) = (true, true);
                }
                FlowControl::UnconditionalBranch => match self.target(&instruction) {
                    Some(target) => ways.push((target, after, true)),
                    None => returns |= state.is_as_called(),
                },
                FlowControl::ConditionalBranch => {
                    ways.extend(self.target(&instruction).map(|target| (target, after, true)));
                    ways.push((behind, after, false));
                }
                FlowControl::Call => {
                    let called = self.target(&instruction);
                    let known = called.and_then(|at| self.function_at.get(&at));
                    if known.is_none_or(|known| self.functions[usize::from(*known)].returns) {
                        ways.push((behind, after, false));
                    }
                }
                FlowControl::IndirectBranch => {}
                _ => ways.push((behind, after, false)),
            }
        }
        if proven { Trial::Proven { returns } } else { Trial::Possible }
    }
}

/// Bytes of an instruction: 15 at most.
fn size(instruction: &Instruction) -> u8 {
    u8::try_from(instruction.len()).unwrap_or(u8::MAX)
}

/// Whether an instruction only fills the room between two functions.
fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
}

/// Whether nothing comes behind an instruction of a user's program.
fn ends_it(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Hlt | Mnemonic::Int3)
        || instruction.flow_control() == FlowControl::Exception
}
