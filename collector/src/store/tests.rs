//! Facts about the whole store.
#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

mod collect;
mod damage;
mod decay;
mod signals;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::flush::{Step, flush};
use super::live::Shared;
use super::signal::Signal;
use super::*;
use crate::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};

const NOON: i64 = 1_700_000_000_000;

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings { data_dir: folder.to_owned(), query_partitions: 2, ..StoreSettings::default() }
}

fn cpu() -> ProfileType {
    let text = |text: &str| -> Arc<str> { text.into() };
    ProfileType {
        name: text("process_cpu"),
        sample_type: text("cpu"),
        sample_unit: text("nanoseconds"),
        period_type: text("cpu"),
        period_unit: text("nanoseconds"),
    }
}

/// A profile of one service whose stacks are `main` → `f<stack>` with `g<stack>` inlined.
fn profile(service: u8, unix_ms: i64, samples: &[(u8, i64)]) -> Profile {
    let text = |text: String| -> Arc<str> { text.into() };
    let frame = |name: String| Frame {
        name: text(name),
        system_name: text(String::new()),
        file: text("a.c".into()),
    };
    let mut profile = Profile {
        profile_type: cpu(),
        period: 10,
        start_unix_ms: unix_ms,
        duration_ms: 10_000,
        series: vec![Labels(Arc::from([(
            text("service_name".into()),
            text(format!("svc{service}")),
        )]))],
        frames: vec![frame("main".into())],
        locations: vec![location(1, vec![0])],
        samples: Vec::new(),
    };
    for (at, (stack, value)) in samples.iter().enumerate() {
        let first = u32::try_from(profile.frames.len()).unwrap();
        profile.frames.push(frame(format!("g{stack}")));
        profile.frames.push(frame(format!("f{stack}")));
        profile.locations.push(location(u64::from(*stack) + 100, vec![first, first + 1]));
        let stack = vec![u32::try_from(at).unwrap() + 1, 0];
        profile.samples.push(Sample { series: 0, stack, value: *value });
    }
    profile
}

fn location(address: u64, frames: Vec<u32>) -> Location {
    let lines = vec![7; frames.len()];
    Location { address, binary: "/bin/app".into(), build_id: "abcd".into(), frames, lines }
}

fn push(digest: u128, profiles: Vec<Profile>) -> Push {
    Push { digest, profiles, ..Push::default() }
}

fn everything() -> Select {
    Select { profile_type: None, matchers: Vec::new(), from_unix_ms: 0, until_unix_ms: i64::MAX }
}

fn service(service: u8) -> Matcher {
    let label = Arc::from("service_name");
    Matcher { label, test: Test::Equals(format!("svc{service}").into()) }
}

