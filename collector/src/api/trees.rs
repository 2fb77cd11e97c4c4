//! Merged trees, kept while memory lasts, so that zoom, search and table reuse one merge. Equal
//! questions at the same time are computed once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::error::ApiError;
use super::params::Question;
use crate::query::{TimeRange, Tree};
use crate::store::{Select, Unread};

/// Key and bookkeeping of a kept tree, however small it is.
const SLOT_BYTES: usize = 1024;

/// A tree and what is known about the samples behind it.
pub(super) struct MergedTree {
    pub(super) tree: Tree,
    /// Number of events behind the tree; `None` where a sender did not say its period.
    pub(super) events: Option<f64>,
    /// Stored files whose samples it lacks.
    pub(super) unread: Vec<Unread>,
}

/// Two questions with equal keys have equal answers as long as their samples stay the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    type_text: String,
    selector: String,
    range: TimeRange,
}

#[derive(Clone)]
struct Slot {
    tree: Arc<OnceCell<Arc<MergedTree>>>,
    used: u64,
    /// Version of the store that the tree is of, and what it is about.
    version: u64,
    select: Select,
}

/// The trees that are kept.
pub(super) struct Trees {
    slots: Mutex<FxHashMap<Key, Slot>>,
    clock: AtomicU64,
    limit_bytes: usize,
}

impl Trees {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { slots: Mutex::default(), clock: AtomicU64::new(0), limit_bytes }
    }

    /// The tree of a question, computed by `merge` unless it is there or on its way. `fresh` says
    /// whether what is selected is still as it was at a version of the store.
    pub(super) async fn get(
        &self,
        question: &Question,
        fresh: impl Fn(u64, &Select) -> bool,
        merge: impl Future<Output = Result<MergedTree, ApiError>>,
    ) -> Result<Arc<MergedTree>, ApiError> {
        let cell = self.cell(question, &fresh);
        let merged = async { merge.await.map(Arc::new) };
        let result = cell.get_or_try_init(|| merged).await.map(Arc::clone);
        self.shrink(&fresh);
        result
    }

    fn cell(
        &self,
        question: &Question,
        fresh: &impl Fn(u64, &Select) -> bool,
    ) -> Arc<OnceCell<Arc<MergedTree>>> {
        let key = Key {
            type_text: question.type_text.clone(),
            selector: question.selector_text.clone(),
            range: question.range,
        };
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        let new = || Slot {
            tree: Arc::default(),
            used,
            version: question.snapshot.version(),
            select: question.select.clone(),
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_insert_with(new);
        if !fresh(slot.version, &slot.select) {
            *slot = new();
        }
        slot.used = used;
        Arc::clone(&slot.tree)
    }

    /// Drops what failed or was given up, what newer data made old, and then the longest unused
    /// until the rest fits.
    fn shrink(&self, fresh: &impl Fn(u64, &Select) -> bool) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| match slot.tree.get() {
            Some(_) => fresh(slot.version, &slot.select),
            None => Arc::strong_count(&slot.tree) > 1,
        });
        let mut by_use: Vec<(u64, usize, Key)> = slots
            .iter()
            .filter_map(|(key, slot)| {
                Some((slot.used, slot.tree.get()?.tree.bytes() + SLOT_BYTES, key.clone()))
            })
            .collect();
        by_use.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut total = 0;
        for (_, bytes, key) in by_use {
            total += bytes;
            if total > self.limit_bytes {
                slots.remove(&key);
            }
        }
    }

    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let trees = || slots.values().filter_map(|slot| slot.tree.get());
        (trees().count(), trees().map(|tree| tree.tree.bytes()).sum())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]
