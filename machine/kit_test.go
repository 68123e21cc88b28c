// The tests of this package enter by New and Token. The provider is a function behind the transport, which is the edge of the
// process; time stands still unless a test moves it, in a bubble of testing/synctest.
package machine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ring is a key ring whose keys a test chooses.
type ring struct{ keys [][]byte }

func (r ring) Keys() [][]byte  { return r.keys }
func (r ring) Version() uint64 { return 1 }

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// call is a request as the provider gets it.
type call struct {
	id, secret string
	form       url.Values
	query      string
}

// provider answers by a function; without one it grants a token that lives an hour.
type provider struct {
	calls  atomic.Int64
	mu     sync.Mutex
	answer func(ctx context.Context, c call) (status int, body string, err error)
	header http.Header
}

func (p *provider) set(answer func(ctx context.Context, c call) (int, string, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// always answers the same.
func always(status int, body string) func(context.Context, call) (int, string, error) {
	return func(context.Context, call) (int, string, error) { return status, body, nil }
}

// after answers the same once a time has passed.
func after(d time.Duration, status int, body string) func(context.Context, call) (int, string, error) {
	return func(ctx context.Context, _ call) (int, string, error) {
		select {
		case <-time.After(d):
			return status, body, nil
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}
}

// granted is the provider's answer for the n-th token.
func granted(n int64) string {
	return fmt.Sprintf(`{"access_token":"token-%d-%s","expires_in":3600,"token_type":"Bearer"}`, n, marker)
}

// marker is found wherever a token stands in clear.
const marker = "TheTokenItself"

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	n := p.calls.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	c := call{id: form.Get("client_id"), secret: form.Get("client_secret"), form: form, query: r.URL.RawQuery}
	if id, secret, ok := r.BasicAuth(); ok {
		c.id, c.secret = id, secret
	}
	p.mu.Lock()
	answer, header := p.answer, p.header.Clone()
	p.mu.Unlock()
	if answer == nil {
		answer = always(http.StatusOK, granted(n))
	}
	status, text, err := answer(r.Context(), c)
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader([]byte(text)))}, nil
}

// events counts what the cache tells.
type events struct {
	mu   sync.Mutex
	seen map[string]int
}

func (e *events) observe(event machine.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen == nil {
		e.seen = map[string]int{}
	}
	e.seen[string(event.Kind)+" "+event.Outcome]++
}

func (e *events) count(kind string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[kind]
}

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

// replica is one process.
type replica struct {
	*machine.Cache
	events *events
	logs   *logs
}

// newReplica makes a cache that asks p and shares store.
func newReplica(t testing.TB, p *provider, store kv.Store, change ...func(*machine.Config)) *replica {
	t.Helper()
	r := &replica{events: &events{}, logs: &logs{}}
	c := machine.Config{
		Keys: ring{[][]byte{key(1)}}, Realm: "https://provider.example", Store: store, Transport: p,
		TokenURL: func(context.Context) (string, error) { return "https://provider.example/oauth2/token", nil },
		Observe:  r.events.observe, Logger: slog.New(slog.NewTextHandler(r.logs, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	r.Cache, err = machine.New(c)
	must(t, err)
	t.Cleanup(func() { _ = r.Drain(context.Background()) }) // flights outlast callers who gave up
	return r
}

// from is a request of a client; params stand in the form.
func from(id, secret string, params ...string) machine.Request {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(id, secret)
	return machine.Request{Authorization: r.Header.Get("Authorization"), Body: []byte(form.Encode())}
}

// ask asks and wants an answer.
func (r *replica) ask(t testing.TB, q machine.Request) machine.Answer {
	t.Helper()
	a, err := r.Token(t.Context(), nil, q)
	must(t, err)
	return a
}

// token asks and wants a token.
func (r *replica) token(t testing.TB, q machine.Request) string {
	t.Helper()
	return tokenOf(t, r.ask(t, q))
}

func tokenOf(t testing.TB, a machine.Answer) string {
	t.Helper()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(a.Body, &out); err != nil || a.Status != http.StatusOK || out.Token == "" {
		t.Fatalf("got %d %s, want a token", a.Status, a.Body)
	}
	return out.Token
}

func (r *replica) fails(t testing.TB, q machine.Request, want error) *machine.Failure {
	t.Helper()
	a, err := r.Token(t.Context(), nil, q)
	if !errors.Is(err, want) {
		t.Fatalf("got %d %s, %v, want %v", a.Status, a.Body, err, want)
	}
	var f *machine.Failure
	errors.As(err, &f)
	return f
}

// recorded is a store that keeps a copy of everything it was ever given.
type recorded struct {
	kv.Store
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *recorded) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	r.mu.Lock()
	r.all.WriteString(w.Key)
	r.all.Write(w.Value)
	r.mu.Unlock()
	return r.Store.Put(ctx, w)
}
