// The system calls of this architecture that are let be. Read next: closed.go.

package closed

import "syscall"

const (
	auditArch   = 0xc000003e
	sysSeccomp  = 317
	sysClone    = syscall.SYS_CLONE
	sysMmap     = syscall.SYS_MMAP
	sysMprotect = syscall.SYS_MPROTECT
	sysTgkill   = syscall.SYS_TGKILL
)

var allowed = []uint32{
	syscall.SYS_READ, syscall.SYS_WRITE, syscall.SYS_CLOSE, syscall.SYS_SHUTDOWN,
	syscall.SYS_EPOLL_WAIT, syscall.SYS_EPOLL_PWAIT, syscall.SYS_EPOLL_CTL,
	syscall.SYS_FUTEX, syscall.SYS_SCHED_YIELD, syscall.SYS_NANOSLEEP, syscall.SYS_CLOCK_GETTIME, 230, // clock_nanosleep
	syscall.SYS_MUNMAP, syscall.SYS_MADVISE, 25, // mremap
	syscall.SYS_RT_SIGPROCMASK, syscall.SYS_RT_SIGACTION, syscall.SYS_RT_SIGRETURN, syscall.SYS_SIGALTSTACK,
	syscall.SYS_GETPID, syscall.SYS_GETTID, 318, // getrandom
	334, // rseq
	syscall.SYS_RESTART_SYSCALL, syscall.SYS_SET_ROBUST_LIST, syscall.SYS_EXIT, syscall.SYS_EXIT_GROUP,
}
