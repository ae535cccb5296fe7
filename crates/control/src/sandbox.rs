//! The process, closed: what the engine will never need, it gives up before a client's first byte. It opens no file, starts
//! no process, binds no port and traces nobody; sockets, log and material come as descriptors. So whoever takes it over
//! has what runs through it, and no way on from there. What each kernel grants is told in `status`.
//! Read next: `docs/explanation/threat-model.md`.

use crate::sandbox_module;
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition, SeccompFilter,
    SeccompRule,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Whom the engine becomes, where its supervisor is root.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// How much of it must succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// All of it, or the engine does not start.
    Enforce,
    /// What the kernel grants; `status` tells what it did not.
    BestEffort,
    Off,
}

/// What holds now.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Closed {
    pub(crate) uid: u32,
    pub(crate) no_new_privs: bool,
    pub(crate) seccomp: bool,
    /// `full`, `partial` (an older kernel knows less) or `none`.
    pub(crate) landlock: &'static str,
}

static CLOSED: OnceLock<Closed> = OnceLock::new();

/// For `status`; nothing before [`enter`].
pub(crate) fn closed() -> Option<&'static Closed> {
    CLOSED.get()
}

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Engine,
    /// It makes no socket and waits for no connection: what it speaks with came as descriptors.
    Keyholder,
    /// A module of PKCS#11 runs in it, which opens its token's files or connects to it, and loads code that it needs: it starts no
    /// program, answers nobody, and looks into no other process.
    Module,
}

/// Closes the engine's process. To be called while it has one thread: what is given up here, later threads never had.
pub fn enter(wanted: Sandbox, user: Option<User>) -> Result<(), String> {
    enter_as(Of::Engine, wanted, user)
}

/// As [`enter`].
pub(crate) fn enter_as(whose: Of, wanted: Sandbox, user: Option<User>) -> Result<(), String> {
    if wanted != Sandbox::Off {
        // As long as that is ours to do: another user may not. Beside `no_new_privs` it is a second bolt on the same door.
        bound_capabilities(CapabilitySet::empty());
    }
    if let Some(user) = user {
        become_user(user).map_err(|e| format!("cannot become user {} of group {}: {e}", user.uid, user.gid))?;
    }
    if wanted == Sandbox::Off {
        return Ok(());
    }
    // Keys are in memory: it is written to no core file and read by no other process of our user.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let undumped = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    let no_capabilities = without_capabilities().is_ok();
    let no_new_privs = rustix::thread::set_no_new_privs(true).is_ok();
    let landlock = landlocked(whose);
    let (seccomp, why) = match filtered(whose) {
        Ok(()) => (true, String::new()),
        Err(why) => (false, why),
    };
    let closed = Closed { uid: rustix::process::geteuid().as_raw(), no_new_privs, seccomp, landlock };
    if wanted == Sandbox::Enforce && !(undumped && no_capabilities && seccomp && no_new_privs && landlock != "none") {
        return Err(format!("the sandbox is not whole: {closed:?} {why}"));
    }
    let _ = CLOSED.set(closed);
    Ok(())
}

fn become_user(user: User) -> rustix::io::Result<()> {
    use rustix::process::{Gid, Uid};
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Nothing is bound here, so that the capability to bind low ports stays with the supervisor.
fn without_capabilities() -> rustix::io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Takes all but `kept` out of what this process or one that it starts can ever have.
fn bound_capabilities(kept: CapabilitySet) {
    for one in (0..u64::BITS).map(|n| CapabilitySet::from_bits_retain(1 << n)) {
        // The kernel knows fewer than there are bits.
        if !kept.contains(one) && rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false) {
            let _ = rustix::thread::remove_capability_from_bounding_set(one);
        }
    }
}

