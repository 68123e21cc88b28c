package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/e2e/oidcprovider"
)

// The certified provider runs in another process, on the real clock. A sign-in four minutes ago by our clock (an ID token may
// come from five minutes ahead of it) lets tokens of a minute run out by moving ours, without waiting.
func newCertified(t *testing.T, c oidcprovider.Config, changes ...func(*options)) *server {
	t.Helper()
	c.AccessLife, c.IDLife = time.Minute, time.Hour
	return newServer(t, func(o *options) {
		o.clock = &clock{now: time.Now().Truncate(time.Second).Add(-4 * time.Minute)}
		o.certified = &c
		for _, change := range changes {
			change(o)
		}
	})
}

// What people sign out of is the provider, without coming by here: it tells by itself.
func TestASignOutAtTheCertifiedProviderEndsTheSessionHere(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCertified(t, oidcprovider.Config{}, func(o *options) { o.backchannel, o.session.Mode = true, mode })
			b, person, other := s.browser(t), s.second.Browser(t), s.browser(t)
			b.get(person.SignIn(t, b.begin("/api/auth/sign-in"), "alice@example.com"))
			other.get(s.second.SignIn(t, other.begin("/api/auth/sign-in"), "alice@example.com"))
			b.alive("before the sign-out", true)
			person.SignOut(t, s.second.Issuer+"/session/end")
			b.alive("after the sign-out at the provider", false)
			other.alive("the same person in another browser", true)
			if !strings.Contains(s.logs.String(), `msg="sessions ended by the provider"`) {
				t.Error("the log does not tell who ended it")
			}
		})
	}
}

func TestTheMainPathAtTheCertifiedProvider(t *testing.T) {
	t.Parallel()
	for name, resource := range map[string]string{"opaque access tokens": "", "JWT access tokens": "https://api.example.com"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCertified(t, oidcprovider.Config{Resource: resource})
			b, person := s.browser(t), s.second.Browser(t)
			callback := person.SignIn(t, b.begin("/api/auth/sign-in?returnTo=/orders"), "alice@example.com")
			if a := b.get(callback); a.status != http.StatusSeeOther || a.location() != "/orders" {
				t.Fatalf("callback: got %d %q %s, want 303 /orders", a.status, a.location(), a.body)
			}
			if got := b.get("/api/auth/session").body; !strings.Contains(got, `"email":"alice@example.com"`) {
				t.Errorf("session: got %s, want alice's", got)
			}
			first, oldest := b.token(""), b.cookies()
			if isJWT := strings.Count(first.AccessToken, ".") == 2; isJWT != (resource != "") {
				t.Fatalf("the access token is a JWT: %v, want %v", isJWT, resource != "")
			}
			if first.ExpiresIn != 60 {
				t.Errorf("got %d s, want 60", first.ExpiresIn)
			}

			// Reuse detection has no grace there: one replay would end the grant.
			s.clock.advance(2 * time.Minute)
			second := sameToken(t, many(t, 50, oldest, s))
			if second == first.AccessToken {
				t.Fatal("the token is still the old one")
			}
			if got := s.stranger(t).token("", oldest).AccessToken; got != second {
				t.Error("the straggler did not get the successor")
			}
			b.token("")
			s.clock.advance(2 * time.Minute)
			third := sameToken(t, many(t, 50, b.cookies(), s))
			if got := s.stranger(t).token("", oldest).AccessToken; got != third {
				t.Error("the straggler two refreshes behind did not get the newest")
			}
			b.token("")
			if got := s.second.Counts(t); got.Granted["refresh_token"] != 2 || len(got.Refused) != 0 || got.GrantsRevoked != 0 {
				t.Fatalf("got %+v, want exactly 2 refreshes, none refused, nothing revoked", got)
			}
			s.endsEverywhere(t, b, person)
		})
	}
}

// endsEverywhere signs out by RP-initiated logout and looks at both sides.
func (s *server) endsEverywhere(t *testing.T, b *browser, person *oidcprovider.Browser) {
	t.Helper()
	old := b.cookies()
	a := b.post("/api/auth/sign-out", url.Values{"returnTo": {"/bye"}})
	to, err := url.Parse(a.location())
	must(t, err)
	if to.Path != "/session/end" || to.Query().Get("id_token_hint") == "" || to.Query().Get("post_logout_redirect_uri") != s.url+"/api/auth/sign-out-callback" {
		t.Fatalf("sign-out: got %d to %s, want RP-initiated logout with the hint", a.status, to.Path)
	}
	if a := b.get(person.SignOut(t, a.location())); a.status != http.StatusSeeOther || a.location() != "/bye" {
		t.Errorf("sign-out callback: got %d %q, want 303 /bye", a.status, a.location())
	}
	s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
	if got := s.second.Counts(t); got.Revocations != 1 || got.Logouts != 1 || len(got.Refused) != 0 {
		t.Errorf("got %+v, want one revocation, one logout, no refusal", got)
	}
}

func TestTurningBackAtTheCertifiedProvider(t *testing.T) {
	t.Parallel()
	s := newCertified(t, oidcprovider.Config{})
	b := s.browser(t)
	refusedCallback(t, b, b.get(s.second.Browser(t).Cancel(t, b.begin("/api/auth/sign-in"))), http.StatusBadRequest)
	if got := s.second.Counts(t).Granted["authorization_code"]; got != 0 {
		t.Errorf("got %d exchanges, want none", got)
	}
}

func TestAnOutageOfTheCertifiedProvider(t *testing.T) {
	t.Parallel()
	s := newCertified(t, oidcprovider.Config{})
	b := s.browser(t)
	b.get(s.second.SignIn(t, b.begin("/api/auth/sign-in"), "bruno"))
	living := b.token("").AccessToken
	s.second.Stop()
	s.clock.advance(45 * time.Second)
	if b.token("").AccessToken != living {
		t.Error("while the token lives: want it served")
	}
	s.clock.advance(15 * time.Second)
	unavailable(t, b, b.get(tokenPath))
}
