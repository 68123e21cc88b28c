package handlers_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sink takes an answer and keeps its status; its header map is used again, as net/http does with its own.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(p []byte) (int, error) {
	s.bytes += len(p)
	return len(p), nil
}

// benchmark sends the same request to the public side, without a network, and wants the same status every time.
func benchmark(b *testing.B, change func(*options), signedIn bool, want int) {
	b.Helper()
	benchmarkPath(b, tokenPath, change, signedIn, want)
}

func benchmarkPath(b *testing.B, path string, change func(*options), signedIn bool, want int) {
	s := newServer(b, func(o *options) {
		o.https = true
		if change != nil {
			change(o)
		}
	})
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if signedIn {
		visitor := s.browser(b)
		visitor.signIn()
		r.Header.Set("Cookie", strings.TrimPrefix(visitor.cookies(), "Cookie: "))
	}
	handler, w := s.web.Handler(), &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, r)
		if w.status != want {
			b.Fatalf("got %d, want %d", w.status, want)
		}
	}
	if signedIn {
		b.ReportMetric(float64(len(r.Header.Get("Cookie"))), "cookie-bytes")
	}
}

// BenchmarkTokenReturning is a browser whose cookie was opened a moment ago.
func BenchmarkTokenReturning(b *testing.B) { benchmark(b, quiet, true, http.StatusOK) }

// BenchmarkTokenNeverSeen opens and unpacks the cookie every time, as the first request of a browser does.
func BenchmarkTokenNeverSeen(b *testing.B) {
	benchmark(b, func(o *options) { quiet(o); o.session.Remembered = -1 }, true, http.StatusOK)
}

// BenchmarkTokenSignedOut is the refusal that a signed-out tab asks for once a minute for ever.
func BenchmarkTokenSignedOut(b *testing.B) { benchmark(b, quiet, false, http.StatusUnauthorized) }

// BenchmarkTokenReturningLogged adds the record of the request, written as JSON.
func BenchmarkTokenReturningLogged(b *testing.B) {
	benchmark(b, func(o *options) { o.web.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) }, true, http.StatusOK)
}

// BenchmarkVerifyReturning is a proxy that asks about a browser whose cookie was opened a moment ago.
func BenchmarkVerifyReturning(b *testing.B) { benchmarkPath(b, verifyPath, quiet, true, http.StatusOK) }

// BenchmarkVerifySignedOut is one that asks about somebody without a session.
func BenchmarkVerifySignedOut(b *testing.B) {
	benchmarkPath(b, verifyPath, quiet, false, http.StatusUnauthorized)
}

func quiet(o *options) { o.web.Logger = slog.New(slog.DiscardHandler) }

// BenchmarkMachineHit is a service's request that the cache answers, with its record written as JSON.
func BenchmarkMachineHit(b *testing.B) {
	s := newServer(b, func(o *options) {
		withMachines(o)
		o.web.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	form := "grant_type=client_credentials&scope=vestibule%2Fread"
	body := strings.NewReader(form)
	r := httptest.NewRequest(http.MethodPost, machinePath, body)
	r.SetBasicAuth(s.provider.ClientID(), s.provider.ClientSecret())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handler, w := s.web.Handler(), &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(form)
		clear(w.header)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("got %d, want 200", w.status)
		}
	}
}
