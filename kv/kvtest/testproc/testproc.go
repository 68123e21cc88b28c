// Package testproc runs the servers of tests in processes of their own, and finds ports for them. It owns the process, and refuses to leave
// it behind: a server dies with the test, also when the test is killed. What the server is, and when it is ready, its caller says.
//
// Everything is in this file.
package testproc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keeper runs a server and ends it when its own input ends, which happens at the latest when the test's process does. Its
// output is the server's alone after the first line, so that the end of the one is the end of the other.
const keeper = `"$@" & echo "pid $!"; exec >/dev/null; read -r _; kill -9 $! 2>/dev/null; wait`

// Process is a server that runs or may be run; the zero value is ready for Run.
type Process struct {
	stdin io.Closer
	cmd   *exec.Cmd
	pid   int
}

// Run starts a command and returns when it has printed a line that ready takes for the sign. One that ends before, or takes longer than
// limit, is ended, and the error tells what it said.
func (p *Process) Run(limit time.Duration, ready func(line string) bool, command ...string) error {
	cmd := exec.Command("sh", append([]string{"-c", keeper, "keeper"}, command...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	if err := p.await(out, limit, ready); err != nil {
		p.Stop()
		return err
	}
	return nil
}

// await reads what the server says until it is ready or has given up; what it says later is thrown away.
func (p *Process) await(out io.Reader, limit time.Duration, ready func(line string) bool) error {
	late := time.AfterFunc(limit, func() { _ = p.stdin.Close() })
	defer late.Stop()
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if pid, is := strings.CutPrefix(line, "pid "); is {
			p.pid, _ = strconv.Atoi(pid)
		}
		fmt.Fprintln(&said, line)
		if ready(line) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return nil
		}
	}
	return fmt.Errorf("it ended before it was ready: %s", said.String())
}

// Stop kills the server without warning. It may be called more than once, and Run after it.
func (p *Process) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// Signal sends the server itself a signal.
func (p *Process) Signal(what syscall.Signal) error { return syscall.Kill(p.pid, what) }

// Ports are given out from firstPort on. They are none of those that systems give to connections and to who asks for any port (from 32768
// on with Linux): one of them could be taken before the process that is to listen there has begun.
const (
	firstPort = 20_000
	ports     = 12_000
	stride    = 3
)

var (
	given atomic.Uint32
	// Processes that run side by side begin at different places.
	begin = sync.OnceValue(func() uint32 { return rand.Uint32N(ports) })
)

// FreePort is a port of 127.0.0.1 at which nobody listens. Nobody else in this process is given it, nor the two after it, which a published
// demo takes.
func FreePort() (int, error) {
	for range ports / stride {
		port := firstPort + int((begin()+given.Add(stride))%ports)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port is free")
}
