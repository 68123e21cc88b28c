package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/upstream"
)

// short is a deadline that tests let pass; long is well after it.
const (
	short = 50 * time.Millisecond
	long  = 4 * short
)

func TestAnApplicationThatSaysNothingTimesOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), func(o *options) {
		o.config.HeaderTimeout = short
		o.writeTimeout = short / 2 // over when the answer is written
	})
	res, _ := h.ask(t, "GET / HTTP/1.1\nHost: x\n\n")
	if err := <-h.errs; res.StatusCode != http.StatusGatewayTimeout || !errors.Is(err, upstream.ErrAppTimeout) || errors.Is(err, upstream.ErrAppUnavailable) {
		t.Errorf("got %d and %v, want 504 and ErrAppTimeout", res.StatusCode, err)
	}
}

// The deadlines of the server are for our own routes: a stream lasts as long as somebody reads it, and may be silent meanwhile.
func TestALongAnswerIsNotCut(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"to a question": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"to a body":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", // whose deadline must not become the browser's
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "first ")
				http.NewResponseController(w).Flush()
				select {
				case <-time.After(long):
					_, _ = io.WriteString(w, "last")
				case <-r.Context().Done():
				}
			}), func(o *options) { o.writeTimeout, o.bodyTimeout, o.patience = short, short, short })
			_, r := h.raw(t, request)
			if _, body := readAnswer(t, r, request); body != "first last" {
				t.Errorf("got %q", body)
			}
		})
	}
}

// The transport looks for the end of a body once more when it has sent it all, and the application may be quicker than that: what it has
// begun to say must not be cut for it.
func TestTheEndOfABodyIsTheSameAfterTheAnswerHasBegun(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"of a length":        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
		"in chunks":          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"that was asked for": "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, nil, func(o *options) { o.config.Transport = rereader{} })
			_, r := h.raw(t, request)
			res, body := readAnswer(t, r, request)
			if res.StatusCode == http.StatusContinue {
				res, body = readAnswer(t, r, request)
			}
			if err := <-h.errs; res.StatusCode != http.StatusOK || body != "first last" || err != nil {
				t.Errorf("got %d with %q and %v", res.StatusCode, body, err)
			}
		})
	}
}

// rereader is a transport that sends the body, passes on the beginning of an answer, and looks for the end of the body again.
type rereader struct{}

func (rereader) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	rest := readerFunc(func(p []byte) (int, error) {
		if n, err := r.Body.Read(p); n > 0 || err != io.EOF {
			return 0, fmt.Errorf("after the end of the body: %d bytes, %w", n, err)
		}
		return copy(p, "last"), io.EOF
	})
	answer := io.MultiReader(strings.NewReader("first "), rest)
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: r, Body: io.NopCloser(answer)}, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestALongUploadIsNotCut(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, func(o *options) { o.bodyTimeout, o.patience = short, 10*time.Second })
	conn, r := h.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
	for _, part := range []string{"one", "two"} {
		<-time.After(long)
		_, err := io.WriteString(conn, part)
		must(t, err)
	}
	readAnswer(t, r, "POST")
	if _, body := app.last(t); body != "onetwo" {
		t.Errorf("got %q", body)
	}
}

func TestABrowserThatSendsNothingIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{}, func(o *options) { o.patience = short })
	_, r := h.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	res, _ := readAnswer(t, r, "POST")
	if err := <-h.errs; res.StatusCode != http.StatusRequestTimeout || !errors.Is(err, upstream.ErrRequestTimeout) {
		t.Errorf("got %d and %v, want 408 and ErrRequestTimeout", res.StatusCode, err)
	}
}

func TestABrowserThatReadsNothingIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	stopped := make(chan struct{})
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(stopped)
		for block := strings.Repeat("x", 1<<20); ; {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}), func(o *options) { o.patience = long })
	h.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	within(t, "the end of an answer that nobody reads", stopped)
}

// The deadlines that were set for one request must not reach the next on the same connection.
func TestAConnectionIsGoodForTheNextRequest(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, func(o *options) { o.patience, o.bodyTimeout = short, short })
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
	conn, r := h.raw(t, request)
	for range 3 {
		if res, _ := readAnswer(t, r, request); res.StatusCode != http.StatusOK {
			t.Fatalf("got %d", res.StatusCode)
		}
		<-time.After(long)
		_, err := io.WriteString(conn, request)
		must(t, err)
	}
}

// What is left of a request that was answered early, or what is wrong with it, must not be read as the next request.
func TestAnUnreadBodyIsNeverTheNextRequest(t *testing.T) {
	t.Parallel()
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"answered before its body":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"a chunk that is none":      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n\r\n",
		"a chunk that is too short": "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n\r\n",
		"a chunk without a size":    "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var smuggling atomic.Bool
			h := newHouse(t, &seen{}, func(o *options) {
				o.patience = long
				o.target = hasty(t, func(r *http.Request) {
					if r.URL.Path == "/read" {
						_, _ = io.Copy(io.Discard, r.Body)
					}
					if r.URL.Path == "/smuggled" {
						smuggling.Store(true)
					}
				})
			})
			conn, r := h.raw(t, request)
			res, _ := readAnswer(t, r, request)
			if !res.Close {
				t.Errorf("got %d on a connection that stays", res.StatusCode)
			}
			_, _ = io.WriteString(conn, smuggled) // it may be closed already
			if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open for a body that does not come")
			}
			if smuggling.Load() {
				t.Error("the body was taken for a request")
			}
		})
	}
}

// hasty is an application that answers when it has seen the header of a request.
func hasty(t testing.TB, look func(*http.Request)) string {
	t.Helper()
	return bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		look(req)
		_, _ = io.WriteString(conn, "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
	})
}

func TestEarlyAnswersBreakNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &seen{}, func(o *options) { o.target = hasty(t, func(*http.Request) {}) })
	var panics logs
	h.server.ErrorLog = log.New(&panics, "", 0)
	for i := range 100 {
		_, r := h.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"+strings.Repeat("x", 30000*(i%3)))
		if res, _ := readAnswer(t, r, "POST"); res.StatusCode != http.StatusConflict {
			t.Fatalf("got %d", res.StatusCode)
		}
	}
	if panics.String() != "" {
		t.Error(panics.String())
	}
}
