//! What property tests and fuzz targets do with bytes that nobody vouches for: nothing may panic,
//! memory stays bounded, and where a call ends does not matter unless something was lost.

use super::{Chunk, Close, Closer, Connection, Direction, Found, MAX_IN_FLIGHT, Patience, Verdict};

/// The most that the memory of a connection may be.
const MAX_MEMORY: usize = 512 << 10;

/// Takes `bytes` as calls: what kind, how many bytes, and the bytes. Returns what was found.
#[must_use]
pub fn try_calls(bytes: &[u8]) -> Found {
    let Some((first, mut rest)) = bytes.split_first() else { return Found::default() };
    let mut trial = Trial::new(u64::from(first & 1));
    while let [kind, length, tail @ ..] = rest {
        let (captured, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        let direction = if kind & 1 == 0 { Direction::Received } else { Direction::Sent };
        let unseen = [0, 1, 7, 5000][usize::from(kind >> 3 & 3)];
        // Of bytes that come a second time, too.
        let gap = [0, 0, 5, u64::MAX][usize::from(kind >> 5 & 3)];
        trial.call(direction, captured, unseen, gap, kind & 2 > 0);
        rest = tail;
    }
    trial.end()
}

/// Takes `bytes` as what a server received, an empty line with a NUL, and what it sent. Returns what
/// was found, which is the same whether it came in one call or byte by byte.
#[must_use]
pub fn try_cuts(bytes: &[u8]) -> Found {
    let at = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    let (received, sent) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let (mut whole, mut pieces) = (Trial::new(1), Trial::new(1));
    for (direction, bytes) in [(Direction::Received, received), (Direction::Sent, sent)] {
        whole.call(direction, bytes, 0, 0, false);
        bytes.chunks(1).for_each(|byte| pieces.call(direction, byte, 0, 0, false));
    }
    let followed =
        [&whole, &pieces].iter().all(|trial| trial.connection.verdict() == Verdict::Http);
    let (whole, pieces) = (whole.end(), pieces.end());
    if followed && whole.counts.all_lost() + pieces.counts.all_lost() == 0 {
        assert_eq!(facts(&whole), facts(&pieces));
    }
    whole
}

/// What must not depend on where calls end.
fn facts(found: &Found) -> Vec<String> {
    let one = |exchange: &super::Exchange| {
        let request = &exchange.request;
        let answer = exchange.response.map(|response| {
            (response.status, response.transfer.position, response.transfer.body_bytes)
        });
        let place = (request.transfer.position, request.transfer.body_bytes);
        format!(
            "{} {} {place:?} {answer:?} {:?}",
            request.method(),
            request.path(),
            exchange.outcome
        )
    };
    found.exchanges.iter().map(one).collect()
}

struct Trial {
    connection: Connection,
    found: Found,
    positions: [u64; 2],
    now_ns: u64,
}

impl Trial {
    fn new(opened_ns: u64) -> Self {
        let connection = Connection::new(opened_ns);
        Self { connection, found: Found::default(), positions: [0; 2], now_ns: 1 }
    }

    fn call(&mut self, direction: Direction, captured: &[u8], unseen: u64, gap: u64, mark: bool) {
        let next = &mut self.positions[direction as usize];
        let position = next.wrapping_add(gap);
        let length = captured.len() as u64 + unseen;
        *next = position.wrapping_add(length);
        self.now_ns += 1;
        let chunk = Chunk {
            direction,
            position,
            length,
            captured,
            ends_chunked: mark,
            boot_ns: self.now_ns,
            arrived_ns: self.now_ns - 1,
            tid: 1,
            may_wait: false,
        };
        self.connection.chunk(&chunk, &mut self.found);
        assert!(self.connection.memory_bytes() <= MAX_MEMORY);
        assert!(self.connection.in_flight().count() <= MAX_IN_FLIGHT);
    }

    fn end(mut self) -> Found {
        let patience = Patience { unmarked_ns: 0, exchange_ns: u64::MAX };
        self.connection.expire(self.now_ns, patience, &mut self.found);
        let close = Close { boot_ns: self.now_ns, by: Closer::Unknown, reset: false };
        self.connection.close(close, &mut self.found);
        assert_eq!(self.connection.in_flight().count(), 0);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What fuzzing begins with.
    const CALLS: [&[u8]; 2] = [
        include_bytes!("../../fuzz/seeds/http/calls-bodies"),
        include_bytes!("../../fuzz/seeds/http/calls-losses"),
    ];
    const CUTS: [&[u8]; 2] = [
        include_bytes!("../../fuzz/seeds/http/cuts-pipelined"),
        include_bytes!("../../fuzz/seeds/http/cuts-smuggled"),
    ];

    #[test]
    fn the_corpus_comes_to_what_it_says() {
        let exchanges = CALLS.map(|seed| try_calls(&seed[1..]).exchanges.len());
        assert_eq!(exchanges, [3, 3]);
        let exchanges = CUTS.map(|seed| try_cuts(&seed[1..]).exchanges.len());
        assert_eq!(exchanges, [4, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn a_damaged_corpus_comes_to_an_end(
            seed in 0_usize..4,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        ) {
            let mut bytes = [CALLS, CUTS].concat()[seed].to_vec();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let (calls, cuts) = (try_calls(&bytes), try_cuts(&bytes));
            prop_assert!(calls.exchanges.len() + cuts.exchanges.len() <= bytes.len());
        }
    }
}
