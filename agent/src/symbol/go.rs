//! Go's own table of functions, files, lines and inlined calls (`.gopclntab`), which a Go program
//! needs to run and so keeps when it is stripped. Versions from Go 1.18 on. Nothing is held but where
//! things are: a lookup reads some hundred bytes of the file.
//!
//! ```text
//!  header ── functions: (start, record), sorted      record: name, tables by name of where they begin
//!              names, files, units' files            table:  (value step, length) pairs: value by pc
//!  module data (elsewhere): where code begins, where the trees of inlined calls are
//! ```

use std::ops::Range;

use object::{Endian as _, Endianness, elf};

use super::Svma;
use super::dwarf::SourceFrame;
use super::elf::{ElfFile, Section};
use super::image::{FileRange, Image};

/// More functions than any program has.
const MAX_FUNCTIONS: u64 = 8 << 20;
/// Calls inlined into each other at one place.
const MAX_INLINED: usize = 64;
/// Bytes of one table that are looked at; the largest functions have some ten thousand.
const MAX_TABLE: u64 = 1 << 20;
/// Bytes of data and relocations that are searched for the module data.
const MAX_SEARCHED: u64 = 16 << 20;
/// Places that may be the module data; in honest programs there are one or two.
const MAX_CANDIDATES: usize = 16;
const MAX_NAME: usize = 8 << 10;
/// A function's record, without the tables behind it.
const RECORD_BYTES: u64 = 44;
/// `abi.FuncFlagTopFrame`.
const IS_FIRST: u8 = 1;
const CHUNK: u64 = 64 << 10;

/// The table's layout changed twice since 1.18; the first is in every word of it.
const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;

/// `PCDATA_InlTreeIndex` and `FUNCDATA_InlTree` in Go's `internal/abi`.
const INLINE_INDEX_TABLE: u64 = 2;
const INLINE_TREE: u64 = 3;

/// Words of the module data, counted in pointers.
const MODULE_NAMES: u64 = 1;
const MODULE_TEXT: u64 = 22;
const MODULE_WORDS: u64 = 41;

/// A Go program's table.
#[derive(Debug)]
pub struct GoTable {
    image: Image,
    endian: Endianness,
    /// Size of a pointer in bytes.
    pointer: u64,
    /// Length of the shortest instruction in bytes.
    quantum: u64,
    since_1_20: bool,
    /// File offsets of the whole table and its parts.
    table: (u64, u64),
    function_count: u64,
    names: u64,
    unit_files: u64,
    files: u64,
    pc_tables: u64,
    functions: u64,
    /// Address of the first function.
    text: u64,
    /// File offset that trees of inlined calls count from.
    inline_trees: Option<u64>,
}

/// One function's record.
struct Record {
    /// File offset.
    at: u64,
    /// Address of the first instruction.
    entry: u64,
}

impl GoTable {
    /// Where the table is. All Go programs have one, also those whose table is of another version.
    pub(crate) fn section(elf: &ElfFile) -> Option<&Section> {
        [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| elf.section(name))
    }

    /// Finds the table; none in programs of other languages, or where it makes no sense.
    #[must_use]
    pub fn open(elf: &ElfFile) -> Option<Self> {
        let section = Self::section(elf)?;
        if !section.has_bytes() || section.is_compressed() {
            return None;
        }
        let (image, endian) = (elf.image().clone(), elf.endian());
        let at = section.file.offset;
        let mut header = [0; 8];
        image.read_into(at, &mut header, "pclntab").ok()?;
        let magic = endian.read_u32([header[0], header[1], header[2], header[3]]);
        let [quantum, pointer] = [header[6], header[7]].map(u64::from);
        let sound = matches!(magic, MAGIC_1_18 | MAGIC_1_20)
            && matches!(quantum, 1 | 2 | 4)
            && matches!(pointer, 4 | 8);
        if !sound {
            return None;
        }
        let mut table = Self {
            image,
            endian,
            pointer,
            quantum,
            since_1_20: magic == MAGIC_1_20,
            table: (at, at.checked_add(section.file.size)?.min(elf.image().size_bytes())),
            function_count: 0,
            names: 0,
            unit_files: 0,
            files: 0,
            pc_tables: 0,
            functions: 0,
            text: 0,
            inline_trees: None,
        };
        let word = |index: u64| table.word(at + 8 + index * pointer);
        let part = |index: u64| at.checked_add(word(index)?).filter(|part| *part < table.table.1);
        let (function_count, text) = (word(0)?, word(2)?);
        let parts = [part(3)?, part(4)?, part(5)?, part(6)?, part(7)?];
        [table.names, table.unit_files, table.files, table.pc_tables, table.functions] = parts;
        table.function_count = function_count;
        if function_count == 0 || function_count > MAX_FUNCTIONS {
            return None;
        }
        // Newer linkers leave the start of the code out, and older ones leave it to the loader.
        let first_code = elf.section(".text").map_or(0, |section| section.svma.0);
        table.text = if text == 0 { first_code } else { text };
        if let Some(module) = table.module_data(elf, section) {
            table.text = module.text;
            table.inline_trees = module.inline_trees;
        }
        Some(table)
    }

