// These tests put the package between two real servers: an application of the test's own behind it, a browser on a real connection
// before it. Where bytes matter, the browser or the application is a bare connection.
package upstream_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/upstream"
)

const publicURL = "https://app.example.com"

// options is what a test may change.
type options struct {
	config       upstream.AppConfig
	target       string // in place of the application's own address
	visitor      upstream.Visitor
	unflushed    bool          // header and body leave together
	writeTimeout time.Duration // of the server before the application
	bodyTimeout  time.Duration // read deadline that is set before Serve
	patience     time.Duration
	farewell     time.Duration
}

// house is a server before an application.
type house struct {
	url    string
	app    *upstream.App
	server *http.Server
	logs   *logs
	errs   chan error // what Serve gave
}

func newHouse(t testing.TB, app http.Handler, change func(*options)) *house {
	t.Helper()
	behind := httptest.NewServer(app)
	t.Cleanup(behind.Close)
	o := options{target: behind.URL}
	if change != nil {
		change(&o)
	}
	h := &house{logs: &logs{}, errs: make(chan error, 1000)}
	c := o.config
	c.Target, c.PublicURL = parse(t, o.target), parse(t, publicURL)
	c.Strip, c.Owns = strip, owns
	c.Logger = slog.New(slog.NewTextHandler(h.logs, nil))
	var err error
	h.app, err = upstream.NewApp(c)
	must(t, err)
	if o.patience > 0 {
		h.app.Hurry(o.patience, o.farewell)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	h.url = "http://" + l.Addr().String()
	h.server = &http.Server{WriteTimeout: o.writeTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.bodyTimeout > 0 && r.ContentLength != 0 {
			must(t, http.NewResponseController(w).SetReadDeadline(time.Now().Add(o.bodyTimeout)))
		}
		if o.unflushed {
			w = unflushed{w}
		}
		h.serve(w, r, o.visitor)
	})}
	go func() { _ = h.server.Serve(l) }()
	t.Cleanup(func() { _ = h.server.Close() })
	return h
}

// unflushed is a writer that keeps everything until the end.
type unflushed struct{ http.ResponseWriter }

func (unflushed) FlushError() error { return nil }

// serve answers errors as the table of the handlers does.
func (h *house) serve(w http.ResponseWriter, r *http.Request, v upstream.Visitor) {
	err := h.app.Serve(w, r, v)
	h.errs <- err
	switch {
	case errors.Is(err, upstream.ErrAppTimeout):
		w.WriteHeader(http.StatusGatewayTimeout)
	case errors.Is(err, upstream.ErrRequestTimeout):
		w.WriteHeader(http.StatusRequestTimeout)
	case errors.Is(err, upstream.ErrRequestBody):
		w.WriteHeader(http.StatusBadRequest)
	case err != nil:
		w.WriteHeader(http.StatusBadGateway)
	}
}

// owns and strip are a simple form of the session's.
func owns(name string) bool { return name == "__Host-v" || strings.HasPrefix(name, "__Host-v.") }

func strip(lines []string) (out []string) {
	for _, line := range lines {
		var kept []string
		for pair := range strings.SplitSeq(line, "; ") {
			if name, _, _ := strings.Cut(pair, "="); !owns(name) {
				kept = append(kept, pair)
			}
		}
		if len(kept) > 0 {
			out = append(out, strings.Join(kept, "; "))
		}
	}
	return out
}

// signedIn is a visitor with everything.
func signedIn() upstream.Visitor {
	return upstream.Visitor{Bearer: "the-token", Identity: http.Header{"X-Auth-Request-User": {"alice"}}}
}

func trust(networks ...string) (out []netip.Prefix) {
	for _, n := range networks {
		out = append(out, netip.MustParsePrefix(n))
	}
	return out
}

// logs keeps what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// seen keeps the last request that the application got.
type seen struct {
	mu      sync.Mutex
	request *http.Request
	body    string
	status  int
	header  http.Header // of the answer
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.request, s.body = r, string(body)
	for name, values := range s.header {
		w.Header()[name] = values
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
}

func (s *seen) last(t testing.TB) (*http.Request, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.request == nil {
		t.Fatal("nothing came to the application")
	}
	return s.request, s.body
}

// raw sends bytes as they are and gives the connection, and a reader of what comes back.
func (h *house) raw(t testing.TB, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second))) // nothing here takes that long
	_, err = io.WriteString(conn, text)
	must(t, err)
	return conn, bufio.NewReader(conn)
}

// ask sends a request as it is written, and reads its answer.
func (h *house) ask(t testing.TB, text string) (*http.Response, string) {
	t.Helper()
	_, r := h.raw(t, strings.ReplaceAll(text, "\n", "\r\n"))
	return readAnswer(t, r, text)
}

func readAnswer(t testing.TB, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res, string(body)
}

func parse(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	must(t, err)
	return u
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within waits for something that must happen.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}
