package redis_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire stands before a server; it can be slow, and it can swallow what subscribers are sent without cutting their connections.
type wire struct {
	addr   string
	server atomic.Pointer[string] // where new connections go
	delay  atomic.Int64           // of every answer, nanoseconds
	mu     sync.Mutex
	open   map[*through]struct{}
	closed bool
}

type through struct {
	in, out    net.Conn
	subscribes atomic.Bool
	deaf       atomic.Bool
}

// newWire listens at an address of its own choice if there is none.
func newWire(t *testing.T, addr, server string) *wire {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), open: map[*through]struct{}{}}
	w.server.Store(&server)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", *w.server.Load())
			if err != nil {
				_ = in.Close()
				continue
			}
			c := &through{in: in, out: out}
			if !w.add(c) {
				return
			}
			running.Go(func() { w.pass(c, in, out, func(b []byte) { w.look(c, b) }) })
			running.Go(func() { w.pass(c, out, in, func([]byte) { <-time.After(time.Duration(w.delay.Load())) }) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(); running.Wait() })
	return w
}

func (w *wire) add(c *through) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_, _ = c.in.Close(), c.out.Close()
		return false
	}
	w.open[c] = struct{}{}
	return true
}

func (w *wire) pass(c *through, from, to net.Conn, before func([]byte)) {
	defer func() {
		_, _ = from.Close(), to.Close()
		w.mu.Lock()
		delete(w.open, c)
		w.mu.Unlock()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		before(buffer[:n])
		if c.deaf.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (w *wire) look(c *through, sent []byte) {
	if bytes.Contains(sent, []byte("subscribe")) {
		c.subscribes.Store(true)
	}
}

// deafen makes all connections of subscribers half-dead, and says how many.
func (w *wire) deafen() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		if c.subscribes.Load() && !c.deaf.Swap(true) {
			n++
		}
	}
	return n
}

// cut ends it.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for c := range w.open {
		_, _ = c.in.Close(), c.out.Close()
	}
}
