//! A parsed pprof message to profiles: ids resolved, tables cut down to what samples name.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::tables::{Label, Mapping, SampleParts, ValueType};
use super::{Message, add};
use crate::ingest::error::IngestError;
use crate::ingest::labels::LabelSet;
use crate::ingest::limits::Limits;
use crate::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};

/// Values up to this add up exactly, also in a browser's numbers.
const MAX_VALUE: i64 = 1 << 53;

/// What the request says about a profile beside the profile itself.
pub(in crate::ingest) struct Context<'a> {
    pub(in crate::ingest) labels: &'a LabelSet,
    /// First part of the profile type.
    pub(in crate::ingest) name: Arc<str>,
    /// Start where the profile does not say one, in milliseconds since 1970.
    pub(in crate::ingest) default_unix_ms: i64,
    pub(in crate::ingest) limits: &'a Limits,
}

/// What the profiles of one request hold together.
#[derive(Default)]
pub(in crate::ingest) struct Totals {
    values: usize,
    stack_entries: usize,
}

impl Totals {
    /// Counts one value of a stack.
    pub(in crate::ingest) fn count(
        &mut self,
        depth: usize,
        limits: &Limits,
    ) -> Result<(), IngestError> {
        self.values += 1;
        self.stack_entries += depth;
        if self.values > limits.values {
            return Err(IngestError::TooMany {
                what: "values in one request",
                limit: limits.values,
            });
        }
        if self.stack_entries > limits.stack_entries {
            let limit = limits.stack_entries;
            return Err(IngestError::TooMany { what: "frames in all stacks together", limit });
        }
        Ok(())
    }
}

/// One profile for each sample type that has a value other than 0.
pub(in crate::ingest) fn profiles(
    message: &Message<'_>,
    context: &Context<'_>,
    totals: &mut Totals,
) -> Result<Vec<Profile>, IngestError> {
    let mut tables = Tables::new(message, context)?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); message.sample_types.len()];
    let mut parts = SampleParts::default();
    let limits = context.limits;
    for (at, sample) in message.samples.iter().enumerate() {
        sample.read(&mut parts, (limits.depth, message.sample_types.len(), limits.labels))?;
        if parts.values.len() != message.sample_types.len() {
            let (got, want) = (parts.values.len(), message.sample_types.len());
            let why = format!("sample {at} has {got} values for {want} sample types");
            return Err(IngestError::malformed("pprof profile", why));
        }
        if parts.values.iter().all(|&value| value == 0) {
            continue;
        }
        let stack = tables.stack(at, &parts.location_ids)?;
        let series = tables.series(at, &parts.labels)?;
        for (list, &value) in samples.iter_mut().zip(&parts.values) {
            if !(0..=MAX_VALUE).contains(&value) {
                return Err(IngestError::BadValue { sample: at, value });
            }
            if value > 0 {
                totals.count(stack.len(), limits)?;
                list.push(Sample { series, stack: stack.clone(), value });
            }
        }
    }
    tables.finish(samples)
}

/// Tables of the profiles under construction.
struct Tables<'a, 'm> {
    message: &'a Message<'m>,
    context: &'a Context<'a>,
    texts: Vec<Option<Arc<str>>>,
    location_rows: FxHashMap<u64, usize>,
    function_rows: FxHashMap<u64, usize>,
    mapping_rows: FxHashMap<u64, usize>,
    /// Row of the message to index in `locations`.
    locations_made: FxHashMap<u64, u32>,
    frames_made: FxHashMap<u64, u32>,
    frames_by_content: FxHashMap<Frame, u32>,
    series_made: FxHashMap<Vec<Label>, u32>,
    series_by_content: FxHashMap<Labels, u32>,
    locations: Vec<Location>,
    frames: Vec<Frame>,
    series: Vec<Labels>,
}

