//! Facts about files whose bytes are not what was written.

use super::*;

fn sample_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = files::list(&folder.join("samples")).unwrap();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    files
}

/// Three hours of samples in three files of an open store.
async fn open_store(folder: &Path) -> Store {
    crashed(folder).await;
    Store::open(settings(folder)).await.unwrap().close().await;
    Store::open(settings(folder)).await.unwrap()
}

#[tokio::test]
async fn a_bit_flipped_anywhere_while_running_is_found_and_the_rest_is_answered() {
    let home = TempDir::new().unwrap();
    open_store(home.path()).await.close().await;
    let path = sample_files(home.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    let mut wanted = expected_of_three();
    wanted.remove("main;f2;g2");
    wanted.insert("main;f1;g1".to_owned(), 20);
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        fs::write(&path, &whole).unwrap();
        let store = Store::open(settings(home.path())).await.unwrap();
        assert_eq!(folded(&store, &everything()).await, expected_of_three(), "before {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        assert_eq!(folded(&store, &everything()).await, wanted, "byte {at}");
        let unread = store.snapshot().unread(0, i64::MAX);
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!((unread.len(), unread[0].samples), (1, 2), "byte {at}");
        assert!(unread[0].file.ends_with(&*name), "{unread:?}");
        assert_eq!(store.snapshot().unread(0, NOON - 3_600_000), []);
        store.close().await;
    }
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_remembered_until_its_samples_would_be_too_old() {
    let home = TempDir::new().unwrap();
    let store = open_store(home.path()).await;
    let path = sample_files(home.path())[0].clone();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(folded(&store, &everything()).await["main;f1;g1"], 20);
    maintenance::look_after(&store.inner.shared, NOON).unwrap();
    assert!(path.with_added_extension("damaged").exists());
    store.close().await;
    drop(store);
    let store = Store::open(settings(home.path())).await.unwrap();
    assert_eq!(folded(&store, &everything()).await["main;f1;g1"], 20);
    assert_eq!(store.snapshot().unread(0, i64::MAX).len(), 1, "still known after a restart");
    let later = NOON + 30 * 24 * 3_600_000;
    maintenance::look_after(&store.inner.shared, later).unwrap();
    assert_eq!(store.snapshot().unread(0, i64::MAX), []);
}

#[tokio::test]
async fn a_merge_never_takes_damaged_samples_over() {
    let home = TempDir::new().unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    for n in 0..3u8 {
        store.append(push(u128::from(n), vec![profile(n, NOON, &[(n, 10)])])).await.unwrap();
        store.seal().await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = Store::open(settings(home.path())).await.unwrap();
    let path = sample_files(home.path())[1].clone();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    for _round in 0..2 {
        maintenance::look_after(&store.inner.shared, NOON + 3 * 3_600_000).unwrap();
    }
    let expected = [("main;f0;g0".to_owned(), 10), ("main;f2;g2".to_owned(), 10)].into();
    assert_eq!(folded(&store, &everything()).await, expected);
    assert_eq!(sample_files(home.path()).len(), 1, "the whole ones are merged");
}

#[tokio::test]
async fn symbol_files_damaged_while_running_cost_names_only_after_a_restart_and_never_values() {
    let home = TempDir::new().unwrap();
    let store = open_store(home.path()).await;
    let tables = files::list(&home.path().join("symbols")).unwrap();
    let functions =
        tables.iter().find(|path| path.to_string_lossy().contains("functions")).unwrap();
    let mut bytes = fs::read(functions).unwrap();
    bytes[20] ^= 1;
    fs::write(functions, bytes).unwrap();
    assert_eq!(folded(&store, &everything()).await, expected_of_three());
    store.close().await;
    drop(store);
    let metrics = StoreMetrics::default();
    let store = Store::open_with(settings(home.path()), metrics.clone()).await.unwrap();
    let merged = store.merge(&everything()).await.unwrap();
    assert_eq!(merged.stacks.iter().map(|(_, value)| value).sum::<i64>(), 90);
    assert_eq!(metrics.damaged_files.get(), 1);
}

#[tokio::test]
async fn a_damaged_push_file_does_not_keep_the_store_from_opening() {
    let home = TempDir::new().unwrap();
    open_store(home.path()).await.close().await;
    let tables = files::list(&home.path().join("symbols")).unwrap();
    let pushes = tables.iter().find(|path| path.to_string_lossy().contains("pushes")).unwrap();
    let mut bytes = fs::read(pushes).unwrap();
    bytes[30] ^= 1;
    fs::write(pushes, bytes).unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    assert_eq!(folded(&store, &everything()).await, expected_of_three());
}
