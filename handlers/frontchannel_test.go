package handlers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"vestibule/kv"
	"vestibule/session"
)

func front(iss, sid string) string {
	return frontPath + "?" + url.Values{"iss": {iss}, "sid": {sid}}.Encode()
}

func TestAFrontchannelLogoutEndsTheBrowsersOwnSession(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withLogouts(mode))
			b, other := s.browser(t), s.browser(t)
			b.signIn()
			other.signIn()
			_, sid := b.who()
			old := b.cookies()
			a := b.get(front(s.provider.Issuer(), sid), "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: iframe")
			if a.status != http.StatusOK || !a.cleared(s.cookie) || b.holdsSession() {
				t.Errorf("got %d, cookie cleared %v, want 200 and the cookie gone", a.status, a.cleared(s.cookie))
			}
			s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
			s.replica(t, withLogouts(mode)).stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
			other.alive("another browser of the person", true)
			if got := s.provider.Stats().Revoke.Asked; got != 0 {
				t.Errorf("%d revocations at the provider: nothing proves that it asked", got)
			}
		})
	}
}

// impatient is a store far away: whoever asked has left by the time that it would answer.
type impatient struct {
	kv.Store
	leave atomic.Pointer[context.CancelFunc] // nil: nobody leaves
}

func (i *impatient) answers(ctx context.Context) error {
	if leave := i.leave.Load(); leave != nil {
		(*leave)()
	}
	return ctx.Err()
}

func (i *impatient) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := i.answers(ctx); err != nil {
		return kv.Entry{}, err
	}
	return i.Store.Get(ctx, key)
}

func (i *impatient) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	if err := i.answers(ctx); err != nil {
		return nil, err
	}
	return i.Store.GetMany(ctx, keys...)
}

func (i *impatient) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := i.answers(ctx); err != nil {
		return 0, err
	}
	return i.Store.Put(ctx, w)
}

// The provider's sign-out page frames this and moves on.
func TestAFrontchannelLogoutWhoseBrowserHangsUpTakesEffect(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			store := &impatient{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
			s := newServer(t, func(o *options) {
				withLogouts(mode)(o)
				o.clock, o.session.Store = clock, store
			})
			b := s.browser(t)
			b.signIn()
			_, sid := b.who()
			cookies := b.cookies()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, s.url+front(s.provider.Issuer(), sid), http.NoBody)
			_, value, _ := strings.Cut(cookies, ": ")
			r.Header.Set("Cookie", value)
			store.leave.Store(&leave)
			s.web.Handler().ServeHTTP(httptest.NewRecorder(), r)
			store.leave.Store(nil)
			if ctx.Err() == nil {
				t.Fatal("the browser never hung up: this proves nothing")
			}
			s.stranger(t).get(tokenPath, cookies).wants(t, http.StatusUnauthorized, unauthorized)
			s.replica(t, withLogouts(mode)).stranger(t).get(tokenPath, cookies).wants(t, http.StatusUnauthorized, unauthorized)
			if log := s.logs.String(); strings.Contains(log, "front-channel logout was") {
				t.Errorf("the log blames the cache:\n%s", log)
			}
		})
	}
}

// Nothing but the sid shows that it is the provider who asks.
func TestAFrontchannelLogoutThatDoesNotNameTheSessionEndsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, withLogouts(session.ModeCookie))
	b := s.browser(t)
	b.signIn()
	_, sid := b.who()
	iss := url.QueryEscape(s.provider.Issuer())
	stranger := s.stranger(t).get(front(s.provider.Issuer(), sid))
	for name, query := range map[string]string{
		"nothing":            "",
		"no sid":             "?iss=" + iss,
		"no iss":             "?sid=" + sid,
		"an empty sid":       "?iss=" + iss + "&sid=",
		"another sid":        "?iss=" + iss + "&sid=" + sid + "x",
		"another issuer":     "?iss=https%3A%2F%2Fevil.example&sid=" + sid,
		"the sid twice":      "?iss=" + iss + "&sid=x&sid=" + sid,
		"the sid twice, too": "?iss=" + iss + "&sid=" + sid + "&sid=" + sid,
		"the issuer twice":   "?iss=" + iss + "&iss=" + iss + "&sid=" + sid,
		"other letters":      "?ISS=" + iss + "&SID=" + sid,
	} {
		a := b.get(frontPath + query)
		if a.status != http.StatusOK || a.body != stranger.body || len(a.set) > 0 {
			t.Errorf("%s: got %d %q and cookies %v, want the same answer as a stranger's", name, a.status, a.body, a.set)
		}
		b.alive(name, true)
	}
	nameless := newServer(t, nil) // its sessions have Cognito's origin_jti, which nobody else is told
	c := nameless.browser(t)
	c.signIn()
	for _, query := range []string{"", "?iss=" + url.QueryEscape(nameless.provider.Issuer()) + "&sid="} {
		c.get(frontPath + query)
		c.alive("a session that was not named", true)
	}
}

func TestTheFrontchannelPageMayBeFramedByTheProviderAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t, withLogouts(session.ModeCookie))
	b := s.browser(t)
	b.signIn() // or the provider's logout is not known yet
	a := b.get(frontPath)
	csp := a.header.Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "; frame-ancestors "+s.provider.URL()) || !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("policy %q, want nothing but to be framed by the provider", csp)
	}
	if a.header.Get("X-Frame-Options") != "" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("got the headers %v", a.header)
	}
	if got := b.get("/login").header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
		t.Errorf("any other page: policy %q, want that nobody frames it", got)
	}
}
