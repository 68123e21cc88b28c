package upstream_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/upstream"
)

func TestDrainSaysGoodbye(t *testing.T) {
	t.Parallel()
	app, _ := echo(t)
	h := newHouse(t, app, nil)
	var ends []<-chan error
	for range 5 {
		c, _ := dial(t, h, nil)
		say(t, c, "hello")
		ended := make(chan error, 1)
		ends = append(ends, ended)
		go func() {
			_, _, err := c.Read(context.WithoutCancel(t.Context()))
			ended <- err
		}()
	}
	must(t, h.app.Drain(t.Context()))
	for _, ended := range ends {
		err := within(t, "the end of a socket", ended)
		if websocket.CloseStatus(err) != websocket.StatusGoingAway || !strings.Contains(err.Error(), "restarting") {
			t.Errorf("got %v, want 1001 restarting", err)
		}
	}
	must(t, h.app.Drain(t.Context())) // nothing is left

	late, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http"), nil)
	must(t, err)
	defer func() { _ = late.CloseNow() }()
	if _, _, err := late.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("a socket that was opened later: got %v, want 1001", err)
	}
}

// upgraded is an application that agrees to a WebSocket and then does as it likes with the connection.
func upgraded(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	return bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		serve(conn)
	})
}

const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// opened is a bare browser with an open socket.
func (h *house) opened(t testing.TB) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, r := h.raw(t, handshake)
	res, err := http.ReadResponse(r, nil)
	must(t, err)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %d, want 101", res.StatusCode)
	}
	return conn, r
}

// An error on the way to the application must not end the connection before the browser has read the good-bye.
func TestABrowserThatTalksOnHearsTheGoodbye(t *testing.T) {
	t.Parallel()
	for range 5 {
		h := newHouse(t, &seen{}, func(o *options) {
			o.target = upgraded(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		})
		conn, r := h.opened(t)
		go func() {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, "\x82\x85maskhello")
			}
		}()
		drained := make(chan error, 1)
		go func() { drained <- h.app.Drain(context.WithoutCancel(t.Context())) }()
		frame := make([]byte, 14)
		if _, err := io.ReadFull(r, frame); err != nil || string(frame) != "\x88\x0c\x03\xe9restarting" {
			t.Fatalf("got %q, %v, want a close frame", frame, err)
		}
		must(t, conn.Close())
		must(t, within(t, "the end of Drain", drained))
	}
}

func TestNothingFailsBehindAGoodbye(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	must(t, far.Close())
	s := upstream.LeavingSocket(near)
	for range 3 {
		if n, err := s.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("write: got %d, %v, want that nobody is told", n, err)
		}
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "\x88\x0c\x03\xe9restarting" {
		t.Errorf("read: got %q, %v", got, err)
	}
}

func TestDrainWaitsForTheEndOfAFrame(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	h := newHouse(t, &seen{}, func(o *options) {
		o.target = upgraded(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "\x82\x0ahalf ")
			<-more
			_, _ = io.WriteString(conn, "frame\x81\x05never\x81\x05never")
			_, _ = io.Copy(io.Discard, conn)
		})
	})
	conn, r := h.opened(t)
	half := make([]byte, 7)
	_, err := io.ReadFull(r, half)
	must(t, err)
	h.app.Leave()
	// The browser talks on: that must not end the connection before it has read our good-bye.
	_, err = io.WriteString(conn, "\x81\x80\x00\x00\x00\x00")
	must(t, err)
	close(more)
	rest, err := io.ReadAll(r)
	must(t, err)
	must(t, conn.Close())
	if got, want := string(half)+string(rest), "\x82\x0ahalf frame\x88\x0c\x03\xe9restarting"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	must(t, h.app.Drain(t.Context()))
}

func TestDrainAddsNothingBehindACloseFrame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{}, func(o *options) {
		o.target = upgraded(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "\x88\x02\x03\xe8")
			_, _ = io.Copy(io.Discard, conn)
		})
	})
	conn, r := h.opened(t)
	whole := make([]byte, 4)
	_, err := io.ReadFull(r, whole)
	must(t, err)
	go func() { _ = h.app.Drain(context.WithoutCancel(t.Context())) }()
	rest, err := io.ReadAll(r)
	must(t, err)
	must(t, conn.Close())
	if string(whole)+string(rest) != "\x88\x02\x03\xe8" {
		t.Errorf("got %q%q", whole, rest)
	}
}

func TestDrainCutsWhoDoesNotLeave(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"a browser that does not hang up": "",
		"a frame that never ends":         "\x82\x7e\xff\xffhalf",
		"no frames at all":                "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, &seen{}, func(o *options) {
				o.patience, o.farewell = time.Minute, short
				o.target = upgraded(t, func(conn net.Conn) {
					_, _ = io.WriteString(conn, says)
					_, _ = io.Copy(io.Discard, conn)
				})
			})
			_, r := h.opened(t)
			_, err := io.ReadFull(r, make([]byte, len(says)))
			must(t, err)
			if err := h.app.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, r) // ends, or the test does not
		})
	}
}

func TestDrainCutsWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	app, _ := echo(t)
	h := newHouse(t, app, func(o *options) { o.patience, o.farewell = time.Minute, time.Minute })
	_, r := h.opened(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = h.app.Drain(ctx) // it may find all of them closed already
	_, _ = io.Copy(io.Discard, r)
	within(t, "the end of Serve", h.errs)
}

func TestDrainEndsStreamsOfEvents(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{ // as browsers read them
		"text/event-stream", "text/event-stream; charset=utf-8", "text/event-stream;charset=utf-8;charset=UTF-8", " Text/Event-Stream\t; charset", "text/event-stream;",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				_, _ = io.WriteString(w, "data: 1\n\n")
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}), nil)
			res, err := http.Get(h.url)
			must(t, err)
			defer res.Body.Close()
			first := make([]byte, 9)
			_, err = io.ReadFull(res.Body, first)
			must(t, err)
			must(t, h.app.Drain(t.Context()))
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
				t.Errorf("got %q, %v, want an end", rest, err)
			}
			if h.logs.String() != "" {
				t.Errorf("it was logged: %s", h.logs)
			}
		})
	}
}

// An ordinary answer is not touched: the server's own shutdown waits for it.
func TestDrainLeavesAnswersAlone(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "last")
	}), nil)
	res, err := http.Get(h.url)
	must(t, err)
	defer res.Body.Close()
	must(t, h.app.Drain(t.Context()))
	close(more)
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "first last" {
		t.Errorf("got %q, %v", got, err)
	}
}
