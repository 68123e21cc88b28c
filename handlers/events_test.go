package handlers_test

import (
	"bufio"
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"vestibule/handlers"
	"vestibule/kv"
	"vestibule/session"
)

const eventsPath = "/api/auth/events"

// events is an event stream as a browser reads it.
type events struct {
	header http.Header
	lines  chan string // every line that is not empty; closed at the end of the stream
	hangUp func()
}

// listen opens an event stream. What has no event stream as its answer ends the test.
func (b *browser) listen(headers ...string) *events {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.s.url+eventsPath, nil)
	must(b.t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	res, err := b.client.Do(r)
	must(b.t, err)
	if res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: got %d, want 200", eventsPath, res.StatusCode)
	}
	e := &events{header: res.Header, lines: make(chan string, 1000), hangUp: cancel}
	go func() {
		defer close(e.lines)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if lines.Text() != "" {
				e.lines <- lines.Text()
			}
		}
	}()
	return e
}

// next is the next line; "" at the end of the stream. Signs of life are passed over.
func (e *events) next(t testing.TB) string {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case line := <-e.lines:
			if line == ":" || strings.HasPrefix(line, "retry:") {
				continue
			}
			return line
		case <-limit:
			t.Fatal("nothing came for 10 s")
		}
	}
}

// wants fails unless the lines come next.
func (e *events) wants(t testing.TB, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got := e.next(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantsEnd fails unless the stream says that the session is over, and ends.
func (e *events) wantsEnd(t testing.TB, reason string) {
	t.Helper()
	e.wants(t, "event: session.ended", `data: {"reason":"`+reason+`"}`, "")
}

// beats waits for so many signs of life, beside those that have come already.
func (e *events) beats(t testing.TB, n int) {
	t.Helper()
	for len(e.lines) > 0 {
		<-e.lines
	}
	for range n {
		if _, open := <-e.lines; !open {
			t.Fatal("the stream ended")
		}
	}
}

// quick has signs of life every few milliseconds.
func quick(o *options) { o.handlers.Beat = 5 * time.Millisecond }

// deaf is quick, and hears nothing of what happens on other replicas.
func deaf(o *options) {
	quick(o)
	o.session.Feed = kv.NewMemory(kv.MemoryConfig{})
}

func TestAnEventStreamBeginsAtOnceAndForNobodyElse(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Vary": "Cookie", "Set-Cookie": "",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := strings.Join(e.header[name], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := <-e.lines; got != ":" {
		t.Errorf("got %q, want a comment", got)
	}
	line := <-e.lines
	if ms, err := strconv.Atoi(strings.TrimPrefix(line, "retry: ")); err != nil || ms < 1000 || ms >= 3000 {
		t.Errorf("got %q, want between one and three seconds", line)
	}
}

func TestTheHeadOfAnEventStreamIsToldWithoutOne(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	if a := b.send(http.MethodHead, eventsPath, ""); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" || a.body != "" {
		t.Errorf("got %d, %q, %q", a.status, a.header, a.body)
	}
}

func TestEveryReplicaTellsTheEndOfASession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(b *browser)
		want string
	}{
		"a sign-out": {func(b *browser) { b.post("/api/auth/sign-out", nil) }, "signed_out"},
		"a sign-out of all devices": {func(b *browser) {
			must(b.t, b.s.sessions.Revoke(b.t.Context(), session.Whose{Subject: b.s.provider.Users()[0].Sub}, session.ReasonEverywhere))
		}, "signed_out"},
		"an operator's word": {func(b *browser) {
			must(b.t, b.s.sessions.Revoke(b.t.Context(), session.Whose{Subject: b.s.provider.Users()[0].Sub}, session.ReasonRevoked))
		}, "revoked"},
		"the provider's word": {func(b *browser) {
			must(b.t, b.s.sessions.Revoke(b.t.Context(), session.Whose{Subject: b.s.provider.Users()[0].Sub}, session.ReasonProvider))
		}, "revoked"},
		"another sign-in of the same browser": {func(b *browser) { b.signIn() }, "replaced"},
	} {
		for _, mode := range []session.Mode{session.ModeCookie, session.ModeServer} {
			t.Run(name+", mode "+strconv.Itoa(int(mode)), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, func(o *options) { o.session.Mode = mode })
				other := s.replica(t, nil)
				b := s.browser(t)
				b.t = t
				b.signIn()
				here, there := b.listen(), b.at(other).listen(b.cookies())
				<-here.lines // both are open
				<-there.lines
				tt.end(b)
				here.wantsEnd(t, tt.want)
				there.wantsEnd(t, tt.want)
			})
		}
	}
}

func TestANewTokenIsToldAndTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	s := newServer(t, quick)
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	for range 2 {
		s.clock.advance(2 * time.Hour)
		expires := b.token("").ExpiresAt
		e.wants(t, "event: session.renewed", `data: {"expiresAt":`+strconv.FormatInt(expires, 10)+"}")
	}
}

func TestListeningNeitherRefreshesNorSlides(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.IdleTimeout = 3 * time.Hour })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour) // the token has run out
	if e := b.listen(); len(e.header["Set-Cookie"]) > 0 || s.provider.Stats().Refresh.Asked > 0 {
		t.Errorf("got %q and %d refreshes, want neither", e.header["Set-Cookie"], s.provider.Stats().Refresh.Asked)
	}
	s.clock.advance(time.Hour)
	if a := b.get(eventsPath); a.status != http.StatusUnauthorized {
		t.Errorf("after the idle time: got %d, want 401", a.status)
	}
}

func TestStreamsOfOneSessionAreFewAndTheOldestGivesWay(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b, other := s.browser(t), s.browser(t)
	b.signIn()
	other.signIn()
	theirs := other.listen()
	<-theirs.lines
	var all []*events
	for range 17 {
		e := b.listen()
		<-e.lines
		all = append(all, e)
	}
	all[0].wants(t, "")
	b.post("/api/auth/sign-out", nil)
	for _, e := range all[1:] {
		e.wantsEnd(t, "signed_out")
	}
	other.post("/api/auth/sign-out", nil)
	theirs.wantsEnd(t, "signed_out")
}

func TestAProcessHoldsSoManyStreamsAndNoMore(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.handlers.Streams = 2 })
	b := s.browser(t)
	b.signIn()
	first := b.listen()
	b.listen()
	a := b.get(eventsPath)
	a.wants(t, http.StatusServiceUnavailable, `{"error":"Service Unavailable"}`)
	if got, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || got < 60 || got > 120 {
		t.Errorf("Retry-After: got %q, want between one and two minutes", a.header.Get("Retry-After"))
	}
	first.hangUp()
	until(t, "there is room again", func() bool { return b.send(http.MethodGet, "/api/auth/session", "").status == 200 && opens(b) })
}

func TestStreamsFitTheMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int{
		math.MaxInt64: 10_000, // none is set
		1 << 30:       10_000,
		200 << 20:     3200,
		32 << 20:      512,
	} {
		if got := handlers.StreamsWithin(limit); got != want {
			t.Errorf("%d bytes: got %d streams, want %d", limit, got, want)
		}
	}
}

func TestMetricsOfStreams(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	s.tells(t, "while one is open", map[string]string{"vestibule_event_streams": "1"})
	e.hangUp()
	until(t, "none is counted", func() bool { return s.metrics(t)["vestibule_event_streams"] == "0" })
}

// opens says whether a stream could be opened.
func opens(b *browser) bool {
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.s.url+eventsPath, nil)
	must(b.t, err)
	res, err := b.client.Do(r)
	must(b.t, err)
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func TestStreamsEndWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	other := s.replica(t, nil)
	b := s.browser(t)
	b.signIn()
	e := b.listen()
	<-e.lines
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	e.wants(t, "") // and not a word about the session, which goes on elsewhere
	b.at(other).listen(b.cookies()).hangUp()
}

func TestAStreamOfAnEndedSessionIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	b.post("/api/auth/sign-out", nil)
	if a := s.stranger(t).get(eventsPath, old); a.status != http.StatusUnauthorized || a.body != `{"error":"Unauthorized"}` {
		t.Errorf("got %d %s, want 401", a.status, a.body)
	}
}
