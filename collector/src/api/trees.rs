//! Merged trees, kept while memory lasts, so that zoom, search and table reuse one merge. Equal
//! questions at the same time are computed once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::error::ApiError;
use super::params::Question;
use crate::query::{TimeRange, Tree};

/// A tree and what is known about the samples behind it.
pub(super) struct MergedTree {
    pub(super) tree: Tree,
    /// Number of events behind the tree; `None` where a sender did not say its period.
    pub(super) events: Option<f64>,
}

/// Two questions with equal keys have equal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    type_text: String,
    selector: String,
    range: TimeRange,
    version: u64,
}

#[derive(Clone)]
struct Slot {
    tree: Arc<OnceCell<Arc<MergedTree>>>,
    used: u64,
}

/// The trees that are kept.
pub(super) struct Trees {
    slots: Mutex<FxHashMap<Key, Slot>>,
    clock: AtomicU64,
    /// Grows with every request that stored something.
    version: AtomicU64,
    limit_bytes: usize,
}

impl Trees {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            slots: Mutex::default(),
            clock: AtomicU64::new(0),
            version: AtomicU64::new(0),
            limit_bytes,
        }
    }

    /// Something was stored: trees merged before may lack it.
    pub(super) fn data_changed(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// The key of a question asked now.
    pub(super) fn key(&self, question: &Question) -> Key {
        Key {
            type_text: question.type_text.clone(),
            selector: question.selector_text.clone(),
            range: question.range,
            version: self.version.load(Ordering::SeqCst),
        }
    }

    /// The tree of a key, computed by `merge` unless it is there or on its way.
    pub(super) async fn get(
        &self,
        key: &Key,
        merge: impl Future<Output = Result<MergedTree, ApiError>>,
    ) -> Result<Arc<MergedTree>, ApiError> {
        let cell = self.cell(key);
        let merged = async { merge.await.map(Arc::new) };
        let result = cell.get_or_try_init(|| merged).await.map(Arc::clone);
        self.shrink();
        result
    }

    fn cell(&self, key: &Key) -> Arc<OnceCell<Arc<MergedTree>>> {
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot { tree: Arc::default(), used });
        slot.used = used;
        Arc::clone(&slot.tree)
    }

    /// Drops what failed or was given up, what newer data made old, and then the longest unused
    /// until the rest fits.
    fn shrink(&self) {
        let version = self.version.load(Ordering::SeqCst);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|key, slot| match slot.tree.get() {
            Some(_) => key.version == version,
            None => Arc::strong_count(&slot.tree) > 1,
        });
        let mut by_use: Vec<(u64, usize, Key)> = slots
            .iter()
            .filter_map(|(key, slot)| Some((slot.used, slot.tree.get()?.tree.bytes(), key.clone())))
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
    fn len(&self) -> usize {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(trees: &Trees, selector: &str) -> Key {
        let range = TimeRange { from_ms: 0, until_ms: 1 };
        let version = trees.version.load(Ordering::SeqCst);
        Key { type_text: String::new(), selector: selector.to_owned(), range, version }
    }

    fn merged() -> MergedTree {
        MergedTree { tree: Tree::default(), events: None }
    }

    #[tokio::test]
    async fn equal_questions_at_the_same_time_are_merged_once() {
        let trees = Trees::new(1 << 20);
        let merges = AtomicU64::new(0);
        let ask = || async {
            let merge = async {
                merges.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(merged())
            };
            trees.get(&key(&trees, "a"), merge).await.map(|_| ())
        };
        let (first, second) = tokio::join!(ask(), ask());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(merges.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failed_merge_is_tried_again_and_old_trees_go() {
        let trees = Trees::new(1 << 20);
        let failed = trees.get(&key(&trees, "a"), async { Err(ApiError::Busy) }).await;
        assert!(failed.is_err());
        assert!(trees.get(&key(&trees, "a"), async { Ok(merged()) }).await.is_ok());
        trees.data_changed();
        assert!(trees.get(&key(&trees, "b"), async { Ok(merged()) }).await.is_ok());
        assert_eq!(trees.len(), 1, "only the tree of the newest data is kept");
    }
}