/// The answer with names: folded stacks, outermost frame first.
async fn folded(store: &Store, select: &Select) -> BTreeMap<String, i64> {
    let snapshot = store.snapshot();
    let (merged, symbols) = (snapshot.merge(select).await.unwrap(), snapshot.symbols());
    let mut frames = Vec::new();
    let name = |id: &FrameId| symbols.frame(*id).unwrap().name.to_string();
    let mut all = BTreeMap::new();
    for (stack, value) in merged.stacks {
        symbols.frames(stack, &mut frames);
        let text = frames.iter().map(name).collect::<Vec<_>>().join(";");
        assert_eq!(all.insert(text, value), None, "a stack is there twice");
    }
    all
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Three pushes; the directory as a crash right after them leaves it.
async fn crashed(folder: &Path) -> BTreeMap<String, i64> {
    let live = TempDir::new().unwrap();
    let store = Store::open(settings(live.path())).await.unwrap();
    for n in 0..3u8 {
        let hour = NOON + i64::from(n) * 3_600_000;
        let profiles = vec![profile(n, hour, &[(1, 10), (n + 2, 20)])];
        store.append(push(u128::from(n), profiles)).await.unwrap();
    }
    let expected = folded(&store, &everything()).await;
    copy(live.path(), folder);
    expected
}

fn expected_of_three() -> BTreeMap<String, i64> {
    [("main;f1;g1", 30), ("main;f2;g2", 20), ("main;f3;g3", 20), ("main;f4;g4", 20)]
        .map(|(stack, value)| (stack.to_owned(), value))
        .into()
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_flush_loses_and_doubles_nothing() {
    let home = TempDir::new().unwrap();
    let base = home.path().join("base");
    assert_eq!(crashed(&base).await, expected_of_three());
    let options = settings(&base);
    let opened = open::open(&options, &StoreMetrics::default()).unwrap();
    let sealed = opened.live.sealed[0].clone();
    let lock = files::lock(&base).unwrap();
    let shared = Shared::new(options, StoreMetrics::default(), opened.live, opened.catalog, lock);
    let mut steps = Vec::new();
    flush(&shared, &sealed, |step| {
        copy(&base, &home.path().join(format!("{step:?}")));
        steps.push(step);
    })
    .unwrap();
    assert_eq!((steps.len(), steps.last()), (6, Some(&Step::LogDeleted)));
    for step in steps {
        let folder = home.path().join(format!("{step:?}"));
        for start in 0..3 {
            let store = Store::open(settings(&folder)).await.unwrap();
            let found = folded(&store, &everything()).await;
            assert_eq!(found, expected_of_three(), "after {step:?}, start {start}");
            let again = push(1, vec![profile(1, NOON, &[(1, 5)])]);
            assert_eq!(store.append(again).await.unwrap(), Appended::Duplicate, "{step:?}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_torn_log_keeps_every_acknowledged_push_before_the_tear() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    let log = files::wal_path(home.path(), 1);
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(&[200, 1, 0, 0, 9, 9, 9, 9, 1, 2, 3]);
    fs::write(&log, bytes).unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    assert_eq!(folded(&store, &everything()).await, expected_of_three());
}

#[tokio::test]
async fn a_push_sent_again_is_stored_once_also_after_a_restart() {
    let home = TempDir::new().unwrap();
    let again = || push(77, vec![profile(1, NOON, &[(1, 10)])]);
    for start in 0..3 {
        let store = Store::open(settings(home.path())).await.unwrap();
        let outcome = store.append(again()).await.unwrap();
        let expected = if start == 0 { Appended::Stored } else { Appended::Duplicate };
        assert_eq!(outcome, expected);
        assert_eq!(store.append(again()).await.unwrap(), Appended::Duplicate);
        assert_eq!(folded(&store, &everything()).await, [("main;f1;g1".to_owned(), 10)].into());
        store.close().await;
    }
}

#[tokio::test]
async fn a_closed_store_refuses_pushes_and_goes_on_answering() {
    let home = TempDir::new().unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    store.append(push(1, vec![profile(1, NOON, &[(1, 10)])])).await.unwrap();
    store.close().await;
    assert!(matches!(store.append(push(2, Vec::new())).await, Err(StoreError::Closed)));
    assert_eq!(folded(&store, &everything()).await.len(), 1);
}

#[tokio::test]
async fn two_stores_never_share_a_directory() {
    let home = TempDir::new().unwrap();
    let _first = Store::open(settings(home.path())).await.unwrap();
    let second = Store::open(settings(home.path())).await.err().unwrap();
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
}

#[tokio::test]
async fn a_damaged_sample_file_is_set_aside_and_the_rest_is_served() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    Store::open(settings(home.path())).await.unwrap().close().await;
    let mut samples = files::list(&home.path().join("samples")).unwrap();
    samples.sort();
    fs::write(&samples[0], b"PAR1 no more").unwrap();
    let metrics = StoreMetrics::default();
    let store = Store::open_with(settings(home.path()), metrics.clone()).await.unwrap();
    let found = folded(&store, &everything()).await;
    assert_eq!(found.get("main;f1;g1"), Some(&20), "one of three hours is lost: {found:?}");
    assert_eq!((metrics.damaged_files.get(), metrics.lost_rows.get()), (1, 2));
    assert!(samples[0].with_added_extension("damaged").exists());
}

#[tokio::test]
async fn samples_without_a_manifest_are_an_error_that_says_what_to_do() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    Store::open(settings(home.path())).await.unwrap().close().await;
    fs::remove_file(home.path().join("manifest.json")).unwrap();
    let refused = Store::open(settings(home.path())).await.err().unwrap().to_string();
    assert!(refused.contains("manifest.json") && refused.contains("backup"), "{refused}");
    assert!(!files::list(&home.path().join("samples")).unwrap().is_empty(), "nothing is removed");
}

#[tokio::test]
async fn events_are_values_divided_by_their_series_period() {
    let home = TempDir::new().unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    let slower = Profile { period: 20, ..profile(2, NOON, &[(1, 40)]) };
    let unknown = Profile { period: 0, ..profile(3, NOON, &[(1, 7)]) };
    let profiles = vec![profile(1, NOON, &[(1, 30)]), slower, unknown];
    store.append(push(1, profiles)).await.unwrap();
    let merged = store.merge(&everything()).await.unwrap();
    assert_eq!((merged.events, merged.value_without_period, merged.series), (5.0, 7, 3));
}

#[tokio::test]
async fn allocations_are_no_number_of_samples() {
    let home = TempDir::new().unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    for (at, unit) in ["count", "bytes"].into_iter().enumerate() {
        let mut heap = profile(1, NOON, &[(1, 4000)]);
        heap.period = 524_288;
        heap.profile_type.sample_unit = unit.into();
        heap.profile_type.period_unit = "bytes".into();
        store.append(push(at as u128, vec![heap])).await.unwrap();
    }
    let merged = store.merge(&everything()).await.unwrap();
    assert_eq!((merged.events, merged.value_without_period), (0.0, 8000));
}

#[tokio::test]
async fn merging_files_keeps_every_answer_and_readers_keep_their_files() {
    let home = TempDir::new().unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    for n in 0..4u8 {
        let profiles = vec![profile(n, NOON + i64::from(n), &[(1, 10), (n, 20)])];
        append(&store, push(u128::from(n), profiles)).await;
        store.seal().await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = Store::open(settings(home.path())).await.unwrap();
    let before = folded(&store, &everything()).await;
    let reader = store.snapshot();
    let shared = Arc::clone(&store.inner.shared);
    assert_eq!(shared.live().files.len(), 4);
    maintenance::look_after(&shared, NOON + 2 * 3_600_000).unwrap();
    assert_eq!(shared.live().files.len(), 1);
    assert_eq!(folded(&store, &everything()).await, before);
    assert_eq!(reader.merge(&everything()).await.unwrap().stacks.len(), before.len());
    drop(reader);
    assert_eq!(files::list(&home.path().join("samples")).unwrap().len(), 1);
    store.close().await;
}

#[tokio::test]
async fn retention_deletes_the_oldest_by_age_and_by_size() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    let store = Store::open(settings(home.path())).await.unwrap();
    store.close().await;
    let shared = Arc::clone(&store.inner.shared);
    let week = i64::try_from(shared.settings.retention_age.as_millis()).unwrap();
    maintenance::look_after(&shared, NOON + week + 1).unwrap();
    assert_eq!(folded(&store, &everything()).await["main;f1;g1"], 20);
    drop((store, shared));
    let small = StoreSettings { retention_bytes: 1, ..settings(home.path()) };
    let store = Store::open(small).await.unwrap();
    maintenance::look_after(&store.inner.shared, NOON).unwrap();
    assert_eq!(folded(&store, &everything()).await, BTreeMap::new());
}

#[tokio::test]
async fn symbols_written_anew_resolve_as_before() {
    let home = TempDir::new().unwrap();
    let expected = crashed(home.path()).await;
    let store = Store::open(settings(home.path())).await.unwrap();
    let rows: Vec<_> = store.inner.shared.live().symbols.rows().collect();
    let (mut symbols, mut dictionary) =
        (symbols::Symbols::default(), symbols::Dictionary::default());
    let orphans = rows.iter().map(|rows| dictionary.take_in(&mut symbols, rows));
    assert_eq!(orphans.sum::<usize>(), 0);
    let view = SymbolsView(Arc::new(symbols));
    let mut frames = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for (stack, _) in store.merge(&everything()).await.unwrap().stacks {
        view.frames(stack, &mut frames);
        let names = frames.iter().map(|id| view.frame(*id).unwrap().name.to_string());
        texts.push(names.collect::<Vec<_>>().join(";"));
    }
    texts.sort();
    assert_eq!(texts, expected.into_keys().collect::<Vec<_>>());
}

#[derive(Clone, Debug)]
enum Action {
    Push { service: u8, minute: i64, samples: Vec<(u8, i64)> },
    Seal,
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let samples = prop::collection::vec((0..6u8, 1..1000i64), 0..5);
    let push = (0..3u8, 0..180i64, samples);
    let push =
        push.prop_map(|(service, minute, samples)| Action::Push { service, minute, samples });
    prop::collection::vec(
        prop_oneof![8 => push, 2 => Just(Action::Seal), 1 => Just(Action::Restart)],
        1..20,
    )
}

type Model = Vec<(u8, i64, u8, i64)>;

/// As a client does: what is refused because files are still being written is sent again.
async fn append(store: &Store, push: Push) {
    loop {
        match store.append(push.clone()).await {
            Ok(_) => return,
            Err(StoreError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn play(folder: &Path, actions: &[Action]) -> (Store, Model) {
    let mut store = Store::open(settings(folder)).await.unwrap();
    let mut model = Model::new();
    for (digest, action) in actions.iter().enumerate() {
        match action {
            Action::Push { service, minute, samples } => {
                let unix_ms = NOON + minute * 60_000;
                let profiles = vec![profile(*service, unix_ms, samples)];
                append(&store, push(digest as u128, profiles)).await;
                model.extend(samples.iter().map(|(stack, v)| (*service, *minute, *stack, *v)));
            }
            Action::Seal => store.seal().await.unwrap(),
            Action::Restart => {
                store.close().await;
                drop(store);
                store = Store::open(settings(folder)).await.unwrap();
            }
        }
    }
    (store, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn answers_equal_a_naive_sum_wherever_the_samples_lie(
        actions in actions(),
        wanted in prop::option::of(0..3u8),
        from in 0..180i64,
        length in 1..180i64,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let home = TempDir::new().unwrap();
            let (store, model) = play(home.path(), &actions).await;
            let select = Select {
                profile_type: Some(cpu()),
                matchers: wanted.map(service).into_iter().collect(),
                from_unix_ms: NOON + from * 60_000,
                until_unix_ms: NOON + (from + length) * 60_000,
            };
            let within = |row: &&(u8, i64, u8, i64)| {
                wanted.is_none_or(|wanted| wanted == row.0) && (from..from + length).contains(&row.1)
            };
            let (mut stacks, mut steps, mut services) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            for (service, minute, stack, value) in model.iter().filter(within) {
                *stacks.entry(format!("main;f{stack};g{stack}")).or_insert(0) += value;
                *steps.entry((minute - from) / 7).or_insert(0) += value;
                *services.entry(format!("svc{service}")).or_insert(0) += value;
            }
            assert_eq!(folded(&store, &select).await, stacks);
            let timeline = store.timeline(&select, 7 * 60_000, TimelineBy::Nothing).await.unwrap();
            let found: BTreeMap<i64, i64> = timeline.points.iter().map(|p| (i64::from(p.step), p.value)).collect();
            assert_eq!(found, steps);
            let series = store.series(&select).await.unwrap();
            let found: BTreeMap<String, i64> = series.iter().map(|(s, total)| (s.service().to_owned(), *total)).collect();
            assert_eq!(found, services);
            store.close().await;
        });
    }
}
