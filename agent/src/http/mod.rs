//! From the chunks of bytes that one socket carried to the HTTP/1.x exchanges in them. Does no I/O and
//! reads no clock: the kernel side says what was moved, when, and by which thread.
//!
//! ```text
//!  Chunk (one call's bytes) ─► Stream (one direction: between messages │ in a head │ in a body │ lost)
//!                                 │ heads, and where bodies end
//!                                 ▼
//!                              Connection: requests in flight, oldest first ─► Exchange
//! ```
//!
//! Bodies are counted, not seen: a chunk tells how many bytes a call moved, and has the first few of
//! them. A body with a length is followed exactly all the same, also over chunks that were lost. The
//! end of a chunked one is found by its sizes as long as they were captured, then by the mark that
//! the kernel side looks for, then by the next head.
//!
//! What does not add up is never guessed at: the exchanges in flight are handed out as lost, and
//! matching goes on with the next request that a response came before, because a client that does
//! not pipeline has then had all its answers. Two readings of one framing (both a length and chunks,
//! two lengths) give the connection up.
#![forbid(unsafe_code)]

mod body;
mod chunk;
mod chunked;
mod connection;
mod counts;
mod exchange;
mod facts;
mod framing;
mod head;
mod sniff;
mod stream;
mod trial;

pub use chunk::{Chunk, Close, Closer, Direction};
pub use connection::{Connection, Patience, Verdict};
pub use counts::{Counts, GiveUp, Loss};
pub use exchange::{Exchange, Found, Outcome, Response, Side, Transfer};
pub use facts::Request;
pub use trial::{try_calls, try_cuts};

/// The longest head that is understood, and the most that is kept of one that is not whole yet.
pub const MAX_HEAD_BYTES: usize = 4 << 10;
/// Requests of one connection that wait for their responses.
pub const MAX_IN_FLIGHT: usize = 256;
/// Text kept of all of them together.
const MAX_IN_FLIGHT_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests;
