//! 200 services in the store: what they take on disk as they age, how fast they are merged, how soon a
//! start is ready, how much memory it needs. Two hours of services that repeat their stacks, which is
//! what the budgets were set for, then a day of services that show new ones all day.
//! `cargo xtask bench collector` runs it; `SONDE_BENCH_HOURS` makes the day shorter.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench reports to a person"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sonde_collector::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};
use sonde_collector::query::Tree;
use sonde_collector::store::{Matcher, Push, Select, Store, StoreError, StoreSettings, Test};

const SERVICES: u32 = 200;
/// How the ranks of drawn stacks are spread: of `n` draws about `2 n^0.6` differ, so a service shows
/// new stacks all day, fewer and fewer, as programs do (some 15,000 by the evening).
const SPREAD: f64 = 0.6;
/// Stacks of a service that repeats them: 20,000 in all.
const FEW_STACKS: u32 = 100;
/// The most frequent stack's place among the calls: what comes before is only called through.
const FIRST_STACK: u32 = 200;
/// Functions that a service has for itself, and those of libraries that all have in common.
const FUNCTIONS: u32 = 800;
const SHARED_FUNCTIONS: u32 = 400;
const PER_PROFILE: u32 = 66;
const WINDOW_MS: i64 = 10_000;
const HOUR_MS: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000 / (24 * HOUR_MS) * (24 * HOUR_MS);
const PERIOD: i64 = 10_309_278;
const RUNS: usize = 5;
/// What the budgets ask for, by row.
const GOALS: [(&str, &str); 7] = [
    ("bytes per sample right after", "10"),
    ("bytes per sample, hours merged", "4"),
    ("memory, peak while storing", "500 MB"),
    ("memory, peak up to here", "500 MB"),
    ("ready after a start", "2 s"),
    ("flame graph: 1 service, 1 h", "20 ms"),
    ("flame graph: all services, 2 h", "300 ms"),
];

/// Storing and asking are processes of their own, so that neither's memory counts for the other.
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    // `cargo test` runs benches too, without this flag; there it only has to compile.
    if !words.iter().any(|word| word == "--bench") {
        return Ok(());
    }
    let after = |flag: &str, n| words.iter().skip_while(move |word| *word != flag).nth(n);
    if let (Some(folder), Some(hours), Some(stacks)) =
        (after("--part", 2), after("--part", 3), after("--part", 4))
    {
        let load = Load { hours: hours.parse()?, stacks: stacks.parse()? };
        let runtime = tokio::runtime::Runtime::new()?;
        return match after("--part", 1).map(String::as_str) {
            Some("store") => runtime.block_on(store(Path::new(folder), load)),
            _ => runtime.block_on(ask(Path::new(folder), load)),
        };
    }
    let hours = std::env::var("SONDE_BENCH_HOURS").map_or(Ok(24), |hours| hours.parse());
    let hours = hours.context("hours")?;
    anyhow::ensure!(hours >= 2, "the rows ask for two hours");
    both_parts(&words[0], "20,000 stacks", Load { hours: 2, stacks: FEW_STACKS })?;
    let load = Load { hours, stacks: u32::MAX };
    both_parts(&words[0], "ever new ones", load)
}

/// What is stored.
#[derive(Clone, Copy)]
struct Load {
    hours: i64,
    /// Most stacks that a service shows.
    stacks: u32,
}

impl Load {
    fn has_goals(self) -> bool {
        self.stacks == FEW_STACKS
    }
}

fn both_parts(program: &str, what: &str, load: Load) -> Result<()> {
    let Load { hours, stacks } = load;
    let goal = if load.has_goals() { "goal" } else { "" };
    println!(
        "\n| {hours} h of {SERVICES} services, {what}, {PER_PROFILE} a profile | measured | {goal} |"
    );
    println!("|---|---|---|");
    let folder = tempfile::tempdir()?;
    for part in ["store", "ask"] {
        let mut child = std::process::Command::new(program);
        child.args(["--bench", "--part", part]).arg(folder.path());
        let status = child.args([hours.to_string(), stacks.to_string()]).status()?;
        anyhow::ensure!(status.success(), "{part}: {status}");
    }
    Ok(())
}

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings {
        data_dir: folder.join("data"),
        retention_age: Duration::from_secs(100 * 365 * 86_400),
        // Rounds are run from here, at the day's own time.
        maintenance_interval: Duration::from_secs(86_400),
        ..StoreSettings::default()
    }
}