    /// The functions at `svma`, innermost inlined one first; none where the table has no function.
    #[must_use]
    pub fn frames(&self, svma: Svma) -> Option<Vec<SourceFrame>> {
        let record = self.record(svma)?;
        let mut frames = Vec::new();
        let mut pc = svma.0;
        while frames.len() < MAX_INLINED {
            let (file, line) = self.position(&record, pc);
            let Some(call) = self.inlined_call(&record, pc) else {
                let name = Some(self.name(self.u32(record.at + 4)?)?);
                frames.push(SourceFrame { name, file, line });
                return Some(frames);
            };
            frames.push(SourceFrame { name: Some(self.name(call.name)?), file, line });
            pc = record.entry.checked_add(call.parent_pc)?;
        }
        None
    }

    /// Functions of `start..end` at which walks end: where a goroutine begins, or a thread of the
    /// runtime, which Go marks for its own walks; and where the scheduler takes over from a
    /// goroutine, on a stack of its own whose frames lead nowhere.
    pub(crate) fn first_functions(&self, start: u64, end: u64) -> Vec<Range<u64>> {
        self.find_first_functions(start, end).unwrap_or_default()
    }

    fn find_first_functions(&self, start: u64, end: u64) -> Option<Vec<Range<u64>>> {
        let (first, last) = (self.behind(start).saturating_sub(1), self.behind(end));
        // One more: its beginning ends the one before.
        let count = last.saturating_sub(first) + 1;
        let size = count.checked_mul(8).filter(|size| *size <= MAX_TABLE)?;
        let range = FileRange { offset: self.functions + first * 8, size };
        let entries = self.image.read(range, MAX_TABLE, "pclntab").ok()?;
        let entry = |number: usize| {
            let word = |at: usize| Some(self.endian.read_u32(*entries.get(at..)?.first_chunk()?));
            Some((self.text.checked_add(word(number * 8)?.into())?, word(number * 8 + 4)?))
        };
        let (_, records) = entry(0)?;
        let (_, behind) = entry(usize::try_from(count).ok()?.checked_sub(2)?)?;
        let size = u64::from(behind).checked_sub(records.into())?.checked_add(RECORD_BYTES)?;
        let offset = self.functions.checked_add(records.into())?;
        let bytes = self.image.read(FileRange { offset, size }, MAX_TABLE, "pclntab").ok()?;
        let flags_at = if self.since_1_20 { 41 } else { 37 };
        let mut found = Vec::new();
        for number in 0..usize::try_from(count).ok()?.saturating_sub(1) {
            let ((begin, record), (next, _)) = (entry(number)?, entry(number + 1)?);
            let record = record.checked_sub(records)? as usize;
            let Some(&[id, flags]) = bytes.get(record + flags_at - 1..record + flags_at + 1) else {
                return None;
            };
            let at = offset.checked_add(record as u64)?;
            let is_mcall = || self.name(self.u32(at + 4)?).filter(|name| name == "runtime.mcall");
            // Functions that the runtime treats as special have a number; it changes with versions.
            if flags & IS_FIRST != 0 || (id != 0 && is_mcall().is_some()) {
                found.push(begin..next);
            }
        }
        Some(found)
    }