impl<'a, 'm> Tables<'a, 'm> {
    fn new(message: &'a Message<'m>, context: &'a Context<'a>) -> Result<Self, IngestError> {
        Ok(Self {
            message,
            context,
            texts: vec![None; message.strings.len()],
            location_rows: rows_by_id("location", message.locations.iter().map(|row| row.id))?,
            function_rows: rows_by_id("function", message.functions.iter().map(|row| row.id))?,
            mapping_rows: rows_by_id("mapping", message.mappings.iter().map(|row| row.id))?,
            locations_made: FxHashMap::default(),
            frames_made: FxHashMap::default(),
            frames_by_content: FxHashMap::default(),
            series_made: FxHashMap::default(),
            series_by_content: FxHashMap::default(),
            locations: Vec::new(),
            frames: Vec::new(),
            series: Vec::new(),
        })
    }

    fn text(&mut self, index: u64, at: impl Fn() -> String) -> Result<Arc<str>, IngestError> {
        let unknown = || IngestError::UnknownId { what: "string", id: index, at: at() };
        let row = usize::try_from(index).map_err(|_| unknown())?;
        let made = self.texts.get_mut(row).ok_or_else(unknown)?;
        if let Some(text) = made {
            return Ok(Arc::clone(text));
        }
        let bytes = self.message.strings[row];
        let limit_bytes = self.context.limits.symbol_bytes;
        if bytes.len() > limit_bytes {
            return Err(IngestError::TooLarge { what: "a string of the profile", limit_bytes });
        }
        let text: Arc<str> = Arc::from(String::from_utf8_lossy(bytes));
        *made = Some(Arc::clone(&text));
        Ok(text)
    }

    fn stack(&mut self, sample: usize, ids: &[u64]) -> Result<Vec<u32>, IngestError> {
        let at = || format!("sample {sample}");
        ids.iter().map(|&id| self.location(id, &at)).collect()
    }

    fn location(&mut self, id: u64, at: &dyn Fn() -> String) -> Result<u32, IngestError> {
        if let Some(&made) = self.locations_made.get(&id) {
            return Ok(made);
        }
        let unknown = || IngestError::UnknownId { what: "location", id, at: at() };
        let row = self.message.locations[*self.location_rows.get(&id).ok_or_else(unknown)?];
        let here = || format!("location {id}");
        let mapping = self.mapping(row.mapping_id, here)?;
        let binary = self.text(mapping.filename_index, || format!("mapping {}", mapping.id))?;
        let build_id = self.text(mapping.build_id_index, || format!("mapping {}", mapping.id))?;
        let (mut frames, mut lines) = (Vec::new(), Vec::new());
        let depth = self.context.limits.depth;
        row.lines(|function, line| {
            lines.push(line);
            let frame = self.frame(function, here)?;
            add(&mut frames, frame, depth, "functions inlined at one address")
        })?;
        if frames.is_empty() {
            frames.push(self.unnamed(&binary));
            lines.push(0);
        }
        let made = index(self.locations.len());
        let address = mapping.file_address(row.address);
        self.locations.push(Location { address, binary, build_id, frames, lines });
        self.locations_made.insert(id, made);
        Ok(made)
    }

    fn mapping(&self, id: u64, at: impl Fn() -> String) -> Result<Mapping, IngestError> {
        match self.mapping_rows.get(&id) {
            Some(&row) => Ok(self.message.mappings[row]),
            None if id == 0 => Ok(Mapping::default()),
            None => Err(IngestError::UnknownId { what: "mapping", id, at: at() }),
        }
    }

    fn frame(&mut self, id: u64, at: impl Fn() -> String) -> Result<u32, IngestError> {
        if let Some(&made) = self.frames_made.get(&id) {
            return Ok(made);
        }
        let unknown = || IngestError::UnknownId { what: "function", id, at: at() };
        let row = self.message.functions[*self.function_rows.get(&id).ok_or_else(unknown)?];
        let here = || format!("function {id}");
        let name = self.text(row.name_index, here)?;
        let mut system_name = self.text(row.system_name_index, here)?;
        if system_name == name {
            system_name = Arc::default();
        }
        let file = self.text(row.filename_index, here)?;
        let made = self.intern(Frame { name, system_name, file });
        self.frames_made.insert(id, made);
        Ok(made)
    }