fn per_sample(folder: &Path, hours: i64) -> String {
    format!("{:.2}", bytes_below(&folder.join("data")) as f64 / samples(hours))
}

fn samples(hours: i64) -> f64 {
    (hours * HOUR_MS / WINDOW_MS) as f64 * f64::from(SERVICES * PER_PROFILE)
}

async fn store(folder: &Path, load: Load) -> Result<()> {
    let hours = load.hours;
    let row = |name: &str, value: String| row(load, name, &value);
    let store = Store::open(settings(folder)).await?;
    let services: Arc<Vec<Service>> =
        Arc::new((0..SERVICES).map(|number| Service::new(number, load.stacks)).collect());
    let generator = memory("VmRSS")?;
    let began = Instant::now();
    let total = ingest(&store, &services, hours).await?;
    let rate = samples(hours) / f64::from(PER_PROFILE) / began.elapsed().as_secs_f64();
    row("profiles stored per second, generating them included", format!("{rate:.0}"));
    row("bytes per sample right after", per_sample(folder, hours));
    let peak = memory("VmHWM")?;
    row("memory, peak while storing", format!("{peak}, {generator} of it the generator's"));
    store.close().await;
    std::fs::write(folder.join("total"), total.to_string())?;
    Ok(())
}

async fn ask(folder: &Path, load: Load) -> Result<()> {
    let hours = load.hours;
    let row = |name: &str, value: String| row(load, name, &value);
    let total: i64 = std::fs::read_to_string(folder.join("total"))?.parse()?;
    let began = Instant::now();
    let store = Store::open(settings(folder)).await?;
    row("ready after a start", format!("{:.0} ms", began.elapsed().as_secs_f64() * 1e3));
    row("memory after a start", memory("VmRSS")?);
    let end = START + hours * HOUR_MS;
    aged(load, &store, end + HOUR_MS, "hours merged").await?;
    row("bytes per sample, hours merged", per_sample(folder, hours));
    row("memory, peak up to here", memory("VmHWM")?);
    let range = |hours: i64| (end - hours * HOUR_MS, end);
    merged(load, &store, "1 service, 1 h", Some(7), range(1), None).await?;
    merged(load, &store, "all services, 2 h", None, range(2), None).await?;
    merged(load, &store, "all services, all hours", None, range(hours), Some(total)).await?;
    for (days, what) in [(3, "decayed to minutes"), (6, "decayed to hours")] {
        aged(load, &store, START + days * 24 * HOUR_MS, what).await?;
        row(&format!("bytes per sample, {what}"), per_sample(folder, hours));
        let name = format!("all services, all hours, {what}");
        merged(load, &store, &name, None, range(hours), Some(total)).await?;
    }
    row("memory at the end, and peak", memory("VmRSS")? + ", " + &memory("VmHWM")?);
    store.close().await;
    Ok(())
}

fn row(load: Load, name: &str, value: &str) {
    let goal = GOALS.iter().find(|(of, _)| load.has_goals() && *of == name);
    let goal = goal.map_or("", |(_, goal)| goal);
    println!("| {name} | {value} | {goal} |");
}

/// One round of maintenance as of this time.
async fn aged(load: Load, store: &Store, now_unix_ms: i64, what: &str) -> Result<()> {
    let began = Instant::now();
    store.look_after(now_unix_ms).await?;
    row(
        load,
        &format!("time of maintenance, {what}"),
        &format!("{:.0} s", began.elapsed().as_secs_f64()),
    );
    Ok(())
}

