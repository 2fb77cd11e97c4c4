//! The bytes of one record of a socket to a [`SocketCall`], which borrows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sonde_ebpf::limits::COMM_BYTES;
use sonde_ebpf::socket::{
    ENDS_CHUNKED, HAS_NO_PAYLOAD, MAX_CAPTURED, MAY_WAIT, SocketEvent, SocketHeader,
};

use super::{DecodeError, pod::split_pod};

/// What one call did to a socket, or that the socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCall<'a> {
    /// The socket's name as long as the kernel runs.
    pub socket: u64,
    /// What happened.
    pub event: SocketEvent,
    /// Time on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// Place of the first byte in this direction's stream; of a closed socket, all that was sent.
    pub position: u64,
    /// TCP's sequence number of the first byte; 0 where there is none, or none was captured.
    pub sequence: u32,
    /// Bytes that moved; of a closed socket, all that was received.
    pub length: u64,
    /// Process id as userspace says it.
    pub pid: u32,
    /// Thread id as userspace says it.
    pub tid: u32,
    /// The address at this end; `None` of a Unix socket.
    pub local: Option<SocketAddr>,
    /// The address at the other end; `None` of a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The last bytes are those of a last chunk.
    pub ends_chunked: bool,
    /// The bytes can't be seen.
    pub has_no_payload: bool,
    /// A call that received, and would have waited had there been nothing.
    pub may_wait: bool,
    /// Name of the thread that was first seen to use the socket, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// The first of the bytes.
    pub captured: &'a [u8],
}

impl<'a> SocketCall<'a> {
    /// Decodes one record of the socket ring.
    ///
    /// # Errors
    /// If the record is shorter than its header promises or holds an unknown event.
    pub fn decode(record: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, body) = split_pod::<SocketHeader>(record)?;
        let event = SocketEvent::from_wire(header.event)
            .ok_or(DecodeError::UnknownValue { field: "event", value: header.event.into() })?;
        let need = usize::from(header.captured).min(MAX_CAPTURED);
        let captured = body.get(..need).ok_or(DecodeError::Short { got: body.len(), need })?;
        Ok(Self {
            socket: header.socket,
            event,
            boot_ns: header.boot_ns,
            position: header.position,
            sequence: header.sequence,
            length: header.length,
            pid: header.pid,
            tid: header.tid,
            local: address(header.family, header.local, header.local_port),
            peer: address(header.family, header.peer, header.peer_port),
            ends_chunked: header.flags & ENDS_CHUNKED != 0,
            has_no_payload: header.flags & HAS_NO_PAYLOAD != 0,
            may_wait: header.flags & MAY_WAIT != 0,
            comm: header.comm,
            captured,
        })
    }
}

/// Bytes of a record that say something: it has room for more than were captured.
pub(crate) fn used_bytes(record: &[u8]) -> usize {
    let header = split_pod::<SocketHeader>(record);
    let used = header.map(|(header, _)| size_of_val(&header) + usize::from(header.captured));
    used.map_or(record.len(), |used| used.min(record.len()))
}

/// An address as people write it: IPv4 in IPv6 is IPv4.
fn address(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = match i32::from(family) {
        libc::AF_INET => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
