// everyhop-waf inspects requests that an edge has decided to let pass otherwise: it reads policies from the socket that it was
// given, says whether their rules are good, closes itself, and answers one request after the other until the socket ends.
//
// It keeps no deadline: a rule that never ends cannot be stopped from within, so the edge stops waiting and ends the process.
// It never opens a connection, writes a log or keeps anything of a request. Read next: frame/frame.go, then inspect/policy.go.
//
// Started by hand it does nothing of use; `everyhop waf test` starts it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"everyhop.invalid/waf/closed"
	"everyhop.invalid/waf/frame"
	"everyhop.invalid/waf/inspect"
)

// waiting is how many requests a core may have before it, and share which part of the memory they may take together; one more
// is answered at once that it is too many.
const (
	waiting = 64
	share   = 8
)

func main() {
	fd := flag.Uint("fd", 3, "the descriptor of a connected Unix socket")
	cores := flag.Int("cores", 1, "how many requests are inspected at a time")
	memory := flag.Uint64("memory-mb", 512, "how much memory the process may take beside what it starts with")
	uid := flag.Int("uid", -1, "whom the process becomes; -1: it stays who it is")
	gid := flag.Int("gid", -1, "as which group")
	nice := flag.Int("nice", 0, "by how much others go before it, 0 to 19")
	flag.Parse()
	if *cores < 1 || *cores > 1024 || *memory < 256 || *memory > 1<<20 {
		fmt.Fprintln(os.Stderr, "everyhop-waf: cores are 1 to 1024, and memory-mb 256 to 1048576")
		os.Exit(2)
	}
	// What a stack holds of a request is not for a log.
	debug.SetTraceback("none")
	// Said, so that the runtime does not read it again and again from files.
	runtime.GOMAXPROCS(*cores)
	// A local time zone would be read from a file by the first rule that asks for an hour.
	time.Local = time.UTC
	// Of the group, since it leads one: of all threads that there are, and those to come have it from them.
	if os.Getpid() == syscall.Getpgrp() && *nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, *nice)
	}
	if err := become(*uid, *gid); err != nil {
		fmt.Fprintln(os.Stderr, "everyhop-waf: cannot become another user:", err)
		os.Exit(1)
	}
	if err := run(os.NewFile(uintptr(*fd), "socket"), *cores, *memory<<20); err != nil {
		fmt.Fprintln(os.Stderr, "everyhop-waf:", err)
		os.Exit(1)
	}
}

// become gives up who started it, for all threads.
func become(uid, gid int) error {
	if uid < 0 || gid < 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{}); err != nil {
		return err
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return err
	}
	return syscall.Setresuid(uid, uid, uid)
}

// errRefused was told to the other side, in full.
var errRefused = errors.New("the policies are refused")

func run(socket io.ReadWriteCloser, cores int, memory uint64) error {
	policies, ready, err := load(socket)
	if err != nil {
		return err
	}
	// What loading took is given back before the bound is drawn.
	debug.FreeOSMemory()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	// The collector works harder from here on. The limit of the kernel is the last word; it is of address space, which Go takes
	// in pieces of 64 MB.
	debug.SetMemoryLimit(int64(now.Sys-now.HeapReleased) + int64(memory/2))
	if err := closed.Close(memory); err != nil {
		return err
	}
	if _, err := socket.Write(ready); err != nil {
		return err
	}
	return serve(socket, policies, cores, int64(memory/share))
}

func load(socket io.ReadWriter) ([]*inspect.Policy, []byte, error) {
	kind, payload, err := frame.Read(socket)
	if err != nil {
		return nil, nil, err
	}
	if kind != frame.KindPolicies {
		return nil, nil, fmt.Errorf("policies come first, not kind %d", kind)
	}
	asked, err := frame.ReadPolicies(payload)
	if err != nil {
		return nil, nil, err
	}
	policies, ready, wrong := inspect.LoadAll(asked)
	if len(wrong) != 0 {
		if _, err := socket.Write(frame.Refused(wrong)); err != nil {
			return nil, nil, err
		}
		return nil, nil, errRefused
	}
	return policies, ready.Frame(), nil
}

// asked is a request that waits, and how many bytes it takes.
type asked struct {
	request *frame.Request
	bytes   int64
}

// serve answers until the socket ends. Answers come as they are ready, in no order.
func serve(socket io.ReadWriter, policies []*inspect.Policy, cores int, most int64) error {
	queue := make(chan asked, cores*waiting)
	var held atomic.Int64
	var writing sync.Mutex
	answer := func(made []byte) {
		writing.Lock()
		defer writing.Unlock()
		// Who no longer reads is told nothing; that it is gone is read from the socket.
		_, _ = socket.Write(made)
	}
	for range cores {
		go func() {
			for it := range queue {
				answer(inspect.Ask(policies, it.request))
				held.Add(-it.bytes)
			}
		}()
	}
	err := receive(socket, func(it asked) {
		// One alone is always taken: its frame has a bound of its own.
		if now := held.Add(it.bytes); now <= most || now == it.bytes {
			select {
			case queue <- it:
				return
			default:
			}
		}
		held.Add(-it.bytes)
		answer(frame.Failed(it.request.ID, frame.Overloaded))
	})
	// Nobody reads what is answered from here on, and a rule that never ends must not keep the process.
	return err
}

func receive(socket io.Reader, take func(asked)) error {
	for {
		kind, payload, err := frame.Read(socket)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if kind != frame.KindRequest {
			return fmt.Errorf("kind %d is no request", kind)
		}
		q, err := frame.ReadRequest(payload)
		if err != nil {
			return err
		}
		take(asked{q, int64(len(payload))})
	}
}
