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
	"time"

	"everyhop.invalid/waf/closed"
	"everyhop.invalid/waf/frame"
	"everyhop.invalid/waf/inspect"
)

// waiting is how many requests a core may have before it; one more is answered at once that it is too many.
const waiting = 64

func main() {
	fd := flag.Uint("fd", 3, "the descriptor of a connected Unix socket")
	cores := flag.Int("cores", 1, "how many requests are inspected at a time")
	memory := flag.Uint64("memory-mb", 512, "how much memory the process may take beside what it starts with")
	flag.Parse()
	// Said, so that the runtime does not read it again and again from files.
	runtime.GOMAXPROCS(*cores)
	// A local time zone would be read from a file by the first rule that asks for an hour.
	time.Local = time.UTC
	if err := run(os.NewFile(uintptr(*fd), "socket"), *cores, *memory<<20); err != nil {
		fmt.Fprintln(os.Stderr, "everyhop-waf:", err)
		os.Exit(1)
	}
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
	// The collector works harder from here on; the limit of the kernel is the last word.
	debug.SetMemoryLimit(int64(memory / 4 * 3))
	if err := closed.Close(memory); err != nil {
		return err
	}
	if _, err := socket.Write(ready); err != nil {
		return err
	}
	return serve(socket, policies, cores)
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

// serve answers until the socket ends. Answers come as they are ready, in no order.
func serve(socket io.ReadWriter, policies []*inspect.Policy, cores int) error {
	queue := make(chan *frame.Request, cores*waiting)
	var inspecting sync.WaitGroup
	var writing sync.Mutex
	answer := func(made []byte) {
		writing.Lock()
		defer writing.Unlock()
		// Who no longer reads is told nothing; that it is gone is read from the socket.
		_, _ = socket.Write(made)
	}
	for range cores {
		inspecting.Go(func() {
			for q := range queue {
				answer(inspect.Ask(policies, q))
			}
		})
	}
	err := receive(socket, queue, answer)
	close(queue)
	inspecting.Wait()
	return err
}

func receive(socket io.Reader, queue chan<- *frame.Request, answer func([]byte)) error {
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
		select {
		case queue <- q:
		default:
			answer(frame.Failed(q.ID, frame.Overloaded))
		}
	}
}
