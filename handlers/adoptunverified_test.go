package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// visit is how a browser goes to a page, ask how a script asks for data.
var (
	visit = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Accept: text/html,*/*;q=0.8"}
	ask   = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin", "Accept: */*"}
)

// The cookies may be a stranger's invention: a page is no place to answer them with an error, and the log none to tell of it as one.
func TestWhoseAdaptersCookiesCannotBeVerifiedNowSeesPagesAsNobody(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, adopting)
	b.token("")
	theirs := s.cookiesOf(s.adapted(t))
	s.provider.RollKeys()
	line := s.cookiesOf(s.adapted(t))
	s.faults(t, devidp.Faults{JWKS: devidp.Fault{Status: http.StatusInternalServerError}})
	for name, cookies := range map[string]string{
		"the adapter's cookies alone":            line,
		"beside a cookie of ours that opens not": line + "; " + s.cookie + "=garbage",
	} {
		app.forget()
		a := s.stranger(t).get("/dashboard", append([]string{cookies}, visit...)...)
		if r := app.heard(t); a.status != http.StatusOK || r.Header.Get("Authorization") != "" || r.Header.Get("X-Auth-Request-User") != "" {
			t.Errorf("%s: got %d, and the application heard %q, want 200 for nobody", name, a.status, r.Header)
		}
		a.untouched(t)
	}
	if logged := s.logs.String(); strings.Contains(logged, "level=ERROR") {
		t.Errorf("an error was logged:\n%s", logged)
	}

	script := append([]string{line}, ask...)
	for _, a := range []answer{
		s.stranger(t).get(tokenPath, script...), s.stranger(t).get("/data", script...),
		s.stranger(t).post("/form", nil, append([]string{line}, visit...)...),
	} {
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("what a page cannot stand for: got %d, want 503", a.status)
		}
		a.untouched(t)
	}
	app.forget()
	s.stranger(t).get("/dashboard", append([]string{theirs}, visit...)...)
	if app.bearer(t) == "" {
		t.Error("one that a key verifies which is held was not taken over")
	}

	s.faults(t, devidp.Faults{})
	s.clock.advance(time.Minute)
	app.forget()
	a := s.stranger(t).get("/dashboard", append([]string{line}, visit...)...)
	if app.bearer(t) == "" || a.sets(s.cookie) == nil || len(a.deleted()) != 4 {
		t.Error("the session was not taken over once the keys could be had")
	}
}

// A session that was verified is somebody's: a page for nobody would only send them away to sign in.
func TestAnAdoptedSessionThatCannotBeRefreshedIsNotNobodys(t *testing.T) {
	t.Parallel()
	s, _, _ := newApplication(t, adopting)
	line := s.cookiesOf(s.adapted(t))
	s.clock.advance(2 * time.Hour)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: http.StatusServiceUnavailable}})
	a := s.stranger(t).get("/dashboard", append([]string{line}, visit...)...)
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", a.status)
	}
	a.untouched(t)
}

// All the browsers that were away while the provider retired a key come back in the same minute.
func TestSessionsOfARetiredKeyAreClearedAtOnce(t *testing.T) {
	t.Parallel()
	s, _, b := newApplication(t, adopting)
	theirs := []adapted{s.adapted(t), s.adapted(t), s.adapted(t)}
	s.clock.advance(time.Hour)
	s.provider.RollKeys()
	s.provider.ForgetOldKeys()
	b.signIn()
	for n, one := range theirs {
		a := s.stranger(t).get(tokenPath, s.cookiesOf(one))
		a.wants(t, http.StatusUnauthorized, unauthorized)
		if len(a.deleted()) != 4 {
			t.Errorf("session %d: deleted %v, want the adapter's four", n, a.deleted())
		}
	}
}
