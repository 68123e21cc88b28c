package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/kv/kvtest"
)

func TestAnAdaptedSessionThatIsOverIsClearedWithA401(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	for name, theirs := range map[string]adapted{
		"revoked at the provider": s.adapted(t),
		"an invented token":       {s.adapted(t).access, "", "invented"},
		"no refresh token":        {s.adapted(t).access, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.provider.RevokeUser(s.provider.Users()[0].Email)
			s.clock.advance(2 * time.Hour)
			for _, path := range []string{"/api/auth/session", tokenPath} {
				a := s.stranger(t).get(path, s.cookiesOf(theirs))
				a.wants(t, http.StatusUnauthorized, unauthorized)
				if len(a.deleted()) != 4 || a.sets(s.cookie) != nil {
					t.Errorf("%s: want their cookies cleared and none of ours", path)
				}
			}
		})
	}
}

// An access token is shown to scripts and sent to other services. With an invented refresh token beside it, it must not
// become a session that outlives it.
func TestAnAccessTokenAloneIsGoodForNoLongerThanItself(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	b := s.stranger(t)
	stolen := s.adapted(t)
	stolen.refresh = "invented"
	own := b.followed(b.get(tokenPath, s.cookiesOf(stolen)))
	if a := b.get("/api/auth/session", own); a.status != http.StatusOK {
		t.Errorf("while the token lives: got %d, want 200", a.status)
	}
	s.clock.advance(61 * time.Minute)
	a := b.get("/api/auth/session", own)
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if !a.cleared(s.cookie) {
		t.Error("our cookie stays")
	}
}

func TestForgedSessionsAreRefusedAndCleared(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	good := s.adapted(t)
	lie := func(l devidp.Lies) adapted {
		s.faults(t, devidp.Faults{Lies: l})
		defer s.faults(t, devidp.Faults{})
		return s.adapted(t)
	}
	others := s.adapted(t, s.provider.Users()[1])
	for name, theirs := range map[string]adapted{
		"signed by another key":    lie(devidp.Lies{WrongKey: true, In: devidp.InAccessToken}),
		"signed with our secret":   lie(devidp.Lies{Alg: devidp.AlgHS256, In: devidp.InAccessToken}),
		"not signed":               lie(devidp.Lies{Alg: devidp.AlgNone, In: devidp.InAccessToken}),
		"another issuer":           lie(devidp.Lies{WrongIssuer: true, In: devidp.InAccessToken}),
		"another client":           lie(devidp.Lies{WrongAudience: true, In: devidp.InAccessToken}),
		"no access token":          lie(devidp.Lies{WrongTokenUse: true, In: devidp.InAccessToken}),
		"an ID token in its place": {good.id, good.id, good.refresh},
		"a lying ID token":         lie(devidp.Lies{WrongKey: true}),
		"somebody else's ID token": {good.access, others.id, good.refresh},
		"rubbish":                  {"rubbish.rubbish.rubbish", "", "rubbish-refresh"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.stranger(t).get(tokenPath, s.cookiesOf(theirs))
			a.wants(t, http.StatusUnauthorized, unauthorized)
			if len(a.deleted()) != 4 || a.sets(s.cookie) != nil {
				t.Error("want their cookies cleared and none of ours")
			}
			for _, token := range []string{theirs.access, theirs.id, theirs.refresh} {
				if token != "" && strings.Contains(s.logs.String(), token) {
					t.Error("a token stands in the log")
				}
			}
		})
	}
	if !strings.Contains(s.logs.String(), "was not taken over") || s.provider.Stats().Refresh.Asked != 0 {
		t.Error("the log tells nothing, or a forged session reached the token endpoint")
	}
}

func TestAnOutageClearsNothing(t *testing.T) {
	t.Parallel()
	t.Run("the provider's keys cannot be had", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, adopting)
		theirs := s.adapted(t)
		s.faults(t, devidp.Faults{JWKS: devidp.Fault{Status: 500}})
		for _, path := range []string{tokenPath, "/api/auth/session"} {
			a := s.stranger(t).get(path, s.cookiesOf(theirs))
			a.wants(t, http.StatusServiceUnavailable, notAvailable)
			a.untouched(t)
		}
		s.faults(t, devidp.Faults{})
		s.clock.advance(time.Minute)
		s.stranger(t).token("", s.cookiesOf(theirs))
	})
	t.Run("the token endpoint is down", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, adopting)
		theirs := s.adapted(t)
		s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 503}})
		s.clock.advance(58 * time.Minute)
		a := s.stranger(t).get(tokenPath, s.cookiesOf(theirs))
		if a.token(t).AccessToken != theirs.access || a.sets(s.cookie) == nil {
			t.Error("a living token is not served, or the session not adopted")
		}
		s.clock.advance(time.Hour)
		for _, path := range []string{tokenPath, "/api/auth/session"} {
			a = s.stranger(t).get(path, s.cookiesOf(theirs))
			a.wants(t, http.StatusServiceUnavailable, notAvailable)
			a.untouched(t)
		}
	})
}

