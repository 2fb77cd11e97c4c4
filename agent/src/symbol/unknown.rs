//! Why an address has no name, in the words that people read: what happened, and what would help.

/// Why an address has no name. The label is what frames and metrics show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnknownReason {
    /// The file has no symbol table, and what it exports does not cover the address.
    Stripped,
    /// The file has a symbol table that does not cover the address.
    NotInSymbolTable,
    /// As [`Self::Stripped`], and debuginfod is being asked for the file's symbols.
    DebugFileOnItsWay,
    /// As [`Self::Stripped`], and no debuginfod server knows the file.
    NotOnDebuginfod,
    /// As [`Self::Stripped`], and no debuginfod server answered as it should.
    DebuginfodFailed,
    /// As [`Self::Stripped`], and the file that debuginfod offers is larger than the limit.
    DebugFileTooLarge,
    /// No mapping of the process covered the address when it was sampled.
    NoMapping,
    /// Executable memory without a file, and the runtime wrote neither a perf map nor a jitdump.
    JitWithoutPerfMap,
    /// The runtime's perf map does not cover the address.
    NotInPerfMap,
    /// The runtime's jitdump does not cover the address.
    NotInJitDump,
    /// The runtime's perf map or jitdump has more functions than are kept.
    PerfMapTooLarge,
    /// The file could not be opened any more.
    FileGone,
    /// The file is not an ELF file that can be read: truncated, corrupt, or something else.
    NotReadable,
    /// The kernel hides its symbols from us.
    KernelSymbolsHidden,
    /// The process was gone before anything was known of its mappings.
    ProcessGone,
}

