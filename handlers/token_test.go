package handlers_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

const tokenPath = "/api/cognito-token"

const (
	unauthorized = `{"error":"Unauthorized"}`
	forbidden    = `{"error":"Forbidden"}`
	notAvailable = `{"error":"Service Unavailable"}`
)

// private checks what every answer of a route that knows a session carries.
func private(t *testing.T, a answer) {
	t.Helper()
	if got, want := a.header.Get("Cache-Control"), "no-store"; got != want {
		t.Errorf("Cache-Control: got %q, want %q", got, want)
	}
	if got, want := a.header.Get("Vary"), "Cookie"; got != want {
		t.Errorf("Vary: got %q, want %q", got, want)
	}
	if a.body != "" && a.header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type: got %q, want application/json", a.header.Get("Content-Type"))
	}
}

func TestTokenAnswerHasExactlyThePromisedForm(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	s.clock.advance(time.Second)

	a := b.get(tokenPath)
	private(t, a)
	got := a.token(t)
	want := `{"accessToken":"` + got.AccessToken + `","expiresAt":` + strconv.FormatInt(s.clock.Now().Add(3599*time.Second).Unix(), 10) +
		`,"expiresIn":3599,"tokenType":"Bearer"}`
	if a.body != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	if parts := strings.Count(got.AccessToken, "."); parts != 2 {
		t.Errorf("the access token has %d dots, want the two of a JWT that decodeJWT reads", parts)
	}
	if got, want := a.header.Get("Content-Length"), strconv.Itoa(len(a.body)); got != want {
		t.Errorf("Content-Length: got %s, want %s", got, want)
	}
	if len(a.set) != 0 {
		t.Errorf("an answer without a refresh sets %v, want no cookie", a.set)
	}
}

func TestTokenAnswerWithIDToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.handlers.IncludeIDToken = true })
	b := s.browser(t)
	b.signIn()

	a := b.get(tokenPath)
	var keys map[string]json.RawMessage
	must(t, json.Unmarshal([]byte(a.body), &keys))
	if len(keys) != 5 || keys["idToken"] == nil {
		t.Fatalf("got %s, want the four keys and idToken", a.body)
	}
	first := a.token(t).IDToken
	s.clock.advance(time.Hour)
	if second := b.token("").IDToken; second == first || second == "" {
		t.Error("after a refresh the answer still carries the old ID token, want the new one")
	}
}

// A signed-out Amplify tab asks once a minute for ever, so the refusal must be cheap, and without cookies to set.
func TestWithoutASessionTheAnswerIs401(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for range 3 {
		a := s.stranger(t).get(tokenPath)
		a.wants(t, http.StatusUnauthorized, unauthorized)
		private(t, a)
		if len(a.set) != 0 {
			t.Errorf("got Set-Cookie %v, want none: there is nothing to clear", a.set)
		}
	}
	if got := s.provider.Stats(); got.Discovery+got.Refresh.Asked != 0 {
		t.Errorf("the provider was asked %+v, want silence", got)
	}
}

func TestASessionThatIsOverIs401AndClearsItsCookies(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.MaxAge = 24 * time.Hour; o.https = true })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(24 * time.Hour)

	a := b.get(tokenPath)
	a.wants(t, http.StatusUnauthorized, unauthorized)
	private(t, a)
	if !a.cleared(s.cookie) {
		t.Fatalf("got Set-Cookie %v, want the session cookie cleared", a.set)
	}
	// A browser that checks the prefix keeps a cookie whose deletion lacks an attribute.
	if got, want := a.header.Get("Set-Cookie"), "__Host-vestibule=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
}

func TestTokenMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	const allow = "GET, HEAD, OPTIONS"

	whole := b.get(tokenPath)
	head := b.send(http.MethodHead, tokenPath, "")
	if head.status != http.StatusOK || head.body != "" || head.header.Get("Content-Length") != strconv.Itoa(len(whole.body)) {
		t.Errorf("HEAD: got %d, %d bytes, Content-Length %s, want 200, none, that of GET", head.status, len(head.body), head.header.Get("Content-Length"))
	}
	options := b.send(http.MethodOptions, tokenPath, "")
	private(t, options)
	if options.status != http.StatusNoContent || options.header.Get("Allow") != allow {
		t.Errorf("OPTIONS: got %d, Allow %q, want 204, %q", options.status, options.header.Get("Allow"), allow)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "REPORT", "FOO", "get"} {
		a := b.send(method, tokenPath, "")
		private(t, a)
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != allow || a.body != `{"error":"Method Not Allowed"}` {
			t.Errorf("%s: got %d, Allow %q, %s, want 405, %q", method, a.status, a.header.Get("Allow"), a.body, allow)
		}
	}
	if b.get(tokenPath).status != http.StatusOK {
		t.Error("after all those methods the session is gone, want it untouched")
	}
}

