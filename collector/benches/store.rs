//! What the store costs: pushes per second, bytes per sample, merge latency. Run it with
//! `cargo bench --workspace --profile dev --bench store`, which compiles no dependency anew.

use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use sonde_collector::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};
use sonde_collector::store::{Matcher, Push, Select, Store, StoreSettings, Test};
use tokio::runtime::Runtime;

const SERVICES: u32 = 200;
const STACKS: u32 = 20_000;
const PER_PROFILE: u32 = 66;
const WINDOWS: u32 = 60;
const WINDOW_MS: i64 = 10_000;
const START: i64 = 1_700_000_000_000 / 3_600_000 * 3_600_000;
const PERIOD: i64 = 10_309_278;

fn text(text: impl Into<String>) -> Arc<str> {
    text.into().into()
}

/// A small generator, so that every run sees the same data.
fn mix(seed: u64) -> u32 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    u32::try_from(x >> 32).unwrap_or(0)
}

/// Each service has 100 stacks of its own, 10 to 60 frames deep, that share their outer frames.
fn profile(service: u32, window: u32) -> Profile {
    let own = STACKS / SERVICES;
    let mut profile = Profile {
        profile_type: ProfileType {
            name: text("process_cpu"),
            sample_type: text("cpu"),
            sample_unit: text("nanoseconds"),
            period_type: text("cpu"),
            period_unit: text("nanoseconds"),
        },
        period: PERIOD,
        start_unix_ms: START + i64::from(window) * WINDOW_MS,
        duration_ms: WINDOW_MS,
        series: vec![Labels(Arc::from([(
            text("service_name"),
            text(format!("service-{service}")),
        )]))],
        frames: Vec::new(),
        locations: Vec::new(),
        samples: Vec::new(),
    };
    for depth in 0..own + 60 {
        profile.frames.push(Frame {
            name: text(format!("service_{service}::function_{depth}")),
            system_name: text(""),
            file: text("src/lib.rs"),
        });
        profile.locations.push(Location {
            address: u64::from(service) << 32 | u64::from(depth),
            binary: text("/usr/bin/service"),
            build_id: text("0123456789abcdef"),
            frames: vec![depth],
            lines: vec![depth],
        });
    }
    for n in 0..PER_PROFILE {
        let seed = u64::from(service) << 40 | u64::from(window) << 16 | u64::from(n);
        let stack = (mix(seed) % own * (mix(seed ^ 1) % own)) / own;
        let depth = 10 + mix(u64::from(stack) << 8 | u64::from(service)) % 50;
        let outer = (0..depth).rev();
        let value = PERIOD * i64::from(1 + mix(seed ^ 2) % 8);
        let stack = std::iter::once(60 + stack).chain(outer).collect();
        profile.samples.push(Sample { series: 0, stack, value });
    }
    profile
}

fn select(service: Option<u32>) -> Select {
    let matcher = |service| Matcher {
        label: text("service_name"),
        test: Test::Equals(text(format!("service-{service}"))),
    };
    let matchers = service.map(matcher).into_iter().collect();
    Select { profile_type: None, matchers, from_unix_ms: START, until_unix_ms: i64::MAX }
}

fn total(profiles: &[Profile]) -> i64 {
    profiles.iter().flat_map(|profile| &profile.samples).map(|sample| sample.value).sum()
}

fn sum(runtime: &Runtime, store: &Store, service: Option<u32>) -> i64 {
    let merged = runtime.block_on(store.merge(&select(service))).expect("the query runs");
    merged.stacks.iter().map(|(_, value)| value).sum()
}

/// Pushes every profile from 64 tasks and returns how many a second were acknowledged.
fn ingest(runtime: &Runtime, store: &Store, profiles: Vec<Profile>) -> f64 {
    let count = profiles.len();
    let began = Instant::now();
    runtime.block_on(async {
        let mut queues: Vec<Vec<(u128, Profile)>> = (0..64).map(|_| Vec::new()).collect();
        for (n, profile) in profiles.into_iter().enumerate() {
            queues[n % 64].push((n as u128, profile));
        }
        let tasks = queues.into_iter().map(|queue| {
            let store = store.clone();
            tokio::spawn(async move {
                for (digest, profile) in queue {
                    let push = Push { digest, profiles: vec![profile], ..Push::default() };
                    store.append(push).await.expect("the push is stored");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("the task ends");
        }
    });
    f64::from(u32::try_from(count).expect("a few thousand")) / began.elapsed().as_secs_f64()
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a bench reports to a person")]
fn store(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data_dir = folder.path().to_owned();
    let settings = StoreSettings { data_dir, ..StoreSettings::default() };
    let store = runtime.block_on(Store::open(settings.clone())).expect("the store opens");
    let profiles: Vec<Profile> = (0..WINDOWS)
        .flat_map(|window| (0..SERVICES).map(move |service| profile(service, window)))
        .collect();
    let (expected, one) = (
        total(&profiles),
        total(
            &profiles
                .iter()
                .filter(|p| p.series[0].0[0].1.as_ref() == "service-7")
                .cloned()
                .collect::<Vec<_>>(),
        ),
    );
    let rate = ingest(&runtime, &store, profiles);
    println!("ingest: {rate:.0} profiles/s of {PER_PROFILE} samples, each durable");
    let wal = bytes(&folder.path().join("wal"));
    assert_eq!((sum(&runtime, &store, None), sum(&runtime, &store, Some(7))), (expected, one));
    runtime.block_on(store.close());
    drop(store);
    let began = Instant::now();
    let store = runtime.block_on(Store::open(settings)).expect("the store opens");
    println!("ready after a start: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    let samples = f64::from(WINDOWS * SERVICES * PER_PROFILE);
    println!(
        "bytes per pushed sample: log {:.1}, samples {:.2}, symbols and digests {:.2}",
        wal as f64 / samples,
        bytes(&folder.path().join("samples")) as f64 / samples,
        bytes(&folder.path().join("symbols")) as f64 / samples,
    );
    criterion.bench_function("merge one service", |bench| {
        bench.iter(|| assert_eq!(sum(&runtime, &store, Some(7)), one));
    });
    criterion.bench_function("merge all services", |bench| {
        bench.iter(|| assert_eq!(sum(&runtime, &store, None), expected));
    });
}

fn bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = store }
criterion_main!(benches);
