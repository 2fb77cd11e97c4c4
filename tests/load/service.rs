//! What the agents of the load send: profiles of services that call as programs do, with frequent
//! stacks and, if wanted, ever new ones.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use prost::Message as _;
use sonde_tests::pprof::{Function, Line, Location, Profile, Sample};
use sonde_tests::push::{body, gzipped, now_ns, profile};

/// Distinct stacks of a profile.
pub(crate) const STACKS: usize = 66;
/// How the ranks of drawn stacks are spread: of `n` draws about `2 n^0.6` differ.
const SPREAD: f64 = 0.6;
/// The most frequent stack's place among the calls: what comes before is only called through.
const FIRST_STACK: u64 = 200;
const FUNCTIONS: u64 = 1_200;
const PERIOD_NS: i64 = 10_309_278;

/// The body of a service's push number `window`, with at most so many stacks in all.
pub(crate) fn push(service: u64, window: u64, most: u64) -> Result<Vec<u8>> {
    let mut building = Building { service, profile: empty(), functions: HashMap::new() };
    for (node, ticks) in ticks(service, window, most) {
        let location_id = building.stack(node)?;
        let sample = Sample { location_id, value: vec![ticks * PERIOD_NS] };
        building.profile.sample.push(sample);
    }
    let name = format!("service-{service}");
    let labels = [("__name__", "process_cpu"), ("service_name", name.as_str()), ("host", "bench")];
    Ok(body(&labels, gzipped(&building.profile.encode_to_vec())?))
}

/// A profile that says what is measured, without samples.
fn empty() -> Profile {
    let mut empty = profile("", 0, now_ns());
    empty.string_table.truncate(3);
    (empty.sample, empty.location, empty.function) = (Vec::new(), Vec::new(), Vec::new());
    empty
}

/// The stacks that a window's ticks hit, each by its innermost call, with the number of ticks.
fn ticks(service: u64, window: u64, most: u64) -> BTreeMap<u64, i64> {
    let mut stacks = BTreeMap::new();
    for tick in 0_u64.. {
        let seed = hash(service << 32 | window, tick);
        let share = f64::from(u32::try_from(seed >> 40).unwrap_or(0) + 1) / f64::from(1 << 24);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e12")]
        let rank = share.powf(-1.0 / SPREAD) as u64;
        *stacks.entry(FIRST_STACK + rank % most).or_default() += 1;
        if stacks.len() == STACKS {
            break;
        }
    }
    stacks
}

struct Building {
    service: u64,
    profile: Profile,
    /// Id in this profile of each function of the service.
    functions: HashMap<u64, u64>,
}

impl Building {
    /// Location ids, leaf first: a caller's number is four fifths of the callee's, more or less.
    fn stack(&mut self, mut node: u64) -> Result<Vec<u64>> {
        let mut stack = Vec::with_capacity(40);
        loop {
            let seed = hash(self.service, node);
            stack.push(self.location((seed >> 20) % FUNCTIONS)?);
            if node == 0 {
                return Ok(stack);
            }
            node = node * (70 + seed % 20) / 100;
        }
    }

    fn location(&mut self, function: u64) -> Result<u64> {
        if let Some(id) = self.functions.get(&function) {
            return Ok(*id);
        }
        let Self { service, profile, functions } = self;
        let (id, name) = (functions.len() as u64 + 1, i64::try_from(profile.string_table.len())?);
        profile.string_table.push(format!("service_{service}::module::function_{function}"));
        profile.function.push(Function { id, name, filename: 0 });
        let line = vec![Line { function_id: id, line: 10 }];
        profile.location.push(Location { id, mapping_id: 0, address: function << 6, line });
        functions.insert(function, id);
        Ok(id)
    }
}

/// A small generator, so that every run sends the same.
fn hash(a: u64, b: u64) -> u64 {
    let mut x = (a ^ b.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        x ^= x >> 32;
        x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ x >> 32
}
