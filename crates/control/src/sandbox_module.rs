//! What the process of a PKCS#11 module gives up. It runs code of somebody else's, which opens its token's files, connects to it and
//! loads what it needs, so that less can be taken from it than from an engine; what it never needs is listed here. Read next: `sandbox.rs`.

use seccompiler::{SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition, SeccompRule};
use std::collections::BTreeMap;

/// What no module needs that signs: to start programs, to answer others, to look into them, to end them, or to be more than it is.
const NEVER: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Refused to a module's process.
pub(crate) fn never() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|number| (*number, Vec::new())).collect();
    let mut only = |number: i64, op: Op, value: u64| {
        let condition = Condition::new(0, Len::Dword, op, value).map_err(|e| e.to_string())?;
        rules.insert(number, vec![SeccompRule::new(vec![condition]).map_err(|e| e.to_string())?]);
        Ok::<(), String>(())
    };
    // Threads, never processes.
    only(libc::SYS_clone, Op::MaskedEq(u64::from(libc::CLONE_THREAD.cast_unsigned())), 0)?;
    // abort() is to ourselves alone, and limits are our own.
    only(libc::SYS_tgkill, Op::Ne, u64::from(std::process::id()))?;
    only(libc::SYS_prlimit64, Op::Ne, 0)?;
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use crate::sandbox::{Of, tests::inside, tests::refused};
    use std::process::Command;

    #[test]
    fn a_module_opens_files_and_connects_and_starts_no_program_and_answers_nobody() {
        let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let addr = outside.local_addr().expect("its address");
        let (can, tried) = inside(Of::Module, move || {
            // SAFETY: plain system calls without pointers into our memory, but for null.
            let raw = |number: i64, a: i64, b: i64, c: i64| unsafe {
                if libc::syscall(number, a, b, c) < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            };
            let can = [
                std::fs::read("/etc/passwd").is_ok(),
                std::net::TcpStream::connect(addr).is_ok(),
                std::thread::spawn(|| ()).join().is_ok(),
            ];
            let tried = [
                ("start a program", refused(Command::new("/bin/true").spawn())),
                ("bind", refused(std::net::TcpListener::bind("127.0.0.1:0"))),
                ("trace", refused(raw(libc::SYS_ptrace, 16, 1, 0))),
                ("signal another", refused(raw(libc::SYS_kill, 1, 0, 0))),
                ("limit another", refused(raw(libc::SYS_prlimit64, 1, libc::RLIMIT_NOFILE.into(), 0))),
                ("become root", refused(raw(libc::SYS_setuid, 0, 0, 0))),
                ("namespace", refused(raw(libc::SYS_unshare, libc::CLONE_NEWUSER.into(), 0, 0))),
                ("load into the kernel", refused(raw(libc::SYS_bpf, 0, 0, 0))),
                ("ring", refused(raw(libc::SYS_io_uring_setup, 8, 0, 0))),
            ];
            (can, tried)
        });
        assert_eq!(can, [true; 3]);
        for (what, refused) in tried {
            assert!(refused, "{what} was possible");
        }
    }
}
