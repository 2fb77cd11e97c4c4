//! What one call did to a socket that speaks HTTP, as the kernel programs write it into the
//! `SOCKETS` ring buffer: how many bytes moved, and the first of them where a message may begin.

use crate::limits::COMM_BYTES;

/// The fixed part. `captured` bytes follow it: the first of those that the call moved.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketHeader {
    /// The socket's cookie: its name as long as this kernel runs.
    pub socket: u64,
    /// When the call ended, on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// Place of the first byte in this direction's stream.
    pub position: u64,
    /// Bytes that the call moved.
    pub length: u64,
    /// Process id as userspace says it: what the kernel calls `tgid`.
    pub pid: u32,
    /// Thread id as userspace says it: what the kernel calls `pid`.
    pub tid: u32,
    /// A [`SocketEvent`].
    pub event: u8,
    /// [`ENDS_CHUNKED`], [`HAS_NO_PAYLOAD`] and [`MAY_WAIT`].
    pub flags: u8,
    /// Bytes that follow.
    pub captured: u16,
    /// Address family: `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u16,
    /// The port at this end, in the host's order; 0 of a Unix socket.
    pub local_port: u16,
    /// The port at the other end, in the host's order; 0 of a Unix socket.
    pub peer_port: u16,
    /// Zero.
    pub reserved: u16,
    /// TCP's sequence number of the first byte, which both ends agree on whenever they began to
    /// count; 0 where there is none.
    pub sequence: u32,
    /// The address at this end: four or sixteen bytes, then zeros.
    pub local: [u8; 16],
    /// The address at the other end.
    pub peer: [u8; 16],
    /// Name of the thread that was first seen to use the socket, padded with zeros.
    pub comm: [u8; COMM_BYTES],
}

const _: () = assert!(size_of::<SocketHeader>() == 104, "no padding: the agent reads these bytes");

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers and arrays of them only, no padding: any bytes are a valid value.
unsafe impl aya::Pod for SocketHeader {}

/// What happened.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The process sent bytes.
    Sent = 0,
    /// The process received bytes; none when the other end has no more.
    Received = 1,
    /// The connection is over. `position` counts what was sent, `length` what was received.
    Closed = 2,
}

impl SocketEvent {
    /// The event that a kernel record means by `wire`; `None` if this side does not know it.
    #[must_use]
    pub const fn from_wire(wire: u8) -> Option<Self> {
        match wire {
            0 => Some(Self::Sent),
            1 => Some(Self::Received),
            2 => Some(Self::Closed),
            _ => None,
        }
    }
}

/// The last bytes that moved are those of the last chunk, [`LAST_CHUNK`].
pub const ENDS_CHUNKED: u8 = 1;
/// The bytes were not in the process's memory (`sendfile`), or where cannot be told (`io_uring`).
pub const HAS_NO_PAYLOAD: u8 = 2;
/// The call would have waited for bytes had there been none: whoever makes such calls serves one
/// connection at a time. Of calls that receive.
pub const MAY_WAIT: u8 = 4;

/// A last chunk that a call moves alone, as a word in memory's order.
pub const LAST_CHUNK_ALONE: u64 = u64::from_le_bytes(*b"0\r\n\r\n\0\0\0");

/// How a chunked body without trailers ends, with the end of the chunk before it.
pub const LAST_CHUNK: [u8; 7] = *b"\r\n0\r\n\r\n";

/// Bytes that a record of a head has at most, as a rule: heads that browsers and servers write are
/// shorter.
pub const HEAD_BYTES: usize = 1024;
/// Bytes that a record has at most: of requests that have no body, all that one call moved.
pub const MAX_CAPTURED: usize = 4096;
/// Most bytes of a small record, and of a middling one: those of most requests and responses.
pub const SMALL_BYTES: usize = 128;
/// See [`SMALL_BYTES`].
pub const MIDDLE_BYTES: usize = 256;

/// Bytes of the ring.
pub const RING_BYTES: u32 = 4 << 20;
/// Bytes waiting in it above which the agent is woken.
pub const WAKE_BYTES: u64 = 1 << 20;

/// What a stream's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A request whose method has no body.
    BodilessRequest,
    /// Another request.
    Request,
    /// A response.
    Response,
    /// No message of HTTP/1.
    Other,
}

