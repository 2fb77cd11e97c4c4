//! Bytes on sockets: who sent or received how many, and the heads of HTTP messages among them.
//!
//! The kernel's socket layer tells of every call with what it really moved; the buffer is found by
//! the registers that the process made its call with. What is known of a socket is kept with the
//! socket and goes with it.

use core::{ffi::c_void, hint, ptr};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{
        BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_SK_STORAGE_GET_F_CREATE,
    },
    btf_maps::SkStorage,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel, bpf_probe_read_user,
        generated,
    },
    macros::{btf_map, map},
    maps::RingBuf,
    programs::{BtfTracePointContext, FExitContext},
};
use sonde_ebpf::{
    DropReason,
    limits::COMM_BYTES,
    socket::{
        Beginning, ENDS_CHUNKED, HAS_NO_PAYLOAD, HEAD_BYTES, LAST_CHUNK, LAST_CHUNK_ALONE,
        MAX_CAPTURED, MAY_WAIT, MIDDLE_BYTES, RING_BYTES, SMALL_BYTES, SocketEvent, SocketHeader,
        WAKE_BYTES, beginning, missed,
    },
};

use super::{cost, drops};

/// Records on their way to the agent.
#[map]
static SOCKETS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What is known of each socket.
#[btf_map]
static SOCKET: SkStorage<Socket> = SkStorage::new();

/// Bytes of `struct sock` where fields are, set by the agent before loading.
#[unsafe(no_mangle)]
static SOCK_FAMILY: Global<u64> = Global::new(16);
#[unsafe(no_mangle)]
static SOCK_TYPE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static SOCK_PROTOCOL: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static SOCK_PEER: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static SOCK_LOCAL: Global<u64> = Global::new(4);
#[unsafe(no_mangle)]
static SOCK_PEER_PORT: Global<u64> = Global::new(12);
#[unsafe(no_mangle)]
static SOCK_LOCAL_PORT: Global<u64> = Global::new(14);
#[unsafe(no_mangle)]
static SOCK_PEER6: Global<u64> = Global::new(56);
#[unsafe(no_mangle)]
static SOCK_LOCAL6: Global<u64> = Global::new(72);
/// Of `struct tcp_sock`: the sequence numbers behind what was sent, and behind what was read. 0 where
/// that is not known.
#[unsafe(no_mangle)]
static TCP_SENT: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TCP_READ: Global<u64> = Global::new(0);
/// The same of `struct socket`.
#[unsafe(no_mangle)]
static SOCKET_SOCK: Global<u64> = Global::new(24);

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const IPPROTO_TCP: u16 = 6;
const MSG_PEEK: i32 = 2;
const MSG_DONTWAIT: i32 = 0x40;
const TCP_CLOSE: i32 = 7;

#[repr(C)]
struct Socket {
    /// The cookie; 0 as long as it has not been asked for.
    name: u64,
    ends: Ends,
    sent: u64,
    received: u64,
    /// [`UNDECIDED`], [`HTTP`] or [`OTHER`].
    state: u32,
    /// Calls whose bytes did not begin a message, before one did.
    misses: u32,
    /// Bytes of a head so far that one call did not finish; by direction.
    unfinished: [u32; 2],
    /// TCP's sequence number of the first byte that was told of; by direction.
    first: [u32; 2],
}

/// Whose socket it is, as records have it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Ends {
    family: u16,
    local_port: u16,
    peer_port: u16,
    reserved: [u16; 5],
    local: [u64; 2],
    peer: [u64; 2],
    comm: [u8; COMM_BYTES],
}

const UNDECIDED: u32 = 0;
const HTTP: u32 = 1;
const OTHER: u32 = 2;

/// A connection that was there before us may be in the middle of a body.
const MAX_MISSES: u32 = 4;

/// A call has moved bytes: `sk`, what the call returns, and its flags.
#[inline(always)]
pub(crate) fn told(ctx: &BtfTracePointContext, event: SocketEvent) {
    moved(ctx.arg(0), ctx.arg(1), ctx.arg(2), event);
}

/// A function that moves bytes has returned. Its first argument is a `struct socket`; behind the
/// `arguments` is what it returned, and the last one is the flags of those that receive.
#[inline(always)]
pub(crate) fn returned(ctx: &FExitContext, arguments: usize, event: SocketEvent) {
    let receives = matches!(event, SocketEvent::Received);
    let flags: i32 = if receives { ctx.arg(arguments - 1) } else { 0 };
    let sk: *mut c_void = field(ctx.arg(0), SOCKET_SOCK.load());
    moved(sk, ctx.arg(arguments), flags, event);
}

