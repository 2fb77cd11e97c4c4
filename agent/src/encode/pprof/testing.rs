//! Inputs and readers for the tests of the encoders.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use prost::Message;
use sonde_ebpf::StackEnd;

use super::{Timing, proto};
use crate::aggregate::{Binary, Location, ServiceProfile, StackCount};
use crate::symbol::{Function, Svma, Symbol, UnknownReason};

pub(crate) const TIMING: Timing = Timing {
    start_unix_ns: 1_700_000_000_000_000_000,
    duration_ns: 10_000_000_000,
    period_ns: 10_309_278,
};

pub(crate) fn binary(path: &str) -> Arc<Binary> {
    Arc::new(Binary { path: path.into(), build_id: "c0ffee".into() })
}

/// A location with the given names, innermost first.
pub(crate) fn at(binary: Option<Arc<Binary>>, address: u64, names: &[&str]) -> Arc<Location> {
    let functions = names.iter().map(|name| Function {
        name: (*name).into(),
        system_name: format!("_{name}").into(),
        file: Some("src/app.rs".into()),
        line: 12,
    });
    let symbol = Symbol::Known(functions.collect());
    Arc::new(Location { binary, address: Svma(address), symbol })
}

pub(crate) fn known(name: &str) -> Arc<Location> {
    at(Some(binary("/bin/app")), 0x1000 + name.len() as u64, &[name])
}

pub(crate) fn unknown(
    binary: Option<Arc<Binary>>,
    address: u64,
    reason: UnknownReason,
) -> Arc<Location> {
    Arc::new(Location { binary, address: Svma(address), symbol: Symbol::Unknown(reason) })
}

pub(crate) fn stack(leaf_first: &[Arc<Location>], count: u64) -> StackCount {
    let (frames, thread) = (leaf_first.to_vec(), "worker".into());
    StackCount { frames, pid: Some(42), thread, end: StackEnd::Complete, count }
}

pub(crate) fn service_of(name: &str, stacks: Vec<StackCount>) -> ServiceProfile {
    let labels = vec![("host".into(), "h1".into()), ("service_name".into(), name.into())];
    ServiceProfile { labels, stacks }
}

pub(crate) fn decoded(gzipped: &[u8]) -> proto::Profile {
    let mut raw = Vec::new();
    GzDecoder::new(gzipped).read_to_end(&mut raw).unwrap();
    proto::Profile::decode(&raw[..]).unwrap()
}

pub(crate) fn text(profile: &proto::Profile, index: i64) -> &str {
    &profile.string_table[usize::try_from(index).unwrap()]
}

/// The names of a sample's frames: one list for each location, as the file orders them.
pub(crate) fn names<'a>(profile: &'a proto::Profile, sample: &proto::Sample) -> Vec<Vec<&'a str>> {
    let location = |id: u64| profile.location.iter().find(|location| location.id == id).unwrap();
    let function = |id: u64| profile.function.iter().find(|function| function.id == id).unwrap();
    let lines = |id| location(id).line.iter();
    let name = |line: &proto::Line| text(profile, function(line.function_id).name);
    sample.location_id.iter().map(|&id| lines(id).map(name).collect()).collect()
}

/// The labels of a sample as `key=value`.
pub(crate) fn labels_of(profile: &proto::Profile, sample: usize) -> Vec<String> {
    let label = |label: &proto::Label| match label.str {
        0 => format!("{}={}", text(profile, label.key), label.num),
        text_index => format!("{}={}", text(profile, label.key), text(profile, text_index)),
    };
    profile.sample[sample].label.iter().map(label).collect()
}
