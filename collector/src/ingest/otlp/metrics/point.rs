//! OTLP's four kinds of data points to one kind of row.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
    SummaryDataPoint,
};
use prost::Message;

use super::series::SeriesOf;
use crate::ingest::otlp::batch::Context;
use crate::ingest::otlp::rejected::Rejection;
use crate::metric::Point;

/// What data points have in common.
pub(super) trait DataPoint: Message + Default {
    /// Takes out what is kept beside the message.
    fn take(&mut self) -> Taken;

    /// Whether there is a value that makes sense.
    fn check(&self) -> Result<(), Rejection>;

    /// The row of a point.
    fn stored(
        mut self,
        context: &Context<'_>,
        series: &mut SeriesOf<'_>,
        exemplars: &mut u64,
    ) -> Result<Point, Rejection> {
        let taken = self.take();
        if self.encoded_len() > context.limits.otlp_row_bytes {
            return Err(Rejection::TooLarge);
        }
        let unix_ns = context.time(taken.unix_ns)?;
        let start_unix_ns = i64::try_from(taken.start_unix_ns).map_err(|_| Rejection::NoTime)?;
        let has_none = taken.flags & (DataPointFlags::NoRecordedValueMask as u32) != 0;
        if !has_none {
            self.check()?;
        }
        let series = series.of(taken.attributes)?;
        *exemplars += taken.exemplars as u64;
        Ok(Point { series, start_unix_ns, unix_ns, data: self.encode_to_vec().into() })
    }
}

/// What is kept beside a data point's message, and what is not kept.
pub(super) struct Taken {
    attributes: Vec<KeyValue>,
    start_unix_ns: u64,
    unix_ns: u64,
    flags: u32,
    exemplars: usize,
}

macro_rules! taken {
    ($point:ident, $exemplars:expr) => {
        Taken {
            attributes: std::mem::take(&mut $point.attributes),
            start_unix_ns: std::mem::take(&mut $point.start_time_unix_nano),
            unix_ns: std::mem::take(&mut $point.time_unix_nano),
            flags: $point.flags,
            exemplars: $exemplars,
        }
    };
}

impl DataPoint for NumberDataPoint {
    fn take(&mut self) -> Taken {
        taken!(self, std::mem::take(&mut self.exemplars).len())
    }

    fn check(&self) -> Result<(), Rejection> {
        self.value.map(drop).ok_or(Rejection::NoValue)
    }
}

impl DataPoint for HistogramDataPoint {
    fn take(&mut self) -> Taken {
        taken!(self, std::mem::take(&mut self.exemplars).len())
    }

    fn check(&self) -> Result<(), Rejection> {
        let (counts, bounds) = (self.bucket_counts.len(), self.explicit_bounds.len());
        let fit = if counts == 0 { bounds == 0 } else { counts == bounds + 1 };
        let rises = self.explicit_bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if fit && rises { Ok(()) } else { Err(Rejection::Buckets) }
    }
}

impl DataPoint for ExponentialHistogramDataPoint {
    fn take(&mut self) -> Taken {
        taken!(self, std::mem::take(&mut self.exemplars).len())
    }

    fn check(&self) -> Result<(), Rejection> {
        if (-10..=20).contains(&self.scale) { Ok(()) } else { Err(Rejection::Buckets) }
    }
}

impl DataPoint for SummaryDataPoint {
    fn take(&mut self) -> Taken {
        taken!(self, 0)
    }

    fn check(&self) -> Result<(), Rejection> {
        Ok(())
    }
}
