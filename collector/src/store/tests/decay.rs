//! Facts about samples that become coarser with age.

use super::*;
use crate::store::grain::{Grain, HOUR_MS};
use crate::store::plan::{Ages, jobs};
use crate::store::rewrite::{Step, rewrite};

const DAY_MS: i64 = 24 * HOUR_MS;
/// Start of a day.
const DAY: i64 = NOON / DAY_MS * DAY_MS;

/// Pushes of some windows each, over two days.
async fn filled(folder: &Path) -> Store {
    let store = Store::open(settings(folder)).await.unwrap();
    for n in 0..40u8 {
        let at = DAY + i64::from(n) * 71 * 60_000;
        let windows = (0..8)
            .map(|window| profile(n % 3, at + window * 25_000, &[(n % 4, 10), (7, 1 + window)]));
        append(&store, push(u128::from(n), windows.collect())).await;
        if n % 8 == 7 {
            store.seal().await.unwrap();
        }
    }
    store.close().await;
    drop(store);
    Store::open(settings(folder)).await.unwrap()
}

fn grains(store: &Store) -> Vec<Grain> {
    let mut grains: Vec<Grain> =
        store.inner.shared.live().files.iter().map(|file| file.entry.grain).collect();
    grains.sort_unstable();
    grains.dedup();
    grains
}

fn between(from: i64, until: i64) -> Select {
    Select { from_unix_ms: from, until_unix_ms: until, ..everything() }
}

async fn total(store: &Store, select: &Select) -> i64 {
    folded(store, select).await.values().sum()
}

#[tokio::test]
async fn decayed_samples_have_the_same_sums_by_stack_and_series() {
    let home = TempDir::new().unwrap();
    let store = filled(home.path()).await;
    let before = folded(&store, &everything()).await;
    let by_series = |store: &Store| {
        let snapshot = store.snapshot();
        async move {
            let all = snapshot.series(&everything()).await.unwrap();
            all.into_iter().map(|(one, sum)| (one.id, sum)).collect::<BTreeMap<_, _>>()
        }
    };
    let series = by_series(&store).await;
    let rows = |store: &Store| -> u64 {
        store.inner.shared.live().files.iter().map(|file| file.entry.rows).sum()
    };
    let mut last = rows(&store);
    for (days, expected) in [(3, Grain::Minute), (5, Grain::Hour)] {
        maintenance::look_after(&store.inner.shared, DAY + days * DAY_MS).unwrap();
        assert_eq!(grains(&store), [expected]);
        assert!(rows(&store) < last, "{expected:?}");
        last = rows(&store);
        assert_eq!(folded(&store, &everything()).await, before);
        assert_eq!(by_series(&store).await, series);
    }
}

