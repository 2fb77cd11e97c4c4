//! A growing list whose copies are cheap: chunks are shared until one side writes.

use std::sync::Arc;

const CHUNK: usize = 1024;

/// An append-only list. A clone costs one pointer per list; a write after a clone copies the list
/// of chunks and the last chunk, so readers keep what they saw and writers never wait for them.
#[derive(Debug)]
pub(in crate::store) struct Chunked<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Clone for Chunked<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<T: Clone> Chunked<T> {
    pub(in crate::store) fn push(&mut self, item: T) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if self.len.is_multiple_of(CHUNK) {
            chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = chunks.last_mut() {
            Arc::make_mut(last).push(item);
            self.len += 1;
        }
    }
}

impl<T> Chunked<T> {
    pub(in crate::store) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::store) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_saw_while_the_original_grows() {
        let mut list = Chunked::default();
        (0..1500).for_each(|n| list.push(n));
        let copy = list.clone();
        (1500..4000).for_each(|n| list.push(n));
        assert_eq!(copy.iter().copied().collect::<Vec<_>>(), (0..1500).collect::<Vec<_>>());
        assert_eq!((copy.get(1500), list.get(1500), list.len()), (None, Some(&1500), 4000));
    }
}