/// What a supervisor that is root needs again, later: low ports, an engine of another user and its end, that engine's
/// own farewell to capabilities, and keys and logs in folders of other users.
const OF_SUPERVISOR: CapabilitySet = CapabilitySet::NET_BIND_SERVICE
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// What the supervisor gives up before it reads a key: it goes into no core file, no other process of its user looks
/// into it, and nothing that it starts gains a privilege. To be called while there is one thread.
///
/// Fails where the kernel refuses what it never refuses.
pub fn close_supervisor() -> std::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    bound_capabilities(OF_SUPERVISOR);
    // Those that systemd gave it to pass on; the engine binds nothing.
    rustix::thread::clear_ambient_capability_set()?;
    let have = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: have.effective & OF_SUPERVISOR,
        permitted: have.permitted & OF_SUPERVISOR,
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// No rule allows anything: no file, no port to bind, no signal or abstract socket to others. A module has files and sockets.
fn landlocked(whose: Of) -> &'static str {
    // A later version also restricts connecting to sockets in the file system, which backends may be.
    let abi = ABI::V6;
    let (files, scope) = match whose {
        Of::Engine | Of::Keyholder => (AccessFs::from_all(abi), Scope::from_all(abi)),
        Of::Module => (AccessFs::Execute.into(), Scope::Signal.into()),
    };
    let restricted = Ruleset::default()
        .handle_access(files)
        .and_then(|r| r.handle_access(AccessNet::BindTcp))
        .and_then(|r| r.scope(scope))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted.map(|r| r.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => "full",
        Ok(RulesetStatus::PartiallyEnforced) => "partial",
        Ok(RulesetStatus::NotEnforced) | Err(_) => "none",
    }
}

/// System calls that are allowed with any arguments: moving bytes, waiting, memory without code, threads, time.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_splice,
    libc::SYS_pipe2,
    libc::SYS_close,
    libc::SYS_shutdown,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_ppoll,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

const FCNTL: &[i32] =
    &[libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC, libc::F_SETPIPE_SZ];

/// What makes a socket, or comes to one by itself, and moves bytes that are no message of ours.
const OF_NETWORKS: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_splice,
    libc::SYS_pipe2,
    libc::SYS_setsockopt,
    libc::SYS_epoll_create1,
];

