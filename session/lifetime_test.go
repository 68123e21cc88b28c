package session_test

import (
	"errors"
	"testing"
	"time"

	"vestibule/kv/kvtest"
	"vestibule/session"
)

func idleOut(d time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.IdleTimeout = d }
}

// Cognito's rotated refresh tokens keep their first expiry, so a session that slid past it would be a promise nobody keeps.
func TestTheAbsoluteLifetimeIsNeverExtended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.MaxAge, c.IdleTimeout = 5*time.Hour, 2*time.Hour })
		s, b := h.signIn(t)
		began := time.Now()
		for range 4 {
			pass(time.Hour)
			s = h.fresh(t, h.load(t, b), session.Need{})
			s, _ = h.Slide(t.Context(), s)
			h.write(t, b, s)
			if got := h.Expires(s); got.After(began.Add(5 * time.Hour)) {
				t.Fatalf("expires %s after it began, want at most 5h", got.Sub(began))
			}
		}
		generation(t, s, 4)
		pass(59*time.Minute + 59*time.Second)
		h.load(t, b)
		pass(time.Second)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonExpired)
	})
}

func TestAnIdleSessionEndsAndAnActiveOneGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(30*time.Minute))
		h.provider.life = 24 * time.Hour
		s, b := h.signIn(t)
		if got, want := h.Expires(s), time.Now().Add(30*time.Minute); !got.Equal(want) {
			t.Errorf("expires %s, want %s", got, want)
		}
		for range 5 {
			pass(29 * time.Minute)
			slid, ok := h.Slide(t.Context(), h.load(t, b))
			if !ok {
				t.Fatal("an active session does not slide")
			}
			h.write(t, b, slid)
		}
		pass(30 * time.Minute)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonIdle)
	})
}

func TestSlideIsWorthACookieOnlyAfterATenth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(30*time.Minute))
		s, _ := h.signIn(t)
		for _, step := range []struct {
			after  time.Duration
			slides bool
		}{{0, false}, {2 * time.Minute, false}, {59 * time.Second, false}, {time.Second, true}} {
			pass(step.after)
			got, slides := h.Slide(t.Context(), s)
			if slides != step.slides || (slides && !got.Seen.Equal(time.Now())) || (!slides && got != s) {
				t.Errorf("after %s more: slides %v, seen %s; want %v", step.after, slides, got.Seen, step.slides)
			}
		}
		never := newHouse(t)
		s, _ = never.signIn(t)
		pass(time.Hour)
		if _, slides := never.Slide(t.Context(), s); slides {
			t.Error("without an idle time-out a session slides")
		}
	})
}

// A sliding cookie written by a request that lost a refresh race would put a spent refresh token back into the browser.
func TestSlideNeverOverwritesANewerForm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(2*time.Hour))
		s, _ := h.signIn(t)
		pass(57 * time.Minute)
		if _, slides := h.Slide(t.Context(), s); !slides {
			t.Fatal("nothing stands against sliding, and yet it does not")
		}
		h.provider.delay = 5 * time.Second
		h.fresh(t, s, session.Need{}) // waits 2 s, serves the living token, and the refresh goes on
		other := h.replica(t, idleOut(2*time.Hour))
		if _, slides := other.Slide(t.Context(), s); slides {
			t.Error("slides while a refresh runs in another replica")
		}
		pass(5 * time.Second)
		for name, h := range map[string]*house{"the replica that refreshed": h, "another": other} {
			if _, slides := h.Slide(t.Context(), s); slides {
				t.Errorf("slides in %s although a newer form exists", name)
			}
		}
		newer := h.fresh(t, s, session.Need{})
		generation(t, newer, 1)
		pass(15 * time.Minute)
		if _, slides := other.Slide(t.Context(), newer); !slides {
			t.Error("the newest form does not slide")
		}
		h.store.SetDown(true)
		if _, slides := other.Slide(t.Context(), newer); slides {
			t.Error("slides although nobody can say whether a newer form exists")
		}
	})
}

