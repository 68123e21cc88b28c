package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

func TestSignInAsksTheProviderForACodeWithAllItsProofs(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	a := b.get("/api/auth/sign-in?lang=ja&login_hint=alice%40example.com&prompt=login&provider=google&evil=1")
	if a.status != http.StatusFound || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("got %d %q %q, want 302, no-store, no-referrer", a.status, a.header.Get("Cache-Control"), a.header.Get("Referrer-Policy"))
	}
	u, err := url.Parse(a.location())
	must(t, err)
	if got, want := u.Scheme+"://"+u.Host+u.Path, s.provider.URL()+"/oauth2/authorize"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"client_id": s.provider.ClientID(), "redirect_uri": s.url + "/api/auth/sign-in-callback", "response_type": "code",
		"scope": "openid email profile", "code_challenge_method": "S256", "lang": "ja", "login_hint": "alice@example.com",
		"prompt": "login", "identity_provider": "Google", "evil": "",
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, size := range map[string]int{"state": 22, "nonce": 22, "code_challenge": 43} {
		if got := q.Get(name); len(got) < size {
			t.Errorf("%s: got %q, want at least %d characters", name, got, size)
		}
	}
	again, err := url.Parse(b.begin("/api/auth/sign-in"))
	must(t, err)
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if again.Query().Get(name) == q.Get(name) {
			t.Errorf("%s is the same at two sign-ins", name)
		}
	}
}

func TestSignUpGoesToTheProvidersPageForIt(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	u, err := url.Parse(s.browser(t).begin("/api/auth/sign-up"))
	must(t, err)
	if u.Path != "/signup" || u.Query().Get("code_challenge") == "" {
		t.Errorf("got %s, want /signup with all the proofs", u.Path)
	}
}

func TestSignInStartsASessionAndLeadsBack(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{true, false} {
		s := newServer(t, func(o *options) { o.https = https })
		b := s.browser(t)
		a := b.get(b.atProvider(b.begin("/api/auth/sign-in?returnTo=" + url.QueryEscape("/orders?page=2#last"))))
		if a.status != http.StatusSeeOther || a.location() != "/orders?page=2#last" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d %q, want 303 to /orders?page=2#last", a.status, a.location())
		}
		c := a.sets(s.cookie)
		if c == nil {
			t.Fatal("no session cookie")
		}
		if c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.Secure != https || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 720*3600 {
			t.Errorf("https %v: got %s with attributes %+v, want Path=/, HttpOnly, Lax, 720 h, Secure with https", https, c.Name, c)
		}
		if https && c.Name != "__Host-vestibule" {
			t.Errorf("got %s, want the __Host- prefix", c.Name)
		}
		if strings.Contains(a.header.Get("Set-Cookie"), "eyJ") || strings.Contains(c.Value, "eyJ") {
			t.Error("a token stands readable in the cookie")
		}
		b.token("")
		if got := s.provider.Stats().Code; got.OK != 1 || got.Asked != 1 {
			t.Errorf("got %+v code exchanges, want one", got)
		}
		if strings.Contains(b.cookies(), ".p.") {
			t.Error("the pending sign-in is still there, want it used up")
		}
	}
}

func TestTheTypicalSessionIsOneCookieWithinItsBudget(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.https = true })
	a := s.browser(t).signIn()
	size := 0
	for _, c := range a.set {
		if strings.HasPrefix(c.Name, s.cookie) && c.MaxAge > 0 {
			size += len(c.Name) + 1 + len(c.Value)
		}
	}
	if size == 0 || size > 3400 || a.sets(s.cookie+".1") != nil {
		t.Errorf("got %d bytes sent, want one cookie of at most 3,400", size)
	}
}

