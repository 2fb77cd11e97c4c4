//! Facts about symbols that no sample names any more.

use std::sync::Mutex as StdMutex;

use super::*;
use crate::store::collect::{Step, Watch, collect};
use crate::store::grain::HOUR_MS;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn open(folder: &Path) -> Store {
    let settings = StoreSettings { retention_age: DAY, ..settings(folder) };
    Store::open(settings).await.unwrap()
}

/// Writes what is in memory to files.
async fn flushed(store: &Store) {
    store.seal().await.unwrap();
    while !store.inner.shared.live().sealed.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn collected(store: &Store, watch: Watch) {
    let (shared, commands) = (Arc::clone(&store.inner.shared), store.commands().unwrap());
    let round = move || collect(&shared, &commands, NOON, watch);
    tokio::task::spawn_blocking(round).await.unwrap().unwrap();
}

fn stacks(store: &Store) -> usize {
    store.inner.shared.live().symbols.counts()[2]
}

fn symbol_bytes(folder: &Path) -> u64 {
    let files = files::list(&folder.join("symbols")).unwrap();
    let tables = files.iter().filter(|path| !path.to_string_lossy().contains("pushes"));
    tables.map(|path| fs::metadata(path).unwrap().len()).sum()
}

#[tokio::test]
async fn with_new_functions_each_hour_memory_and_disk_stay_bounded() {
    let home = TempDir::new().unwrap();
    let mut store = open(home.path()).await;
    let (mut most_stacks, mut most_bytes) = (0, 0);
    for hour in 0..100u8 {
        let at = NOON + i64::from(hour) * HOUR_MS;
        let samples = [(hour, 10), (200, 1)];
        append(&store, push(u128::from(hour), vec![profile(1, at, &samples)])).await;
        flushed(&store).await;
        store.look_after(at + HOUR_MS).await.unwrap();
        if hour == 60 {
            store.close().await;
            drop(store);
            store = open(home.path()).await;
        }
        if hour > 30 {
            most_stacks = most_stacks.max(stacks(&store));
            most_bytes = most_bytes.max(symbol_bytes(home.path()) / 40);
        }
    }
    // A day, a little more because files and collections are of some length, and the one of always.
    assert!((24..=34).contains(&most_stacks), "{most_stacks}");
    assert!(most_bytes < 10_000, "{most_bytes}");
    let found = folded(&store, &everything()).await;
    assert!(found.len() >= 25 && found.contains_key("main;f99;g99"), "{found:?}");
    assert!(found.keys().all(|stack| !stack.contains("lost")), "{found:?}");
    store.close().await;
    drop(store);
    assert_eq!(folded(&open(home.path()).await, &everything()).await, found);
}

/// A store whose stacks 0 to 3 are in symbol files, but only 0 and 1 in samples.
async fn with_dead_symbols(folder: &Path) -> Store {
    let store = open(folder).await;
    for n in 0..4u8 {
        let at = if n < 2 { NOON } else { NOON - 48 * HOUR_MS };
        append(&store, push(u128::from(n), vec![profile(n, at, &[(n, 10)])])).await;
        flushed(&store).await;
    }
    maintenance::look_after(&store.inner.shared, NOON + HOUR_MS).unwrap();
    assert_eq!((stacks(&store), folded(&store, &everything()).await.len()), (4, 2));
    store
}

#[tokio::test]
async fn a_push_may_name_a_symbol_at_any_moment_of_its_collection() {
    for step in [Step::Begun, Step::Marked, Step::Written, Step::OldDeleted] {
        let home = TempDir::new().unwrap();
        let store = with_dead_symbols(home.path()).await;
        let pusher = store.clone();
        let runtime = tokio::runtime::Handle::current();
        let watch = move |at| {
            if at == step {
                let again = push(99, vec![profile(2, NOON, &[(2, 5), (9, 1)])]);
                runtime.block_on(pusher.append(again)).unwrap();
            }
        };
        collected(&store, Arc::new(watch)).await;
        let expected: BTreeMap<String, i64> =
            [("main;f0;g0", 10), ("main;f1;g1", 10), ("main;f2;g2", 5), ("main;f9;g9", 1)]
                .map(|(stack, value)| (stack.to_owned(), value))
                .into();
        assert_eq!(folded(&store, &everything()).await, expected, "{step:?}");
        assert_eq!(stacks(&store), 4, "{step:?}: 3 is collected, 9 is new");
        let crashed = TempDir::new().unwrap();
        copy(home.path(), crashed.path());
        let again = open(crashed.path()).await;
        assert_eq!(folded(&again, &everything()).await, expected, "{step:?}, after a crash");
        again.close().await;
        flushed(&store).await;
        store.close().await;
        drop((store, again));
        assert_eq!(folded(&open(home.path()).await, &everything()).await, expected, "{step:?}");
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_collection_loses_no_symbol_that_is_named() {
    let home = TempDir::new().unwrap();
    let base = home.path().join("base");
    let store = with_dead_symbols(&base).await;
    let expected = folded(&store, &everything()).await;
    let steps = Arc::new(StdMutex::new(Vec::new()));
    let (seen, from, to) = (Arc::clone(&steps), base.clone(), home.path().to_owned());
    let watch = move |step| {
        copy(&from, &to.join(format!("{step:?}")));
        seen.lock().unwrap().push(step);
    };
    collected(&store, Arc::new(watch)).await;
    let steps = steps.lock().unwrap().clone();
    assert_eq!((steps.len(), steps.last()), (6, Some(&Step::OldDeleted)));
    for step in steps {
        let store = open(&home.path().join(format!("{step:?}"))).await;
        assert_eq!(folded(&store, &everything()).await, expected, "{step:?}");
        store.close().await;
    }
    assert_eq!(stacks(&store), 2);
}

#[tokio::test]
async fn an_answer_taken_before_a_collection_keeps_its_names() {
    let home = TempDir::new().unwrap();
    let store = with_dead_symbols(home.path()).await;
    append(&store, push(50, vec![profile(3, NOON - 40 * HOUR_MS, &[(3, 7)])])).await;
    flushed(&store).await;
    let snapshot = store.snapshot();
    maintenance::look_after(&store.inner.shared, NOON + HOUR_MS).unwrap();
    collected(&store, Arc::new(|_| {})).await;
    assert_eq!(stacks(&store), 2);
    let (symbols, mut frames) = (snapshot.symbols(), Vec::new());
    for (stack, _) in snapshot.merge(&everything()).await.unwrap().stacks {
        symbols.frames(stack, &mut frames);
        assert_eq!(frames.len(), 3, "main, and a function with another inlined");
    }
}
