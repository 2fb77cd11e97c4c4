//! What the kernel side tells of a connection: what each call moved, and how it ended.

/// Which way bytes went, as the observed process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of the process.
    Sent,
    /// Into it.
    Received,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Sent => Self::Received,
            Self::Received => Self::Sent,
        }
    }
}

/// One call's bytes on a connection.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    /// Which way they went.
    pub direction: Direction,
    /// Place of the first byte in this direction's stream.
    pub position: u64,
    /// Bytes that the call moved.
    pub length: u64,
    /// The first of them: as many as were captured, possibly none.
    pub captured: &'a [u8],
    /// The call's last bytes are `\r\n0\r\n\r\n`.
    pub ends_chunked: bool,
    /// When the call ended, on `CLOCK_BOOTTIME`.
    pub boot_ns: u64,
    /// When the first of the bytes reached the socket; 0 if that is not known, or they were sent.
    pub arrived_ns: u64,
    /// The thread that made the call, as userspace says it: what the kernel calls `pid`.
    pub tid: u32,
    /// The call received, and would have waited had there been nothing.
    pub may_wait: bool,
}

impl Chunk<'_> {
    /// What was captured, and no more than was moved.
    pub(super) fn seen(&self) -> &[u8] {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        &self.captured[..self.captured.len().min(length)]
    }

    /// Bytes that were moved and not captured.
    pub(super) fn unseen(&self) -> u64 {
        self.length - self.seen().len() as u64
    }

    /// Whether the call ended as the last call of a chunked body does. A call that moved only the
    /// last five bytes has none of those before.
    pub(super) fn has_end_mark(&self) -> bool {
        let seen = self.seen();
        self.ends_chunked
            || (self.unseen() == 0 && (seen == b"0\r\n\r\n" || seen.ends_with(b"\r\n0\r\n\r\n")))
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The observed process.
    Observed,
    /// The other end.
    Peer,
    /// Nobody saw it.
    Unknown,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// When, on `CLOCK_BOOTTIME`.
    pub boot_ns: u64,
    /// Who began it.
    pub by: Closer,
    /// Whether by a reset, so that what was under way was cut off.
    pub reset: bool,
}

/// A chunk that had to wait.
pub(super) struct HeldChunk {
    /// Without its bytes.
    chunk: Chunk<'static>,
    captured: Box<[u8]>,
}

impl HeldChunk {
    pub(super) fn new(chunk: &Chunk<'_>) -> Self {
        let captured = chunk.seen().into();
        Self { chunk: Chunk { captured: &[], ..*chunk }, captured }
    }

    pub(super) fn chunk(&self) -> Chunk<'_> {
        Chunk { captured: &self.captured, ..self.chunk }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.captured.len()
    }
}
