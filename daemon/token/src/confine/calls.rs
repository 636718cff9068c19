//! System calls that a module has no business with, refused by seccomp for every thread of the process.
//!
//! A list of what is refused, not of what is allowed: what a vendor's library calls is not known, and one that is killed for
//! an odd call is of no use. What is refused answers with an error that libraries know how to take.

use std::collections::BTreeMap;

use libc::{AF_NETLINK, AF_UNIX, EAFNOSUPPORT, EPERM, NETLINK_KOBJECT_UEVENT, c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Other processes' memory, descriptors and keys; the kernel's own machinery; and io_uring, which does what a filter on
/// system calls does not see.
const REFUSED: [c_long; 40] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];

const PROGRAMS: [c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// Bit 30 marks the calls of x32, which share the architecture's number with x86_64.
const X32: c_long = 0x4000_0000;

/// Calls that have a number of their own in x32: execve, ptrace, kexec_load, process_vm_readv, process_vm_writev, execveat.
const X32_NUMBERS: [(c_long, c_long); 6] = [
    (libc::SYS_execve, 520),
    (libc::SYS_ptrace, 521),
    (libc::SYS_kexec_load, 528),
    (libc::SYS_process_vm_readv, 536),
    (libc::SYS_process_vm_writev, 537),
    (libc::SYS_execveat, 542),
];

/// Puts the filters in place.
pub(super) fn refuse(network: bool, programs: bool) -> Result<(), Error> {
    let programs: &[c_long] = if programs { &[] } else { &PROGRAMS };
    let refused = REFUSED.iter().chain(programs).map(|call| (*call, Vec::new()));
    apply_filter_all_threads(&filter(refused, EPERM)?)?;
    if !network {
        let sockets = [(libc::SYS_socket, families()?), (libc::SYS_socketpair, families()?)];
        apply_filter_all_threads(&filter(sockets, EAFNOSUPPORT)?)?;
    }
    Ok(())
}

/// Every address family but Unix; of netlink, what the kernel says of devices that come and go is left, without which libusb
/// does not start.
fn families() -> Result<Vec<SeccompRule>, BackendError> {
    let argument = |number, is, value: c_int| {
        let value = u64::from(value.cast_unsigned());
        SeccompCondition::new(number, SeccompCmpArgLen::Dword, is, value)
    };
    let unknown = vec![
        argument(0, SeccompCmpOp::Ne, AF_UNIX)?,
        argument(0, SeccompCmpOp::Ne, AF_NETLINK)?,
    ];
    let netlink = vec![
        argument(0, SeccompCmpOp::Eq, AF_NETLINK)?,
        argument(2, SeccompCmpOp::Ne, NETLINK_KOBJECT_UEVENT)?,
    ];
    Ok(vec![SeccompRule::new(unknown)?, SeccompRule::new(netlink)?])
}

/// A program that answers these calls with `errno`, allows the others, and kills the process for a call of another
/// architecture, whose numbers mean other things.
fn filter(
    calls: impl IntoIterator<Item = (c_long, Vec<SeccompRule>)>,
    errno: c_int,
) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::new();
    for (call, conditions) in calls {
        for number in numbers(call) {
            rules.insert(number, conditions.clone());
        }
    }
    let answer = SeccompAction::Errno(errno.cast_unsigned());
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, answer, processor)?.try_into()
}

/// Under which numbers the kernel takes this call.
fn numbers(call: c_long) -> Vec<c_long> {
    let mut numbers = vec![call];
    if cfg!(target_arch = "x86_64") {
        numbers.push(call | X32);
        for (own, number) in X32_NUMBERS {
            if own == call {
                numbers.extend([number, number | X32]);
            }
        }
    }
    numbers
}
