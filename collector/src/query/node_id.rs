//! Names for nodes of a tree that stay the same from one answer to the next, and that a browser can
//! compute from names alone.

use std::fmt;
use std::str::FromStr;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over the names and binaries from the root down. Name and binary end in bytes that UTF-8
/// does not contain, so no two chains spell the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The node above all others.
    pub const ALL: Self = Self(OFFSET);

    /// The id of a child of this node.
    #[must_use]
    pub fn child(self, name: &str, binary: &str) -> Self {
        let name_bytes = name.bytes().chain([0xFE]);
        let bytes = name_bytes.chain(binary.bytes()).chain([0xFF]);
        Self(bytes.fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_empty_hash_and_ids_are_16_digits() {
        assert_eq!(NodeId::ALL.to_string(), "cbf29ce484222325");
        assert_eq!(NodeId(0xff).to_string(), "00000000000000ff");
        assert_eq!("00000000000000ff".parse(), Ok(NodeId(0xff)));
    }

    #[test]
    fn a_name_cannot_pass_for_a_binary() {
        let id = |name, binary| NodeId::ALL.child(name, binary);
        assert_ne!(id("ab", ""), id("a", "b"));
        assert_ne!(id("a", "").child("b", ""), id("ab", ""));
    }
}