func TestATrailingSlashIsMovedForGoodWithItsQuery(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, row := range []struct{ method, from, to string }{
		{"GET", tokenPath + "/", tokenPath},
		{"GET", tokenPath + "/?forceRefresh=true&x=%2F", tokenPath + "?forceRefresh=true&x=%2F"},
		{"POST", "/api/auth/sign-out/?returnTo=/a", "/api/auth/sign-out?returnTo=/a"},
		{"GET", "/.well-known/bff-token/", "/.well-known/bff-token"},
	} {
		a := s.stranger(t).send(row.method, row.from, "")
		if a.status != http.StatusPermanentRedirect || a.location() != row.to || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: got %d %q %q, want 308 %q no-store", row.method, row.from, a.status, a.location(), a.header.Get("Cache-Control"), row.to)
		}
	}
}

func TestUnknownParametersAreIgnored(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	want := b.token("").AccessToken
	for _, query := range []string{"?", "?t=1700000000", "?foo", "?a;b=c", "?%zz=1", "?min_ttl", "?returnTo=//evil.example", "?forceRefresh=1", "?forceRefresh=TRUE", "?forceRefresh=false"} {
		if got := b.token(query).AccessToken; got != want {
			t.Errorf("%s: got another token, want the same", query)
		}
	}
	if got := s.provider.Stats().Refresh.Asked; got != 0 {
		t.Errorf("got %d refreshes, want none", got)
	}
}

func TestMinTTL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		aged    time.Duration // of a token that lives an hour
		query   string
		refresh bool
	}{
		{"a life that is left is no reason to refresh", 30 * time.Minute, "?min_ttl=1800", false},
		{"one second more than is left is", 30 * time.Minute, "?min_ttl=1801", true},
		{"more than a token's whole life is as much as there is", 0, "?min_ttl=86400", false},
		{"capped at the whole life, an older token is refreshed", time.Second, "?min_ttl=86400", true},
		{"zero asks for nothing", 30 * time.Minute, "?min_ttl=0", false},
		{"a negative number is malformed and ignored", 30 * time.Minute, "?min_ttl=-1", false},
		{"words are malformed and ignored", 30 * time.Minute, "?min_ttl=long", false},
		{"a fraction is malformed and ignored", 30 * time.Minute, "?min_ttl=3000.5", false},
		{"a number beyond all bounds is malformed and ignored", 30 * time.Minute, "?min_ttl=99999999999999999999", false},
		{"a unit is malformed and ignored", 30 * time.Minute, "?min_ttl=50m", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			b.signIn()
			first := b.token("")
			s.clock.advance(row.aged)
			got := b.token(row.query)
			if refreshed := got.AccessToken != first.AccessToken; refreshed != row.refresh {
				t.Errorf("got refreshed %v, want %v", refreshed, row.refresh)
			}
			if row.refresh && got.ExpiresIn != 3600 {
				t.Errorf("got %d s left after the refresh, want 3600", got.ExpiresIn)
			}
		})
	}
}

func TestForcedRefreshesAreBounded(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{"forceRefresh": "?forceRefresh=true", "a min_ttl out of reach": "?min_ttl=3600"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			b.signIn()
			s.clock.advance(time.Minute)
			first := b.token(query)
			for range 5 {
				s.clock.advance(time.Second)
				if b.token(query).AccessToken != first.AccessToken {
					t.Fatal("a second refresh within ten seconds, want the same token")
				}
			}
			if got := s.provider.Stats().Refresh.Asked; got != 1 {
				t.Errorf("got %d refreshes in ten seconds, want 1", got)
			}
			s.clock.advance(10 * time.Second)
			if b.token(query).AccessToken == first.AccessToken {
				t.Error("after ten seconds still the same token, want a new one")
			}
		})
	}
}

// Stragglers force with the old cookie, and must not be a way around the bound either.
func TestTheBoundOnForcedRefreshesHoldsForTheOldCookieToo(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.clock.advance(time.Minute)
	for range 10 {
		s.stranger(t).token("?forceRefresh=true", old)
	}
	if got := s.provider.Stats().Refresh.Asked; got != 1 {
		t.Errorf("got %d refreshes, want 1", got)
	}
}