// Two replicas that do not see each other, and rotation without grace: the one that comes second is refused, and the cookies of
// the first are on their way to the browser. What they are made of stands in the cache, so nobody can say that the session is over.
func TestARefusalWithoutTheCacheClearsNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{Now: c.Now})}
	s := newServer(t, func(o *options) {
		o.adopt, o.clock, o.session.Store = true, c, store
	})
	theirs := s.adapted(t)
	s.clock.advance(2 * time.Hour)
	store.SetDown(true)
	s.stranger(t).token("", s.cookiesOf(theirs))
	a := s.replica(t, nil).stranger(t).get(tokenPath, s.cookiesOf(theirs))
	a.wants(t, http.StatusServiceUnavailable, notAvailable)
	a.untouched(t)
}

// Otherwise the old session would come to life again when the new one is signed out.
func TestANewSignInEndsTheAdaptersSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	theirs := s.adapted(t)
	b := s.browser(t)
	callback := b.atProvider(b.begin("/api/auth/sign-in"))
	a := s.stranger(t).get(callback, b.cookies()+"; "+strings.TrimPrefix(s.cookiesOf(theirs), "Cookie: "))
	if a.status != http.StatusSeeOther || len(a.deleted()) != 4 || a.sets(s.cookie) == nil {
		t.Fatalf("callback: got %d, deleted %v", a.status, a.deleted())
	}
	if got := s.provider.Stats().Revoke; got.OK != 1 {
		t.Errorf("got %+v revocations, want that of the adapter's refresh token", got)
	}
	late := s.stranger(t).get(tokenPath, s.cookiesOf(theirs))
	late.wants(t, http.StatusUnauthorized, unauthorized)
	if len(late.deleted()) != 4 {
		t.Error("the cookies of the session that was ended stay")
	}
	s.tells(t, "afterwards", map[string]string{`vestibule_adoptions_total{outcome="signed_out"}`: "1"})
}

func TestSignOutEndsASessionThatWasNeverAdopted(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	theirs := s.adapted(t)
	line := s.cookiesOf(theirs)
	s.clock.advance(2 * time.Hour) // that its access token has run out is no reason to leave it alive
	a := s.stranger(t).post("/api/auth/sign-out", nil, line)
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), s.provider.URL()+"/logout?") || len(a.deleted()) != 4 {
		t.Errorf("got %d %s, deleted %v", a.status, a.location(), a.deleted())
	}
	if got := s.provider.Stats(); got.Revoke.OK != 1 || got.Refresh.Asked != 0 {
		t.Errorf("got %+v revocations and %+v refreshes, want the one of its refresh token and none", got.Revoke, got.Refresh)
	}
	for name, at := range map[string]*server{"here": s, "at another replica": s.replica(t, nil)} {
		late := at.stranger(t).get(tokenPath, line)
		if late.wants(t, http.StatusUnauthorized, unauthorized); len(late.deleted()) != 4 {
			t.Errorf("%s: the cookies stay", name)
		}
	}
}

func TestSignOutEndsWhatStandsBesideOurOwnSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	b := s.browser(t)
	b.signIn()
	line := b.cookies() + "; " + strings.TrimPrefix(s.cookiesOf(s.adapted(t)), "Cookie: ")
	a := s.stranger(t).post("/api/auth/sign-out", nil, line)
	if !a.cleared(s.cookie) || len(a.deleted()) != 4 || s.provider.Stats().Revoke.OK != 2 {
		t.Errorf("deleted %v and revoked %+v, want both sessions ended", a.deleted(), s.provider.Stats().Revoke)
	}
}

// Whoever wants to leave is not kept: what cannot be verified now is deleted in the browser at least.
func TestSignOutDeletesTheAdaptersCookiesDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	theirs := s.adapted(t)
	s.faults(t, devidp.Faults{JWKS: devidp.Fault{Status: 500}})
	a := s.stranger(t).post("/api/auth/sign-out", nil, s.cookiesOf(theirs))
	if a.status != http.StatusSeeOther || len(a.deleted()) != 4 || s.provider.Stats().Revoke.Asked != 0 {
		t.Errorf("got %d, deleted %v", a.status, a.deleted())
	}
}

func TestAnotherSitesPageEndsNoAdaptedSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	a := s.stranger(t).post("/api/auth/sign-out", nil, s.cookiesOf(s.adapted(t)), "Sec-Fetch-Site: cross-site", "Origin: https://evil.example")
	a.untouched(t)
	if a.status != http.StatusOK || s.provider.Stats().Revoke.Asked != 0 {
		t.Errorf("got %d, and %+v revocations; want the page that asks", a.status, s.provider.Stats().Revoke)
	}
}