    /// The frame of an address that the sender could not name: it says so.
    fn unnamed(&mut self, binary: &str) -> u32 {
        let base = binary.rsplit('/').next().unwrap_or_default();
        let name =
            if base.is_empty() { "[no symbols]".into() } else { format!("[no symbols: {base}]") };
        self.intern(Frame { name: name.into(), system_name: Arc::default(), file: Arc::default() })
    }

    fn intern(&mut self, frame: Frame) -> u32 {
        let next = index(self.frames.len());
        let made = *self.frames_by_content.entry(frame.clone()).or_insert(next);
        if made == next {
            self.frames.push(frame);
        }
        made
    }

    fn series(&mut self, sample: usize, labels: &[Label]) -> Result<u32, IngestError> {
        if let Some(&made) = self.series_made.get(labels) {
            return Ok(made);
        }
        let mut set = self.context.labels.clone();
        let at = || format!("a label of sample {sample}");
        for label in labels {
            let name = self.text(label.key_index, at)?;
            let value = match label.text_index {
                0 => Arc::from(label.number.to_string()),
                text => self.text(text, at)?,
            };
            if name.as_ref() != "__name__" {
                set.set(&name, &value, self.context.limits)?;
            }
        }
        let labels_made = set.labels();
        let next = index(self.series.len());
        let made = *self.series_by_content.entry(labels_made.clone()).or_insert(next);
        if made == next {
            self.series.push(labels_made);
        }
        self.series_made.insert(labels.to_vec(), made);
        Ok(made)
    }

    fn finish(mut self, samples: Vec<Vec<Sample>>) -> Result<Vec<Profile>, IngestError> {
        let message = self.message;
        let mut profiles = Vec::new();
        for (kind, samples) in message.sample_types.iter().zip(samples) {
            if !samples.is_empty() {
                let profile_type = self.profile_type(*kind)?;
                profiles.push(self.profile(profile_type, samples));
            }
        }
        Ok(profiles)
    }

    fn profile(&self, profile_type: ProfileType, samples: Vec<Sample>) -> Profile {
        let message = self.message;
        let start_unix_ms = if message.has_time() {
            message.time_unix_ns / 1_000_000
        } else {
            self.context.default_unix_ms
        };
        Profile {
            profile_type,
            period: message.period.max(0),
            start_unix_ms,
            duration_ms: message.duration_ns.max(0) / 1_000_000,
            series: self.series.clone(),
            frames: self.frames.clone(),
            locations: self.locations.clone(),
            samples,
        }
    }

    fn profile_type(&mut self, kind: ValueType) -> Result<ProfileType, IngestError> {
        let period = self.message.period_type;
        let limits = self.context.limits;
        let mut part = |index| {
            let text = self.text(index, || "a value type".to_owned())?;
            // The parts are joined by colons, so a part must not have one.
            if text.len() > limits.label_name_bytes || text.contains([':', '\n']) {
                let why = "a sample type or unit is too long or has a colon";
                return Err(IngestError::malformed("pprof profile", why));
            }
            Ok(text)
        };
        Ok(ProfileType {
            sample_type: part(kind.type_index)?,
            sample_unit: part(kind.unit_index)?,
            period_type: part(period.type_index)?,
            period_unit: part(period.unit_index)?,
            name: Arc::clone(&self.context.name),
        })
    }
}

fn rows_by_id(
    what: &'static str,
    ids: impl Iterator<Item = u64>,
) -> Result<FxHashMap<u64, usize>, IngestError> {
    let mut rows = FxHashMap::default();
    for (row, id) in ids.enumerate() {
        if id == 0 || rows.insert(id, row).is_some() {
            let why = format!("{what} id {id} is zero or given twice");
            return Err(IngestError::malformed("pprof profile", why));
        }
    }
    Ok(rows)
}

/// Tables are bounded by [`Limits`], far below 2^32 rows.
fn index(len: usize) -> u32 {
    u32::try_from(len).expect("limits keep tables below 2^32 rows")
}
