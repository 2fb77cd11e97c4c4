//! Names of stripped programs from a server: real programs and debug files, and a server in this
//! process that can be told to misbehave.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sonde_agent::symbol::debuginfod::{
    Debuginfod, DebuginfodMetrics, DebuginfodSettings, Outcome, OutcomeLabels, SetupError,
};
use sonde_agent::symbol::{
    FileId, FileOffset, Settings, Symbol, SymbolSource, Symbolizer, UnknownReason,
};
use tempfile::TempDir;

const SOURCE: &str = "\
volatile int sink;
__attribute__((noinline)) static void hidden(int n) { sink = n + 7; }
int main(int argc, char **argv) { hidden(argc); return 0; }
";

/// A stripped program, its debug file, and where `hidden` is.
struct Program {
    folder: TempDir,
    offset: FileOffset,
    build_id: String,
}

impl Program {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("program.c"), SOURCE).unwrap();
        run(&folder, "cc", &["-O1", "-g", "-Wl,--build-id=sha1", "program.c", "-o", "program"]);
        let offset = offset_of(&folder.path().join("program"), "hidden");
        run(&folder, "objcopy", &["--only-keep-debug", "program", "program.debug"]);
        run(&folder, "strip", &["program"]);
        let elf = sonde_agent::symbol::elf::ElfFile::open(
            File::open(folder.path().join("program")).unwrap(),
        );
        let build_id = elf.unwrap().build_id().to_string();
        Self { folder, offset, build_id }
    }

    fn debug_file(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("program.debug")).unwrap()
    }
}

fn run(folder: &TempDir, program: &str, words: &[&str]) {
    let status = Command::new(program).current_dir(folder).args(words).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

/// By `object`'s own reader.
fn offset_of(path: &Path, name: &str) -> FileOffset {
    use object::{Object, ObjectSegment, ObjectSymbol};
    let bytes = fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let address = file.symbols().find(|s| s.name() == Ok(name)).unwrap().address();
    let mut segments = file.segments();
    let segment = segments.find(|s| (s.address()..s.address() + s.size()).contains(&address));
    let segment = segment.unwrap();
    FileOffset(address - segment.address() + segment.file_range().0)
}

/// Answers each request with these bytes, and remembers what was asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let asked_here = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let request = respond(stream.unwrap(), &answer);
                asked_here.lock().unwrap().push(request);
            }
        });
        Self { url, asked }
    }

    fn with(status: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::answering([head.as_bytes(), body].concat())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads the request up to the empty line; returns its first.
fn respond(mut stream: TcpStream, answer: &[u8]) -> String {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    // Who reads no further hangs up.
    let _ = stream.write_all(answer);
    first
}

struct Asking {
    symbolizer: Symbolizer,
    metrics: DebuginfodMetrics,
    id: FileId,
    offset: FileOffset,
}

fn settings(urls: &[&str], cache: &Path) -> DebuginfodSettings {
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    DebuginfodSettings {
        silence_timeout: Duration::from_millis(500),
        file_timeout: Duration::from_secs(10),
        ..DebuginfodSettings::new(urls, cache.to_owned(), 64 << 20)
    }
}

impl Asking {
    fn about(program: &Program, settings: &DebuginfodSettings) -> Self {
        let metrics = DebuginfodMetrics::default();
        let debuginfod = Debuginfod::start(settings, metrics.clone()).unwrap();
        let mut symbolizer = Symbolizer::new(Settings {
            debug_directories: Vec::new(),
            debuginfod_cache: Some(settings.cache.clone()),
            ..Settings::default()
        })
        .with_debuginfod(debuginfod);
        let path = program.folder.path().join("program");
        let id = symbolizer.register(path.to_str().unwrap().into(), File::open(&path).unwrap());
        Self { symbolizer, metrics, id, offset: program.offset }
    }

    fn symbol(&mut self) -> Symbol {
        self.symbolizer.symbolize(self.id, self.offset).1
    }

    fn name_and_line(&mut self) -> (String, u32) {
        match self.symbol() {
            Symbol::Known(functions) => (functions[0].name.to_string(), functions[0].line),
            Symbol::Unknown(reason) => (reason.label().to_owned(), 0),
        }
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.metrics.files.get_or_create(&OutcomeLabels { outcome: outcome.label() }).get()
    }

    fn outcomes(&self) -> u64 {
        Outcome::ALL.into_iter().map(|outcome| self.count(outcome)).sum()
    }

    /// Asks, and lets windows end until it is answered; what the frame is called then.
    fn answer(&mut self) -> (String, u32) {
        assert_eq!(self.symbol(), Symbol::Unknown(UnknownReason::Stripped), "before it is wanted");
        let before = self.outcomes();
        self.symbolizer.want_debug_file(self.id);
        while self.outcomes() == before {
            let symbol = self.symbol();
            assert_eq!(symbol, Symbol::Unknown(UnknownReason::DebugFileOnItsWay));
            std::thread::sleep(Duration::from_millis(5));
        }
        while self.symbol() == Symbol::Unknown(UnknownReason::DebugFileOnItsWay) {
            self.symbolizer.end_window();
        }
        self.name_and_line()
    }
}

/// What asking a server for a real program comes to: the frame's words, and the outcome counted.
fn refused_by(server: &Server) -> (String, Outcome) {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let mut asking = Asking::about(&program, &settings(&[&server.url], cache.path()));
    let (said, _) = asking.answer();
    let outcomes = Outcome::ALL.into_iter().filter(|outcome| asking.count(*outcome) > 0);
    let outcomes: Vec<Outcome> = outcomes.collect();
    assert_eq!(files_in(cache.path(), "debug"), [] as [PathBuf; 0]);
    assert!(!cache.path().join("partial").exists());
    (said, outcomes[0])
}

fn files_in(cache: &Path, ending: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(cache.join(".build-id")).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == ending)).collect()
}

