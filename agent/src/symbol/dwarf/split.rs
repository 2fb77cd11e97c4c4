//! Debug information that the compiler left in files beside the program's: `.dwo` files, one for
//! each unit, or one `.dwp` package with all of them. Found by the names that the program states,
//! believed by the id that both state.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::SplitDwarfLoad;
use gimli::{Dwarf, DwarfPackage, Reader as _};

use super::limits::Meter;
use super::reader::SectionReader;
use super::sections::{Naming, Sections};
use super::{DebugInfoLimits, DebugInfoLoss};
use crate::symbol::elf::{ElfFile, open_regular};

/// Where split files of one program are looked for.
pub(super) struct SplitFiles {
    /// The program's own file.
    path: PathBuf,
    limits: DebugInfoLimits,
    meter: Arc<Meter>,
    package: Package,
    missing: bool,
}

enum Package {
    NotYet,
    Absent,
    Found(Box<DwarfPackage<SectionReader>>),
}

impl SplitFiles {
    pub(super) fn new(path: &Path, limits: DebugInfoLimits, meter: &Arc<Meter>) -> Self {
        let (path, meter) = (path.to_owned(), Arc::clone(meter));
        Self { path, limits, meter, package: Package::NotYet, missing: false }
    }

    /// What a unit left elsewhere; none if it is not there any more.
    pub(super) fn load(
        &mut self,
        load: &SplitDwarfLoad<SectionReader>,
    ) -> Option<Arc<Dwarf<SectionReader>>> {
        if let Package::NotYet = self.package {
            let found = self.open_package();
            self.package = found.map_or(Package::Absent, |found| Package::Found(Box::new(found)));
        }
        if let Package::Found(package) = &self.package
            && let Ok(Some(unit)) = package.find_cu(load.dwo_id, &load.parent)
        {
            return Some(Arc::new(unit));
        }
        let single = self.load_single(load);
        self.missing |= single.is_none();
        single
    }

    /// Whether, since the last call, a file was not there.
    pub(super) fn take_missing(&mut self) -> bool {
        std::mem::take(&mut self.missing)
    }

    /// Forgets what can be read again.
    pub(super) fn let_go(&mut self) {
        if let Package::Found(_) = self.package {
            self.package = Package::NotYet;
        }
    }

    fn open_package(&self) -> Option<DwarfPackage<SectionReader>> {
        let mut name = self.path.clone().into_os_string();
        name.push(".dwp");
        let sections = self.sections(Path::new(&name)).ok()??;
        let load = |id| -> gimli::Result<_> { Ok(sections.reader(id)) };
        DwarfPackage::load(load, sections.empty()).ok()
    }

    fn load_single(
        &self,
        load: &SplitDwarfLoad<SectionReader>,
    ) -> Option<Arc<Dwarf<SectionReader>>> {
        let mut path = PathBuf::new();
        for part in [load.comp_dir.as_ref(), load.path.as_ref()].into_iter().flatten() {
            path.push(std::ffi::OsStr::from_bytes(&part.to_slice().ok()?));
        }
        let mut dwarf = self.sections(&path).ok()??.whole();
        let header = dwarf.units().next().ok()??;
        if dwarf.unit(header).ok()?.dwo_id != Some(load.dwo_id) {
            return None;
        }
        dwarf.make_dwo(&load.parent);
        Some(Arc::new(dwarf))
    }

    fn sections(&self, path: &Path) -> Result<Option<Sections>, DebugInfoLoss> {
        let file = open_regular(path).filter(|_| path.is_absolute());
        let Some(elf) = file.and_then(|file| ElfFile::open(file).ok()) else { return Ok(None) };
        Sections::open(&elf, Naming::Split, &self.limits, &self.meter).map(Some)
    }
}
