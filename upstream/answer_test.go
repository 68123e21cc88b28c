package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"vestibule/upstream"
)

func TestTheAnswerPassesAsItIs(t *testing.T) {
	t.Parallel()
	app := &seen{status: http.StatusTeapot, header: http.Header{
		"Server": {"app"}, "Content-Security-Policy": {"default-src 'none'"}, "Location": {"http://elsewhere.example/x"}, "Cache-Control": {"s-maxage=60"},
		"Expires": {"0"}, "Vary": {"rsc"}, "Set-Cookie": {"a=1; Path=/", "b=2"}, "X-Frame-Options": {"DENY"}, "Etag": {`"x"`}, "Date": {"Tue, 06 May 2031 07:08:09 GMT"},
	}}
	h := newHouse(t, app, nil)
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if res.StatusCode != http.StatusTeapot {
		t.Errorf("got %d", res.StatusCode)
	}
	for name, want := range app.header {
		if got := res.Header[name]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		delete(res.Header, name)
	}
	if delete(res.Header, "Content-Length"); len(res.Header) != 0 {
		t.Errorf("headers were added: %q", res.Header)
	}
}

// A server that names another way to itself does not know that it is not to be reached (RFC 7838).
func TestTheApplicationCannotLeadBrowsersAroundUs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{header: http.Header{"Alt-Svc": {`h3=":443"`}}}, nil)
	if res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n"); res.Header["Alt-Svc"] != nil {
		t.Errorf("got %q", res.Header["Alt-Svc"])
	}
}

func TestNothingIsGuessedAboutABody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html><script>alert(1)</script>")
	}), func(o *options) { o.unflushed = true }) // net/http guesses when the body comes together with the header
	res, body := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if _, has := res.Header["Content-Type"]; has || !strings.HasPrefix(body, "<html>") {
		t.Errorf("got %q for %q, want no type", res.Header["Content-Type"], body)
	}
}

func TestACompressedAnswerStaysCompressed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "not really gzip"+r.Header.Get("Accept-Encoding"))
	}), nil)
	res, body := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if body != "not really gzip" || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %q as %q", body, res.Header.Get("Content-Encoding"))
	}
}

func TestTheApplicationCannotSetCookiesOfOurs(t *testing.T) {
	t.Parallel()
	app := &seen{header: http.Header{"Set-Cookie": {
		"__Host-v=forged; Path=/", "a=1", "  __Host-v.1 =x", "=__Host-v=x", "\t= __Host-v=x; Path=/", "__Host-vx=fine", "b=__Host-v", "__Host-v", "__Host-v; Max-Age=0",
	}}}
	h := newHouse(t, app, nil)
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if got, want := res.Header["Set-Cookie"], []string{"a=1", "__Host-vx=fine", "b=__Host-v"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := strings.Count(h.logs.String(), "under a name of ours"); got != 1 {
		t.Errorf("%d log lines, want one: %s", got, h.logs)
	}
	if strings.Contains(h.logs.String(), "forged") {
		t.Error("the log tells a cookie's value")
	}
}

func TestOurCookiesAreKeptFromCaches(t *testing.T) {
	t.Parallel()
	app := &seen{header: http.Header{
		"Set-Cookie": {"a=1"}, "Cache-Control": {"public, s-maxage=60"}, "Expires": {"Tue, 06 May 2031 07:08:09 GMT"}, "Surrogate-Control": {"max-age=60"},
		"Cdn-Cache-Control": {"max-age=60"}, "Vercel-Cdn-Cache-Control": {"max-age=60"}, "Akamai-Cache-Control": {"max-age=60"}, "X-Accel-Expires": {"60"}, "Vary": {"rsc"},
	}}
	h := newHouse(t, app, func(o *options) { o.visitor.SetCookie = []string{"__Host-v=new; Path=/", "__Host-v.1=; Max-Age=0"} })
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	for name, want := range map[string][]string{
		"Set-Cookie": {"a=1", "__Host-v=new; Path=/", "__Host-v.1=; Max-Age=0"}, "Cache-Control": {"private, no-store"}, "Vary": {"rsc", "Cookie"},
		"Expires": nil, "Surrogate-Control": nil, "Cdn-Cache-Control": nil, "Vercel-Cdn-Cache-Control": nil, "Akamai-Cache-Control": nil, "X-Accel-Expires": nil,
	} {
		if got := res.Header[name]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestEventsArriveWhenTheyAreSent(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		for text := range next {
			fmt.Fprintf(w, "data: %s\n\n", text)
			http.NewResponseController(w).Flush()
		}
	}), nil)
	res, err := http.Get(h.url)
	must(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"one", "two", "three"} {
		next <- want
		got, err := lines.ReadString('\n')
		must(t, err)
		if _, err := lines.ReadString('\n'); err != nil || got != "data: "+want+"\n" {
			t.Fatalf("got %q, %v, want %s", got, err, want)
		}
	}
	close(next)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Errorf("at the end: got %q, %v", rest, err)
	}
}