#[inline(always)]
fn moved(sk: *mut c_void, result: i32, call_flags: i32, event: SocketEvent) {
    let is_end = result == 0 && event as u8 == SocketEvent::Received as u8;
    if result < 0 || (result == 0 && !is_end) || (event as u8 == 1 && call_flags & MSG_PEEK != 0) {
        return;
    }
    let family: u16 = field(sk, SOCK_FAMILY.load());
    let is_stream = field::<u16>(sk, SOCK_TYPE.load()) == SOCK_STREAM;
    if !is_stream || !(family == AF_INET || family == AF_INET6 || family == AF_UNIX) {
        return;
    }
    let Some(socket) = storage(sk, !is_end) else {
        if !is_end {
            drops::count(DropReason::SocketNotKept);
        }
        return;
    };
    if socket.state == OTHER {
        return;
    }
    let length = result as u64;
    let direction = event as usize & 1;
    let sequence = sequence(sk, family, event, length);
    let first = &mut socket.first[direction];
    let stream = if event as u8 == 0 { &mut socket.sent } else { &mut socket.received };
    if *stream == 0 {
        *first = sequence;
    }
    let position = *stream + missed(sequence, *first, *stream);
    *stream = position + length;
    let payload = if is_end { Payload::NONE } else { payload() };
    let first = payload.first_bytes(length);
    let begins = match first {
        Some(first) => beginning(first, length.min(8)),
        None => Beginning::Other,
    };
    if socket.state == UNDECIDED {
        if begins == Beginning::Other {
            socket.misses += 1;
            if socket.misses >= MAX_MISSES {
                socket.state = OTHER;
            }
            return;
        }
        socket.state = HTTP;
    }
    socket.unfinished[1 - direction] = 0;
    let continues = socket.unfinished[direction] != 0;
    let wanted = match begins {
        Beginning::BodilessRequest => MAX_CAPTURED,
        Beginning::Other if !continues => 0,
        _ => HEAD_BYTES,
    };
    let wanted = if first.is_some() { (wanted as u64).min(length) as usize } else { 0 };
    let boot_ns = cost::now();
    if socket.name == 0 {
        socket.introduce(sk, family);
    }
    let mut flags = if first.is_none() { HAS_NO_PAYLOAD } else { 0 };
    let alone = length == 5 && first == Some(LAST_CHUNK_ALONE);
    if alone || wanted as u64 != length && payload.last_bytes(length) == Some(LAST_CHUNK_WORD) {
        flags |= ENDS_CHUNKED;
    }
    // The kernel adds it for descriptors that don't block, of calls that receive alone.
    if event as u8 == 1 && call_flags & MSG_DONTWAIT == 0 {
        flags |= MAY_WAIT;
    }
    let told = Told { boot_ns, position, length, event, flags, sequence };
    // Of two buffers each gets half of the room.
    let room = if payload.buffers[0].bytes < wanted as u64 { 2 * wanted } else { wanted };
    let ends_head = if wanted == 0 {
        send::<0>(socket, &told, &payload, 0)
    } else if room <= SMALL_BYTES {
        send::<SMALL_BYTES>(socket, &told, &payload, wanted)
    } else if room <= MIDDLE_BYTES {
        send::<MIDDLE_BYTES>(socket, &told, &payload, wanted)
    } else if room <= HEAD_BYTES {
        send::<HEAD_BYTES>(socket, &told, &payload, wanted)
    } else {
        send::<MAX_CAPTURED>(socket, &told, &payload, wanted)
    };
    let goes_on = wanted > 0 && wanted as u64 == length && !ends_head;
    socket.unfinished[direction] = goes_on as u32;
    cost::add_some(boot_ns);
}

/// [`LAST_CHUNK`] and a byte before it, in memory's order.
const LAST_CHUNK_WORD: u64 = {
    let [a, b, c, d, e, f, g] = LAST_CHUNK;
    u64::from_le_bytes([a, b, c, d, e, f, g, 0])
};

/// The state of an internet socket has changed.
#[inline(always)]
pub(crate) fn state_changed(ctx: &BtfTracePointContext) {
    let new_state: i32 = ctx.arg(2);
    if new_state != TCP_CLOSE {
        return;
    }
    let sk: *mut c_void = ctx.arg(0);
    let Some(socket) = storage(sk, false) else { return };
    if socket.state != HTTP {
        return;
    }
    let told = Told {
        boot_ns: cost::now(),
        position: socket.sent,
        length: socket.received,
        event: SocketEvent::Closed,
        flags: 0,
        sequence: 0,
    };
    send::<0>(socket, &told, &Payload::NONE, 0);
    // What lay in it can still be read after a reset, and nothing would close it again.
    socket.state = OTHER;
}