#[tokio::test]
async fn a_range_is_widened_to_what_was_added_up_and_parts_add_up_to_the_whole() {
    let home = TempDir::new().unwrap();
    let store = filled(home.path()).await;
    let whole = total(&store, &everything()).await;
    let first = between(DAY, DAY + DAY_MS);
    let of_first_day = total(&store, &first).await;
    // The first day is old enough for hours, the second for minutes.
    let now = DAY + DAY_MS + 3 * DAY_MS;
    maintenance::look_after(&store.inner.shared, now).unwrap();
    assert_eq!(grains(&store), [Grain::Minute, Grain::Hour]);
    assert_eq!(total(&store, &first).await, of_first_day);
    assert_eq!(total(&store, &between(DAY + DAY_MS, i64::MAX)).await, whole - of_first_day);
    let kept = store.snapshot().kept(DAY + 30 * 60_000, DAY + DAY_MS + 90_500);
    let wide = (DAY, DAY + DAY_MS + 90_500, HOUR_MS);
    assert_eq!((kept.from_unix_ms, kept.until_unix_ms, kept.window_ms), wide);
    let late = store.snapshot().kept(DAY + 40 * 3_600_000, DAY + 40 * 3_600_000 + 1);
    assert!(late.window_ms <= 60_000, "{late:?}");
    let steps = store.timeline(&first, HOUR_MS, TimelineBy::Nothing).await.unwrap();
    assert_eq!(steps.points.iter().map(|point| point.value).sum::<i64>(), of_first_day);
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_decay_loses_and_doubles_nothing() {
    let home = TempDir::new().unwrap();
    let base = home.path().join("base");
    let store = filled(&base).await;
    let expected = folded(&store, &everything()).await;
    let shared = Arc::clone(&store.inner.shared);
    let entries = shared.catalog().manifest().samples.clone();
    let now = DAY + 5 * DAY_MS;
    let due = jobs(&entries, Ages::of(&shared.settings), now);
    assert!(due.iter().all(|job| job.grain == Grain::Hour && job.entries.len() > 1));
    let mut steps = Vec::new();
    for job in &due {
        rewrite(&shared, Signal::Samples, job, |step| {
            copy(&base, &home.path().join(format!("{}", steps.len())));
            steps.push(step);
        })
        .unwrap();
    }
    assert_eq!(steps.last(), Some(&Step::OldDeleted));
    for (at, step) in steps.iter().enumerate() {
        let folder = home.path().join(format!("{at}"));
        for start in 0..2 {
            let store = Store::open(settings(&folder)).await.unwrap();
            assert_eq!(folded(&store, &everything()).await, expected, "{step:?}, start {start}");
            maintenance::look_after(&store.inner.shared, now).unwrap();
            assert_eq!(folded(&store, &everything()).await, expected, "{step:?}, decayed");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn too_many_bytes_decay_the_oldest_before_anything_is_deleted() {
    let home = TempDir::new().unwrap();
    let store = filled(home.path()).await;
    let before = folded(&store, &everything()).await;
    let bytes = store.inner.shared.catalog().manifest().bytes();
    store.close().await;
    drop(store);
    let small = StoreSettings { retention_bytes: bytes - 1, ..settings(home.path()) };
    let store = Store::open(small).await.unwrap();
    // By age alone nothing would decay yet.
    maintenance::look_after(&store.inner.shared, DAY + 2 * DAY_MS - HOUR_MS).unwrap();
    let mut files = store.inner.shared.catalog().manifest().samples.clone();
    files.sort_by_key(|entry| entry.from_unix_ms);
    assert!(files[0].grain > Grain::AsSent, "{files:?}");
    assert_eq!(folded(&store, &everything()).await, before);
}

#[derive(Clone, Debug)]
enum Act {
    Push {
        service: u8,
        minute: i64,
        samples: Vec<(u8, i64)>,
    },
    Seal,
    /// Maintenance so many hours after the first push.
    Age(i64),
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let samples = prop::collection::vec((0..6u8, 1..1000i64), 1..5);
    let push = (0..3u8, 0..4000i64, samples).prop_map(|(service, minute, samples)| Act::Push {
        service,
        minute,
        samples,
    });
    let act = prop_oneof![
        8 => push, 3 => Just(Act::Seal), 3 => (0..150i64).prop_map(Act::Age), 1 => Just(Act::Restart)
    ];
    prop::collection::vec(act, 1..24)
}

async fn act(store: Store, folder: &Path, digest: usize, act: &Act) -> Store {
    match act {
        Act::Push { service, minute, samples } => {
            let profiles = vec![profile(*service, DAY + minute * 60_000 + 7, samples)];
            append(&store, push(digest as u128, profiles)).await;
        }
        Act::Seal => store.seal().await.unwrap(),
        Act::Age(hours) => {
            maintenance::look_after(&store.inner.shared, DAY + hours * HOUR_MS).unwrap();
        }
        Act::Restart => {
            store.close().await;
            drop(store);
            return Store::open(settings(folder)).await.unwrap();
        }
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn answers_equal_a_naive_sum_over_what_a_range_was_widened_to(
        acts in acts(),
        from in 0..4000i64,
        length in 1..4000i64,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let home = TempDir::new().unwrap();
            let mut store = Store::open(settings(home.path())).await.unwrap();
            for (digest, one) in acts.iter().enumerate() {
                store = act(store, home.path(), digest, one).await;
            }
            let snapshot = store.snapshot();
            let kept = snapshot.kept(DAY + from * 60_000, DAY + (from + length) * 60_000);
            let select = between(kept.from_unix_ms, kept.until_unix_ms);
            let (mut stacks, mut all) = (BTreeMap::new(), 0);
            for one in &acts {
                let Act::Push { minute, samples, .. } = one else { continue };
                let at = DAY + minute * 60_000 + 7;
                for (stack, value) in samples {
                    all += value;
                    if (select.from_unix_ms..select.until_unix_ms).contains(&at) {
                        *stacks.entry(format!("main;f{stack};g{stack}")).or_insert(0) += value;
                    }
                }
            }
            assert_eq!(folded(&store, &select).await, stacks);
            assert_eq!(total(&store, &everything()).await, all);
            let step = kept.window_ms.max(600_000);
            let timeline = snapshot.timeline(&select, step, &TimelineBy::Nothing).await.unwrap();
            assert_eq!(timeline.points.iter().map(|p| p.value).sum::<i64>(), stacks.values().sum::<i64>());
            store.close().await;
        });
    }
}