/// The median time from question to tree. The first run is not counted: it checks the files.
async fn merged(
    load: Load,
    store: &Store,
    name: &str,
    service: Option<u32>,
    (from_unix_ms, until_unix_ms): (i64, i64),
    expected: Option<i64>,
) -> Result<()> {
    let matcher = |service| Matcher {
        label: text("service_name"),
        test: Test::Equals(text(format!("service-{service}"))),
    };
    let matchers = service.map(matcher).into_iter().collect();
    let select =
        Select { profile_type: Some(profile_type()), matchers, from_unix_ms, until_unix_ms };
    let (mut sums, mut trees, mut nodes) = (Vec::new(), Vec::new(), 0);
    for _run in 0..=RUNS {
        let began = Instant::now();
        let snapshot = store.snapshot();
        let (tree, summed) = if service.is_some() {
            let merged = snapshot.merge(&select).await?;
            let summed = began.elapsed();
            (Tree::build(&merged.stacks, &snapshot.symbols()), summed)
        } else {
            let merged = snapshot.merge_by_service(&select).await?;
            let summed = began.elapsed();
            (Tree::build_by_service(&merged.services, &snapshot.symbols()), summed)
        };
        sums.push(summed);
        trees.push(began.elapsed());
        nodes = tree.len();
        anyhow::ensure!(
            tree.total() > 0 && expected.is_none_or(|total| total == tree.total()),
            "a sum that is not what was stored"
        );
    }
    let median = |times: &mut Vec<Duration>| {
        times.remove(0);
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let (sums, trees) = (median(&mut sums), median(&mut trees));
    row(
        load,
        &format!("flame graph: {name}"),
        &format!("{trees:.0} ms ({sums:.0} ms sums; {nodes} nodes)"),
    );
    Ok(())
}

/// Stores the day, window by window, and returns the sum of its values.
async fn ingest(store: &Store, services: &Arc<Vec<Service>>, hours: i64) -> Result<i64> {
    let (mut total, mut tasks) = (0, tokio::task::JoinSet::new());
    for window in 0..hours * HOUR_MS / WINDOW_MS {
        for first in 0..4 {
            let (services, store) = (Arc::clone(services), store.clone());
            tasks.spawn(async move {
                let part = services.iter().skip(first).step_by(4);
                let profiles: Vec<Profile> = part.map(|service| service.profile(window)).collect();
                let samples = profiles.iter().flat_map(|profile| &profile.samples);
                let sum: i64 = samples.map(|sample| sample.value).sum();
                let digest = (window.unsigned_abs() << 2 | first as u64).into();
                append(&store, Push { digest, profiles, ..Push::default() }).await.map(|()| sum)
            });
        }
        while tasks.len() > 12 {
            total += tasks.join_next().await.context("a task was there")???;
        }
    }
    while let Some(sum) = tasks.join_next().await {
        total += sum??;
    }
    store.seal().await?;
    Ok(total)
}

/// As an agent does: what is refused for the moment is sent again.
async fn append(store: &Store, push: Push) -> Result<()> {
    loop {
        match store.append(push.clone()).await {
            Err(StoreError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => {
                other?;
                return Ok(());
            }
        }
    }
}

/// A program: functions that call each other, and libraries that all programs have in common.
struct Service {
    number: u32,
    /// Most stacks that it shows.
    stacks: u32,
    frames: Vec<Frame>,
    locations: Vec<Location>,
}

const VERBS: [&str; 12] = [
    "parse",
    "validate",
    "encode",
    "fetch",
    "resolve",
    "lookup",
    "merge",
    "commit",
    "render",
    "dispatch",
    "authorize",
    "serialize",
];
const NOUNS: [&str; 16] = [
    "request",
    "order",
    "cart",
    "session",
    "invoice",
    "header",
    "token",
    "customer",
    "inventory",
    "payment",
    "response",
    "row",
    "batch",
    "price",
    "shipment",
    "catalog",
];
const LIBRARIES: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libssl.so.3", "/usr/lib/libz.so.1"];

impl Service {
    fn new(number: u32, stacks: u32) -> Self {
        let mut service = Self { number, stacks, frames: Vec::new(), locations: Vec::new() };
        for n in 0..FUNCTIONS + SHARED_FUNCTIONS {
            service.add_function(n);
        }
        service
    }

    /// Location and caller of a node of its calls. A caller's number is four fifths of the callee's,
    /// more or less: stacks are some dozen frames deep, and share their outer ones.
    fn call(&self, node: u32) -> (u32, Option<u32>) {
        let seed = rand(u64::from(self.number), u64::from(node));
        let own = !seed.is_multiple_of(5);
        let (first, of) = if own { (0, FUNCTIONS) } else { (FUNCTIONS, SHARED_FUNCTIONS) };
        let caller = u64::from(node) * u64::from(70 + pick(seed >> 7, 20)) / 100;
        let caller = u32::try_from(caller).ok().filter(|_| node > 0);
        (first + pick(seed >> 20, of), caller)
    }

    /// What a window's ticks hit: stacks, with the number of ticks in each.
    fn ticks(&self, window: i64) -> BTreeMap<u32, i64> {
        let mut stacks = BTreeMap::new();
        for tick in 0_u64.. {
            let seed = rand(u64::from(self.number) << 32 | tick, window.unsigned_abs());
            let share = f64::from(1 + pick(seed, 1 << 30)) / f64::from(1 << 30);
            let rank = share.powf(-1.0 / SPREAD).min(1e9);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e9")]
            let stack = FIRST_STACK + rank as u32 % self.stacks;
            *stacks.entry(stack).or_default() += 1;
            if stacks.len() == PER_PROFILE as usize {
                break;
            }
        }
        stacks
    }

    fn add_function(&mut self, n: u32) {
        let own = n < FUNCTIONS;
        let seed = rand(if own { u64::from(self.number) } else { 1 << 20 }, u64::from(n));
        let of = if own { u64::from(self.number) } else { (1 << 20) + u64::from(n % 3) };
        let word = |words: &[&'static str], part: u32| {
            words[pick(seed >> part, index(words.len())) as usize]
        };
        let (verb, noun) = (word(&VERBS, 3), word(&NOUNS, 9));
        let (name, binary, file) = if own {
            let name = format!("service_{}::{noun}::{verb}_{}_{n}", self.number, word(&NOUNS, 15));
            (name, format!("/usr/bin/service-{}", self.number), format!("src/{noun}.rs"))
        } else {
            (format!("{verb}_{noun}_{n}"), LIBRARIES[n as usize % 3].to_owned(), "lib.c".to_owned())
        };
        self.frames.push(Frame { name: text(name), system_name: text(""), file: text(file) });
        self.locations.push(Location {
            address: 0x1000 + u64::from(n) * 64,
            build_id: text(format!("{:040x}", rand(of, 1 << 21))),
            binary: text(binary),
            frames: vec![n],
            lines: vec![10 + n % 900],
        });
    }

    fn profile(&self, window: i64) -> Profile {
        let mut profile = Profile {
            profile_type: profile_type(),
            period: PERIOD,
            start_unix_ms: START + window * WINDOW_MS,
            duration_ms: WINDOW_MS,
            series: vec![Labels(Arc::from([
                (text("host"), text(format!("host-{}", self.number % 20))),
                (text("service_name"), text(format!("service-{}", self.number))),
            ]))],
            frames: Vec::new(),
            locations: Vec::new(),
            samples: Vec::new(),
        };
        let mut places = vec![u32::MAX; self.locations.len()];
        for (node, ticks) in self.ticks(window) {
            let stack = self.stack(node, &mut profile, &mut places);
            profile.samples.push(Sample { series: 0, stack, value: PERIOD * ticks });
        }
        profile
    }

    fn stack(&self, node: u32, profile: &mut Profile, places: &mut [u32]) -> Vec<u32> {
        let mut stack = Vec::with_capacity(40);
        let mut next = Some(node);
        while let Some(node) = next {
            let (location, caller) = self.call(node);
            let place = &mut places[location as usize];
            if *place == u32::MAX {
                *place = u32::try_from(profile.locations.len()).unwrap_or(0);
                profile.frames.push(self.frames[location as usize].clone());
                let location = &self.locations[location as usize];
                profile.locations.push(Location { frames: vec![*place], ..location.clone() });
            }
            stack.push(*place);
            next = caller;
        }
        stack
    }
}

fn profile_type() -> ProfileType {
    let [name, cpu, unit] = ["process_cpu", "cpu", "nanoseconds"].map(text);
    ProfileType {
        name,
        sample_type: cpu.clone(),
        sample_unit: unit.clone(),
        period_type: cpu,
        period_unit: unit,
    }
}

fn text(text: impl Into<String>) -> Arc<str> {
    text.into().into()
}

/// A small generator, so that every run sees the same data.
fn rand(a: u64, b: u64) -> u64 {
    let mut x = (a ^ b.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        x ^= x >> 32;
        x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ x >> 32
}

/// A number below `below`.
fn pick(seed: u64, below: u32) -> u32 {
    u32::try_from(((seed & 0xffff_ffff) * u64::from(below.max(1))) >> 32).unwrap_or(0)
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A field of this process' status, in MiB.
fn memory(field: &str) -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(format!("{} MiB", kib / 1024))
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