#[test]
fn a_stripped_program_has_names_and_lines_once_its_debug_file_came() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let server = Server::with("200 OK", &program.debug_file());
    let settings = settings(&[&server.url], cache.path());
    let mut asking = Asking::about(&program, &settings);
    assert_eq!(asking.answer(), ("hidden".to_owned(), 2));
    let path = format!("GET /base/buildid/{}/debuginfo HTTP/1.1", program.build_id);
    assert_eq!(server.asked(), [path]);
    assert_eq!(asking.count(Outcome::Fetched), 1);
    assert_eq!(asking.metrics.received_bytes.get(), program.debug_file().len() as u64);
    let kept = files_in(cache.path(), "debug").remove(0);
    assert_eq!(asking.symbolizer.source(asking.id), SymbolSource::Debuginfod(kept));
    // The next agent finds it without a server.
    let mut next = Asking::about(&program, &settings);
    assert_eq!(next.name_and_line(), ("hidden".to_owned(), 2));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn who_waits_has_the_names_at_once() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let server = Server::with("200 OK", &program.debug_file());
    let mut asking = Asking::about(&program, &settings(&[&server.url], cache.path()));
    let patience = Duration::from_secs(60);
    assert!(!asking.symbolizer.wait_for_debug_files(patience), "nothing is wanted yet");
    asking.symbol();
    asking.symbolizer.want_debug_file(asking.id);
    assert!(asking.symbolizer.wait_for_debug_files(patience));
    assert_eq!(asking.name_and_line(), ("hidden".to_owned(), 2));
}

#[test]
fn nobody_is_asked_unless_the_file_is_wanted() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let server = Server::with("200 OK", &program.debug_file());
    let mut asking = Asking::about(&program, &settings(&[&server.url], cache.path()));
    assert_eq!(asking.symbol(), Symbol::Unknown(UnknownReason::Stripped));
    asking.symbolizer.end_window();
    assert_eq!((server.asked().len(), asking.outcomes()), (0, 0));
}

#[test]
fn the_second_server_is_asked_for_what_the_first_does_not_have() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let servers =
        [Server::with("404 Not Found", b""), Server::with("200 OK", &program.debug_file())];
    let urls = servers.each_ref().map(|server| &*server.url);
    let mut asking = Asking::about(&program, &settings(&urls, cache.path()));
    assert_eq!(asking.answer().0, "hidden");
}