/// Methods that requests begin with; the first so many come without a body.
const METHODS: [&[u8; 4]; 20] = [
    b"GET ", b"HEAD", b"DELE", b"OPTI", b"POST", b"PUT ", b"PATC", b"CONN", b"TRAC", b"PROP",
    b"MKCO", b"COPY", b"MOVE", b"LOCK", b"UNLO", b"REPO", b"SEAR", b"PURG", b"MERG", b"MKCA",
];
const BODILESS: usize = 4;

/// Looks at the first `length` bytes (at most 8) of what a call moved, in memory's order.
#[inline(always)]
#[must_use]
pub fn beginning(first: u64, length: u64) -> Beginning {
    // Fewer bytes than a word may still be the beginning of one.
    let mask = if length >= 4 { 0xffff_ffff } else { (1_u64 << (8 * length)) - 1 };
    let word = first & mask;
    for (number, method) in METHODS.iter().enumerate() {
        if word == u64::from(u32::from_le_bytes(**method)) & mask {
            return if number < BODILESS { Beginning::BodilessRequest } else { Beginning::Request };
        }
    }
    let (http, version) = (u32::from_le_bytes(*b"HTTP"), u32::from_le_bytes(*b"/1.\0"));
    let rest = first >> 32 & 0x00ff_ffff;
    if word == u64::from(http) & mask && (length < 7 || rest == u64::from(version)) {
        return Beginning::Response;
    }
    Beginning::Other
}

/// Bytes that went by since the last call that was told of: by calls that the kernel does not tell of,
/// such as splicing, or for which it left the program out. `sequence` is TCP's number of the first byte
/// told of now, 0 where there is none; `first` that of the stream's first byte; `told` is how many bytes
/// came until the last call. Less than 2³¹ bytes can be missed.
#[inline(always)]
#[must_use]
pub const fn missed(sequence: u32, first: u32, told: u64) -> u64 {
    let missed = sequence.wrapping_sub(first).wrapping_sub((told & 0xffff_ffff) as u32);
    // Half the numbers are behind: bytes of another thread's call, which was told of before.
    let is_behind = missed >> 31;
    // The other side's end is counted as a byte where it is read, which none follows.
    let is_end = (missed ^ 1).wrapping_sub(1) >> 31;
    let is_known = (sequence | sequence.wrapping_neg()) >> 31;
    // Without branches, each of which would multiply what older verifiers walk behind it.
    (missed & (is_known & !is_behind & !is_end & 1).wrapping_neg()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Beginning {
        let mut first = [0; 8];
        let length = bytes.len().min(8);
        first[..length].copy_from_slice(&bytes[..length]);
        beginning(u64::from_le_bytes(first), length as u64)
    }

    #[test]
    fn messages_are_known_by_their_first_bytes() {
        assert_eq!(of(b"GET / HTTP/1.1\r\n"), Beginning::BodilessRequest);
        assert_eq!(of(b"DELETE /"), Beginning::BodilessRequest);
        assert_eq!(of(b"POST /a"), Beginning::Request);
        assert_eq!(of(b"HTTP/1.1 200 OK\r\n"), Beginning::Response);
        assert_eq!(of(b"PRI * HTTP/2.0"), Beginning::Other);
        assert_eq!(of(b"HTTP/2 200"), Beginning::Other);
        assert_eq!(of(b"SELECT 1"), Beginning::Other);
        assert_eq!(of(&[0x16, 3, 1, 2, 0, 1, 0, 1]), Beginning::Other);
    }

    #[test]
    fn a_first_byte_alone_may_begin_a_message() {
        assert_eq!(of(b"G"), Beginning::BodilessRequest);
        assert_eq!(of(b"PU"), Beginning::Request);
        assert_eq!(of(b"HT"), Beginning::Response);
        assert_eq!(of(b"x"), Beginning::Other);
    }

    #[test]
    fn what_was_not_told_of_is_the_distance_to_what_was() {
        for first in [1, 5_000, u32::MAX - 99, u32::MAX] {
            let at = |distance: u32| missed(first.wrapping_add(distance), first, 1_000);
            assert_eq!(at(1_000), 0, "{first}: in step");
            assert_eq!(at(1_001), 0, "{first}: the other side's end");
            assert_eq!((at(1_002), at(6_000)), (2, 5_000), "{first}");
            assert_eq!(at(900), 0, "{first}: of another thread");
            let far = (5_u64 << 32) + 1_000;
            assert_eq!(missed(first.wrapping_add(1_300), first, far), 300, "{first}: far along");
        }
        assert_eq!(missed(0, 0, 1_000), 0, "no numbers");
        assert_eq!(missed(0, 0, 3 << 30), 0, "no numbers");
    }
}
