//! Names in Go programs without symbols, built here by the toolchain that is installed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use object::{Object as _, ObjectSection as _};
use sonde_agent::symbol::elf::ElfFile;
use sonde_agent::symbol::go::GoTable;
use sonde_agent::symbol::image::Image;
use sonde_agent::symbol::{FileOffset, Settings, Svma, Symbol, Symbolizer};
use tempfile::TempDir;

/// `add` is inlined into `sum`, `sum` is not inlined into `main`. Lines are counted from 1.
const SOURCE: &str = "\
package main

import \"os\"

var sink int

func add(a int) {
	sink += a * 3
}

//go:noinline
func sum(n int) {
	for i := 0; i < n; i++ {
		add(i)
	}
}

func main() {
	sum(len(os.Args))
}
";

/// Name, file and line of each function, innermost first.
type Frames = Vec<(String, String, u32)>;

/// The program in a folder; none if there is no Go here or it cannot build this.
fn build(options: &[&str]) -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.go"), SOURCE).unwrap();
    let mut go = Command::new("go");
    go.current_dir(&folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod");
    go.env("GOCACHE", folder.path().join("cache")).args(["build", "-o", "program"]).args(options);
    if !go.arg("main.go").output().ok()?.status.success() {
        return None;
    }
    Some(folder)
}

/// What every fourth byte of the code is called.
fn names_in(path: &Path) -> Vec<Frames> {
    let size = path.metadata().unwrap().len();
    let elf = ElfFile::open(File::open(path).unwrap()).unwrap();
    let mut symbolizer = Symbolizer::new(Settings::default());
    let id = symbolizer.register(path.to_str().unwrap().into(), File::open(path).unwrap());
    let offsets = (0..size).step_by(4).map(FileOffset);
    let code = offsets.filter(|offset| elf.svma_of(*offset).is_some());
    let frames = code.filter_map(|offset| match symbolizer.symbolize(id, offset).1 {
        Symbol::Known(functions) => Some(
            functions
                .iter()
                .map(|f| {
                    let file = f.file.as_deref().unwrap_or_default();
                    (f.name.to_string(), file.rsplit('/').next().unwrap().to_owned(), f.line)
                })
                .collect(),
        ),
        Symbol::Unknown(_) => None,
    });
    frames.collect()
}

#[test]
fn a_stripped_go_program_has_names_files_lines_and_inlined_calls() {
    for options in [&["-ldflags=-s -w"][..], &["-ldflags=-s -w", "-buildmode=pie"]] {
        let Some(folder) = build(options) else {
            assert!(Command::new("go").arg("version").output().is_err(), "go builds {options:?}");
            return;
        };
        let all = names_in(&folder.path().join("program"));
        let frame = |name: &str, line| (name.to_owned(), "main.go".to_owned(), line);
        let inlined = vec![frame("main.add", 8), frame("main.sum", 14)];
        assert!(all.contains(&inlined), "{options:?}");
        assert!(all.contains(&vec![frame("main.main", 19)]), "{options:?}");
        let named = |name: &str| all.iter().any(|frames| frames.last().unwrap().0 == name);
        assert!(named("runtime.mallocgc") && named("runtime.goexit"), "{options:?}");
    }
}

#[test]
fn a_table_with_wrong_bytes_in_it_never_panics() {
    let Some(folder) = build(&["-ldflags=-s -w"]) else { return };
    let bytes = std::fs::read(folder.path().join("program")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let (start, size) = file.section_by_name(".gopclntab").unwrap().file_range().unwrap();
    let text = file.section_by_name(".text").unwrap().address();
    let (start, size) = (usize::try_from(start).unwrap(), usize::try_from(size).unwrap());
    // Each word of the header, and then words all over the table.
    let places = (8..72).step_by(4).chain((72..size - 4).step_by(size / 64));
    for place in places {
        for value in [0, 1, 0x7fff_ffff, u32::MAX] {
            let mut bytes = bytes.clone();
            bytes[start + place..start + place + 4].copy_from_slice(&value.to_le_bytes());
            let elf = ElfFile::parse(Image::from_bytes(bytes)).unwrap();
            let Some(table) = GoTable::open(&elf) else { continue };
            for address in (text..text + 0x10_0000).step_by(0x1001) {
                let _ = table.frames(Svma(address));
            }
        }
    }
}
