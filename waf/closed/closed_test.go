// What is closed stays closed, in a process of its own.

package closed

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary runs itself anew, closed, and says what it could do: a filter cannot be taken off again.
func TestMain(m *testing.M) {
	if os.Getenv("EVERYHOP_CLOSED") == "" {
		os.Exit(m.Run())
	}
	if err := Close(256 << 20); err != nil {
		fmt.Println("not closed:", err)
		os.Exit(1)
	}
	if os.Getenv("EVERYHOP_CLOSED") == "memory" {
		kept := make([][]byte, 0, 64)
		for range 64 {
			kept = append(kept, make([]byte, 16<<20))
		}
		fmt.Println("took", len(kept))
		return
	}
	try()
}

func try() {
	_, err := os.Open("/etc/hostname")
	say("open a file", err)
	_, err = os.Create("/tmp/everyhop-waf-closed")
	say("create a file", err)
	_, err = os.ReadDir("/")
	say("list a folder", err)
	say("remove a file", os.Remove("/tmp/everyhop-waf-closed"))
	say("start a program", exec.Command("/bin/true").Run())
	_, err = net.Listen("tcp", "127.0.0.1:0")
	say("listen", err)
	_, err = net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
	say("connect", err)
	_, err = net.Dial("unix", "/nowhere")
	say("connect in the file system", err)
	say("signal another", syscall.Kill(1, 0))
	_, err = syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	say("take executable memory", err)
	say("become another user", func() error {
		_, _, no := syscall.RawSyscall(syscall.SYS_SETUID, 0, 0, 0)
		return no
	}())
	done := make(chan int)
	for n := range 8 {
		go func() {
			time.Sleep(time.Millisecond)
			done <- n
		}()
	}
	for range 8 {
		<-done
	}
	fmt.Println("works")
}

func say(what string, err error) {
	if err == nil || !strings.Contains(err.Error(), "not permitted") {
		fmt.Printf("it could %s: %v\n", what, err)
	}
}

func again(t *testing.T, as string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(self)
	run.Env = append(os.Environ(), "EVERYHOP_CLOSED="+as, "GOTRACEBACK=none")
	said, err := run.CombinedOutput()
	return string(said), err
}

func TestAClosedProcessOpensNothingStartsNothingAndStillWorks(t *testing.T) {
	if said, err := again(t, "try"); said != "works\n" || err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestAClosedProcessThatTakesMoreThanItsMemoryEnds(t *testing.T) {
	if said, err := again(t, "memory"); err == nil || !strings.Contains(said, "out of memory") {
		t.Errorf("%v\n%s", err, said)
	}
}
