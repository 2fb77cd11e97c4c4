//! Servers as the distribution builds them have complete stacks under load.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::{Context as _, Result};
use sonde_tests::pprof::{Location, Profile};
use sonde_tests::server::Server;

/// Bytes of code before which `_start` has called `__libc_start_main`.
const START_BYTES: u64 = 64;

/// Samples of one binary, by the leaf, and how many of them are complete.
#[derive(Default)]
struct Share {
    samples: f64,
    complete: f64,
}

/// Where stacks end, by what the profile's addresses and the files themselves say: whoever reaches
/// its program's entry point is complete. The agent's word for it does not count here.
fn shares(profile: &Profile) -> Result<BTreeMap<String, Share>> {
    let locations: HashMap<u64, &Location> =
        profile.location.iter().map(|location| (location.id, location)).collect();
    let mut entries = HashMap::new();
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for sample in &profile.sample {
        let ends = sample.location_id.first().zip(sample.location_id.last());
        let (leaf, outermost) = ends.context("a stack without frames")?;
        let outermost = locations.get(outermost).context("unknown location id")?;
        let leaf = file_of(profile, locations.get(leaf).context("unknown location id")?);
        let file = file_of(profile, outermost);
        let entry = *entries.entry(file).or_insert_with(|| entry_point(file));
        let into = entry.and_then(|entry| outermost.address.checked_sub(entry));
        let complete = into.is_some_and(|into| into < START_BYTES);
        let share = shares.entry(leaf.to_owned()).or_default();
        let samples = sample.value[0] as f64 / profile.period as f64;
        share.samples += samples;
        share.complete += if complete { samples } else { 0.0 };
    }
    Ok(shares)
}

fn file_of<'a>(profile: &'a Profile, location: &Location) -> &'a str {
    let mapping = profile.mapping.iter().find(|mapping| mapping.id == location.mapping_id);
    let name = mapping.and_then(|mapping| usize::try_from(mapping.filename).ok());
    name.and_then(|name| profile.string_table.get(name)).map_or("", String::as_str)
}

/// `e_entry` of a 64-bit ELF file.
fn entry_point(file: &str) -> Option<u64> {
    let bytes = fs::read(file).ok()?;
    Some(u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?))
}

/// The share, in percent, that the agent says is complete.
fn said_complete(said: &str) -> Option<f64> {
    said.split_once("stacks: ")?.1.split_once(" %")?.0.parse().ok()
}

/// Records it for five seconds and prints what came of it.
#[track_caller]
fn is_complete(name: &str, server: Result<Server>) {
    let server = server.unwrap();
    let (profile, said) = server.record("499", "5s").unwrap();
    server.stop().unwrap();
    let shares = shares(&profile).unwrap();
    let sum = |of: fn(&Share) -> f64| shares.values().map(of).sum::<f64>();
    let all = sum(|share| share.samples);
    let complete = 100.0 * sum(|share| share.complete) / all;
    println!("{name}: {complete:.2} % of {all} reach the entry point; the agent: {said}");
    for (binary, share) in &shares {
        let (of_all, of_it) = (100.0 * share.samples / all, 100.0 * share.complete / share.samples);
        println!("  {of_all:5.1} % in {binary}: {of_it:.1} % complete");
    }
    assert!(all >= 300.0, "{name} was hardly busy: {all} samples");
    assert!(complete >= 99.0, "{name}: {complete:.2} %");
    assert!(said_complete(&said).unwrap() >= 99.0, "{name}: {said}");
}

#[test]
fn nginx_has_complete_stacks() {
    is_complete("nginx", Server::nginx());
}

#[test]
fn redis_has_complete_stacks() {
    is_complete("redis", Server::redis());
}

#[test]
fn postgresql_has_complete_stacks() {
    is_complete("PostgreSQL", Server::postgres());
}

#[test]
fn the_distribution_s_python_has_complete_stacks() {
    is_complete("python3", Server::python());
}