func TestTrailersOfAnAnswerPass(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Announced, Set-Cookie")
		_, _ = io.WriteString(w, "hello")
		w.Header().Set("X-Announced", "1")
		w.Header().Set("Set-Cookie", "__Host-v=forged")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	}), nil)
	res, err := http.Get(h.url)
	must(t, err)
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	must(t, err)
	if res.Trailer.Get("X-Announced") != "1" || res.Trailer.Get("X-Late") != "2" || res.Trailer.Get("Set-Cookie") != "" {
		t.Errorf("got %q, want the first two", res.Trailer)
	}
}

func TestEarlyHintsPassWithoutCookies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.Header().Set("Set-Cookie", "__Host-v=forged")
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		w.WriteHeader(http.StatusAccepted)
	}), func(o *options) { o.visitor.SetCookie = []string{"__Host-v=new"} })
	var hints []textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		hints = append(hints, h)
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, res.Body.Close())
	if len(hints) != 1 || hints[0].Get("Link") == "" || hints[0].Get("Set-Cookie") != "" || hints[0].Get("Alt-Svc") != "" {
		t.Errorf("got hints %q, want one with a link, no cookie and no other way", hints)
	}
	if got := res.Header["Set-Cookie"]; res.StatusCode != http.StatusAccepted || len(got) != 1 || got[0] != "__Host-v=new" {
		t.Errorf("got %d and %q, want 202 and our cookie", res.StatusCode, got)
	}
	// RFC 9110, section 15.2: HTTP/1.0 does not know them.
	if old, _ := h.ask(t, "GET / HTTP/1.0\nHost: x\n\n"); old.StatusCode != http.StatusAccepted {
		t.Errorf("HTTP/1.0: got %d first, want 202", old.StatusCode)
	}
}

func TestABodyIsAskedForWhenTheApplicationWantsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		w.WriteHeader(http.StatusEarlyHints) // stays here: two goroutines would write at the same time
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}), func(o *options) { o.patience = long })
	head := " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	conn, r := h.raw(t, "PUT /yes"+head)
	first, err := http.ReadResponse(r, nil)
	must(t, err)
	if first.StatusCode != http.StatusContinue {
		t.Fatalf("got %d, want 100", first.StatusCode)
	}
	_, err = io.WriteString(conn, "hello")
	must(t, err)
	if res, body := readAnswer(t, r, "PUT"); res.StatusCode != http.StatusOK || body != "hello" {
		t.Errorf("got %d %q, want 200 hello", res.StatusCode, body)
	}
	_, r = h.raw(t, "PUT /no"+head)
	if res, _ := readAnswer(t, r, "PUT"); res.StatusCode != http.StatusExpectationFailed {
		t.Errorf("got %d, want 417 and no 100 before", res.StatusCode)
	}
	if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open for a body that nobody asked for")
	}
}

func TestTheApplicationMayAnswerBeforeTheBodyHasCome(t *testing.T) {
	t.Parallel()
	target := bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst ")
		_, _ = io.Copy(conn, req.Body)
	})
	h := newHouse(t, &seen{}, func(o *options) { o.target = target })
	conn, r := h.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	must(t, err)
	defer res.Body.Close()
	first := make([]byte, 6)
	_, err = io.ReadFull(res.Body, first)
	must(t, err)
	_, err = io.WriteString(conn, "hello")
	must(t, err)
	if rest, err := io.ReadAll(res.Body); err != nil || string(first)+string(rest) != "first hello" {
		t.Errorf("got %q%q, %v", first, rest, err)
	}
}

