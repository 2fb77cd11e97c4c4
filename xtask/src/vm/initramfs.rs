//! The guest's file system: an archive in the kernel's "newc" format (`Documentation/driver-api/
//! early-userspace/buffer-format.rst`), which the kernel unpacks into memory at boot.
//!
//! ```text
//!  "070701", 13 fields of 8 hex digits   110 bytes
//!  name, NUL                             padded with the header to a multiple of 4
//!  content                               padded to a multiple of 4
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

#[derive(Default)]
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Initramfs {
    /// Adds a folder, and those above it.
    pub(super) fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.folders.contains(path) {
            return;
        }
        self.parent(path);
        self.folders.insert(path.to_owned());
        self.entry(path, FOLDER, &[]);
    }

    /// Adds a file that may be executed, and the folders above it.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        self.parent(path);
        self.entry(path, PROGRAM, content);
    }

    /// Adds a copy of a file of this system.
    pub(super) fn copy(&mut self, from: &Path, path: &str) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("read {}", from.display()))?;
        self.file(path, &content);
        Ok(())
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.parent(path);
        self.entry(path, LINK, target.as_bytes());
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn parent(&mut self, path: &str) {
        if let Some((folder, _)) = path.trim_matches('/').rsplit_once('/') {
            self.folder(folder);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        let name = path.trim_start_matches('/');
        self.entries += 1;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
        // namesize with its NUL, check.
        let (ino, size, length) = (self.entries as usize, content.len(), name.len() + 1);
        let fields = [ino, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of every entry, read back by the format's rules.
    fn entries(bytes: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let field = |number: usize| {
                let digits = &bytes[at + 6 + 8 * number..][..8];
                usize::from_str_radix(str::from_utf8(digits).unwrap_or("?"), 16).unwrap_or(0)
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (mode, size, name) = (field(1), field(6), field(11));
            let text = String::from_utf8_lossy(&bytes[at + 110..][..name - 1]).into_owned();
            let content = (at + 110 + name).next_multiple_of(4);
            entries.push((text, mode, bytes[content..content + size].to_vec()));
            at = (content + size).next_multiple_of(4);
        }
        entries
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_once() {
        let mut image = Initramfs::default();
        image.file("/a/b/one", b"1");
        image.file("/a/two", b"22222");
        image.link("/bin/sh", "busybox");
        let entries = entries(&image.finish());
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/two", "bin", "bin/sh", "TRAILER!!!"]);
        assert_eq!(entries[2].2, b"1");
        assert_eq!((entries[3].1, &entries[3].2[..]), (PROGRAM as usize, &b"22222"[..]));
        assert_eq!((entries[5].1, &entries[5].2[..]), (LINK as usize, &b"busybox"[..]));
    }
}
