package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

const (
	backPath  = "/api/auth/backchannel-logout"
	frontPath = "/api/auth/frontchannel-logout"
)

var modes = map[string]session.Mode{"cookie mode": session.ModeCookie, "server mode": session.ModeServer}

// withLogouts has a provider that names its sessions, and sessions that show that name.
func withLogouts(mode session.Mode) func(*options) {
	return func(o *options) {
		o.dev.SendSid, o.session.Mode = true, mode
		o.idp.Claims = []string{"sub", "sid", "email"}
	}
}

// who gives the sub and the sid of the session.
func (b *browser) who() (sub, sid string) {
	b.t.Helper()
	var got struct {
		User struct{ Sub, Sid string }
	}
	must(b.t, json.Unmarshal([]byte(b.get("/api/auth/session").body), &got))
	if got.User.Sub == "" || got.User.Sid == "" {
		b.t.Fatalf("the session has sub %q and sid %q", got.User.Sub, got.User.Sid)
	}
	return got.User.Sub, got.User.Sid
}

// alive checks whether the browser's session goes on.
func (b *browser) alive(what string, want bool) {
	b.t.Helper()
	if got := b.get("/api/auth/session").status; (got == http.StatusOK) != want || got != http.StatusOK && got != http.StatusUnauthorized {
		b.t.Errorf("%s: got %d, want alive %v", what, got, want)
	}
}

func (s *server) logoutToken(t testing.TB, l devidp.Logout) string {
	t.Helper()
	token, err := s.provider.LogoutToken(t.Context(), l)
	must(t, err)
	return token
}

// tell posts a logout token as a provider does: with no cookie and no header of a browser's.
func (s *server) tell(t testing.TB, l devidp.Logout) answer {
	t.Helper()
	return s.stranger(t).post(backPath, url.Values{"logout_token": {s.logoutToken(t, l)}})
}

// refusedLogout checks the one form that every refusal has.
func refusedLogout(t testing.TB, a answer, says string) {
	t.Helper()
	a.wants(t, http.StatusBadRequest, `{"error":"invalid_request","error_description":"`+says+`"}`)
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" || len(a.set) > 0 {
		t.Errorf("got the headers %v, want JSON that is not stored, and no cookie", a.header)
	}
}

func TestABackchannelLogoutEndsTheSessionsItNames(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		for named, row := range map[string]struct {
			token func(sub, sid string) devidp.Logout
			both  bool // the person's other browser is signed out, too
		}{
			"by sid":          {func(_, sid string) devidp.Logout { return devidp.Logout{SessionID: sid} }, false},
			"by sub":          {func(sub, _ string) devidp.Logout { return devidp.Logout{Subject: sub} }, true},
			"by sid with sub": {func(sub, sid string) devidp.Logout { return devidp.Logout{Subject: sub, SessionID: sid} }, false},
		} {
			t.Run(name+" "+named, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, withLogouts(mode))
				second := s.replica(t, withLogouts(mode))
				named, other, bob := s.browser(t), s.browser(t), s.browser(t)
				named.signIn()
				other.signIn()
				bob.signIn(s.provider.Users()[1])

				a := s.tell(t, row.token(named.who()))
				a.wants(t, http.StatusOK, "")
				if a.header.Get("Cache-Control") != "no-store" || len(a.set) > 0 {
					t.Errorf("got the headers %v, want no-store and no cookie", a.header)
				}
				cookies := named.cookies()
				named.at(second).alive("the session that was named, at the other replica", false)
				s.stranger(t).get(tokenPath, cookies).wants(t, http.StatusUnauthorized, unauthorized)
				other.at(second).alive("another session of the person, at the other replica", !row.both)
				other.alive("another session of the person", !row.both)
				bob.alive("another person's session", true)
				if again := s.browser(t); again.signIn().status == http.StatusSeeOther {
					again.alive("a session that began afterwards", true)
				}
				if log := s.logs.String(); !strings.Contains(log, "sessions ended by the provider") || strings.Contains(log, "whose="+s.provider.Users()[0].Sub) {
					t.Error("the log does not tell of it, or tells who it was")
				}
			})
		}
	}
}

