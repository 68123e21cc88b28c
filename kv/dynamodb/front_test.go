package dynamodb_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vestibule/kv/dynamodb/dynamodbtest"
)

// front stands before a server: it counts requests, and is as AWS is on a bad day.
type front struct {
	url string // the address of a server, for endpoint=

	mu    sync.Mutex
	asked map[string]int // operation → requests
	// meddle looks at a request before it goes on; true means that it was answered. nil lets all pass.
	meddle func(w http.ResponseWriter, operation, body string) bool
}

func newFront(t *testing.T, server *dynamodbtest.Server) *front {
	t.Helper()
	target, err := url.Parse(server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	f := &front{asked: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		f.mu.Lock()
		f.asked[operation]++
		meddle := f.meddle
		f.mu.Unlock()
		if meddle == nil || !meddle(w, operation, string(body)) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

// store is the URL of a new table of the server behind.
func (f *front) store(t *testing.T, server *dynamodbtest.Server) string {
	t.Helper()
	return "dynamodb://" + server.Table() + "?region=" + dynamodbtest.Region + "&endpoint=" + f.url
}

func (f *front) set(meddle func(w http.ResponseWriter, operation, body string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meddle = meddle
}

// counts gives what was asked since the last call.
func (f *front) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := maps.Clone(f.asked)
	clear(f.asked)
	return was
}

// refuse answers every request with an error of AWS.
func refuse(code string) func(http.ResponseWriter, string, string) bool {
	return func(w http.ResponseWriter, _, _ string) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#`+code+`","message":"too much"}`)
		return true
	}
}

// once lets one function meddle with the first request of an operation.
func once(operation string, meddle func(http.ResponseWriter)) func(http.ResponseWriter, string, string) bool {
	var done atomic.Bool
	return func(w http.ResponseWriter, asked, _ string) bool {
		if asked != operation || done.Swap(true) {
			return false
		}
		meddle(w)
		return true
	}
}

// loseAnswer has the server behind do what it is asked, and breaks the connection before the answer comes.
func loseAnswer(server *dynamodbtest.Server, operation string) func(http.ResponseWriter, string, string) bool {
	var done atomic.Bool
	return func(_ http.ResponseWriter, asked, body string) bool {
		if asked != operation || done.Swap(true) {
			return false
		}
		server.Ask(operation, body)
		panic(http.ErrAbortHandler)
	}
}
