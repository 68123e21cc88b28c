package eventsdev_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/upstream/eventsdev"
)

// fetch asks for a path of the server's origin and gives the answer, its body read and closed.
func (b *bench) fetch(method, path string, h http.Header) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.host()+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range h {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res
}

func (b *bench) drop(body string, h http.Header) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "http://"+b.host()+"/eventsdev/drop", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range h {
		req.Header[name] = values
	}
	return b.do(req)
}

// reading begins to wait for the socket's end, which a close handshake needs.
func (c *socket) reading() <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := c.next(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

func TestDropEndsEverySocketWithItsCode(t *testing.T) {
	b := start(t)
	for what, c := range map[string]struct {
		drop func() string
		want websocket.StatusCode // -1: no close frame
	}{
		"cut":                  {func() string { return count(b.s.DropAll(0)) }, -1},
		"a code never sent":    {func() string { return count(b.s.DropAll(1006)) }, -1},
		"going away":           {func() string { return count(b.s.DropAll(1001)) }, websocket.StatusGoingAway},
		"a code of our own":    {func() string { return count(b.s.DropAll(4400)) }, 4400},
		"over HTTP":            {func() string { _, body := b.drop("", nil); return body }, -1},
		"over HTTP, with code": {func() string { _, body := b.drop(`{"code":1012}`, nil); return body }, websocket.StatusServiceRestart},
	} {
		first, second := b.connect(), b.connect()
		one, two := first.reading(), second.reading()
		if got := c.drop(); got != `{"dropped":2}` {
			t.Errorf("%s: got %s", what, got)
		}
		for _, ended := range []error{<-one, <-two} {
			if got := websocket.CloseStatus(ended); got != c.want {
				t.Errorf("%s: ended with %d, want %d: %v", what, got, c.want, ended)
			}
		}
		if got := b.s.Stats().Connections; got != 0 {
			t.Errorf("%s: %d sockets are left", what, got)
		}
	}
	b.connect() // and the server goes on
}

func count(n int) string {
	data, _ := json.Marshal(map[string]int{"dropped": n})
	return string(data)
}

func TestDropRefusesWhatItCannotDo(t *testing.T) {
	b := start(t)
	c := b.connect()
	for _, body := range []string{`{"code":1005}`, `{"code":99}`, `{"code":5000}`, `{"code":"1001"}`, `{"other":1}`, `nonsense`} {
		if status, got := b.drop(body, nil); status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", body, status, got)
		}
	}
	for _, h := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"http://localhost:3000"}}} {
		if status, got := b.drop("", h); status != http.StatusForbidden {
			t.Errorf("%v: got %d %s", h, status, got)
		}
	}
	b.subscribed(c, "s", "default/a")
}

func TestStatsAreToldOverHTTP(t *testing.T) {
	b := start(t)
	b.subscribed(b.connect(), "s", "default/a")
	b.wantPost("", http.StatusUnauthorized)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.host()+"/eventsdev/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"connections":1,"connected":1,"subscriptions":1,"subscribed":1,"published":0,"delivered":0,"expired":0,"slow":0,"refusals":{"no_token":1}}`
	if status, body := b.do(req); status != http.StatusOK || body != want {
		t.Errorf("got %d %s\nwant %s", status, body, want)
	}
	b.s.Stats().Refusals[eventsdev.ReasonNoToken] = 7
	if got := b.refusals(eventsdev.ReasonNoToken); got != 1 {
		t.Errorf("a copy of the counters changed the counters: %d", got)
	}
}

func TestCloseEndsEverythingAndMayBeRepeated(t *testing.T) {
	b := start(t)
	ended := b.connect().reading()
	for range 2 {
		if err := b.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; websocket.CloseStatus(err) != -1 {
		t.Errorf("ended with %v", err)
	}
	if conn, err := net.Dial("tcp", b.host()); err == nil {
		_ = conn.Close()
		t.Error("it still answers")
	}
	if got := b.s.Stats(); got.Connections != 0 || got.Connected != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestWaitingForConnectionsEndsWithItsContext(t *testing.T) {
	b := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.s.WaitConnections(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