func TestTheProviderTellsOfSignOutsByItself(t *testing.T) {
	t.Parallel()
	s := newServer(t, withLogouts(session.ModeCookie))
	must(t, s.provider.SetLogoutURIs(devidp.LogoutURIs{Back: s.url + backPath}))
	b := s.browser(t)
	b.signIn()
	s.provider.RevokeUser("alice@example.com")
	b.alive("a revoked user's session", false)
	if got := s.provider.Stats().Backchannel; got != (devidp.Calls{Asked: 1, OK: 1}) {
		t.Errorf("the provider counts %+v, want one logout that was taken", got)
	}
}

func TestALogoutTokenThatIsNotGoodEndsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		withLogouts(session.ModeCookie)(o)
		o.handlers.IncludeIDToken = true
	})
	b := s.browser(t)
	b.signIn()
	sub, sid := b.who()
	now := s.clock.Now()
	event := "http://schemas.openid.net/event/backchannel-logout"
	for name, raw := range map[string]string{
		"no token":                "",
		"nonsense":                "nonsense",
		"an endless one":          strings.Repeat("x", 9<<10),
		"an ID token":             b.token("").IDToken,
		"an access token":         b.token("").AccessToken,
		"another issuer":          s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{WrongIssuer: true}}),
		"another audience":        s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{WrongAudience: true}}),
		"a nonce":                 s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{WrongNonce: true}}),
		"expired":                 s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{Expired: true}}),
		"of tomorrow":             s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{NotYetValid: true}}),
		"not signed":              s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{Alg: devidp.AlgNone}}),
		"signed with our secret":  s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{Alg: devidp.AlgHS256}}),
		"signed with a published": s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{Alg: devidp.AlgHS256PublicKey}}),
		"signed by another key":   s.logoutToken(t, devidp.Logout{Subject: sub, Lies: devidp.Lies{WrongKey: true}}),
		"another type":            s.logoutToken(t, devidp.Logout{Subject: sub, Type: "at+jwt"}),
		"too old":                 s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"iat": now.Add(-6 * time.Minute).Unix()}}),
		"no iat":                  s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"iat": nil}}),
		"no jti":                  s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"jti": nil}}),
		"no events":               s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"events": nil}}),
		"another event":           s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"events": map[string]any{event + "2": map[string]any{}}}}),
		"an event that is text":   s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"events": map[string]any{event: "x"}}}),
		"neither sub nor sid":     s.logoutToken(t, devidp.Logout{}),
		"a sid that is a number":  s.logoutToken(t, devidp.Logout{Subject: sub, Claims: map[string]any{"sid": 7}}),
	} {
		a := s.stranger(t).post(backPath, url.Values{"logout_token": {raw}})
		t.Run(name, func(t *testing.T) { refusedLogout(t, a, "the logout token is not valid") })
	}
	good := s.logoutToken(t, devidp.Logout{SessionID: sid})
	form := "Content-Type: application/x-www-form-urlencoded"
	for name, row := range map[string]struct {
		path, body string
		headers    []string
	}{
		"the token in the query":      {backPath + "?logout_token=" + good, "", []string{form}},
		"two tokens":                  {backPath, "logout_token=" + good + "&logout_token=" + good, []string{form}},
		"no form":                     {backPath, "logout_token=" + good, nil},
		"JSON":                        {backPath, `{"logout_token":"` + good + `"}`, []string{"Content-Type: application/json"}},
		"two content types":           {backPath, "logout_token=" + good, []string{form, "Content-Type: text/plain"}},
		"a form that is none":         {backPath, "logout_token=%zz", []string{form}},
		"an endless form":             {backPath, "logout_token=" + good + "&x=" + strings.Repeat("x", 16<<10), []string{form}},
		"a form without a token":      {backPath, "token=" + good, []string{form}},
		"the token under other names": {backPath, "Logout_Token=" + good, []string{form}},
	} {
		a := s.stranger(t).send(http.MethodPost, row.path, row.body, row.headers...)
		t.Run(name, func(t *testing.T) { refusedLogout(t, a, "want a form with logout_token exactly once") })
	}
	b.alive("after all of that", true)
	if log := s.logs.String(); strings.Contains(log, good) || strings.Contains(log, strings.Split(good, ".")[2]) {
		t.Error("a logout token is in the log")
	}
	if a := s.stranger(t).get(backPath); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
		t.Errorf("GET: got %d, want 405", a.status)
	}
}