impl UnknownReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::Stripped,
        Self::NotInSymbolTable,
        Self::DebugFileOnItsWay,
        Self::NotOnDebuginfod,
        Self::DebuginfodFailed,
        Self::DebugFileTooLarge,
        Self::NoMapping,
        Self::JitWithoutPerfMap,
        Self::NotInPerfMap,
        Self::NotInJitDump,
        Self::PerfMapTooLarge,
        Self::FileGone,
        Self::NotReadable,
        Self::KernelSymbolsHidden,
        Self::ProcessGone,
    ];

    /// The words a frame shows: `[stripped: nginx]` is this label and the file's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stripped => "stripped",
            Self::NotInSymbolTable => "not in symbol table",
            Self::DebugFileOnItsWay => "stripped, debug file on its way",
            Self::NotOnDebuginfod => "stripped, not on debuginfod",
            Self::DebuginfodFailed => "stripped, debuginfod failed",
            Self::DebugFileTooLarge => "stripped, debug file too large",
            Self::NoMapping => "no mapping",
            Self::JitWithoutPerfMap => "jit without perf map",
            Self::NotInPerfMap => "not in perf map",
            Self::NotInJitDump => "not in jitdump",
            Self::PerfMapTooLarge => "perf map too large",
            Self::FileGone => "file gone",
            Self::NotReadable => "not readable",
            Self::KernelSymbolsHidden => "kernel symbols hidden",
            Self::ProcessGone => "process gone",
        }
    }

    /// What happened, as a sentence.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Stripped => {
                "The names of functions were removed from this program when it was packaged."
            }
            Self::NotInSymbolTable => {
                "The program has names for its functions, but none for this piece of code."
            }
            Self::DebugFileOnItsWay => {
                "The names of functions were removed from this program, and a debuginfod server is \
                 being asked for them."
            }
            Self::NotOnDebuginfod => {
                "The names of functions were removed from this program, and none of the configured \
                 debuginfod servers has them."
            }
            Self::DebuginfodFailed => {
                "The names of functions were removed from this program, and they could not be had \
                 from the configured debuginfod servers."
            }
            Self::DebugFileTooLarge => {
                "The names of functions were removed from this program, and the file with them is \
                 larger than the agent may keep."
            }
            Self::NoMapping => {
                "The process has nothing in memory at this address, so it is no code."
            }
            Self::JitWithoutPerfMap => {
                "The code was made while the program ran, and its runtime told nobody what it is."
            }
            Self::NotInPerfMap => {
                "The code was made while the program ran, and its runtime's list of functions (its \
                 perf map) does not have it."
            }
            Self::NotInJitDump => {
                "The code was made while the program ran, and its runtime's list of functions (its \
                 jitdump) does not have it."
            }
            Self::PerfMapTooLarge => {
                "The code was made while the program ran, and its runtime's list of functions is \
                 larger than the agent may keep."
            }
            Self::FileGone => "The program's file was deleted or replaced before it could be read.",
            Self::NotReadable => {
                "The program's file is damaged, or of a kind that the agent does not know."
            }
            Self::KernelSymbolsHidden => {
                "The kernel does not tell the agent the names of its functions."
            }
            Self::ProcessGone => "The process had ended before the agent could look at it.",
        }
    }

    /// What would help, as a sentence.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Stripped => {
                "Install the program's debug symbols (a package whose name ends in -dbgsym, -dbg or \
                 -debuginfo), set debuginfod_urls, or build it without stripping."
            }
            Self::NotInSymbolTable => {
                "Nothing is wrong: hand-written assembly often has no names. Debug symbols of the \
                 program may have more."
            }
            Self::DebugFileOnItsWay => "Wait: the next profiles will have names.",
            Self::NotOnDebuginfod => {
                "Install the program's debug symbols, or add to debuginfod_urls the server of \
                 whoever built it."
            }
            Self::DebuginfodFailed => {
                "See the agent's log for what the servers answered. They are asked again after some \
                 time."
            }
            Self::DebugFileTooLarge => {
                "Raise debuginfod_cache_bytes, or install the program's debug symbols on this host."
            }
            Self::NoMapping => {
                "Usually the stack broke off here: see how complete the program's stacks are."
            }
            Self::JitWithoutPerfMap => {
                "Start Node.js with --perf-basic-prof (or --perf-prof, which tells lines too), .NET \
                 with DOTNET_PerfMapEnabled=1, Python with -X perf; for Java 17 or newer run jcmd \
                 PID Compiler.perfmap now and then."
            }
            Self::NotInPerfMap => {
                "Runtimes leave out what they compiled before they were asked for the list: start \
                 the program anew with it, or, for Java, ask for the list again."
            }
            Self::NotInJitDump => {
                "Start the program anew with profiling on from the beginning: runtimes leave out \
                 what they compiled before."
            }
            Self::PerfMapTooLarge => "Record this program alone: sonde-agent record --pid PID.",
            Self::FileGone => "Restart the program, so that it runs what is installed.",
            Self::NotReadable => "Install the program anew.",
            Self::KernelSymbolsHidden => {
                "Run the agent as root or with CAP_SYSLOG, and set kernel.kptr_restrict to 0 or 1."
            }
            Self::ProcessGone => {
                "Keep the agent running: processes that start after it are known from their first \
                 instruction."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_words_of_every_reason_are_these() {
        let words = UnknownReason::ALL.map(|reason| {
            format!("[{}]\n{}\n{}\n", reason.label(), reason.explanation(), reason.remedy())
        });
        expect![[r#"
            [stripped]
            The names of functions were removed from this program when it was packaged.
            Install the program's debug symbols (a package whose name ends in -dbgsym, -dbg or -debuginfo), set debuginfod_urls, or build it without stripping.
            [not in symbol table]
            The program has names for its functions, but none for this piece of code.
            Nothing is wrong: hand-written assembly often has no names. Debug symbols of the program may have more.
            [stripped, debug file on its way]
            The names of functions were removed from this program, and a debuginfod server is being asked for them.
            Wait: the next profiles will have names.
            [stripped, not on debuginfod]
            The names of functions were removed from this program, and none of the configured debuginfod servers has them.
            Install the program's debug symbols, or add to debuginfod_urls the server of whoever built it.
            [stripped, debuginfod failed]
            The names of functions were removed from this program, and they could not be had from the configured debuginfod servers.
            See the agent's log for what the servers answered. They are asked again after some time.
            [stripped, debug file too large]
            The names of functions were removed from this program, and the file with them is larger than the agent may keep.
            Raise debuginfod_cache_bytes, or install the program's debug symbols on this host.
            [no mapping]
            The process has nothing in memory at this address, so it is no code.
            Usually the stack broke off here: see how complete the program's stacks are.
            [jit without perf map]
            The code was made while the program ran, and its runtime told nobody what it is.
            Start Node.js with --perf-basic-prof (or --perf-prof, which tells lines too), .NET with DOTNET_PerfMapEnabled=1, Python with -X perf; for Java 17 or newer run jcmd PID Compiler.perfmap now and then.
            [not in perf map]
            The code was made while the program ran, and its runtime's list of functions (its perf map) does not have it.
            Runtimes leave out what they compiled before they were asked for the list: start the program anew with it, or, for Java, ask for the list again.
            [not in jitdump]
            The code was made while the program ran, and its runtime's list of functions (its jitdump) does not have it.
            Start the program anew with profiling on from the beginning: runtimes leave out what they compiled before.
            [perf map too large]
            The code was made while the program ran, and its runtime's list of functions is larger than the agent may keep.
            Record this program alone: sonde-agent record --pid PID.
            [file gone]
            The program's file was deleted or replaced before it could be read.
            Restart the program, so that it runs what is installed.
            [not readable]
            The program's file is damaged, or of a kind that the agent does not know.
            Install the program anew.
            [kernel symbols hidden]
            The kernel does not tell the agent the names of its functions.
            Run the agent as root or with CAP_SYSLOG, and set kernel.kptr_restrict to 0 or 1.
            [process gone]
            The process had ended before the agent could look at it.
            Keep the agent running: processes that start after it are known from their first instruction.
        "#]].assert_eq(&words.concat());
    }

    #[test]
    fn every_reason_is_explained_in_sentences_of_its_own() {
        let mut texts: Vec<&str> = UnknownReason::ALL
            .iter()
            .flat_map(|r| [r.label(), r.explanation(), r.remedy()])
            .collect();
        for reason in UnknownReason::ALL {
            for sentence in [reason.explanation(), reason.remedy()] {
                let begins = sentence.starts_with(|first: char| first.is_ascii_uppercase());
                assert!(begins && sentence.ends_with('.'), "{sentence}");
                assert!(!sentence.contains("  "), "{sentence}");
            }
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 3 * UnknownReason::ALL.len());
    }

    #[test]
    fn all_reasons_are_counted_at_their_own_place() {
        for (place, reason) in UnknownReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
