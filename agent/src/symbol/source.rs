//! Where the names of a piece of code come from, for people who wonder why some are missing.

use std::fmt;
use std::path::PathBuf;

use super::UnknownReason;
use super::dwarf::DebugInfoLoss;

/// The best source of names that there is for a file, or for code that a process made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SymbolSource {
    /// The file's own debug information: names, inlined functions, lines.
    DebugInfo,
    /// The file's own symbol table: names, no lines.
    SymbolTable,
    /// A separate debug file of this host.
    SeparateFile(PathBuf),
    /// A separate debug file that was fetched from a debuginfod server, and where it is kept.
    Debuginfod(PathBuf),
    /// The small symbol table that some distributions leave in stripped programs.
    Embedded,
    /// The table that Go programs need to run.
    GoTable,
    /// What the file offers to other programs; its own functions have no names, and why.
    DynamicSymbols(UnknownReason),
    /// The list that a runtime writes of code it makes.
    PerfMap,
    /// As [`Self::PerfMap`], with lines.
    JitDump,
    /// One of the others, with debug information of which a part could not be used, and why.
    Losing(Box<Self>, DebugInfoLoss),
    /// There is none, and why.
    None(UnknownReason),
}

impl SymbolSource {
    /// What would give more names; none where all are there.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::DynamicSymbols(reason) | Self::None(reason) => Some(reason.remedy()),
            Self::SymbolTable | Self::Embedded => {
                Some("Debug symbols of the program would add source lines and inlined functions.")
            }
            Self::Losing(_, loss) => Some(loss.remedy()),
            Self::PerfMap => Some("A jitdump would add source lines: for Node.js, --perf-prof."),
            Self::DebugInfo
            | Self::SeparateFile(_)
            | Self::Debuginfod(_)
            | Self::GoTable
            | Self::JitDump => None,
        }
    }
}

impl fmt::Display for SymbolSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DebugInfo => out.write_str("its own debug information"),
            Self::SymbolTable => out.write_str("its own symbol table (.symtab)"),
            Self::SeparateFile(path) => write!(out, "the debug file {}", path.display()),
            Self::Debuginfod(path) => write!(out, "debuginfod, kept in {}", path.display()),
            Self::Embedded => out.write_str("its embedded symbol table (.gnu_debugdata)"),
            Self::GoTable => out.write_str("Go's own table of functions (.gopclntab)"),
            Self::DynamicSymbols(_) => {
                out.write_str("only the functions it offers to others (.dynsym)")
            }
            Self::PerfMap => out.write_str("its runtime's perf map"),
            Self::JitDump => out.write_str("its runtime's jitdump"),
            Self::Losing(source, loss) => write!(out, "{source}. {}", loss.explanation()),
            Self::None(reason) => write!(out, "none: {}", reason.explanation()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_what_it_is_and_what_would_be_better() {
        let said = |source: SymbolSource| {
            let remedy = source.remedy().unwrap_or("-");
            (source.to_string(), remedy.split_whitespace().next().unwrap_or_default().to_owned())
        };
        let expect = |source, what: &str, remedy: &str| {
            assert_eq!(said(source), (what.to_owned(), remedy.to_owned()));
        };
        expect(SymbolSource::DebugInfo, "its own debug information", "-");
        expect(SymbolSource::SymbolTable, "its own symbol table (.symtab)", "Debug");
        expect(SymbolSource::SeparateFile("/d/a.debug".into()), "the debug file /d/a.debug", "-");
        expect(SymbolSource::Debuginfod("/c/a".into()), "debuginfod, kept in /c/a", "-");
        expect(SymbolSource::Embedded, "its embedded symbol table (.gnu_debugdata)", "Debug");
        expect(SymbolSource::GoTable, "Go's own table of functions (.gopclntab)", "-");
        let dynamic = SymbolSource::DynamicSymbols(UnknownReason::DebugFileOnItsWay);
        expect(dynamic, "only the functions it offers to others (.dynsym)", "Wait:");
        expect(SymbolSource::PerfMap, "its runtime's perf map", "A");
        expect(SymbolSource::JitDump, "its runtime's jitdump", "-");
        let losing = SymbolSource::Losing(SymbolSource::DebugInfo.into(), DebugInfoLoss::Corrupt);
        let said = "its own debug information. It is damaged: source lines and inlined functions \
                    are missing.";
        expect(losing, said, "Install");
        let none =
            "none: The program's file is damaged, or of a kind that the agent does not know.";
        expect(SymbolSource::None(UnknownReason::NotReadable), none, "Install");
    }
}