    /// How many functions begin at or before an address.
    fn behind(&self, address: u64) -> u64 {
        let Some(target) = address.checked_sub(self.text) else { return 0 };
        let (mut low, mut high) = (0, self.function_count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.u32(self.functions + middle * 8) {
                Some(start) if u64::from(start) <= target => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The last function that begins at or before an address. The one behind the last is no function:
    /// it ends the code.
    fn record(&self, svma: Svma) -> Option<Record> {
        let target = svma.0.checked_sub(self.text)?;
        let number = self.behind(svma.0).checked_sub(1)?;
        if target >= self.u32(self.functions + self.function_count * 8)?.into() {
            return None;
        }
        let offset = self.u32(self.functions + number * 8 + 4)?;
        let at = self.functions.checked_add(offset.into())?;
        Some(Record { at, entry: self.text.checked_add(self.u32(at)?.into())? })
    }

    fn position(&self, record: &Record, pc: u64) -> (Option<String>, u32) {
        let value = |field| self.value(record, self.u32(record.at + field)?, pc);
        let line = value(24).and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
        let file = value(20).and_then(|number| {
            let number = u64::try_from(number).ok()?;
            let unit: u64 = self.u32(record.at + 32)?.into();
            let place = self.u32(self.unit_files.checked_add((unit + number) * 4)?)?;
            self.text_at(self.files.checked_add(place.into())?)
        });
        (file, line)
    }

    /// The call that was inlined at `pc`.
    fn inlined_call(&self, record: &Record, pc: u64) -> Option<InlinedCall> {
        let trees = self.inline_trees?;
        let tables: u64 = self.u32(record.at + 28)?.into();
        let behind = record.at + if self.since_1_20 { 44 } else { 40 };
        let mut counts = [0; 1];
        self.image.read_into(behind - 1, &mut counts, "pclntab").ok()?;
        if tables <= INLINE_INDEX_TABLE || u64::from(counts[0]) <= INLINE_TREE {
            return None;
        }
        let index = self.value(record, self.u32(behind + INLINE_INDEX_TABLE * 4)?, pc)?;
        let index = u64::try_from(index).ok()?;
        let tree = self.u32(behind.checked_add((tables + INLINE_TREE) * 4)?)?;
        if tree == u32::MAX {
            return None;
        }
        let tree = trees.checked_add(tree.into())?;
        let (size, name, parent_pc) = if self.since_1_20 { (16, 4, 8) } else { (20, 12, 16) };
        let call = tree.checked_add(index.checked_mul(size)?)?;
        let parent_pc = self.raw_u32(call.checked_add(parent_pc)?)?.into();
        Some(InlinedCall { name: self.raw_u32(call + name)?, parent_pc })
    }

    /// The value that a table has for `pc`; none past its end.
    fn value(&self, record: &Record, table: u32, pc: u64) -> Option<i32> {
        let mut bytes = Bytes::at(self, self.pc_tables.checked_add(table.into())?);
        if table == 0 {
            return None;
        }
        let (mut value, mut end) = (-1_i32, record.entry);
        loop {
            let step = bytes.varint()?;
            if step == 0 && end != record.entry {
                return None;
            }
            // Zigzag: the lowest bit is the sign.
            value = value.wrapping_add(((step >> 1) ^ (step & 1).wrapping_neg()).cast_signed());
            end = end.checked_add(u64::from(bytes.varint()?) * self.quantum)?;
            if pc < end {
                return Some(value);
            }
        }
    }

    fn name(&self, offset: u32) -> Option<String> {
        self.text_at(self.names.checked_add(offset.into())?)
    }

    fn text_at(&self, at: u64) -> Option<String> {
        let bytes = self.image.read_c_string(at, self.table.1, MAX_NAME)?;
        Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty())
    }

    /// Inside the table.
    fn u32(&self, at: u64) -> Option<u32> {
        (at >= self.table.0 && at < self.table.1).then(|| self.raw_u32(at))?
    }

    fn raw_u32(&self, at: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.image.read_into(at, &mut bytes, "pclntab").ok()?;
        Some(self.endian.read_u32(bytes))
    }

    fn word(&self, at: u64) -> Option<u64> {
        if self.pointer == 4 {
            return self.raw_u32(at).map(u64::from);
        }
        let mut bytes = [0; 8];
        self.image.read_into(at, &mut bytes, "pclntab").ok()?;
        Some(self.endian.read_u64(bytes))
    }

    /// Finds the module data by what it begins with: the address of the table, and then that of the
    /// names. In a program that may be loaded anywhere both are in relocations instead.
    fn module_data(&self, elf: &ElfFile, section: &Section) -> Option<Module> {
        let relocated = relocations(elf);
        let table = section.svma.0;
        let word_at = |svma: u64| {
            relocated.iter().find(|(at, _)| *at == svma).map(|(_, value)| *value).or_else(|| {
                let offset = elf.offset_of(Svma(svma))?;
                self.word(offset.0).filter(|word| *word != 0)
            })
        };
        let names = table.wrapping_add(self.names - self.table.0);
        let is_module = |svma: &u64| {
            svma.checked_add(MODULE_WORDS * self.pointer).is_some()
                && word_at(svma + MODULE_NAMES * self.pointer) == Some(names)
        };
        let by_relocation =
            relocated.iter().filter(|(_, value)| *value == table).map(|(at, _)| *at);
        let module = by_relocation
            .chain(self.words_equal_to(elf, table))
            .take(MAX_CANDIDATES)
            .find(is_module)?;
        let word = |index: u64| word_at(module + index * self.pointer);
        let text = word(MODULE_TEXT).filter(|text| elf.is_code(Svma(*text)))?;
        let trees = word(if self.since_1_20 { 40 } else { 38 });
        let inline_trees = trees.and_then(|trees| elf.offset_of(Svma(trees)));
        Some(Module { text, inline_trees: inline_trees.map(|offset| offset.0) })
    }

    /// Addresses in data sections of words that hold `value`.
    fn words_equal_to(&self, elf: &ElfFile, value: u64) -> Vec<u64> {
        let names = [".go.module", ".noptrdata", ".data", ".data.rel.ro"];
        let mut found = Vec::new();
        for section in names.iter().filter_map(|name| elf.section(name)).filter(|s| s.has_bytes()) {
            let size = section.file.size.min(MAX_SEARCHED);
            for start in (0..size).step_by(usize::try_from(CHUNK).unwrap_or(1)) {
                let range = FileRange {
                    offset: section.file.offset.saturating_add(start),
                    size: CHUNK.min(size - start),
                };
                let Ok(bytes) = self.image.read(range, CHUNK, "Go's module data") else { break };
                let width = usize::try_from(self.pointer).unwrap_or(8);
                for (number, word) in bytes.chunks_exact(width).enumerate() {
                    let word = match *word {
                        [a, b, c, d] => self.endian.read_u32([a, b, c, d]).into(),
                        [a, b, c, d, e, f, g, h] => self.endian.read_u64([a, b, c, d, e, f, g, h]),
                        _ => continue,
                    };
                    if word == value {
                        let into = start + number as u64 * self.pointer;
                        found.push(section.svma.0.wrapping_add(into));
                    }
                }
            }
        }
        found
    }
}

struct InlinedCall {
    name: u32,
    parent_pc: u64,
}

struct Module {
    text: u64,
    inline_trees: Option<u64>,
}

/// Words that the loader fills in: where, and with what (before the file is moved). Only of 64-bit
/// programs that may be loaded anywhere; those of other data are among them.
fn relocations(elf: &ElfFile) -> Vec<(u64, u64)> {
    let relative = match elf.machine() {
        elf::EM_X86_64 => 8_u64,
        elf::EM_AARCH64 => 1027,
        _ => return Vec::new(),
    };
    let Some(section) = elf.section(".rela.dyn").or_else(|| elf.section(".rela")) else {
        return Vec::new();
    };
    let range = FileRange { size: section.file.size.min(MAX_SEARCHED) / 24 * 24, ..section.file };
    let Ok(bytes) = elf.image().read(range, MAX_SEARCHED, "relocations") else { return Vec::new() };
    let word =
        |bytes: &[u8]| bytes.first_chunk::<8>().map_or(0, |word| elf.endian().read_u64(*word));
    let records = bytes.chunks_exact(24).filter(|record| word(&record[8..]) == relative);
    records.map(|record| (word(record), word(&record[16..]))).collect()
}

/// Bytes of a table, read some at a time.
struct Bytes<'a> {
    table: &'a GoTable,
    next: u64,
    end: u64,
    buffer: [u8; 256],
    filled: usize,
    used: usize,
}

impl<'a> Bytes<'a> {
    fn at(table: &'a GoTable, at: u64) -> Self {
        let end = table.table.1.min(at.saturating_add(MAX_TABLE));
        Self { table, next: at, end, buffer: [0; 256], filled: 0, used: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.used == self.filled {
            let left = usize::try_from(self.end.checked_sub(self.next)?).ok()?;
            self.filled = left.min(self.buffer.len());
            self.used = 0;
            let buffer = &mut self.buffer[..self.filled];
            self.table.image.read_into(self.next, buffer, "pclntab").ok()?;
            self.next += self.filled as u64;
        }
        let byte = *self.buffer[..self.filled].get(self.used)?;
        self.used += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