/// TCP's sequence number of the first of the bytes that a call has just moved.
#[inline(always)]
fn sequence(sk: *const c_void, family: u16, event: SocketEvent, length: u64) -> u32 {
    let offset = if event as u8 == 0 { TCP_SENT.load() } else { TCP_READ.load() };
    if family == AF_UNIX || offset == 0 {
        return 0;
    }
    // Others that are streams too, such as multipath TCP, have another structure.
    if field::<u16>(sk, SOCK_PROTOCOL.load()) != IPPROTO_TCP {
        return 0;
    }
    // SAFETY: the helper checks the address.
    let behind = unsafe { bpf_probe_read_kernel(sk.byte_add(offset as usize).cast::<u32>()) };
    behind.map_or(0, |behind| behind.wrapping_sub(length as u32))
}

/// A place below `end`, which is a power of two, and known to be. Older verifiers walk into branches
/// that cannot be, where they know nothing of a number but contradictions; after this they know its
/// bounds again, which the compiler would leave out.
#[inline(always)]
fn within(place: usize, end: usize) -> usize {
    hint::black_box(place) & (end - 1)
}

/// A field of a kernel object that the verifier knows.
#[inline(always)]
fn field<T: Copy>(object: *const c_void, offset: u64) -> T {
    // SAFETY: the verifier checks that the object has such a field.
    unsafe { object.byte_add(offset as usize).cast::<T>().read_volatile() }
}

