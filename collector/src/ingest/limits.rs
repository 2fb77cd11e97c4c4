//! What one request may ask of the collector.

/// What an object of JSON takes in memory once it is read, about.
pub(super) const JSON_OBJECT_BYTES: usize = 100;

/// Every bound that a request is held to. Sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Body as it comes over the wire.
    pub body_bytes: usize,
    /// Everything decompressed while one request is read, all its profiles together.
    pub decompressed_bytes: usize,
    /// Memory that all requests together may hold while they are read.
    pub in_flight_bytes: usize,
    /// Profiles of one push.
    pub profiles: usize,
    /// Samples of one profile.
    pub samples: usize,
    /// Rows of each other table of one profile, strings among them.
    pub table_rows: usize,
    /// Frames of one stack.
    pub depth: usize,
    /// Values of one request that are not 0, all its profiles and sample types together.
    pub values: usize,
    /// Frames of all stacks of one request together, counted once for each such value.
    pub stack_entries: usize,
    /// Sample types of one profile.
    pub sample_types: usize,
    /// Labels of one series.
    pub labels: usize,
    /// Length of a label's name.
    pub label_name_bytes: usize,
    /// Length of a label's value.
    pub label_value_bytes: usize,
    /// Length of a function name, file name or build id.
    pub symbol_bytes: usize,
    /// Spans or points of one OTLP request.
    pub otlp_rows: usize,
    /// One span or point as protobuf.
    pub otlp_row_bytes: usize,
    /// Objects and arrays of one OTLP request in JSON: each takes more memory than its bytes, and
    /// counts as 100 bytes of what all requests may hold.
    pub json_objects: usize,
    /// How far a profile's start may lie in the future, in milliseconds.
    pub future_ms: i64,
    /// How old a profile's start may be, in milliseconds; the store's retention.
    pub age_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            decompressed_bytes: 64 << 20,
            in_flight_bytes: 256 << 20,
            profiles: 1024,
            samples: 262_144,
            table_rows: 1 << 20,
            depth: 2048,
            values: 1 << 20,
            stack_entries: 16 << 20,
            sample_types: 32,
            labels: 64,
            label_name_bytes: 128,
            label_value_bytes: 2048,
            symbol_bytes: 64 << 10,
            otlp_rows: 1 << 20,
            otlp_row_bytes: 1 << 20,
            json_objects: 2 << 20,
            future_ms: 10 * 60 * 1000,
            age_ms: 7 * 24 * 3600 * 1000,
        }
    }
}
