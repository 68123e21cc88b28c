package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/handlers"
	"vestibule/web"
)

// wires is a listener without a network, so that a test's time can stand still: a synctest bubble knows when pipes wait.
type wires struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newWires() *wires { return &wires{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept implements net.Listener.
func (w *wires) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *wires) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// Addr implements net.Listener.
func (*wires) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// dial sends a request on a new wire; the answer is the caller's to read.
func (w *wires) dial(t testing.TB, request string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	w.conns <- server
	_, err := io.WriteString(client, request)
	must(t, err)
	return client
}

const askHome = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// Orchestrators kill 30 s after they asked. Whoever takes an answer byte by byte, or never, must not use up the time in which
// rotations that are under way are brought home.
func TestAClientThatReadsNothingDoesNotRobTheDrainOfItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := time.Duration(-1)
		s, _ := newServer(t, func(c *web.Config) {
			c.Home = func(x *handlers.Exchange) error {
				return x.String(http.StatusOK, strings.Repeat("x", 1<<20))
			}
			c.Drain = func(ctx context.Context) error {
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				<-time.After(8 * time.Second) // a refresh that takes its time
				return ctx.Err()
			}
		})
		listener := newWires()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, listener, nil) }()
		client := listener.dial(t, askHome)
		defer client.Close()
		synctest.Wait() // the handler writes, and nobody reads
		start := time.Now()
		stop()
		err := <-done
		if took := time.Since(start); took > 29*time.Second {
			t.Errorf("stopping took %s, want less than the 30 s before SIGKILL", took)
		}
		if left < 9*time.Second {
			t.Errorf("the drain had %s, want about ten seconds of its own", left)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "requests were still under way") ||
			strings.Contains(err.Error(), "refreshes") {
			t.Errorf("got %v, want the requests named that were cut, and nothing else", err)
		}
		if _, err := io.Copy(io.Discard, client); err == nil {
			return // cut: the client sees the end
		} else if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection that was cut: %v", err)
		}
	})
}

// A drain that never ends is given up, said so, and does not keep the process.
func TestADrainThatNeverEndsIsGivenUpAndToldApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, func(c *web.Config) {
			c.Drain = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, newWires(), nil) }()
		synctest.Wait()
		start := time.Now()
		stop()
		err := <-done
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("stopping took %s, want the ten seconds of refreshes", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refreshes were still under way") {
			t.Errorf("got %v, want the refreshes named that were given up", err)
		}
	})
}

// A drain has its time from when it begins, also behind a long delay.
func TestTheDelayBeforeStoppingIsNotTakenFromTheDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		s, _ := newServer(t, func(c *web.Config) {
			c.ShutdownDelay = time.Hour
			c.Drain = func(ctx context.Context) error {
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				return nil
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, newWires(), nil) }()
		stop()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
		if left < 9*time.Second {
			t.Errorf("the drain had %s, want about ten seconds", left)
		}
	})
}

// A connection that is closed while nobody uses it may be closed on a request that is just arriving. So clients are told to leave while
// everything is still answered.
func TestFromTheSignalOnEachAnswerIsTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, func(c *web.Config) {
			c.ShutdownDelay = time.Hour
			c.Home = func(x *handlers.Exchange) error { return x.String(http.StatusOK, "here") }
		})
		listener := newWires()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, listener, nil) }()
		connection := func(request string) string {
			client := listener.dial(t, request)
			defer client.Close()
			res, err := http.ReadResponse(bufio.NewReader(client), nil)
			must(t, err)
			must(t, res.Body.Close())
			if res.StatusCode != http.StatusOK {
				t.Errorf("got %s, want 200", res.Status)
			}
			if res.Close {
				return "close" // net/http takes the header out
			}
			return res.Header.Get("Connection")
		}
		const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		if got := connection(askHome); got != "" {
			t.Errorf("before the signal: got Connection: %s, want it kept", got)
		}
		stop()
		synctest.Wait()
		if got := connection(askHome); got != "close" {
			t.Errorf("after the signal: got Connection: %q, want close", got)
		}
		if got := connection(handshake); got != "" {
			t.Errorf("a handshake after the signal: got Connection: %s, want it left to the handshake", got)
		}
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// The admin side closes last. Whoever holds a scrape open there must not hold the process.
func TestAnAdminClientThatReadsNothingHoldsNobodyLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, nil)
		admin := newWires()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, newWires(), admin) }()
		client := admin.dial(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		defer client.Close()
		synctest.Wait() // the answer is written, and nobody reads
		start := time.Now()
		stop()
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want what was cut", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("stopping took %s, want about a second", took)
		}
	})
}
