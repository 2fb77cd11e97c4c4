//! Any bytes as a record of the kernel: of the rings of samples and of sockets, and of perf's. Each is
//! decoded or refused, and holds no more than the record it came from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonde_agent::record::{ProcessEventKind, Sample, SocketCall, decode_process_event};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sample) = Sample::decode(bytes) {
        let addresses = sample.user_stack.len() + sample.kernel_stack.len();
        let copied = sample.rest.map_or(0, |rest| rest.stack.len());
        assert!(8 * addresses + copied <= bytes.len());
    }
    if let Ok(call) = SocketCall::decode(bytes) {
        assert!(call.captured.len() <= bytes.len());
    }
    if let Ok(Some(event)) = decode_process_event(bytes)
        && let ProcessEventKind::Mapped(region) = event.kind
    {
        assert!(region.start <= region.end);
        // A byte that is not UTF-8 becomes three.
        assert!(region.path.len() <= 3 * bytes.len());
    }
});