fn filtered(whose: Of) -> Result<(), String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|e| format!("seccomp on this processor: {e:?}"))?;
    // Its flags are in memory, where a filter cannot look; told that there is none, the C library uses clone. First,
    // since the list below allows no further filter; of two answers the stricter holds.
    let no_clone3 = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        arch,
    );
    let program: seccompiler::BpfProgram = no_clone3.and_then(TryInto::try_into).map_err(|e| e.to_string())?;
    seccompiler::apply_filter(&program).map_err(|e| e.to_string())?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = if whose == Of::Module {
        SeccompFilter::new(sandbox_module::never()?, SeccompAction::Allow, refused, arch)
    } else {
        let mut rules = rules()?;
        if whose == Of::Keyholder {
            rules.retain(|number, _| !OF_NETWORKS.contains(number));
        }
        SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)
    };
    let program: seccompiler::BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| e.to_string())?;
    seccompiler::apply_filter(&program).map_err(|e| e.to_string())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    let mut only = |number: i64, argument: u8, op: Op, value: u64| {
        let condition = Condition::new(argument, Len::Dword, op, value).map_err(|e| e.to_string())?;
        let rule = SeccompRule::new(vec![condition]).map_err(|e| e.to_string())?;
        rules.entry(number).or_default().push(rule);
        Ok::<(), String>(())
    };
    let flag = |flag: i32| u64::from(flag.cast_unsigned());
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
        only(libc::SYS_socket, 0, Op::Eq, flag(family))?;
    }
    // Threads, never processes.
    only(libc::SYS_clone, 0, Op::MaskedEq(flag(libc::CLONE_THREAD)), flag(libc::CLONE_THREAD))?;
    // Memory is never executable: what is injected does not run.
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        only(number, 2, Op::MaskedEq(flag(libc::PROT_EXEC)), 0)?;
    }
    for request in [libc::FIONBIO, libc::FIONREAD] {
        only(libc::SYS_ioctl, 1, Op::Eq, request)?;
    }
    // Not whom a descriptor's signals go to, which would be a way to send them.
    for command in FCNTL {
        only(libc::SYS_fcntl, 1, Op::Eq, flag(*command))?;
    }
    // Our own limits: those of another process of our user are a way to end it.
    only(libc::SYS_prlimit64, 0, Op::Eq, 0)?;
    // Names of threads and of memory.
    for option in [libc::PR_SET_NAME, libc::PR_SET_VMA] {
        only(libc::SYS_prctl, 0, Op::Eq, flag(option))?;
    }
    // abort(), to ourselves alone.
    only(libc::SYS_tgkill, 0, Op::Eq, u64::from(std::process::id()))?;
    rules.insert(libc::SYS_clone3, Vec::new());
    Ok(rules)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::process::Command;

    /// Runs `f` in a thread of its own that is closed as the engine is; filters and rules are a thread's.
    pub(crate) fn inside<T: Send + 'static>(whose: Of, f: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(move || {
            let landlock = landlocked(whose);
            filtered(whose).expect("seccomp");
            eprintln!("landlock: {landlock}");
            f()
        })
        .join()
        .expect("the thread")
    }

    pub(crate) fn refused<T>(what: std::io::Result<T>) -> bool {
        matches!(what.map_err(|e| e.raw_os_error()), Err(Some(libc::EPERM | libc::EACCES)))
    }

    #[test]
    fn in_the_sandbox_no_file_is_opened_no_program_started_no_port_bound_and_nobody_traced() {
        let tried = inside(Of::Engine, || {
            // SAFETY: plain system calls without pointers into our memory, but for null.
            let raw = |number: i64, a: i64, b: i64, c: i64| unsafe {
                if libc::syscall(number, a, b, c) < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            };
            [
                ("open", refused(std::fs::File::open("/etc/hostname"))),
                ("create", refused(std::fs::File::create("/tmp/everyhop-sandbox"))),
                ("list", refused(std::fs::read_dir("/"))),
                ("remove", refused(std::fs::remove_file("/tmp/everyhop-sandbox"))),
                ("start a program", refused(Command::new("/bin/true").spawn())),
                ("bind", refused(std::net::TcpListener::bind("127.0.0.1:0"))),
                ("raw socket", refused(raw(libc::SYS_socket, libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0))),
                ("netlink", refused(raw(libc::SYS_socket, libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0))),
                ("trace", refused(raw(libc::SYS_ptrace, 16, 1, 0))),
                ("signal another", refused(raw(libc::SYS_kill, 1, 0, 0))),
                ("limit another", refused(raw(libc::SYS_prlimit64, 1, libc::RLIMIT_NOFILE.into(), 0))),
                ("signal by a descriptor", refused(raw(libc::SYS_fcntl, 0, libc::F_SETOWN.into(), 1))),
                ("become root", refused(raw(libc::SYS_setuid, 0, 0, 0))),
                ("executable memory", refused(raw(libc::SYS_mprotect, 0x1000, 4096, libc::PROT_EXEC.into()))),
                ("namespace", refused(raw(libc::SYS_unshare, libc::CLONE_NEWUSER.into(), 0, 0))),
                ("load into the kernel", refused(raw(libc::SYS_bpf, 0, 0, 0))),
                ("ring", refused(raw(libc::SYS_io_uring_setup, 8, 0, 0))),
            ]
        });
        for (what, refused) in tried {
            assert!(refused, "{what} was possible");
        }
    }

    #[test]
    fn in_the_sandbox_bytes_still_move_and_threads_still_start() {
        let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let addr = outside.local_addr().expect("its address");
        let moved = inside(Of::Engine, move || {
            let mut client = std::net::TcpStream::connect(addr)?;
            let (mut server, _) = outside.accept()?;
            std::io::Write::write_all(&mut client, b"ping")?;
            let mut got = [0u8; 4];
            std::io::Read::read_exact(&mut server, &mut got)?;
            std::thread::Builder::new().spawn(move || got)?.join().map_err(|_| std::io::Error::other("no thread"))
        });
        assert_eq!(moved.expect("bytes"), *b"ping");
    }

    #[test]
    fn where_keys_are_held_no_socket_is_made_and_lines_that_are_there_still_speak() {
        let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let addr = port.local_addr().expect("its address");
        std::io::Write::write_all(&mut &far, b"sign").expect("said");
        let (tried, heard) = inside(Of::Keyholder, move || {
            let tried = [
                ("connect", refused(std::net::TcpStream::connect(addr))),
                ("a pair", refused(std::os::unix::net::UnixStream::pair())),
                ("a datagram", refused(std::net::UdpSocket::bind("127.0.0.1:0"))),
                ("open", refused(std::fs::File::open("/etc/hostname"))),
            ];
            let mut heard = [0u8; 4];
            std::io::Read::read_exact(&mut &near, &mut heard).expect("heard");
            // As lines come, threads begin.
            (tried, std::thread::spawn(move || heard).join().expect("a thread"))
        });
        drop(far);
        for (what, refused) in tried {
            assert!(refused, "{what} was possible");
        }
        assert_eq!(heard, *b"sign");
    }
}
