package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// unavailable checks a 503 that keeps the session.
func unavailable(t *testing.T, b *browser, a answer) {
	t.Helper()
	a.wants(t, http.StatusServiceUnavailable, notAvailable)
	private(t, a)
	if a.header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	if len(a.set) != 0 || !b.holdsSession() {
		t.Errorf("an outage touched the cookies: %v", a.set)
	}
}

func TestAnOutageNeverEndsASession(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault devidp.Fault
		loud  bool // it is our operator's fault, who is told at once
	}{
		{"500", devidp.Fault{Status: 500}, false},
		{"502 with a page", devidp.Fault{Status: 502, Body: devidp.BodyHTML}, false},
		{"503 that says for how long", devidp.Fault{Status: 503, RetryAfter: "30"}, false},
		{"429 that says for how long", devidp.Fault{Status: 429, RetryAfter: "30"}, false},
		{"Cognito's throttling, a 400", devidp.Fault{Throttle400: true}, false},
		{"the connection breaks before", devidp.Fault{DropBefore: true}, false},
		{"rubbish", devidp.Fault{Body: devidp.BodyMalformed}, false},
		{"a page with 200", devidp.Fault{Body: devidp.BodyHTML}, false},
		{"nothing with 200", devidp.Fault{Body: devidp.BodyEmpty}, false},
		{"5 MB", devidp.Fault{Body: devidp.BodyHuge}, false},
		{"403 with a page", devidp.Fault{Status: 403, Body: devidp.BodyHTML}, true},
		{"a 400 without a word", devidp.Fault{Status: 400, RawBody: `{}`}, true},
		{"our secret is refused", devidp.Fault{OAuthError: "invalid_client"}, true},
		{"our request is refused", devidp.Fault{OAuthError: "invalid_request"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			b.signIn()
			living := b.token("").AccessToken
			s.faults(t, devidp.Faults{Token: row.fault})

			s.clock.advance(56 * time.Minute)
			a := b.get(tokenPath)
			if a.token(t).AccessToken != living || len(a.set) != 0 {
				t.Error("while the token lives: want it served, and no cookie touched")
			}
			if loud := strings.Contains(s.logs.String(), `level=ERROR msg="a refresh failed`); loud != row.loud {
				t.Errorf("logged as an error: %v, want %v", loud, row.loud)
			}
			s.clock.advance(5 * time.Minute)
			unavailable(t, b, b.get(tokenPath))
			if a := b.get("/api/auth/session"); a.status != http.StatusOK {
				t.Errorf("session: got %d, want 200: it tells who is signed in without asking anybody", a.status)
			}

			s.faults(t, devidp.Faults{})
			s.clock.advance(time.Minute)
			if b.token("").AccessToken == living {
				t.Error("after the outage: still the old token, want a new one")
			}
		})
	}
}

func TestRetryAfterIsHandedOnAndRespected(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 429, RetryAfter: "30"}})
	for range 5 {
		a := b.get(tokenPath)
		unavailable(t, b, a)
		if got := a.header.Get("Retry-After"); got != "30" {
			t.Errorf("Retry-After: got %s, want 30", got)
		}
	}
	if got := s.provider.Stats().Refresh.Asked; got != 1 {
		t.Errorf("got %d refreshes, want 1: it asked to be left alone", got)
	}
	s.faults(t, devidp.Faults{})
	s.clock.advance(29 * time.Second)
	unavailable(t, b, b.get(tokenPath))
	s.clock.advance(time.Second)
	b.token("")
}

func TestAProviderThatIsGoneIs503UntilItIsBack(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	living := b.token("").AccessToken
	must(t, s.provider.Close())
	s.clock.advance(59 * time.Minute)
	if got := b.token("").AccessToken; got != living {
		t.Error("while the token lives: want it served")
	}
	s.clock.advance(time.Minute)
	unavailable(t, b, b.get(tokenPath))
	b.get("/.well-known/bff-token").wants(t, http.StatusBadRequest, `{"error":"backend_not_ready"}`)
}

// A lost answer may mean that the refresh token is spent. It is not replayed within the request; a later one tries again.
func TestALostAnswerIsNotReplayedWithinTheRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		grace time.Duration
		then  int
	}{
		{"a provider with a reuse grace gives tokens to the next request", time.Minute, 200},
		{"a provider without one ends the sign-in", 0, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.dev.Grace = row.grace })
			b := s.browser(t)
			b.signIn()
			s.clock.advance(2 * time.Hour)
			s.faults(t, devidp.Faults{Token: devidp.Fault{DropAfter: true, Times: 1}})
			unavailable(t, b, b.get(tokenPath))
			if got := s.provider.Stats().Refresh.Asked; got != 1 {
				t.Fatalf("the refresh was sent %d times within one request, want once", got)
			}
			if a := b.get(tokenPath); a.status != row.then {
				t.Errorf("the next request: got %d, want %d", a.status, row.then)
			}
			if b.holdsSession() != (row.then == 200) {
				t.Errorf("the session cookie: got %v", b.holdsSession())
			}
		})
	}
}

func TestWhatWasCertainlyNotProcessedIsRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]devidp.Fault{
		"429": {Status: 429, Times: 2}, "503": {Status: 503, Times: 2}, "Cognito's 400": {Throttle400: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			b.signIn()
			s.clock.advance(2 * time.Hour)
			s.faults(t, devidp.Faults{Token: fault})
			b.token("")
			if got := s.provider.Stats().Refresh.Asked; got != 3 {
				t.Errorf("got %d attempts, want 3", got)
			}
		})
	}
}

func TestASlowProvider(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, func(o *options) {
		o.idp.Transport = g
		o.session.Timing.WaitLiving, o.session.Timing.WaitDead = 20*time.Millisecond, 40*time.Millisecond
	})
	b := s.browser(t)
	b.signIn()
	living := b.token("").AccessToken
	open := g.close()

	s.clock.advance(56 * time.Minute)
	for range 3 {
		if b.token("").AccessToken != living {
			t.Error("while the refresh takes its time: want the living token")
		}
	}
	s.clock.advance(10 * time.Minute)
	unavailable(t, b, b.get(tokenPath))
	open()
	must(t, s.sessions.Drain(context.Background()))
	if b.token("").AccessToken == living {
		t.Error("the slow refresh's result was lost")
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want one flight for all of them", got.Refresh, got.Reuses)
	}
}
