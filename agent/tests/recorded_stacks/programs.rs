//! Programs that work while they are stopped and looked at. Those that this machine does not have are
//! told and left out; a compiler for C++ and cargo itself are needed.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::recording::{Recording, record};

/// Between two stops.
const PAUSE: Duration = Duration::from_millis(60);

pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Starts it in a folder of its own.
    start: fn(&Path) -> Option<Child>,
    stops: usize,
}

pub(crate) fn all() -> [Program; 7] {
    let program = |name, start, stops| Program { name, start, stops };
    [
        program("c++", throws as fn(&Path) -> Option<Child>, 40),
        program("loader", loader, 40),
        program("cargo", cargo, 60),
        program("python3", python, 30),
        program("git", git, 20),
        program("node", node, 20),
        program("go", go, 20),
    ]
}

impl Program {
    /// Runs it, and stops it and its children again and again. Whether this machine has it.
    pub(crate) fn run(&self, mut look: impl FnMut(Vec<Recording>)) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let Some(mut child) = (self.start)(folder.path()) else {
            println!("{}: not on this machine", self.name);
            return false;
        };
        for _ in 0..self.stops {
            std::thread::sleep(PAUSE);
            if !matches!(child.try_wait(), Ok(None)) {
                return true; // Its pid may be another's by now.
            }
            for pid in family(child.id()) {
                look(record(pid));
            }
        }
        for pid in family(child.id()) {
            let pid = libc::pid_t::try_from(pid).unwrap();
            // SAFETY: this takes no memory; they are our child and its children.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let _ended = child.wait();
        true
    }
}

/// A process, its children, and theirs: any of its threads may have started them.
fn family(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| child.parse().ok())
        .collect();
    [pid].into_iter().chain(children.into_iter().flat_map(family)).collect()
}

fn spawn(command: &mut Command) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

fn compile(folder: &Path, compiler: &str, source: &Path, more: &[&str]) -> PathBuf {
    let program = folder.join("program");
    let mut command = Command::new(compiler);
    command.args(["-O2", "-fomit-frame-pointer", "-o"]).arg(&program).arg(source).args(more);
    assert!(command.status().unwrap().success(), "{compiler} {}", source.display());
    program
}

fn workload(name: &str) -> PathBuf {
    // Of the checkout that cargo runs in, as a path for programs that run elsewhere.
    std::path::absolute(Path::new("../tests/workloads/bare").join(name)).unwrap()
}

/// Exceptions thrown through ten frames, virtual calls.
fn throws(folder: &Path) -> Option<Child> {
    let program = compile(folder, "g++", &workload("throws.cpp"), &[]);
    spawn(Command::new(program).arg("60"))
}

/// The dynamic loader at work, called and by lazy binding, and the C library's sort.
fn loader(folder: &Path) -> Option<Child> {
    let source = "#include <dlfcn.h>
        #include <stdlib.h>
        #include <string.h>
        static int compare(const void *one, const void *other) {
            return *(const int *)one - *(const int *)other;
        }
        int main(void) {
            static int numbers[3000];
            for (;;) {
                void *library = dlopen(\"libm.so.6\", RTLD_NOW);
                void *other = dlopen(\"libresolv.so.2\", RTLD_NOW);
                for (int i = 0; i < 3000; i++) numbers[i] = i * 7919 % 3001;
                qsort(numbers, 3000, sizeof *numbers, compare);
                if (library) dlclose(library);
                if (other) dlclose(other);
            }
        }";
    std::fs::write(folder.join("loader.c"), source).unwrap();
    let program = compile(folder, "cc", &folder.join("loader.c"), &["-ldl"]);
    spawn(&mut Command::new(program))
}

/// Cargo, which waits, and rustc, which has much to optimise.
fn cargo(folder: &Path) -> Option<Child> {
    let manifest = "[package]\nname = \"much\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [lib]\npath = \"much.rs\"\n[workspace]\n";
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let mut source = String::new();
    for number in 1..300 {
        writeln!(
            source,
            "pub fn f{number}(v: &[u{width}]) -> Vec<u{width}> {{
                let mut v: Vec<_> = v.iter().map(|x| x.wrapping_mul({number})).collect();
                v.sort_by_key(|x| x ^ {number}); v.sort(); v.dedup(); v }}",
            width = [16, 32, 64, 128][number % 4]
        )
        .unwrap();
    }
    std::fs::write(folder.join("much.rs"), source).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    cargo.args(["build", "--release", "--offline"]).current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS");
    spawn(&mut cargo)
}

fn python(_folder: &Path) -> Option<Child> {
    let source = "import hashlib, json, re\n\
        while True:\n\
        \x20   hashlib.pbkdf2_hmac('sha256', b'secret', b'salt', 3000)\n\
        \x20   json.loads(json.dumps({str(n): [n] * 9 for n in range(2000)}))\n\
        \x20   re.sub('(a|b)+c?', lambda m: m.group(0)[::-1], 'abacab' * 3000)\n\
        \x20   sorted(range(9000), key=lambda n: n * 7919 % 9001)\n";
    spawn(Command::new("python3").args(["-c", source]))
}

fn git(folder: &Path) -> Option<Child> {
    let text = |factor: u64| {
        let line = |n: u64| format!("{}\n", n.wrapping_mul(factor) % 49_999);
        (0..200_000).map(line).collect::<String>()
    };
    std::fs::write(folder.join("one"), text(7919)).unwrap();
    std::fs::write(folder.join("other"), text(6_700_417)).unwrap();
    let words = ["diff", "--no-index", "--minimal", "one", "other"];
    spawn(Command::new("git").args(words).current_dir(folder))
}

fn node(_folder: &Path) -> Option<Child> {
    let source = "const crypto = require('crypto'), zlib = require('zlib');
        for (;;) {
            crypto.pbkdf2Sync('secret', 'salt', 3000, 32, 'sha256');
            JSON.parse(JSON.stringify(Array.from({length: 3000}, (_, n) => ({n, s: `${n}`}))));
            zlib.gzipSync(Buffer.alloc(100000, 'some text to pack'));
        }";
    spawn(Command::new("node").args(["-e", source]))
}

fn go(folder: &Path) -> Option<Child> {
    let program = folder.join("program");
    let mut go = Command::new("go");
    go.arg("build").arg("-o").arg(&program).arg(workload("gopher.go")).current_dir(folder);
    go.output().ok().filter(|output| output.status.success())?;
    spawn(Command::new(program).arg("60"))
}
