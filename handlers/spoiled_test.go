package handlers_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// spoiler is a transport that changes the answers to refreshes, and nothing else.
type spoiler struct {
	mu     sync.Mutex
	change func(answer map[string]any) // nil: nothing
}

func (p *spoiler) set(change func(map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// RoundTrip implements http.RoundTripper.
func (p *spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	change := p.change
	p.mu.Unlock()
	if change == nil || !refreshes(r) {
		return http.DefaultTransport.RoundTrip(r)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	defer res.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	change(answer)
	body, err := json.Marshal(answer)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return res, err
}

// refreshes says whether a request is a refresh; its body can still be read afterwards.
func refreshes(r *http.Request) bool {
	if r.Method != http.MethodPost || r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	read, err := io.ReadAll(body)
	return err == nil && strings.Contains(string(read), "grant_type=refresh_token")
}

// noise is n characters of base64url that do not compress: what tokens are mostly made of.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

func TestASessionTooLargeForCookiesIsTheProvidersFaultAndIsRevoked(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.ExtraAccessClaims = map[string]any{"groups": noise(30_000)} })
	b := s.browser(t)
	a := b.get(b.atProvider(b.begin("/api/auth/sign-in")))
	if a.status != http.StatusBadGateway || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d %s, want 502 as a page", a.status, a.header.Get("Content-Type"))
	}
	if a.sets(s.cookie) != nil || b.holdsSession() {
		t.Error("half a session was left in the browser")
	}
	b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
	must(t, s.sessions.Drain(t.Context()))
	if got := s.provider.Stats(); got.Code.OK != 1 || got.Revoke.OK != 1 {
		t.Errorf("got %+v exchanges and %+v revocations, want the refresh token that nobody holds revoked", got.Code, got.Revoke)
	}
	if log := s.logs.String(); !strings.Contains(log, `largest="access token"`) {
		t.Error("the log does not tell the operator what is too large")
	}
}

// What grows at a refresh has grown after the old refresh token was spent: the token is served, and the browser must hold the new
// refresh token even if ID token and claims have to go.
func TestASessionThatOutgrowsItsCookiesAtARefreshGoesOnLean(t *testing.T) {
	t.Parallel()
	grow := &spoiler{}
	s := newServer(t, func(o *options) {
		o.idp.Transport = grow
		o.handlers.IncludeIDToken = true
		o.dev.ExtraIDClaims = map[string]any{"padding": noise(3000)}
	})
	b := s.browser(t)
	b.signIn()
	lean := false
	for size := 6000; size < 16_000 && !lean; size += 1000 {
		grow.set(func(answer map[string]any) {
			answer["access_token"] = noise(size)
			delete(answer, "id_token") // its at_hash belongs to the token that was replaced
		})
		s.clock.advance(2 * time.Hour)
		if got := len(b.token("").AccessToken); got != size {
			t.Fatalf("got a token of %d bytes, want the new one of %d", got, size)
		}
		lean = strings.Contains(s.logs.String(), "ID token and claims are left out")
		if got := len(b.token("").AccessToken); got != size {
			t.Fatalf("%d bytes: the browser's cookie gives a token of %d bytes", size, got)
		}
	}
	if !lean {
		t.Fatal("the session always fitted: this proves nothing")
	}
	if a := b.get("/api/auth/session"); a.status != http.StatusOK || !strings.Contains(a.body, `"sub":`) {
		t.Errorf("session: got %d %s, want the subject at least", a.status, a.body)
	}
	grow.set(nil)
	s.clock.advance(24 * time.Hour) // nothing is kept for stragglers any more: the cookie alone must do
	if got := b.token(""); got.IDToken == "" {
		t.Error("the next refresh did not bring the ID token back")
	}
	if got := s.provider.Stats(); got.Reuses != 0 || got.Refresh.Refused != 0 {
		t.Errorf("got %+v refreshes and %d reuses: the browser held a refresh token that was spent", got.Refresh, got.Reuses)
	}
}

func TestATokenThatFitsNoCookieIsServedAllTheSame(t *testing.T) {
	t.Parallel()
	grow := &spoiler{}
	s := newServer(t, func(o *options) { o.idp.Transport = grow })
	b := s.browser(t)
	b.signIn()
	huge := noise(40_000)
	grow.set(func(answer map[string]any) {
		answer["access_token"] = huge
		delete(answer, "id_token")
	})
	s.clock.advance(2 * time.Hour)
	for range 2 { // the second time from what is kept for stragglers
		if got := b.token("").AccessToken; got != huge {
			t.Errorf("got a token of %d bytes, want the new one", len(got))
		}
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want 1 and 0", got.Refresh, got.Reuses)
	}
}

// A clock that is ahead makes tokens that are over when they come. Each such refresh spends a refresh token, so that the browser
// must get its cookie with the refusal.
func TestTheCookieComesWithThe503OfATokenThatIsOverAlready(t *testing.T) {
	t.Parallel()
	over := &spoiler{}
	s := newServer(t, func(o *options) { o.idp.Transport = over })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	exp := fmt.Sprintf(`{"exp":%d}`, s.clock.Now().Add(-time.Minute).Unix())
	expired := "e30." + base64.RawURLEncoding.EncodeToString([]byte(exp)) + ".c2ln"
	over.set(func(answer map[string]any) {
		answer["access_token"] = expired
		delete(answer, "id_token")
	})
	a := b.get(tokenPath)
	a.wants(t, http.StatusServiceUnavailable, notAvailable)
	private(t, a)
	if a.sets(s.cookie) == nil {
		t.Fatal("the browser keeps a refresh token that is spent")
	}
	over.set(nil)
	s.clock.advance(24 * time.Hour)
	b.token("")
	if got := s.provider.Stats(); got.Refresh.OK != 2 || got.Refresh.Refused != 0 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want two good ones", got.Refresh, got.Reuses)
	}
}

// broken is a transport that panics at refreshes: a fault of ours, somewhere in a flight that no request called directly.
type broken struct{ times chan struct{} }

// RoundTrip implements http.RoundTripper.
func (p broken) RoundTrip(r *http.Request) (*http.Response, error) {
	if refreshes(r) {
		select {
		case <-p.times:
			panic("the transport is broken")
		default:
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestAPanicInARefreshIs503AndTheProcessGoesOn(t *testing.T) {
	t.Parallel()
	p := broken{make(chan struct{}, 1)}
	s := newServer(t, func(o *options) { o.idp.Transport = p })
	b, other := s.browser(t), s.browser(t)
	b.signIn()
	other.signIn()
	s.clock.advance(2 * time.Hour)
	p.times <- struct{}{}
	unavailable(t, b, b.get(tokenPath))
	log := s.logs.String()
	if got := strings.Count(log, "msg=panic"); got != 1 {
		t.Errorf("%d records of the panic, want one", got)
	}
	if !strings.Contains(log, "the transport is broken") || !strings.Contains(log, "spoiled_test.go") {
		t.Error("no record tells the panic and its stack")
	}
	other.token("")
	b.token("")
}