mod tests {
    use super::*;
    use crate::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};
    use crate::query::{parse_selector, parse_type};
    use crate::store::{Push, Store, StoreSettings};

    const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    const MINUTE: i64 = 60_000;
    const NOON: i64 = 1_700_000_000_000 / MINUTE * MINUTE;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let data_dir = folder.path().to_owned();
        Store::open(StoreSettings { data_dir, ..StoreSettings::default() }).await.unwrap()
    }

    fn question(store: &Store, selector: &str, minutes: std::ops::Range<i64>) -> Question {
        let range = TimeRange {
            from_ms: NOON + minutes.start * MINUTE,
            until_ms: NOON + minutes.end * MINUTE,
        };
        let select = Select {
            profile_type: Some(parse_type(TYPE).unwrap()),
            matchers: parse_selector(selector).unwrap(),
            from_unix_ms: range.from_ms,
            until_unix_ms: range.until_ms,
        };
        let (type_text, selector_text) = (TYPE.to_owned(), selector.to_owned());
        let snapshot = store.snapshot();
        Question { select, range, window_ms: 1, type_text, selector_text, snapshot }
    }

    async fn push(store: &Store, service: &str, minute: i64) {
        let ProfileType { name, sample_type, sample_unit, period_type, period_unit } =
            parse_type(TYPE).unwrap();
        let profile = Profile {
            profile_type: ProfileType { name, sample_type, sample_unit, period_type, period_unit },
            period: 1,
            start_unix_ms: NOON + minute * MINUTE,
            duration_ms: 10_000,
            series: vec![Labels(Arc::from([("service_name".into(), service.into())]))],
            frames: vec![Frame { name: "f".into(), system_name: "".into(), file: "".into() }],
            locations: vec![Location {
                address: 1,
                binary: "b".into(),
                build_id: "".into(),
                frames: vec![0],
                lines: vec![1],
            }],
            samples: vec![Sample { series: 0, stack: vec![0], value: 1 }],
        };
        let digest = u128::from(store.snapshot().version()) + 1;
        store.append(Push { digest, profiles: vec![profile], ..Push::default() }).await.unwrap();
    }

    /// Asks, and says whether that took a merge.
    async fn merges(trees: &Trees, store: &Store, question: &Question, tree: &Tree) -> bool {
        let merged = AtomicU64::new(0);
        let merge = async {
            merged.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(MergedTree { tree: tree.clone(), events: None, unread: Vec::new() })
        };
        let fresh = |version: u64, select: &Select| !store.changed_since(version, select);
        trees.get(question, fresh, merge).await.unwrap();
        merged.into_inner() == 1
    }

    #[tokio::test]
    async fn equal_questions_at_the_same_time_are_merged_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trees) = (store(&folder).await, Trees::new(1 << 20));
        let (a, b) = (question(&store, "", 0..1), question(&store, "", 0..1));
        let tree = Tree::default();
        let (first, second) =
            tokio::join!(merges(&trees, &store, &a, &tree), merges(&trees, &store, &b, &tree));
        assert!(first != second);
    }

    #[tokio::test]
    async fn a_push_makes_only_the_trees_old_that_it_touches() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trees) = (store(&folder).await, Trees::new(1 << 20));
        let tree = Tree::default();
        let shop = "{service_name=\"shop\"}";
        let cases =
            [(shop, 0..10), (shop, 20..30), ("{service_name=\"other\"}", 0..10), ("", 0..10)];
        push(&store, "shop", 5).await;
        for (selector, minutes) in cases.clone() {
            let asked = question(&store, selector, minutes);
            assert!(merges(&trees, &store, &asked, &tree).await);
            assert!(!merges(&trees, &store, &asked, &tree).await);
        }
        push(&store, "shop", 5).await;
        let mut again = Vec::new();
        for (selector, minutes) in cases {
            let asked = question(&store, selector, minutes);
            again.push(merges(&trees, &store, &asked, &tree).await);
        }
        assert_eq!(again, [true, false, false, true]);
    }

    #[tokio::test]
    async fn a_failed_merge_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trees) = (store(&folder).await, Trees::new(1 << 20));
        let asked = question(&store, "", 0..1);
        let failed = trees.get(&asked, |_, _| true, async { Err(ApiError::Busy) }).await;
        assert!(failed.is_err());
        assert!(merges(&trees, &store, &asked, &Tree::default()).await);
    }

    #[tokio::test]
    async fn trees_of_a_million_nodes_are_kept_by_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trees) = (store(&folder).await, Trees::new(128 << 20));
        let tree = Tree::of_size(1_000_000);
        for n in 0..7 {
            assert!(merges(&trees, &store, &question(&store, "", n..n + 1), &tree).await);
            assert!(trees.kept().1 <= 128 << 20, "after {n}: {:?}", trees.kept());
        }
        assert!(trees.kept().0 >= 2, "what fits is kept: {:?}", trees.kept());
        assert!(!merges(&trees, &store, &question(&store, "", 6..7), &tree).await);
    }
}
