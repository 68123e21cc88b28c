package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

const (
	issuer     = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_aB3dE5fG7"
	clientID   = "4k8v1n0q2t6y3r5w7u9i1o2p3a"
	cookieName = "__Host-vestibule"
)

// ring is a key ring that a test can turn.
type ring struct {
	mu      sync.Mutex
	keys    [][]byte
	version uint64
}

func (r *ring) Keys() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

func (r *ring) Version() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version
}

func (*ring) Refresh(context.Context) error { return nil }

func (*ring) LastRead() (time.Time, bool) { return time.Time{}, false }

func (r *ring) turn(keys ...[]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.version = keys, r.version+1
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// mode is where the sessions of a house are kept: in cookies, but for what TestInServerModeToo runs again.
func mode() session.Mode {
	if os.Getenv(inServerMode) != "" {
		return session.ModeServer
	}
	return session.ModeCookie
}

const inServerMode = "VESTIBULE_TEST_SERVER_MODE"

// house is a Manager with everything around it.
type house struct {
	*session.Manager
	config   session.Config
	ring     *ring
	store    *kvtest.Faulty
	provider *provider

	mu     sync.Mutex
	events map[string]int // kind, or kind and outcome → how often
}

// newHouse makes a Manager on a store of its own. Within a synctest bubble time.Now is the bubble's clock.
func newHouse(t testing.TB, change ...func(*session.Config)) *house {
	t.Helper()
	return newHouseOn(t, newStore(), newProvider(), change...)
}

func newStore() *kvtest.Faulty {
	return &kvtest.Faulty{Store: &remote{Store: kv.NewMemory(kv.MemoryConfig{})}}
}

// remote is a store as if behind a network: a call whose context has ended does nothing, and a call may take time.
type remote struct {
	kv.Store
	latency time.Duration
}

func (r *remote) travel(ctx context.Context) error {
	if r.latency > 0 {
		<-time.After(r.latency)
	}
	return ctx.Err()
}

func (r *remote) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := r.travel(ctx); err != nil {
		return kv.Entry{}, err
	}
	return r.Store.Get(ctx, key)
}

func (r *remote) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := r.travel(ctx); err != nil {
		return 0, err
	}
	return r.Store.Put(ctx, w)
}

// newHouseOn makes one replica of those that share a store and a provider.
func newHouseOn(t testing.TB, store *kvtest.Faulty, p *provider, change ...func(*session.Config)) *house {
	t.Helper()
	h := &house{ring: &ring{keys: [][]byte{key(1)}, version: 1}, store: store, provider: p, events: map[string]int{}}
	h.config = session.Config{
		Keys: h.ring, Store: store, Provider: p, Issuer: issuer, ClientID: clientID,
		CookieName: cookieName, Secure: true, Observe: h.observe, Mode: mode(),
	}
	for _, f := range change {
		f(&h.config)
	}
	m, err := session.New(h.config)
	if err != nil {
		t.Fatal(err)
	}
	h.Manager = m
	t.Cleanup(func() { _ = m.Drain(context.Background()) }) // a bubble ends when its last goroutine has
	return h
}

// replica is another process of the same deployment.
func (h *house) replica(t testing.TB, change ...func(*session.Config)) *house {
	t.Helper()
	return newHouseOn(t, h.store, h.provider, change...)
}

func (h *house) observe(e session.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events[string(e.Kind)]++
	if e.Outcome != "" {
		h.events[string(e.Kind)+" "+e.Outcome]++
	}
}

func (h *house) seen(event string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[event]
}

// signIn starts a session of freshly granted tokens in a new browser.
func (h *house) signIn(t testing.TB) (*session.Session, *browser) {
	t.Helper()
	b := &browser{}
	return h.signInAgain(t, b), b
}

func (h *house) signInAgain(t testing.TB, b *browser) *session.Session {
	t.Helper()
	s, cookies, err := h.Start(t.Context(), h.provider.grant(), b.header(), "")
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	b.take(cookies)
	return s
}

// load is Load that must succeed.
func (h *house) load(t testing.TB, b *browser) *session.Session {
	t.Helper()
	s, err := h.Load(t.Context(), b.header())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return s
}

// fresh is Fresh that must succeed.
func (h *house) fresh(t testing.TB, s *session.Session, n session.Need) *session.Session {
	t.Helper()
	newer, err := h.Fresh(t.Context(), s, n)
	if err != nil {
		t.Fatalf("fresh: %v", err)
	}
	return newer
}

// write gives the browser the cookies of a session.
func (h *house) write(t testing.TB, b *browser, s *session.Session) []*http.Cookie {
	t.Helper()
	cookies, err := h.Cookies(s, b.header())
	if err != nil {
		t.Fatalf("cookies: %v", err)
	}
	b.take(cookies)
	return cookies
}

// browser keeps cookies as browsers do: by name, in the order of their creation.
type browser struct{ cookies []*http.Cookie }

func (b *browser) take(cookies []*http.Cookie) {
	for _, c := range cookies {
		b.drop(c.Name)
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, c)
		}
	}
}

func (b *browser) drop(name string) {
	b.cookies = slices.DeleteFunc(slices.Clone(b.cookies), func(c *http.Cookie) bool { return c.Name == name })
}

func (b *browser) copy() *browser { return &browser{slices.Clone(b.cookies)} }

func (b *browser) names() string {
	var names []string
	for _, c := range b.cookies {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

// header is the Cookie header the browser sends, one line as HTTP/1.1 has it.
func (b *browser) header() []string {
	if len(b.cookies) == 0 {
		return nil
	}
	var pairs []string
	for _, c := range b.cookies {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return []string{strings.Join(pairs, "; ")}
}

// frozen is a clock that stands still, for tests without a bubble whose seconds must not tick over.
func frozen(c *session.Config) {
	now := time.Now()
	c.Now = func() time.Time { return now }
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func ended(t testing.TB, err error, want session.Reason) *session.Ended {
	t.Helper()
	var e *session.Ended
	if !errors.As(err, &e) || !errors.Is(err, session.ErrEnded) {
		t.Fatalf("got %v, want a session that is over (%s)", err, want)
	}
	if e.Reason != want {
		t.Fatalf("reason %q, want %q", e.Reason, want)
	}
	return e
}

func unavailable(t testing.TB, err error) *session.Unavailable {
	t.Helper()
	var u *session.Unavailable
	if !errors.As(err, &u) {
		t.Fatalf("got %v, want *Unavailable", err)
	}
	if errors.Is(err, session.ErrEnded) {
		t.Fatalf("%v counts as the end of the session", err)
	}
	return u
}

func count(t testing.TB, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func generation(t testing.TB, s *session.Session, want uint32) {
	t.Helper()
	if s.Generation != want {
		t.Fatalf("generation %d, want %d", s.Generation, want)
	}
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s-%d", prefix, n) }

// bubble runs a test in a synctest bubble: there time stands still until every goroutine waits.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t)
		pass(time.Minute) // for revocations that are tried again in the background
	})
}

// canceled is the context of a browser that has hung up.
func canceled(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
