//! What kind of code a frame is, told from its name and binary. The one place that knows.

use serde::Serialize;

/// Kinds of code. The numbers are wire values: append, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "u8")]
#[repr(u8)]
pub enum Kind {
    /// The program and its libraries.
    Native = 0,
    /// The kernel and its modules.
    Kernel = 1,
    /// The C library, the loader, a language's runtime.
    Runtime = 2,
    /// Interpreted code and code that a JIT made.
    Interpreted = 3,
    /// A frame that says why it has no name.
    Unknown = 4,
    /// No code: the service that the frames below belong to.
    Service = 5,
}

/// What stands in a service's frame where others have their binary.
pub(super) const SERVICE: &str = "[service]";

/// Binaries of these names, followed by nothing, a digit, a dot or a dash, belong to a runtime.
const RUNTIME_BINARIES: &[&str] = &[
    "libc",
    "ld-linux",
    "ld-musl",
    "ld",
    "libpthread",
    "libstdc++",
    "libgcc_s",
    "libm",
    "libdl",
    "librt",
    "libjvm",
    "libpython",
    "python",
    "libruby",
    "libphp",
    "libperl",
    "libnode",
    "node",
    "ruby",
    "php",
    "php-fpm",
    "perl",
    "libcoreclr",
    "libmono",
    "libjemalloc",
    "libtcmalloc",
];

/// Functions whose names start so belong to a runtime that is linked into the program.
const RUNTIME_NAMES: &[&str] = &[
    "runtime.", "runtime/", "std::", "core::", "alloc::", "<std::", "<core::", "<alloc::",
    "__libc_",
];

impl Kind {
    /// Every kind of code, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Native, Self::Kernel, Self::Runtime, Self::Interpreted, Self::Unknown];

    /// Tells the kind of a frame. `binary` is a base name.
    #[must_use]
    pub fn of(name: &str, binary: &str) -> Self {
        match binary {
            SERVICE => Self::Service,
            "[jit]" if !name.starts_with('[') => Self::Interpreted,
            _ if name.starts_with('[') => Self::Unknown,
            "[vdso]" => Self::Runtime,
            _ if binary.starts_with('[') && binary != "[jit]" => Self::Kernel,
            _ if is_runtime(name, binary) => Self::Runtime,
            _ => Self::Native,
        }
    }

    /// False for frames that only group others.
    #[must_use]
    pub const fn is_code(self) -> bool {
        !matches!(self, Self::Service)
    }

    /// The name that series of this kind carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Kernel => "kernel",
            Self::Runtime => "runtime",
            Self::Interpreted => "interpreted",
            Self::Unknown => "unknown",
            Self::Service => "service",
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        kind as Self
    }
}

fn is_runtime(name: &str, binary: &str) -> bool {
    RUNTIME_NAMES.iter().any(|prefix| name.starts_with(prefix))
        || RUNTIME_BINARIES.iter().any(|known| {
            binary.strip_prefix(known).is_some_and(|rest| {
                rest.is_empty()
                    || rest.starts_with(|c: char| c.is_ascii_digit() || ".-".contains(c))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_binary_tell_the_kind() {
        let cases = [
            ("serve", "nginx", Kind::Native),
            ("library_call", "libcrypto.so.3", Kind::Native),
            ("tcp_sendmsg", "[kernel]", Kind::Kernel),
            ("ext4_write", "[ext4]", Kind::Kernel),
            ("malloc", "libc.so.6", Kind::Runtime),
            ("memcpy", "libc-2.31.so", Kind::Runtime),
            ("_start", "ld-linux-x86-64.so.2", Kind::Runtime),
            ("_PyEval_EvalFrameDefault", "python3.13", Kind::Runtime),
            ("runtime.mallocgc", "server", Kind::Runtime),
            ("std::thread::start", "server", Kind::Runtime),
            ("clock_gettime", "[vdso]", Kind::Runtime),
            ("Lcom/shop/Cart;::pay", "[jit]", Kind::Interpreted),
            ("[jit without perf map]", "[jit]", Kind::Unknown),
            ("[stripped: nginx]", "nginx", Kind::Unknown),
            ("work", "nodekeeper", Kind::Native),
            ("nginx", SERVICE, Kind::Service),
        ];
        for (name, binary, kind) in cases {
            assert_eq!(Kind::of(name, binary), kind, "{name} in {binary}");
        }
    }
}
