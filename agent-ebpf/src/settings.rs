//! Names of the constants that the agent sets in the programs before it loads them.

/// `u64`: bytes waiting in the sample ring above which the drain thread is woken early.
pub const WAKE_BYTES: &str = "WAKE_BYTES";

/// `u8`: 1 where the kernel has the helper `bpf_task_pt_regs`.
pub const HAS_TASK_REGISTERS: &str = "HAS_TASK_REGISTERS";

/// `u64`: byte of `task_struct` where the kernel stack's address is; 0 if not known.
pub const TASK_STACK_OFFSET: &str = "TASK_STACK_OFFSET";

/// `u64` each: bytes of `struct sock` where these fields are, with the names of structure and field.
pub const SOCK_FIELDS: [(&str, &str, &str); 12] = [
    ("SOCK_PEER", "sock_common", "skc_daddr"),
    ("SOCK_LOCAL", "sock_common", "skc_rcv_saddr"),
    ("SOCK_PEER_PORT", "sock_common", "skc_dport"),
    ("SOCK_LOCAL_PORT", "sock_common", "skc_num"),
    ("SOCK_FAMILY", "sock_common", "skc_family"),
    ("SOCK_PEER6", "sock_common", "skc_v6_daddr"),
    ("SOCK_LOCAL6", "sock_common", "skc_v6_rcv_saddr"),
    ("SOCK_TYPE", "sock", "sk_type"),
    ("SOCK_PROTOCOL", "sock", "sk_protocol"),
    ("SOCKET_SOCK", "socket", "sk"),
    ("TCP_SENT", "tcp_sock", "write_seq"),
    ("TCP_READ", "tcp_sock", "copied_seq"),
];

/// `u64` each: bytes of the structures of a task where these fields are, as above. The state has
/// another name below Linux 5.14.
pub const TASK_FIELDS: [(&str, &str, &str); 9] = [
    ("TASK_PID", "task_struct", "pid"),
    ("TASK_TGID", "task_struct", "tgid"),
    ("TASK_FLAGS", "task_struct", "flags"),
    ("TASK_COMM", "task_struct", "comm"),
    ("TASK_INFO", "task_struct", "thread_info"),
    ("TASK_CGROUPS", "task_struct", "cgroups"),
    ("CSS_SET_CGROUP", "css_set", "dfl_cgrp"),
    ("CGROUP_NODE", "cgroup", "kn"),
    ("NODE_ID", "kernfs_node", "id"),
];

/// `u64`: byte of `task_struct` where its state is.
pub const TASK_STATE: &str = "TASK_STATE";

/// `u64`: byte of `thread_info` where is told whether a call is of the 32-bit table.
pub const INFO_COMPAT: &str = "INFO_COMPAT";

/// `u64`: byte of `pt_regs` where the number of the call is.
pub const CALL_NUMBER: &str = "CALL_NUMBER";

/// `u8`: 1 where `sched_switch` tells the state that a task is left in, as it does since Linux 5.18.
pub const TELLS_STATE: &str = "TELLS_STATE";

/// `u32`: one less than the elements of the tables of threads in calls.
pub const THREAD_MASK: &str = "THREAD_MASK";
