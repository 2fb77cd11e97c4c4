//! Names of functions from a file's symbol tables, loaded when first needed.

use super::symbols::SymbolTable;
use super::{ElfError, ElfFile, extent, plt};
use crate::symbol::Svma;
use crate::symbol::image::FileRange;

/// Mangled names reach a few kilobytes; what is longer is cut here.
const MAX_NAME: usize = 8 << 10;

/// The symbol tables of one file. The full table is asked first; the dynamic one, which holds what
/// other files may call, only when that has no answer.
#[derive(Debug)]
pub struct ElfSymbols {
    elf: ElfFile,
    full: Loading,
    dynamic: Loading,
}

#[derive(Debug, Default)]
enum Loading {
    #[default]
    NotYet,
    Done(SymbolTable),
    /// No such section.
    Nothing,
    Refused(ElfError),
}

impl ElfSymbols {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(elf: ElfFile) -> Self {
        Self { elf, full: Loading::NotYet, dynamic: Loading::NotYet }
    }

    /// The name of the function at `svma` as the symbol table spells it, without its version.
    /// A jump through the procedure linkage table is named `target@plt`.
    ///
    /// # Errors
    /// Says why a table was refused, if no other has the name.
    pub fn name(&mut self, svma: Svma) -> Result<Option<String>, ElfError> {
        self.full.load(&self.elf, ".symtab");
        if let Some(name) = self.full.name(&self.elf, svma) {
            return Ok(Some(name));
        }
        self.dynamic.load(&self.elf, ".dynsym");
        let name = self.dynamic.public_name(&self.elf, svma);
        let name = name.or_else(|| plt::name(&self.elf, svma));
        match (name, &self.full, &self.dynamic) {
            (None, Loading::Refused(error), _) | (None, _, Loading::Refused(error)) => {
                Err(error.clone())
            }
            (name, ..) => Ok(name),
        }
    }

    /// Where the functions begin that the tables know.
    pub(crate) fn each_function(&mut self, mut each: impl FnMut(Svma)) {
        self.full.load(&self.elf, ".symtab");
        self.dynamic.load(&self.elf, ".dynsym");
        for table in [&self.full, &self.dynamic] {
            if let Loading::Done(table) = table {
                table.starts().for_each(&mut each);
            }
        }
    }

    /// The file the tables are of.
    #[must_use]
    pub const fn elf(&self) -> &ElfFile {
        &self.elf
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.full.memory_bytes() + self.dynamic.memory_bytes()
    }
}

impl Loading {
    fn load(&mut self, elf: &ElfFile, section: &str) {
        if !matches!(self, Self::NotYet) {
            return;
        }
        *self = match elf.section(section).filter(|section| section.has_bytes()) {
            Some(section) => SymbolTable::load(elf, section).map_or_else(Self::Refused, Self::Done),
            None => Self::Nothing,
        };
    }

    fn name(&self, elf: &ElfFile, svma: Svma) -> Option<String> {
        let Self::Done(table) = self else { return None };
        table.lookup(svma).find_map(|function| read_name(elf, table.strings, function.name))
    }

    /// The same of a table that has only the functions that other files may call: assembly whose
    /// symbol has no size would else be taken for all that has no symbol behind it.
    fn public_name(&self, elf: &ElfFile, svma: Svma) -> Option<String> {
        let Self::Done(table) = self else { return None };
        table
            .lookup(svma)
            .filter(|function| function.has_size || extent::may_reach(elf, function.start, svma))
            .find_map(|function| read_name(elf, table.strings, function.name))
    }

    fn memory_bytes(&self) -> usize {
        if let Self::Done(table) = self { table.memory_bytes() } else { 0 }
    }
}

/// The string at `offset` of a string table; none where nothing or a mapping symbol is there.
pub(super) fn read_name(elf: &ElfFile, strings: FileRange, offset: u64) -> Option<String> {
    let end = strings.offset.checked_add(strings.size)?;
    let bytes = elf.image.read_c_string(strings.offset.checked_add(offset)?, end, MAX_NAME)?;
    let name = String::from_utf8_lossy(&bytes);
    let name = match name.find('@') {
        Some(version) if version > 0 => &name[..version],
        _ => &name,
    };
    (!name.is_empty() && !name.starts_with('$')).then(|| name.to_owned())
}
