//! The files that a process maps code from, as framehop and gimli want them.

use std::{cell::RefCell, collections::HashMap, ops::Range, rc::Rc, sync::Arc};

use object::{Object as _, ObjectSection as _, ObjectSegment as _};

use super::recording::Map;

/// A section: where it is, by the file's own addresses, and its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    pub(crate) svma: u64,
    pub(crate) bytes: Arc<[u8]>,
}

impl Piece {
    pub(crate) fn range(&self) -> Range<u64> {
        self.svma..self.svma + self.bytes.len() as u64
    }
}

/// What one file says.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) eh_frame: Option<Piece>,
    pub(crate) eh_frame_hdr: Option<Piece>,
    pub(crate) text: Option<Piece>,
    /// First address of each loaded segment, and the part of the file that is there.
    segments: Vec<(u64, Range<u64>)>,
}

/// One file where it is mapped.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) path: String,
    pub(crate) code: Range<u64>,
    /// What to add to the file's own addresses.
    pub(crate) bias: u64,
    pub(crate) parsed: Rc<Parsed>,
}

pub(crate) struct Modules(pub(crate) Vec<Module>);

thread_local! {
    /// Files are the same from stop to stop, and large.
    static KNOWN: RefCell<HashMap<String, Option<Rc<Parsed>>>> = RefCell::default();
}

impl Modules {
    pub(crate) fn of(maps: &[Map]) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        for map in maps.iter().filter(|map| map.executable && map.path.starts_with('/')) {
            let known = KNOWN.with_borrow_mut(|known| {
                known.entry(map.path.clone()).or_insert_with(|| parse(&map.path)).clone()
            });
            let Some(parsed) = known else { continue };
            let holds = |(_, file): &&(u64, Range<u64>)| {
                file.start & !4095 <= map.offset && map.offset < file.end
            };
            let Some((svma, file)) = parsed.segments.iter().rev().find(holds) else { continue };
            let bias =
                map.start.wrapping_add(file.start).wrapping_sub(map.offset).wrapping_sub(*svma);
            let (path, code) = (map.path.clone(), map.start..map.end);
            modules.push(Module { path, code, bias, parsed });
        }
        Self(modules)
    }

    pub(crate) fn at(&self, address: u64) -> Option<&Module> {
        self.0.iter().find(|module| module.code.contains(&address))
    }

    /// File name of the code at an address.
    pub(crate) fn name_at(&self, address: u64) -> Option<String> {
        let path = &self.at(address)?.path;
        path.rsplit('/').next().map(str::to_owned)
    }
}

fn parse(path: &str) -> Option<Rc<Parsed>> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let piece = |name| {
        let section = file.section_by_name(name)?;
        Some(Piece { svma: section.address(), bytes: section.data().ok()?.into() })
    };
    let segments = file.segments().map(|segment| {
        let (offset, size) = segment.file_range();
        (segment.address(), offset..offset + size)
    });
    Some(Rc::new(Parsed {
        eh_frame: piece(".eh_frame"),
        eh_frame_hdr: piece(".eh_frame_hdr"),
        text: piece(".text"),
        segments: segments.collect(),
    }))
}
