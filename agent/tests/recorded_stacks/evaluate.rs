//! What an expression of frame descriptions comes to, as gimli reads it. The unit tests of unwinding
//! use this file, too.

use gimli::{EndianSlice, EvaluationResult, LittleEndian, Location, Value};

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

pub(super) fn evaluate(
    expression: gimli::Expression<Bytes<'_>>,
    initial: Option<u64>,
    register: impl Fn(usize) -> Option<u64>,
    word: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
    let mut evaluation = expression.evaluation(encoding);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register: number, .. } => {
                let value = Value::Generic(register(usize::from(number.0))?);
                evaluation.resume_with_register(value).ok()?
            }
            EvaluationResult::RequiresMemory { address, .. } => {
                evaluation.resume_with_memory(Value::Generic(word(address)?)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.result().first()?.location {
        Location::Address { address } => Some(address),
        _ => None,
    }
}