// A neighbour signed in into the session id that the browser had brought: whoever planted it was signed in too.
func TestSignInMakesANewSessionWhateverTheBrowserBrought(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		planted, attacker := h.signIn(t)
		victim := attacker.copy()
		s := h.signInAgain(t, victim)
		if s.ID == planted.ID {
			t.Fatal("the session that was brought goes on under its ID")
		}
		if got := h.load(t, victim); got.ID != s.ID {
			t.Errorf("loaded %s, want the new session", got.ID)
		}
		for name, h := range map[string]*house{"here": h, "in another replica": h.replica(t)} {
			_, err := h.Load(t.Context(), attacker.header())
			if e := ended(t, err, session.ReasonReplaced); !e.KeepCookies {
				t.Errorf("%s: the answer would clear the new session's cookies", name)
			}
		}
		pass(time.Second)
		if got := h.provider.revocations(); len(got) != 1 || got[0] != planted.Tokens.RefreshToken {
			t.Errorf("revoked %v, want the replaced session's refresh token", got)
		}
	})
}

func TestSessionIDsAreNotRepeated(t *testing.T) {
	h := newHouse(t)
	seen := map[session.ID]bool{}
	for range 1000 {
		s, _ := h.signIn(t)
		if seen[s.ID] || s.ID == (session.ID{}) {
			t.Fatalf("the ID %s came twice, or is nothing", s.ID)
		}
		seen[s.ID] = true
	}
}

func TestASessionThatWasEndedIsRefusedEverywhereAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		h.End(t.Context(), s)
		for name, h := range map[string]*house{"here": h, "in another replica": h.replica(t)} {
			_, err := h.Load(t.Context(), b.header())
			if e := ended(t, err, session.ReasonSignedOut); e.KeepCookies {
				t.Errorf("%s: the cookies stay", name)
			}
		}
		if got := h.provider.revocations(); len(got) != 1 || got[0] != s.Tokens.RefreshToken {
			t.Errorf("revoked %v, want %s", got, s.Tokens.RefreshToken)
		}
		pass(720*time.Hour - time.Second)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		h.End(t.Context(), s) // twice is no harm
	})
}

func TestEndRevokesTheNewestRefreshToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		first := h.fresh(t, s, session.Need{Force: true})
		pass(5 * time.Minute)
		second := h.fresh(t, first, session.Need{Force: true})
		generation(t, second, 2)
		h.End(t.Context(), s) // by a request that still brings the first cookie
		if got := h.provider.revocations(); len(got) != 1 || got[0] != second.Tokens.RefreshToken {
			t.Errorf("revoked %v, want %s", got, second.Tokens.RefreshToken)
		}
	})
}

func TestEndHoldsWhenTheBrowserHangsUpAndWhenTheStoreIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		h.End(canceled(t), s)
		_, err := h.replica(t).Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)

		s, b = h.signIn(t)
		h.store.SetDown(true)
		h.End(t.Context(), s)
		_, err = h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		h.store.SetDown(false)
		_, err = h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		if h.seen("revocation_blind") == 0 {
			t.Error("nobody was told that other replicas do not know")
		}
		pass(time.Minute)
		count(t, "revocations", len(h.provider.revocations()), 2)
	})
}

// A neighbour took a store that timed out for a session that was gone, and signed everybody out.
func TestAStoreThatIsDownSignsNobodyOut(t *testing.T) {
	h := newHouse(t)
	s, b := h.signIn(t)
	h.store.SetDown(true)
	if got := h.load(t, b); got.ID != s.ID {
		t.Error("another session was loaded")
	}
	if h.seen("revocation_blind") == 0 {
		t.Error("nobody was told that revocations are not seen")
	}
	if _, err := h.store.Get(t.Context(), "x"); !errors.Is(err, kvtest.ErrDown) {
		t.Fatalf("the store is not down: %v", err)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	good := newHouse(t).config
	for want, spoil := range map[string]func(*session.Config){
		"Keys":       func(c *session.Config) { c.Keys = nil },
		"Store":      func(c *session.Config) { c.Store = nil },
		"Provider":   func(c *session.Config) { c.Provider = nil },
		"Issuer":     func(c *session.Config) { c.Issuer = "" },
		"ClientID":   func(c *session.Config) { c.ClientID = "" },
		"CookieName": func(c *session.Config) { c.CookieName = "" },
	} {
		c := good
		spoil(&c)
		if m, err := session.New(c); m != nil || err == nil || err.Error() != "session: Config."+want+" is missing" {
			t.Errorf("without %s: %v", want, err)
		}
	}
	good.Keys = &ring{}
	if _, err := session.New(good); err == nil {
		t.Error("an empty key ring is accepted")
	}
}
