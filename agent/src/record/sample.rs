//! The bytes of one sample to an owned [`Sample`].

use sonde_ebpf::{Resume, SampleHeader, StackEnd, limits::COMM_BYTES};

use super::{DecodeError, pod::split_pod};

/// One sample as it was taken: addresses, not names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Process id as userspace says it.
    pub pid: u32,
    /// Thread id as userspace says it.
    pub tid: u32,
    /// Time on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// Cgroup (version 2) of the thread, or 0.
    pub cgroup_id: u64,
    /// Name of the thread, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// User addresses, leaf first. All but the leaf are return addresses.
    pub user_stack: Box<[u64]>,
    /// Kernel addresses, leaf first. All but the leaf are return addresses.
    pub kernel_stack: Box<[u64]>,
    /// Why `user_stack` ends where it does.
    pub stack_end: StackEnd,
    /// What is needed to go on, where the kernel side lacked a table.
    pub rest: Option<Box<StackRest>>,
}

/// Where a walk stopped, and the thread's stack from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackRest {
    /// The last frame's registers.
    pub resume: Resume,
    /// From the last frame's stack pointer, rounded down to 8 bytes, upwards.
    pub stack: Box<[u8]>,
}

impl Sample {
    /// Decodes one record of the sample ring.
    ///
    /// # Errors
    /// If the record is shorter than its header promises or holds an unknown stack end.
    pub fn decode(record: &[u8]) -> Result<Self, DecodeError> {
        let (header, body) = split_pod::<SampleHeader>(record)?;
        let (user_stack, body) = split_stack(body, header.user_frames)?;
        // The kernel rounds records up to 8 bytes, so bytes may remain after the last address.
        let (kernel_stack, body) = split_stack(body, header.kernel_frames)?;
        let rest = split_rest(body, header.stack_bytes)?;
        let stack_end = StackEnd::from_wire(header.stack_end)
            .ok_or(DecodeError::UnknownValue { field: "stack_end", value: header.stack_end })?;
        let SampleHeader { pid, tid, boot_ns, cgroup_id, comm, .. } = header;
        Ok(Self { pid, tid, boot_ns, cgroup_id, comm, user_stack, kernel_stack, stack_end, rest })
    }
}

fn split_rest(bytes: &[u8], stack_bytes: u32) -> Result<Option<Box<StackRest>>, DecodeError> {
    if stack_bytes == 0 {
        return Ok(None);
    }
    let (resume, bytes) = split_pod::<Resume>(bytes)?;
    let need = stack_bytes as usize;
    let stack = bytes.get(..need).ok_or(DecodeError::Short { got: bytes.len(), need })?;
    Ok(Some(Box::new(StackRest { resume, stack: stack.into() })))
}

fn split_stack(bytes: &[u8], frames: u16) -> Result<(Box<[u64]>, &[u8]), DecodeError> {
    let need = usize::from(frames) * size_of::<u64>();
    let (stack, rest) =
        bytes.split_at_checked(need).ok_or(DecodeError::Short { got: bytes.len(), need })?;
    let (addresses, _) = stack.as_chunks::<8>();
    Ok((addresses.iter().map(|address| u64::from_ne_bytes(*address)).collect(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DecodeError, Sample, StackEnd};

    /// A record as the kernel writes it, with the given counts and the addresses that follow.
    fn record(user_frames: u16, kernel_frames: u16, stack_end: u32, addresses: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(8_u32.to_ne_bytes());
        bytes.extend(9_u64.to_ne_bytes());
        bytes.extend(10_u64.to_ne_bytes());
        bytes.extend(*b"worker\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(user_frames.to_ne_bytes());
        bytes.extend(kernel_frames.to_ne_bytes());
        bytes.extend(stack_end.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(addresses.iter().flat_map(|address| address.to_ne_bytes()));
        bytes
    }

    #[test]
    fn stacks_are_split_in_header_order() {
        let sample = Sample::decode(&record(2, 1, 5, &[0x10, 0x20, 0xffff_8000])).expect("decodes");
        assert_eq!((sample.pid, sample.tid, sample.boot_ns, sample.cgroup_id), (7, 8, 9, 10));
        assert_eq!(*sample.user_stack, [0x10, 0x20]);
        assert_eq!(*sample.kernel_stack, [0xffff_8000]);
        assert_eq!(sample.stack_end, StackEnd::FramePointerEnd);
    }

    #[test]
    fn a_record_shorter_than_its_header_promises_is_refused() {
        let error = Sample::decode(&record(2, 1, 0, &[0x10, 0x20])).expect_err("refused");
        assert_eq!(error, DecodeError::Short { got: 0, need: 8 });
        let error = Sample::decode(&[0; 55]).expect_err("refused");
        assert_eq!(error, DecodeError::Short { got: 55, need: 56 });
    }

    #[test]
    fn a_stack_end_from_a_newer_kernel_side_is_refused() {
        let error = Sample::decode(&record(0, 0, 77, &[])).expect_err("refused");
        assert_eq!(error, DecodeError::UnknownValue { field: "stack_end", value: 77 });
    }

    #[test]
    fn a_stack_that_came_along_is_kept_with_its_registers() {
        let mut bytes = record(1, 0, 10, &[0x10]);
        bytes[48..52].copy_from_slice(&16_u32.to_ne_bytes());
        let error = Sample::decode(&bytes).expect_err("refused");
        assert_eq!(error, DecodeError::Short { got: 0, need: 168 });
        bytes.extend([1; 168]);
        assert_eq!(Sample::decode(&bytes), Err(DecodeError::Short { got: 0, need: 16 }));
        bytes.extend([2; 16]);
        let rest = Sample::decode(&bytes).expect("decodes").rest.expect("there");
        assert_eq!(rest.resume.registers.pc, 0x0101_0101_0101_0101);
        assert_eq!(*rest.stack, [2; 16]);
    }

    #[test]
    fn padding_after_the_last_address_is_ignored() {
        assert!(Sample::decode(&record(1, 0, 0, &[0x10, 0xdead])).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = Sample::decode(&bytes);
        }
    }
}
