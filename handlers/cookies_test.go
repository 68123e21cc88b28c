package handlers_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"vestibule/secret"
)

func TestAnyTamperingMeansNotSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	name, value, _ := strings.Cut(strings.TrimPrefix(b.cookies(), "Cookie: "), "=")
	stranger := s.stranger(t)
	try := func(what, header string) {
		t.Helper()
		a := stranger.get(tokenPath, "Cookie: "+header)
		if a.status != http.StatusUnauthorized || a.body != unauthorized || !a.cleared(name) {
			t.Errorf("%s: got %d %s, want 401 and the cookie cleared", what, a.status, a.body)
		}
	}
	if a := stranger.get(tokenPath, "Cookie: "+name+"="+value); a.status != http.StatusOK {
		t.Fatalf("the cookie as it was: got %d, want 200", a.status)
	}
	for at := 0; at < len(value); at += 1 + len(value)/60 {
		swap := "A"
		if value[at] == 'A' {
			swap = "B"
		}
		try("character "+strconv.Itoa(at)+" changed", name+"="+value[:at]+swap+value[at+1:])
		try("cut at "+strconv.Itoa(at), name+"="+value[:at])
	}
	try("doubled", name+"="+value+value)
	try("a character more", name+"="+value+"A")
	try("with a count of chunks", name+"=2."+value)
	try("with a count of one", name+"=1."+value)
	try("upside down", name+"="+strings.ToUpper(value))
	// What was sealed for one cookie must not pass as another.
	s.browser(t).get("/api/auth/sign-in")
	pending := s.browser(t)
	pending.begin("/api/auth/sign-in")
	_, sealed, _ := strings.Cut(strings.TrimPrefix(pending.cookies(), "Cookie: "), "=")
	try("a pending sign-in as a session", name+"="+sealed)
}

func TestGarbageCookiesAreNotSignedInAndNeverAFault(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	stranger := s.stranger(t)
	for _, header := range []string{
		"vestibule", "vestibule=", "=vestibule", "vestibule==", "vestibule=;", ";;;", "=", "vestibule= ; vestibule=\"",
		"vestibule=%00%ff", "vestibule=\u00e9\u00e8", "vestibule=\x80\xff", "vestibule=2.", "vestibule=2.a; vestibule.1=b", "vestibule=9.a",
		"vestibule=0.a", "vestibule=5.a; vestibule.1=b; vestibule.2=c; vestibule.3=d; vestibule.4=e", "vestibule.1=a", "vestibule.99=a",
		"vestibule.p.deadbeef=x", "vestibule.o=x", "vestibule=" + strings.Repeat("A", 16<<10), "vestibule=" + strings.Repeat("a; vestibule=", 900) + "b",
		strings.Repeat("vestibule.1=a; ", 900) + "vestibule=5.b", "vestibule=MTc5|x|y", "vestibule=null", "vestibule={}", "vestibule=-1.a",
	} {
		for path, want := range map[string]int{tokenPath: 401, "/api/auth/session": 401, "/.well-known/bff-token": 400, "/login": 200, "/api/auth/sign-in": 302, "/api/auth/sign-out-callback": 200} {
			if a := stranger.get(path, "Cookie: "+header); a.status != want {
				t.Errorf("%s with %.60q: got %d, want %d", path, header, a.status, want)
			}
		}
	}
}

// An application on a sibling path or domain may have set a cookie of our name; ours is among them.
func TestAForeignCookieOfOurNameDoesNotHideOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	ours := strings.TrimPrefix(b.cookies(), "Cookie: ")
	s.stranger(t).token("", "Cookie: vestibule=planted; other=1; "+ours)
	s.stranger(t).token("", "Cookie: a=b", "Cookie: "+ours)
}

// A large session is many cookies or none at all, never half of one.
func TestChunks(t *testing.T) {
	t.Parallel()
	groups := make([]string, 220) // random-looking, so that they do not compress to nothing
	for i := range groups {
		groups[i] = secret.GenerateKey()[:20]
	}
	s := newServer(t, func(o *options) { o.dev.ExtraAccessClaims = map[string]any{"groups": groups}; o.https = true })
	b := s.browser(t)
	a := b.signIn()
	if a.sets(s.cookie+".1") == nil {
		t.Fatal("the session fits one cookie: this proves nothing")
	}
	for _, c := range a.set {
		if len(c.String()) > 4096 || !c.Secure || !c.HttpOnly || c.Path != "/" {
			t.Errorf("%s: %d bytes and %+v, want at most 4,096 and all attributes", c.Name, len(c.String()), c)
		}
	}
	b.token("")
	all := strings.Split(strings.TrimPrefix(b.cookies(), "Cookie: "), "; ")
	for i, dropped := range all {
		rest := append(append([]string{}, all[:i]...), all[i+1:]...)
		a := s.stranger(t).get(tokenPath, "Cookie: "+strings.Join(rest, "; "))
		a.wants(t, http.StatusUnauthorized, unauthorized)
		if len(a.set) != len(rest) {
			t.Errorf("without %.30s: %d cookies cleared, want the %d that were brought", dropped, len(a.set), len(rest))
		}
	}
	other := s.browser(t)
	other.signIn()
	foreign := strings.Split(strings.TrimPrefix(other.cookies(), "Cookie: "), "; ")
	mixed := append([]string{all[0]}, foreign[1:]...)
	s.stranger(t).get(tokenPath, "Cookie: "+strings.Join(mixed, "; ")).wants(t, http.StatusUnauthorized, unauthorized)

	b.post("/api/auth/sign-out", nil)
	if strings.Contains(b.cookies(), s.cookie) {
		t.Errorf("after the sign-out the browser still holds %.80s", b.cookies())
	}
}

func TestSessionKeysRotateWithoutSigningAnybodyOut(t *testing.T) {
	t.Parallel()
	older, newer := secret.GenerateKey(), secret.GenerateKey()
	s := newServer(t, func(o *options) { o.session.Keys = newRing(t, older) })
	b := s.browser(t)
	b.signIn()
	first := b.cookies()
	with := func(keys ...string) *server {
		return s.replica(t, func(o *options) { o.session.Keys = newRing(t, keys...) })
	}
	both, only := with(newer, older), with(newer)

	s.stranger(t).token("", first)
	both.stranger(t).token("", first)
	s.clock.advance(2 * time.Hour)
	b.at(both).token("") // refreshed, and so sealed with the new key
	if b.cookies() == first {
		t.Fatal("the cookie was not sealed anew")
	}
	b.at(only).token("")
	a := only.stranger(t).get(tokenPath, first)
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if !a.cleared(s.cookie) {
		t.Error("a cookie of a key that is gone was not cleared")
	}
}

// A session sealed for one registration means nothing to another, even under the same keys.
func TestASessionBelongsToItsProviderAndClient(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	other := newServer(t, func(o *options) { o.session.Keys, o.clock = s.shared.session.Keys, s.clock })
	other.stranger(t).get(tokenPath, b.cookies()).wants(t, http.StatusUnauthorized, unauthorized)
}
