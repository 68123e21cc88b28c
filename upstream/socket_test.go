package upstream_test

import (
	"encoding/binary"
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