#[inline(always)]
fn storage<'a>(sk: *mut c_void, create: bool) -> Option<&'a mut Socket> {
    let flags = if create { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
    let map = ptr::from_ref(&SOCKET).cast_mut().cast();
    // SAFETY: the map is the socket storage, `sk` the tracepoint's own argument.
    let socket = unsafe { generated::bpf_sk_storage_get(map, sk, ptr::null_mut(), flags) };
    // SAFETY: what is not null is this socket's value, which lives as long as the socket.
    unsafe { socket.cast::<Socket>().as_mut() }
}

impl Socket {
    /// Notes what stays the same as long as the socket lives.
    #[inline(always)]
    fn introduce(&mut self, sk: *mut c_void, family: u16) {
        // SAFETY: `sk` is the tracepoint's own argument.
        self.name = unsafe { generated::bpf_get_socket_cookie(sk) };
        self.ends.family = family;
        // It may be gone before the agent can ask for it.
        self.ends.comm = bpf_get_current_comm().unwrap_or_default();
        if family == AF_UNIX {
            return;
        }
        self.ends.local_port = field(sk, SOCK_LOCAL_PORT.load());
        self.ends.peer_port = u16::from_be(field(sk, SOCK_PEER_PORT.load()));
        if family == AF_INET {
            self.ends.local[0] = u64::from(field::<u32>(sk, SOCK_LOCAL.load()));
            self.ends.peer[0] = u64::from(field::<u32>(sk, SOCK_PEER.load()));
        } else {
            self.ends.local[0] = field(sk, SOCK_LOCAL6.load());
            self.ends.local[1] = field(sk, SOCK_LOCAL6.load() + 8);
            self.ends.peer[0] = field(sk, SOCK_PEER6.load());
            self.ends.peer[1] = field(sk, SOCK_PEER6.load() + 8);
        }
    }
}

/// What a record says besides whose socket it is.
struct Told {
    boot_ns: u64,
    position: u64,
    length: u64,
    event: SocketEvent,
    flags: u8,
    sequence: u32,
}

/// A record with room for so many bytes.
#[repr(C)]
struct Record<const N: usize> {
    header: SocketHeader,
    bytes: [u8; N],
    /// A word at any of the bytes may be read.
    behind: [u8; 8],
}

/// Sends a record with the first `wanted` bytes of the payload. Whether these end a head.
#[inline(always)]
fn send<const N: usize>(socket: &Socket, told: &Told, payload: &Payload, wanted: usize) -> bool {
    let Some(mut entry) = SOCKETS.reserve::<Record<N>>(0) else {
        drops::count(DropReason::SocketRingFull);
        return false;
    };
    let record = entry.as_mut_ptr();
    let (mut captured, mut ends_head) = (0, false);
    if N > 0 {
        // SAFETY: only the address is taken.
        let bytes = unsafe { (&raw mut (*record).bytes).cast::<u8>() };
        captured = payload.copy(bytes, wanted, N);
        if captured >= 4 && captured <= N {
            // SAFETY: so many bytes were written there.
            let last = unsafe { bytes.add(within(captured - 4, N)).cast::<u32>().read_unaligned() };
            ends_head = last == u32::from_le_bytes(*b"\r\n\r\n");
        }
    }
    let ids = bpf_get_current_pid_tgid();
    let ends = &socket.ends;
    // SAFETY: the record was reserved with room for a header; every byte of it is written.
    unsafe {
        let header = &raw mut (*record).header;
        (&raw mut (*header).socket).write(socket.name);
        (&raw mut (*header).boot_ns).write(told.boot_ns);
        (&raw mut (*header).position).write(told.position);
        (&raw mut (*header).length).write(told.length);
        (&raw mut (*header).pid).write((ids >> 32) as u32);
        (&raw mut (*header).tid).write(ids as u32);
        (&raw mut (*header).event).write(told.event as u8);
        (&raw mut (*header).flags).write(told.flags);
        (&raw mut (*header).captured).write(captured as u16);
        (&raw mut (*header).family).write(ends.family);
        (&raw mut (*header).local_port).write(ends.local_port);
        (&raw mut (*header).peer_port).write(ends.peer_port);
        (&raw mut (*header).reserved).write(0);
        (&raw mut (*header).sequence).write(told.sequence);
        (&raw mut (*header).local).cast::<[u64; 2]>().write(ends.local);
        (&raw mut (*header).peer).cast::<[u64; 2]>().write(ends.peer);
        (&raw mut (*header).comm).write(ends.comm);
    }
    // The agent comes by a timer of its own; it is woken only when more waits than should.
    // SAFETY: the helper is asked for a number.
    let waiting = SOCKETS.query(u64::from(BPF_RB_AVAIL_DATA));
    let wake = if waiting > WAKE_BYTES { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    entry.submit(u64::from(wake));
    ends_head
}

/// Where in the process's memory a call's bytes are: one buffer, or the first two of several.
struct Payload {
    buffers: [Buffer; 2],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Buffer {
    address: u64,
    bytes: u64,
}

impl Payload {
    const NONE: Self = Self { buffers: [Buffer { address: 0, bytes: 0 }; 2] };

    const fn one(address: u64) -> Self {
        Self {
            buffers: [Buffer { address, bytes: u64::MAX >> 1 }, Buffer { address: 0, bytes: 0 }],
        }
    }

    /// Of an array of `struct iovec`.
    #[inline(always)]
    fn of_vector(address: u64, count: u64) -> Self {
        let mut payload = Self::NONE;
        let bytes = if count >= 2 { size_of::<[Buffer; 2]>() } else { size_of::<Buffer>() };
        // SAFETY: the array has so many bytes; the helper checks the address.
        let failed = unsafe {
            generated::bpf_probe_read_user(
                (&raw mut payload.buffers).cast(),
                bytes as u32,
                address as *const c_void,
            )
        };
        if failed != 0 || count == 0 {
            return Self::NONE;
        }
        if payload.buffers[0].bytes == 0 {
            payload.buffers[0] = payload.buffers[1];
            payload.buffers[1].bytes = 0;
        }
        payload
    }

    /// The first bytes, up to eight, in memory's order; the others are zero.
    #[inline(always)]
    fn first_bytes(&self, length: u64) -> Option<u64> {
        let Buffer { address, bytes } = self.buffers[0];
        let size = length.min(bytes).min(8) as u32;
        self.word(address, size)
    }

    #[inline(always)]
    fn word(&self, address: u64, size: u32) -> Option<u64> {
        let mut word = 0_u64;
        if address == 0 || size == 0 || size > 8 {
            return None;
        }
        // SAFETY: `word` has eight bytes; the helper checks the address.
        let failed = unsafe {
            generated::bpf_probe_read_user((&raw mut word).cast(), size, address as *const c_void)
        };
        (failed == 0).then_some(word)
    }

    /// The last seven bytes, if they are in one of the known buffers.
    #[inline(always)]
    fn last_bytes(&self, length: u64) -> Option<u64> {
        self.word(self.end(length)?.checked_sub(7)?, 7).filter(|_| length >= 7)
    }

    /// The address behind the last byte.
    #[inline(always)]
    fn end(&self, length: u64) -> Option<u64> {
        let [first, second] = self.buffers;
        if length <= first.bytes {
            return Some(first.address + length);
        }
        let rest = length - first.bytes;
        (rest <= second.bytes).then_some(second.address + rest)
    }

    /// Copies the first `wanted` bytes to where there is room for `room`; how many there are.
    #[inline(always)]
    fn copy(&self, to: *mut u8, wanted: usize, room: usize) -> usize {
        let [first, second] = self.buffers;
        // The verifier sees a bound only on the very register that was compared.
        let size = hint::black_box((wanted as u64).min(first.bytes) as usize);
        if size > room {
            return 0;
        }
        // SAFETY: there is room for `size` bytes; the helper checks the address.
        let failed = unsafe {
            generated::bpf_probe_read_user(to.cast(), size as u32, first.address as *const c_void)
        };
        if failed != 0 {
            return 0;
        }
        // A short first buffer: the head may go on in the second. Halves, for the verifier's sake.
        let half = room / 2;
        let rest = (wanted.wrapping_sub(size) as u64).min(second.bytes).min(half as u64 - 1);
        let rest = within(rest as usize, half);
        if rest == 0 || size >= half {
            return size;
        }
        // SAFETY: each is less than half of the room.
        let failed = unsafe {
            generated::bpf_probe_read_user(
                to.add(within(size, half)).cast(),
                rest as u32,
                second.address as *const c_void,
            )
        };
        if failed != 0 { size } else { size + rest }
    }
}

/// Finds the bytes by the call that the process made.
#[inline(always)]
fn payload() -> Payload {
    let Some(call) = machine::call() else { return Payload::NONE };
    let (buffer, count) = (call.second, call.third);
    match call.number {
        machine::READ | machine::WRITE | machine::RECVFROM | machine::SENDTO => {
            Payload::one(buffer)
        }
        machine::READV | machine::WRITEV => Payload::of_vector(buffer, count),
        machine::RECVMSG | machine::SENDMSG => {
            // `struct user_msghdr`: name, its length, then the vector and its length.
            let at = (buffer + 16) as *const [u64; 2];
            // SAFETY: the helper checks the address.
            match unsafe { bpf_probe_read_user(at) } {
                Ok([address, count]) => Payload::of_vector(address, count),
                Err(_) => Payload::NONE,
            }
        }
        _ => Payload::NONE,
    }
}

/// A system call as the process made it.
struct Call {
    number: u64,
    second: u64,
    third: u64,
}

#[cfg(bpf_target_arch = "x86_64")]
mod machine {
    use super::{Call, generated};

    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVMSG: u64 = 47;

    #[inline(always)]
    pub(super) fn call() -> Option<Call> {
        // SAFETY: the running task is valid as long as it runs, and so are its saved registers.
        let registers =
            unsafe { generated::bpf_task_pt_regs(generated::bpf_get_current_task_btf()) }
                as *const aya_ebpf::bindings::pt_regs;
        // SAFETY: as above.
        unsafe {
            Some(Call {
                number: (&raw const (*registers).orig_rax).read_volatile(),
                second: (&raw const (*registers).rsi).read_volatile(),
                third: (&raw const (*registers).rdx).read_volatile(),
            })
        }
    }
}

#[cfg(bpf_target_arch = "aarch64")]
mod machine {
    use super::{Call, generated};

    pub(super) const READ: u64 = 63;
    pub(super) const WRITE: u64 = 64;
    pub(super) const READV: u64 = 65;
    pub(super) const WRITEV: u64 = 66;
    pub(super) const SENDTO: u64 = 206;
    pub(super) const RECVFROM: u64 = 207;
    pub(super) const SENDMSG: u64 = 211;
    pub(super) const RECVMSG: u64 = 212;

    #[inline(always)]
    pub(super) fn call() -> Option<Call> {
        // SAFETY: the running task is valid as long as it runs, and so are its saved registers.
        let registers =
            unsafe { generated::bpf_task_pt_regs(generated::bpf_get_current_task_btf()) }
                as *const aya_ebpf::bindings::user_pt_regs;
        // SAFETY: as above. The number of the call is in x8.
        unsafe {
            Some(Call {
                number: (&raw const (*registers).regs[8]).read_volatile(),
                second: (&raw const (*registers).regs[1]).read_volatile(),
                third: (&raw const (*registers).regs[2]).read_volatile(),
            })
        }
    }
}
