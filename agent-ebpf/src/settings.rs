//! Names of the constants that the agent sets in the programs before it loads them.

/// `u64`: bytes waiting in the sample ring above which the drain thread is woken early.
pub const WAKE_BYTES: &str = "WAKE_BYTES";

/// `u8`: 1 where the kernel has the helper `bpf_task_pt_regs`.
pub const HAS_TASK_REGISTERS: &str = "HAS_TASK_REGISTERS";

/// `u64`: byte of `task_struct` where the kernel stack's address is; 0 if not known.
pub const TASK_STACK_OFFSET: &str = "TASK_STACK_OFFSET";

/// `u64` each: bytes of `struct sock` where these fields are, with the names of structure and field.
pub const SOCK_FIELDS: [(&str, &str, &str); 11] = [
    ("SOCK_PEER", "sock_common", "skc_daddr"),
    ("SOCK_LOCAL", "sock_common", "skc_rcv_saddr"),
    ("SOCK_PEER_PORT", "sock_common", "skc_dport"),
    ("SOCK_LOCAL_PORT", "sock_common", "skc_num"),
    ("SOCK_FAMILY", "sock_common", "skc_family"),
    ("SOCK_PEER6", "sock_common", "skc_v6_daddr"),
    ("SOCK_LOCAL6", "sock_common", "skc_v6_rcv_saddr"),
    ("SOCK_TYPE", "sock", "sk_type"),
    ("SOCKET_SOCK", "socket", "sk"),
    ("TCP_SENT", "tcp_sock", "write_seq"),
    ("TCP_READ", "tcp_sock", "copied_seq"),
];
