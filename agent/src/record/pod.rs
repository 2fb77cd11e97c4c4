//! The unsafe read under every decoder.

use super::DecodeError;

/// Reads a `T` from the front of `bytes` and returns it with the bytes that follow.
pub(super) fn split_pod<T: aya::Pod>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    let need = size_of::<T>();
    let (head, tail) =
        bytes.split_at_checked(need).ok_or(DecodeError::Short { got: bytes.len(), need })?;
    // SAFETY: `head` is `size_of::<T>()` readable bytes, `read_unaligned` needs no alignment, and
    // `Pod` promises that every bit pattern is a valid `T`.
    let value = unsafe { head.as_ptr().cast::<T>().read_unaligned() };
    Ok((value, tail))
}

/// The text before the first zero of a fixed or padded field; what is not UTF-8 is replaced.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
