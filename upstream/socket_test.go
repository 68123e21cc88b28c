package upstream_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/upstream"
)

// echo answers each message with itself, until the browser leaves.
func echo(t testing.TB) (app http.Handler, requests <-chan *http.Request) {
	got := make(chan *http.Request, 100)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"aws-appsync-event-ws"}, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}), got
}

func dial(t testing.TB, h *house, options *websocket.DialOptions) (*websocket.Conn, *http.Response) {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/event?a;b", options)
	must(t, err)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c, res
}

func say(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	must(t, c.Write(t.Context(), websocket.MessageText, []byte(text)))
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

func TestWebSocketsPassBothWays(t *testing.T) {
	t.Parallel()
	app, requests := echo(t)
	h := newHouse(t, app, func(o *options) {
		o.visitor, o.writeTimeout, o.patience = signedIn(), short, short
		o.visitor.SetCookie = []string{"__Host-v=new"}
	})
	c, res := dial(t, h, &websocket.DialOptions{
		Subprotocols: []string{"aws-appsync-event-ws", "header-abc"}, CompressionMode: websocket.CompressionContextTakeover,
		HTTPHeader: http.Header{"Cookie": {"__Host-v=s; a=1"}, "X-Auth-Request-User": {"root"}, "Origin": {publicURL}},
	})
	r := <-requests
	if c.Subprotocol() != "aws-appsync-event-ws" || r.Header.Get("Cookie") != "a=1" || r.Header.Get("X-Auth-Request-User") != "alice" ||
		r.Header.Get("Authorization") != "Bearer the-token" || r.RequestURI != "/event?a;b" || r.Header.Get("Origin") != publicURL {
		t.Errorf("got protocol %q, %s, %q", c.Subprotocol(), r.RequestURI, r.Header)
	}
	if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "__Host-v=new" {
		t.Errorf("the handshake sets %q, want our cookie", got)
	}
	say(t, c, "hello")
	say(t, c, strings.Repeat("many words ", 2000))
	<-time.After(long) // no deadline of the server's, and none of ours
	say(t, c, "still here")
	must(t, c.Close(websocket.StatusNormalClosure, "done"))
	if err := within(t, "the end of Serve", h.errs); err != nil {
		t.Error(err)
	}
}

func TestARefusedHandshakeIsAnAnswerLikeAnyOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{status: http.StatusForbidden}, nil)
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13\n\n")
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %d, want 403", res.StatusCode)
	}
}

// Inside another protocol the next requests would say of themselves who they are.
func TestOnlyWebSocketsAreTunnels(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	for _, request := range []string{
		"GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\n\n",
		"GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket, h2c\n\n",
		"GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nUpgrade: h2c\n\n",
		"GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: \xff\n\n",
		"GET / HTTP/1.1\nHost: x\nUpgrade: websocket\n\n",
		"POST / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 2\n\nhi",
		"GET / HTTP/1.0\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\n",
	} {
		res, _ := h.ask(t, request)
		r, _ := app.last(t)
		if res.StatusCode != http.StatusOK || r.Header["Upgrade"] != nil || r.Header["Connection"] != nil || r.Header["Http2-Settings"] != nil {
			t.Errorf("%q: got %d, the application heard %q, want no upgrade", request, res.StatusCode, r.Header)
		}
	}
}

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
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
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

// A frame's header in all its lengths, and where it ends.
func FuzzFrames(f *testing.F) {
	long := append([]byte("\x82\x7e\x01\x00"), make([]byte, 256)...)
	for _, seed := range [][]byte{
		[]byte("\x81\x05hello"), []byte("\x81\x00\x88\x02\x03\xe8"), []byte("\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x"), long,
		[]byte("\x81\x85maskhello\x89\x00"), []byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("\x01\x7e"), {},
	} {
		f.Add(seed, byte(1))
		f.Add(seed, byte(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		want := boundaries(stream)
		got := upstream.Boundaries(stream, int(step%16)+1)
		if len(got) != len(want) {
			t.Fatalf("in pieces of %d: %v, want %v", step%16+1, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("in pieces of %d: %v, want %v", step%16+1, got, want)
			}
		}
	})
}

// boundaries reads all of a stream at once, written down from RFC 6455, section 5.2.
func boundaries(stream []byte) (ends []int) {
	for at := 0; at+2 <= len(stream); {
		head, length := 2, uint64(stream[at+1]&0x7f)
		if stream[at+1]&0x80 != 0 {
			head += 4
		}
		wide := map[uint64]int{126: 2, 127: 8}[length]
		if head += wide; at+head > len(stream) {
			return ends
		}
		if wide > 0 {
			length = binary.BigEndian.Uint64(append(make([]byte, 8-wide), stream[at+2:at+2+wide]...))
		}
		if length>>63 != 0 || uint64(len(stream)-at-head) < length {
			return ends
		}
		at += head + int(length)
		ends = append(ends, at)
	}
	return ends
}

// What a browser would send back under a name of ours must be seen to have it (RFC 6265bis, section 5.7).
func FuzzCookieName(f *testing.F) {
	for _, seed := range []string{"a=b", "=a=b", " a =b; Path=/", "a", "==a", "\t=\t a=b", ";a=b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		pair, _, _ := strings.Cut(line, ";")
		name, value, has := strings.Cut(pair, "=")
		name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
		sent := name + "=" + value
		switch {
		case !has:
			return // sent without "=", which nobody reads as a cookie of ours
		case name == "":
			sent = value
		}
		back, _, _ := strings.Cut(sent, "=")
		if got := upstream.CookieName(line); owns(strings.Trim(back, " \t")) && !owns(got) {
			t.Errorf("%q comes back as %q, and is taken for %q", line, sent, got)
		}
	})
}
