package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/session"
)

func adoptingWithLogouts(mode session.Mode) func(*options) {
	return func(o *options) {
		withLogouts(mode)(o)
		o.adopt = true
	}
}

// notEverywhere wants the answer that says that some sessions may go on, and the adapter's cookies gone all the same.
func (a answer) notEverywhere(t *testing.T) {
	t.Helper()
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "Not all devices are signed out") || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 503 and the page that says so", a.status, a.body)
	}
	if len(a.deleted()) != 4 {
		t.Errorf("deleted %v, want this browser signed out all the same", a.deleted())
	}
}

var allDevices = url.Values{"everywhere": {"true"}}

// Who never came back since the adapter was replaced is known by its cookies alone.
func TestSignOutEverywhereByTheAdaptersSessionEndsAllOfThePerson(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		for asked, after := range map[string]time.Duration{"with a living token": time.Second, "after its token has run out": 2 * time.Hour} {
			t.Run(name+" "+asked, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, adoptingWithLogouts(mode))
				second := s.replica(t, adoptingWithLogouts(mode))
				other, bob := s.browser(t), s.browser(t)
				other.signIn()
				bob.signIn(s.provider.Users()[1])
				theirs, elsewhere := s.adapted(t), s.adapted(t)
				s.clock.advance(after)
				a := s.stranger(t).post(signOutPath, allDevices, s.cookiesOf(theirs))
				if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), s.provider.URL()+"/logout?") || len(a.deleted()) != 4 {
					t.Errorf("got %d to %q, deleted %v; want 303 to the provider's logout and the cookies gone", a.status, a.location(), a.deleted())
				}
				other.at(second).alive("the person's other browser, at the other replica", false)
				bob.at(second).alive("another person's", true)
				for which, line := range map[string]string{"the same": s.cookiesOf(theirs), "another of the adapter's": s.cookiesOf(elsewhere)} {
					if got := second.stranger(t).get(tokenPath, line).status; got != http.StatusUnauthorized {
						t.Errorf("%s is adopted afterwards: got %d", which, got)
					}
				}
				if got := s.provider.Stats().Revoke.OK; got != 1 {
					t.Errorf("%d refresh tokens revoked, want that of the session that asked", got)
				}
				s.stop()
				if !strings.Contains(s.logs.String(), "reason="+string(session.ReasonEverywhere)) {
					t.Error("the log does not tell that all sessions of a person were ended")
				}
			})
		}
	}
}

func TestSignOutEverywhereByTheAdaptersSessionSaysWhatIsNotCertain(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			store := &picky{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
			s := newServer(t, func(o *options) {
				adoptingWithLogouts(mode)(o)
				o.clock, o.session.Store = clock, store
			})
			s.faults(t, devidp.Faults{JWKS: devidp.Fault{Status: 500}})
			s.stranger(t).post(signOutPath, allDevices, s.cookiesOf(s.adapted(t))).notEverywhere(t)
			s.faults(t, devidp.Faults{})
			clock.advance(time.Minute)
			b := s.browser(t)
			b.signIn()

			store.refuse("", "ended-")
			s.stranger(t).post(signOutPath, allDevices, s.cookiesOf(s.adapted(t))).notEverywhere(t)
			store.refuse("", "")
		})
	}
}

// An access token that ran out lies in logs and in the hands of every service that it was shown to.
func TestAnOldAccessTokenSignsNobodyOutEverywhere(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, adoptingWithLogouts(mode))
			b := s.browser(t)
			b.signIn()
			stolen := s.adapted(t)
			stolen.refresh = "invented"
			s.clock.advance(2 * time.Hour)
			s.stranger(t).post(signOutPath, allDevices, s.cookiesOf(stolen)).notEverywhere(t)
			b.alive("the person", true)
		})
	}
}

func TestSignOutEverywhereMeansThePersonOfOurOwnSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, adoptingWithLogouts(session.ModeCookie))
	second := s.provider.Users()[1]
	b, other, bob := s.browser(t), s.browser(t), s.browser(t)
	b.signIn()
	other.signIn()
	bob.signIn(second)
	theirs := s.cookiesOf(s.adapted(t, second))
	a := s.stranger(t).post(signOutPath, allDevices, b.cookies()+"; "+strings.TrimPrefix(theirs, "Cookie: "))
	if a.status != http.StatusSeeOther || !a.cleared(s.cookie) || len(a.deleted()) != 4 {
		t.Errorf("got %d, deleted %v, want both cookies gone", a.status, a.deleted())
	}
	other.alive("the person's other browser", false)
	bob.alive("that of another person, whose session the adapter left in this browser", true)
	if got := s.stranger(t).get(tokenPath, theirs).status; got != http.StatusUnauthorized {
		t.Errorf("the adapter's session in this browser: got %d, want it ended", got)
	}
}