#[test]
fn that_no_server_has_a_file_is_remembered_for_a_day() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let server = Server::with("404 Not Found", b"nothing");
    let settings = settings(&[&server.url], cache.path());
    for remembered in [Outcome::Absent, Outcome::AbsentRemembered] {
        let mut asking = Asking::about(&program, &settings);
        assert_eq!(asking.answer().0, "stripped, not on debuginfod");
        assert_eq!(asking.count(remembered), 1);
        asking.symbolizer.want_debug_file(asking.id);
        assert_eq!((asking.outcomes(), server.asked().len()), (1, 1), "not again so soon");
    }
    let marker = files_in(cache.path(), "absent").remove(0);
    let yesterday = SystemTime::now() - Duration::from_secs(2 * 86_400);
    File::options().write(true).open(&marker).unwrap().set_modified(yesterday).unwrap();
    let mut asking = Asking::about(&program, &settings);
    assert!(!marker.exists());
    asking.answer();
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_server_that_fails_is_named_as_the_reason() {
    let failed = ("stripped, debuginfod failed".to_owned(), Outcome::Failed);
    assert_eq!(refused_by(&Server::with("500 Oops", b"broken")), failed);
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n\x7fELF".to_vec();
    assert_eq!(refused_by(&Server::answering(short)), failed, "it ended too early");
    assert_eq!(refused_by(&Server::answering(b"SSH-2.0\r\n".to_vec())), failed, "not HTTP");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Server { url: format!("http://{nobody}"), asked: Arc::default() };
    assert_eq!(refused_by(&nobody), failed);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = Server { url, asked: Arc::default() };
    assert_eq!(refused_by(&server).1, Outcome::Failed);
    drop(silent);
}

#[test]
fn another_file_than_the_one_asked_for_is_not_kept() {
    let wrong = ("stripped, debuginfod failed".to_owned(), Outcome::WrongFile);
    assert_eq!(refused_by(&Server::with("200 OK", b"<html>welcome</html>")), wrong);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other.c"), "int main(void) { return 5; }").unwrap();
    run(&folder, "cc", &["-g", "-Wl,--build-id=sha1", "other.c", "-o", "other"]);
    let other = fs::read(folder.path().join("other")).unwrap();
    assert_eq!(refused_by(&Server::with("200 OK", &other)), wrong);
}

#[test]
fn a_file_above_half_of_the_cache_is_refused_whether_its_size_is_said_or_not() {
    let too_large = ("stripped, debug file too large".to_owned(), Outcome::TooLarge);
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    assert_eq!(refused_by(&Server::answering(said)), too_large);
    let unsaid = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![0; 33 << 20]].concat();
    assert_eq!(refused_by(&Server::answering(unsaid)), too_large);
}

#[test]
fn what_was_fetched_longest_ago_makes_room() {
    let (program, cache) = (Program::new(), tempfile::tempdir().unwrap());
    let older = |name: &str, days: u64| {
        let path = cache.path().join(".build-id/00").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(32 << 20).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
        path
    };
    let (old, oldest) = (older("1.debug", 1), older("2.debug", 2));
    let server = Server::with("200 OK", &program.debug_file());
    let mut asking = Asking::about(&program, &settings(&[&server.url], cache.path()));
    assert_eq!(asking.answer().0, "hidden");
    assert_eq!((old.exists(), oldest.exists()), (true, false));
}

#[test]
fn a_cache_that_cannot_be_used_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let settings = settings(&["http://127.0.0.1:1"], &folder.path().join("file"));
    let refused = Debuginfod::start(&settings, DebuginfodMetrics::default());
    assert!(matches!(refused, Err(SetupError::Cache { .. })));
    let mut ftp = settings;
    (ftp.urls, ftp.cache) = (vec!["ftp://h".to_owned()], folder.path().join("cache"));
    let refused = Debuginfod::start(&ftp, DebuginfodMetrics::default());
    assert!(matches!(refused, Err(SetupError::Url { .. })));
}