func TestTheTokenDemandsTheConfiguredHeader(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.handlers.CSRFHeader = "X-CSRF" })
	b := s.browser(t)
	b.signIn()
	for _, path := range []string{tokenPath, "/.well-known/bff-token"} {
		a := b.get(path)
		a.wants(t, http.StatusForbidden, forbidden)
		private(t, a)
		b.get(path, "X-CSRF: ").wants(t, http.StatusForbidden, forbidden)
		if a := b.get(path, "X-CSRF: 1"); a.status != http.StatusOK {
			t.Errorf("%s with the header: got %d, want 200", path, a.status)
		}
	}
	if a := b.get("/api/auth/session"); a.status != http.StatusOK {
		t.Errorf("session: got %d, want 200: the header guards tokens only", a.status)
	}
}

func TestSessionTellsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.IdleTimeout = time.Hour })
	b := s.browser(t)
	b.get("/api/auth/session").wants(t, http.StatusUnauthorized, unauthorized)
	b.signIn()
	ends := strconv.FormatInt(s.clock.Now().Add(time.Hour).Unix(), 10)
	s.clock.advance(40 * time.Minute)

	a := b.get("/api/auth/session")
	private(t, a)
	user := s.provider.Users()[0]
	want := `{"user":{"sub":"` + user.Sub + `","email":"alice@example.com","email_verified":true,"name":"Alice Liddell","cognito:groups":["admins"]},"expiresAt":` + ends + `}`
	if a.status != http.StatusOK || a.body != want {
		t.Errorf("got %d %s\nwant %s", a.status, a.body, want)
	}
	if len(a.set) != 0 {
		t.Error("asking who is signed in slid the session, want it not to count as activity")
	}
	if a := b.get(tokenPath); a.sets(s.cookie) == nil {
		t.Error("asking for a token did not slide the session, want a new cookie after 40 minutes of 60")
	}
	s.clock.advance(40 * time.Minute)
	if got := b.get("/api/auth/session").status; got != http.StatusOK {
		t.Errorf("after the slide: got %d, want 200", got)
	}
	s.clock.advance(21 * time.Minute)
	a = b.get("/api/auth/session")
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if !a.cleared(s.cookie) {
		t.Error("an idle session's cookie was not cleared, want it gone")
	}
}

func TestTMIForms(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	for _, path := range []string{"/.well-known/bff-token", "/.well-known/bff-sessioninfo"} {
		a := b.get(path)
		a.wants(t, http.StatusBadRequest, `{"error":"invalid_session"}`)
		private(t, a)
		if got := a.header.Get("Pragma"); got != "no-cache" {
			t.Errorf("%s: Pragma: got %q, want no-cache", path, got)
		}
		b.get(path, "Sec-Fetch-Site: cross-site").wants(t, http.StatusForbidden, forbidden)
	}
	b.signIn()
	access := b.token("").AccessToken

	a := b.get("/.well-known/bff-token")
	private(t, a)
	var got map[string]json.RawMessage
	must(t, json.Unmarshal([]byte(a.body), &got))
	if string(got["access_token"]) != `"`+access+`"` || string(got["expires_in"]) != "3600" {
		t.Errorf("bff-token: got %s, want the access token and 3600", a.body)
	}
	a = b.get("/.well-known/bff-sessioninfo")
	must(t, json.Unmarshal([]byte(a.body), &got))
	if string(got["email"]) != `"alice@example.com"` || string(got["exp"]) != strconv.FormatInt(s.clock.Now().Add(720*time.Hour).Unix(), 10) {
		t.Errorf("bff-sessioninfo: got %s, want the claims and the session's end", a.body)
	}

	s.clock.advance(2 * time.Hour)
	s.provider.Close()
	a = b.get("/.well-known/bff-token")
	a.wants(t, http.StatusBadRequest, `{"error":"backend_not_ready"}`)
}

// A scope that the session does not have cannot be given. The provider here is as Cognito, which tells no scope in its token answers: what
// was granted is then what was asked for (RFC 6749, section 5.1), as the access token says, and not whatever somebody may want.
func TestTMITokenOfAnotherScope(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	ask := func(scope string) answer {
		return b.get("/.well-known/bff-token?" + url.Values{"scope": {scope}}.Encode())
	}
	for _, scope := range []string{"vestibule/write", "openid vestibule/write", "openid/", "OPENID"} {
		ask(scope).wants(t, http.StatusBadRequest, `{"error":"invalid_scope"}`)
	}
	for _, scope := range []string{"openid", "profile openid", ""} {
		if a := ask(scope); a.status != http.StatusOK || strings.Contains(a.body, `"scope":"openid email profile"`) != (scope != "") {
			t.Errorf("scope %q: got %d %s, want 200 and what the token is good for", scope, a.status, a.body)
		}
	}
}