func TestHalfAnAnswerNeverLooksWhole(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"with a length": "Content-Length: 10", "in chunks": "", "events": "Content-Type: text/event-stream"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if key, value, ok := strings.Cut(header, ": "); ok {
					w.Header().Set(key, value)
				}
				_, _ = io.WriteString(w, "half")
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}), nil)
			res, err := http.Get(h.url + "/?secret")
			must(t, err)
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("got %q as a whole answer", got)
			}
			if log := h.logs.String(); !strings.Contains(log, "broke off") || strings.Contains(log, "secret") || strings.Contains(log, "half") {
				t.Errorf("the log says %q, want the fault, no query and no body", log)
			}
		})
	}
}

func TestABrowserThatGoesAwayStopsTheApplication(t *testing.T) {
	t.Parallel()
	begun, stopped := make(chan struct{}), make(chan struct{})
	h := newHouse(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(stopped)
	}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	must(t, err)
	if _, err := http.DefaultClient.Do(r); err == nil {
		t.Fatal("there was an answer")
	}
	within(t, "the end of the request", stopped)
	if err := within(t, "the end of Serve", h.errs); !errors.Is(err, upstream.ErrVisitorGone) {
		t.Errorf("got %v, want ErrVisitorGone", err)
	}
}

// bare is an application that is no HTTP server: it reads a request and does as it likes.
func bare(t testing.TB, serve func(n int, conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestAnApplicationThatFailsIsNamedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := "http://" + free.Addr().String()
	must(t, free.Close())
	says := func(text string) string {
		return bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				_, _ = io.WriteString(conn, text)
			}
		})
	}
	for name, c := range map[string]struct {
		target string
		tells  string
	}{
		"nobody listens":                    {nobody, "connection refused"},
		"it hangs up":                       {says(""), "closed the connection"},
		"no HTTP":                           {says("s3cret\r\n\r\n"), "malformed HTTP response"},
		"half a header":                     {says("HTTP/1.1 200 OK\r\nX: s3cret"), "closed the connection"},
		"no header":                         {says("HTTP/1.1 200 OK\r\ns3cret\r\n\r\n"), "malformed"},
		"a header that begins with a blank": {says("HTTP/1.1 200 OK\r\n s3cret: x\r\n\r\n"), "malformed"},
		"a header without end":              {says("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("s3cret", 40000) + "\r\n\r\n"), "exceeded"},
		"a status below all":                {says("HTTP/1.1 099 s3cret\r\n\r\n"), "below 100"},
		"a tunnel":                          {says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "switched protocols"},
		"a tunnel to somewhere":             {says("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "switched protocols"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, &seen{}, func(o *options) { o.target = c.target })
			res, _ := h.ask(t, "GET /?s3cret HTTP/1.1\nHost: x\nConnection: close\n\n")
			err := <-h.errs
			if res.StatusCode != http.StatusBadGateway || !errors.Is(err, upstream.ErrAppUnavailable) {
				t.Fatalf("got %d and %v, want 502 and ErrAppUnavailable", res.StatusCode, err)
			}
			if text := err.Error(); !strings.Contains(text, c.target) || !strings.Contains(text, c.tells) || strings.Contains(text, "s3cret") || len(text) > 400 {
				t.Errorf("got %q, want the origin, %q, and nothing of the request or the answer", text, c.tells)
			}
		})
	}
}

// Node closes connections that nobody used for a while. Finding that out must cost nobody an answer.
func TestAConnectionThatWasClosedMeanwhileCostsNoAnswer(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	target := bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		connections.Add(1)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = http.ReadRequest(r) // the next one comes, and is not answered
	})
	h := newHouse(t, &seen{}, func(o *options) { o.target = target })
	for range 4 {
		if res, body := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n"); res.StatusCode != http.StatusOK || body != "ok" {
			t.Fatalf("got %d %q, want 200", res.StatusCode, body)
		}
	}
	if got := connections.Load(); got != 4 {
		t.Errorf("%d connections for 4 requests: this proves nothing", got)
	}
}
