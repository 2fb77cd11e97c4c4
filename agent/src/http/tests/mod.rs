//! Connections by example: what goes over the wire, and the exchanges that must come out.

mod bodies;
mod conversation;
mod endings;
mod hostile;
mod losses;
mod matching;

use super::*;

/// A connection under test, each call a nanosecond after the one before.
pub(super) struct Wire {
    pub(super) connection: Connection,
    pub(super) found: Found,
    positions: [u64; 2],
    pub(super) now_ns: u64,
}

impl Wire {
    pub(super) fn opened_at(opened_ns: u64) -> Self {
        let connection = Connection::new(opened_ns);
        Self { connection, found: Found::default(), positions: [0; 2], now_ns: 100 }
    }

    pub(super) fn new() -> Self {
        Self::opened_at(1)
    }

    pub(super) fn received(&mut self, bytes: &str) {
        self.call(Direction::Received, bytes.as_bytes(), 0, false);
    }

    pub(super) fn sent(&mut self, bytes: &str) {
        self.call(Direction::Sent, bytes.as_bytes(), 0, false);
    }

    /// A call of which `unseen` bytes more were moved than captured.
    pub(super) fn call(&mut self, direction: Direction, seen: &[u8], unseen: u64, mark: bool) {
        self.now_ns += 1;
        let position = self.positions[direction as usize];
        let length = seen.len() as u64 + unseen;
        let chunk = Chunk {
            direction,
            position,
            length,
            captured: seen,
            ends_chunked: mark,
            boot_ns: self.now_ns,
            arrived_ns: if direction == Direction::Received { self.now_ns - 1 } else { 0 },
            tid: 7,
            may_wait: false,
        };
        self.positions[direction as usize] = position.saturating_add(length);
        self.connection.chunk(&chunk, &mut self.found);
    }

    /// Bytes that nobody tells of.
    pub(super) fn lost(&mut self, direction: Direction, count: u64) {
        self.now_ns += 1;
        self.positions[direction as usize] += count;
    }

    pub(super) fn close(&mut self, by: Closer, reset: bool) {
        self.now_ns += 1;
        let close = Close { boot_ns: self.now_ns, by, reset };
        self.connection.close(close, &mut self.found);
    }

    /// What came out: method, path, status, body sizes, outcome; one line each.
    pub(super) fn lines(&self) -> String {
        let line = |exchange: &Exchange| {
            let Exchange { request, response, outcome, .. } = exchange;
            let (sent, answer) = (request.transfer.body_bytes, response.as_ref());
            let answer = answer.map_or("-".into(), |response| {
                format!("{} {}", response.status, response.transfer.body_bytes)
            });
            format!("{} {} {sent} -> {answer} {outcome:?}\n", request.method(), request.path())
        };
        self.found.exchanges.iter().map(line).collect()
    }

    #[track_caller]
    pub(super) fn check(&self, expected: &str) {
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.lines(), expected);
    }

    /// Losses by label, with their number where it is not 1.
    pub(super) fn losses(&self) -> String {
        let counted =
            Loss::ALL.into_iter().map(|loss| (loss.label(), self.found.counts.lost(loss)));
        let one = |(label, count): (&str, u64)| match count {
            1 => label.to_owned(),
            _ => format!("{label}*{count}"),
        };
        counted.filter(|(_, count)| *count > 0).map(one).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn in_flight(&self) -> usize {
        self.connection.in_flight().count()
    }
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request without a body.
pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A response with an empty body.
pub(super) fn empty(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")
}