// A body without a length is bounded, too.
func TestALogoutFormWithoutEndIsCutOff(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+backPath, struct{ *strings.Reader }{strings.NewReader("logout_token=" + strings.Repeat("x", 1<<20))})
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.stranger(t).client.Do(r)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, want 400", res.StatusCode)
	}
}

func TestALogoutTokenTakesEffectOnceOnAllReplicas(t *testing.T) {
	t.Parallel()
	s := newServer(t, withLogouts(session.ModeCookie))
	b := s.browser(t)
	b.signIn()
	sub, _ := b.who()
	l := devidp.Logout{Subject: sub, ID: "only-once"}
	s.tell(t, l).wants(t, http.StatusOK, "")
	later := s.browser(t)
	later.signIn()
	refusedLogout(t, s.tell(t, l), "the logout token was used before")
	refusedLogout(t, s.replica(t, withLogouts(session.ModeCookie)).tell(t, l), "the logout token was used before")
	later.alive("a session that began after the first", true)
	s.tell(t, devidp.Logout{Subject: sub, ID: "another"}).wants(t, http.StatusOK, "")
	later.alive("after another token", false)
}

// picky is a store that refuses what a test tells it to refuse.
type picky struct {
	kv.Store
	mu       sync.Mutex
	get, put string // beginnings of the keys that are refused; "": none
}

func (p *picky) refuse(get, put string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.get, p.put = get, put
}

func (p *picky) refuses(key string, which *string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *which != "" && strings.HasPrefix(key, *which)
}

func (p *picky) Get(ctx context.Context, key string) (kv.Entry, error) {
	if p.refuses(key, &p.get) {
		return kv.Entry{}, kvtest.ErrDown
	}
	return p.Store.Get(ctx, key)
}

func (p *picky) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if p.refuses(w.Key, &p.put) {
		return 0, kvtest.ErrDown
	}
	return p.Store.Put(ctx, w)
}

func TestACacheThatFailsLosesNoLogout(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &picky{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
	s := newServer(t, func(o *options) {
		withLogouts(session.ModeCookie)(o)
		o.clock, o.session.Store = clock, store
	})
	for name, row := range map[string]struct{ get, put string }{
		"it cannot say whether the token was used":    {get: "logout/"},
		"it does not remember that the token is used": {put: "logout/"},
	} {
		b := s.browser(t)
		b.signIn()
		_, sid := b.who()
		store.refuse(row.get, row.put)
		s.tell(t, devidp.Logout{SessionID: sid}).wants(t, http.StatusOK, "")
		store.refuse("", "")
		b.alive(name, false)
	}

	b := s.browser(t)
	b.signIn()
	_, sid := b.who()
	l := devidp.Logout{SessionID: sid, ID: "sent-twice"}
	store.refuse("", "ended-")
	refusedLogout(t, s.tell(t, l), "the cache did not take it: send it again")
	b.alive("at this replica, which knows", false)
	store.refuse("", "")
	s.tell(t, l).wants(t, http.StatusOK, "")
	b.at(s.replica(t, withLogouts(session.ModeCookie))).alive("at another replica, after the provider has tried again", false)
}

func TestALogoutThatCannotBeVerifiedIsRefusedAndToldOf(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	fails := &failing{next: http.DefaultTransport}
	s := newServer(t, func(o *options) {
		withLogouts(session.ModeCookie)(o)
		o.idp.Transport = fails
	})
	token := s.logoutToken(t, devidp.Logout{Subject: "s"}) // the provider was never reached: there are no keys yet
	fails.err = down
	refusedLogout(t, s.stranger(t).post(backPath, url.Values{"logout_token": {token}}), "the keys of the provider cannot be had now")
	if !strings.Contains(s.logs.String(), "a back-channel logout could not be verified") {
		t.Error("the log does not tell of the outage")
	}
}

// failing is a network that can be cut.
type failing struct {
	next http.RoundTripper
	err  error
}

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.next.RoundTrip(r)
}

func TestALogoutWithoutASessionIsStillALogout(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.tell(t, devidp.Logout{Subject: "nobody-here", SessionID: "none"}).wants(t, http.StatusOK, "")
}