// Links are prefetched and scripts fetch: each would leave a pending sign-in, until the Cookie header is too large.
func TestWhatNobodyNavigatedToBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, row := range []struct {
		header string
		status int
	}{
		{"Sec-Purpose: prefetch", 204},
		{"Sec-Purpose: prefetch;prerender", 204},
		{"Purpose: prefetch", 204},
		{"X-Purpose: preview", 204},
		{"X-Moz: prefetch", 204},
		{"Next-Router-Prefetch: 1", 204},
		{"X-Middleware-Prefetch: 1", 204},
		{"Sec-Fetch-Mode: cors", 401},
		{"Sec-Fetch-Mode: no-cors", 401},
		{"Sec-Fetch-Mode: same-origin", 401},
		{"RSC: 1", 401},
		{"X-Requested-With: XMLHttpRequest", 401},
		{"Accept: application/json", 401},
		{"Accept: image/avif,image/webp", 401},
		{"Accept: application/json, text/plain, */*", 302}, // what some HTTP clients send for everything
		{"Sec-Fetch-Dest: iframe", 401},
		{"Sec-Fetch-Dest: frame", 401},
		{"Sec-Fetch-Dest: embed", 401},
		{"Sec-Fetch-Dest: object", 401},
		{"Sec-Fetch-Dest: document", 302},
		{"Sec-Fetch-Dest: empty", 302}, // by way of a service worker
		{"Accept: */*", 302},
		{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 302},
		{"Sec-Fetch-Mode: navigate", 302},
	} {
		for _, path := range []string{"/api/auth/sign-in", "/api/auth/sign-up"} {
			headers := []string{row.header}
			if strings.HasPrefix(row.header, "Sec-Fetch-Dest: ") {
				headers = append(headers, "Sec-Fetch-Mode: navigate")
			}
			a := s.stranger(t).get(path, headers...)
			if a.status != row.status || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s with %s: got %d %q, want %d no-store", path, row.header, a.status, a.header.Get("Cache-Control"), row.status)
			}
			if row.status == 401 && a.body != unauthorized {
				t.Errorf("%s with %s: got %s, want JSON that a script understands", path, row.header, a.body)
			}
			if begun := len(a.set) > 0; begun != (row.status == 302) {
				t.Errorf("%s with %s: cookies %v", path, row.header, a.set)
			}
		}
	}
	if a := s.stranger(t).send(http.MethodHead, "/api/auth/sign-in", ""); a.status != http.StatusMethodNotAllowed || len(a.set) != 0 {
		t.Errorf("HEAD: got %d, want 405: it has effects", a.status)
	}
}

func TestSeveralTabsMaySignInAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	var began []string
	for _, path := range []string{"/one", "/two", "/three", "/four", "/five"} {
		began = append(began, b.begin("/api/auth/sign-in?returnTo="+path))
		s.clock.advance(time.Second)
	}
	for i, want := range map[int]string{4: "/five", 0: "/one", 2: "/three", 1: "/two", 3: "/four"} {
		if a := b.get(b.atProvider(began[i])); a.status != http.StatusSeeOther || a.location() != want {
			t.Errorf("tab %d: got %d %q, want 303 %s", i+1, a.status, a.location(), want)
		}
	}
	b.token("")
}

func TestPendingSignInsOfABrowserAreFew(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	var began []string
	for range 12 {
		began = append(began, b.begin("/api/auth/sign-in?returnTo=/"+strings.Repeat("x", 900)))
		s.clock.advance(time.Second)
		if got := len(b.cookies()); got > 8<<10 {
			t.Fatalf("the Cookie header has grown to %d bytes", got)
		}
	}
	if got := strings.Count(b.cookies(), ".p."); got == 0 || got > 5 {
		t.Errorf("got %d pending sign-ins, want at most 5", got)
	}
	if a := b.get(b.atProvider(began[0])); a.status != http.StatusBadRequest {
		t.Errorf("the oldest: got %d, want 400: it gave way", a.status)
	}
	if a := b.get(b.atProvider(began[11])); a.status != http.StatusSeeOther {
		t.Errorf("the newest: got %d, want 303", a.status)
	}
}

// A session planted before the sign-in must be worth nothing after it, and somebody else's must not live on beside it.
func TestSignInReplacesWhateverSessionTheBrowserHad(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	users := s.provider.Users()
	b.signIn(users[0])
	old := b.cookies()
	b.signIn(users[1])
	if b.cookies() == old {
		t.Fatal("the cookie is the same after the second sign-in")
	}
	if a := b.get("/api/auth/session"); !strings.Contains(a.body, users[1].Email) {
		t.Errorf("got %s, want %s", a.body, users[1].Email)
	}
	a := s.stranger(t).get(tokenPath, old)
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if a.cleared(s.cookie) {
		t.Error("the late request of the old session cleared the new one's cookie")
	}
	must(t, s.sessions.Drain(t.Context()))
	if got := s.provider.Stats().Revoke.OK; got != 1 {
		t.Errorf("got %d revocations, want the old refresh token's", got)
	}
	b.token("")
}

func TestSignInWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.faults(t, devidp.Faults{Discovery: devidp.Fault{Status: 500}})
	a := s.browser(t).get("/api/auth/sign-in?returnTo=/a")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(a.set) != 0 {
		t.Errorf("got %d, Retry-After %q, cookies %v, want 503, some, none", a.status, a.header.Get("Retry-After"), a.set)
	}
	if !strings.Contains(a.body, "/api/auth/sign-in?returnTo=%2Fa") {
		t.Error("the page does not offer to try again")
	}
}

func TestTheCallbackOfAStrictSessionMovesOnByAPage(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.SameSite = http.SameSiteStrictMode })
	b := s.browser(t)
	begin := b.get("/api/auth/sign-in?returnTo=/next")
	if len(begin.set) != 1 || begin.set[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("got %v, want one pending cookie, Lax: the provider's redirect must bring it", begin.set)
	}
	a := b.get(b.atProvider(begin.location()))
	if a.status != http.StatusOK || !strings.Contains(a.body, `http-equiv="refresh"`) || !strings.Contains(a.body, "/next") {
		t.Errorf("got %d %s, want a page that moves on to /next", a.status, a.body)
	}
	if c := a.sets(s.cookie); c == nil || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("got %v, want a strict session cookie", c)
	}
	b.token("")
}

func TestABasePathIsWhereAllRoutesLive(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.base = "/shop"; o.https = true })
	b := s.browser(t)
	a := b.signIn()
	if c := a.sets(s.cookie); c == nil || c.Path != "/" {
		t.Errorf("got %v, want a cookie for Path=/: the prefix __Host- demands it", c)
	}
	b.token("")
	for _, path := range []string{tokenPath, "/login", "/api/auth/session", "/healthz", "/static/app.css"} {
		if got := b.get(s.origin + path).status; got != http.StatusNotFound {
			t.Errorf("%s outside the base path: got %d, want 404", path, got)
		}
		if got := b.get(path).status; got != http.StatusOK {
			t.Errorf("%s below the base path: got %d, want 200", path, got)
		}
	}
	if a := b.get(tokenPath + "/"); a.location() != "/shop"+tokenPath {
		t.Errorf("trailing slash: got %q, want the base path kept", a.location())
	}
	if a := b.get("/login?returnTo=/shop/api/auth/sign-out"); strings.Contains(a.body, "returnTo=%2Fshop%2Fapi%2Fauth%2Fsign-out") {
		t.Error("returnTo may lead to the sign-out, want it refused below the base path too")
	}
	a = b.post("/api/auth/sign-out", nil)
	if !strings.Contains(a.location(), url.QueryEscape(s.url+"/api/auth/sign-out-callback")) {
		t.Errorf("sign-out: got %s, want the callback below the base path", a.location())
	}
}

// Nothing in the log may be worth stealing, at any level.
func TestTheLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.handlers.IncludeIDToken = true })
	b := s.browser(t)
	authorize := b.begin("/api/auth/sign-in?returnTo=/private-place")
	callback := b.atProvider(authorize)
	b.get(callback)
	token := b.token("?forceRefresh=true&password=hunter2")
	cookie := strings.SplitN(b.cookies(), "=", 2)[1]
	b.get("/nowhere?code=abc123")
	b.post("/api/auth/sign-out", nil)
	s.stop()

	log := s.logs.String()
	if !strings.Contains(log, "route=/api/auth/sign-in-callback") || !strings.Contains(log, "path=/nowhere") {
		t.Fatalf("the log does not tell the requests:\n%s", log)
	}
	u, err := url.Parse(callback)
	must(t, err)
	at, err := url.Parse(authorize)
	must(t, err)
	for name, secret := range map[string]string{
		"code": u.Query().Get("code"), "state": u.Query().Get("state"), "nonce": at.Query().Get("nonce"),
		"access token": token.AccessToken[:60], "ID token": token.IDToken[:60], "cookie": cookie[:40], "client secret": s.provider.ClientSecret(),
		"e-mail": "alice@example.com", "query": "hunter2", "query of an unknown address": "abc123", "returnTo": "private-place",
	} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
