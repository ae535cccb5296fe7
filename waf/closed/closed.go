// Package closed is how little is left to the process once its rules are loaded: no file, no connection, no program, and
// memory up to a bound. The list is of what the Go runtime asks for; whatever is not on it fails.
package closed

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Of <linux/seccomp.h>, <linux/audit.h> and <linux/prctl.h>.
const (
	setModeFilter  = 1
	flagTsync      = 1
	retAllow       = 0x7fff0000
	retErrno       = 0x00050000
	retKillProcess = 0x80000000
	prSetNoNewPriv = 38
	prSetDumpable  = 4
)

// cloneThread is what a thread is started with, and a process is not.
const cloneThread = 0x00010000

// protExec is memory that may be run.
const protExec = 4

func statement(code uint16, k uint32) syscall.SockFilter { return syscall.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) syscall.SockFilter {
	return syscall.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
}

// program is the filter: the offsets are those of struct seccomp_data, of a little-endian machine.
func program() []syscall.SockFilter {
	const load, equal, set, give = syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K,
		syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, syscall.BPF_RET | syscall.BPF_K
	made := []syscall.SockFilter{
		statement(load, 4),
		jump(equal, auditArch, 1, 0),
		statement(give, retKillProcess),
		statement(load, 0),
	}
	for _, number := range allowed {
		made = append(made, jump(equal, number, 0, 1), statement(give, retAllow))
	}
	// Threads, never processes.
	made = append(made, jump(equal, sysClone, 0, 4), statement(load, 16), jump(set, cloneThread, 0, 1),
		statement(give, retAllow), statement(give, retErrno|uint32(syscall.EPERM)))
	// Memory is never executable.
	for _, number := range []uint32{sysMmap, sysMprotect} {
		made = append(made, jump(equal, number, 0, 4), statement(load, 32), jump(set, protExec, 1, 0),
			statement(give, retAllow), statement(give, retErrno|uint32(syscall.EPERM)))
	}
	// Signals to ourselves alone.
	made = append(made, jump(equal, sysTgkill, 0, 4), statement(load, 16), jump(equal, uint32(os.Getpid()), 0, 1),
		statement(give, retAllow), statement(give, retErrno|uint32(syscall.EPERM)))
	return append(made, statement(give, retErrno|uint32(syscall.EPERM)))
}

// Close gives everything up, for all threads. `memory` is how much address space may still be taken.
func Close(memory uint64) error {
	if _, _, no := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPriv, 1, 0, 0, 0, 0); no != 0 {
		return fmt.Errorf("no_new_privs: %w", no)
	}
	if _, _, no := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0, 0); no != 0 {
		return fmt.Errorf("dumpable: %w", no)
	}
	taken, err := addressSpace()
	if err != nil {
		return err
	}
	for resource, most := range map[int]uint64{syscall.RLIMIT_AS: taken + memory, syscall.RLIMIT_CORE: 0, syscall.RLIMIT_FSIZE: 0} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	filter := program()
	handed := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	failed, _, no := syscall.RawSyscall(sysSeccomp, setModeFilter, flagTsync, uintptr(unsafe.Pointer(&handed)))
	runtime.KeepAlive(filter)
	if no != 0 {
		return fmt.Errorf("seccomp: %w", no)
	}
	if failed != 0 {
		return fmt.Errorf("seccomp: thread %d has a filter of its own", failed)
	}
	return nil
}

// addressSpace is what the process has now: Go reserves much more than it uses.
func addressSpace() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseUint(pages, 10, 64)
	return n * uint64(os.Getpagesize()), err
}
