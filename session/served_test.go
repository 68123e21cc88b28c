package session_test

import (
	"testing"
	"time"

	"vestibule/session"
)

// told is a server component that asks who is signed in: it brings cookies, and hands on none. Like that answer it looks at the tokens
// only to prove an adopted session.
func (h *house) told(t testing.TB, find func() (*session.Session, error)) *session.Session {
	t.Helper()
	s, err := find()
	if err == nil && h.Unproven(s) {
		s, err = h.Fresh(t.Context(), s, session.Need{})
	}
	if err != nil {
		t.Fatalf("the server component is told %v", err)
	}
	return s
}

// asToken is the browser's request for a token. It says whether the answer sets a cookie.
func (h *house) asToken(t testing.TB, b *browser, find func() (*session.Session, error)) (*session.Session, bool) {
	t.Helper()
	s, err := find()
	if err != nil {
		t.Fatalf("the browser is told %v", err)
	}
	newer := h.fresh(t, s, session.Need{})
	changed := newer.Generation > s.Generation
	if !changed {
		newer, changed = h.Slide(t.Context(), newer)
	}
	if changed {
		h.write(t, b, newer)
	}
	return newer, changed
}

// brought are the two ways in which a session that was adopted comes again: with the adapter's cookies, or with the cookie that ours was
// given when it was adopted. at is the replica that is asked.
func brought(t *testing.T, test func(t *testing.T, h *house, find func(at *house) (*session.Session, error), b *browser)) {
	for name, own := range map[string]bool{"by the adapter's cookies": false, "by our cookie": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t, func(c *session.Config) { c.Mode = session.ModeCookie })
				began, tokens, b := time.Now(), h.foreign(t, 0), &browser{}
				find := func(at *house) (*session.Session, error) { return at.Adopt(t.Context(), tokens, began, "") }
				if own {
					h.write(t, b, h.adopt(t, tokens, began))
					line := b.header()
					find = func(at *house) (*session.Session, error) { return at.Load(t.Context(), line) }
				}
				test(t, h, find, b)
			})
		})
	}
}

// Where pages are rendered by a server, its components may be the only ones who ask for days. They prove the session by the one refresh
// that it takes, and its result is the only place where the good refresh token stands.
func TestAnAdoptedSessionOutlivesServerComponentsThatHandNoCookieOn(t *testing.T) {
	brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), b *browser) {
		other := h.replica(t, func(c *session.Config) { c.Mode = session.ModeCookie })
		at := func(h *house) func() (*session.Session, error) {
			return func() (*session.Session, error) { return find(h) }
		}
		pass(2 * time.Hour)
		for _, wait := range []time.Duration{0, 12 * time.Minute, 2 * time.Hour, 24 * time.Hour, 72 * time.Hour, 20 * 24 * time.Hour} {
			pass(wait)
			for _, h := range []*house{h, other} {
				generation(t, h.told(t, at(h)), 1)
			}
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
		s, set := other.asToken(t, b, at(other))
		generation(t, s, 2)
		if !set || s.Left(time.Now()) != time.Hour {
			t.Errorf("cookie set: %v, %s left: want a cookie and a new token", set, s.Left(time.Now()))
		}
		generation(t, h.load(t, b), 2)
	})
}

func TestTheBrowserGetsTheCookieThatAServerComponentCouldNotHandOn(t *testing.T) {
	brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), b *browser) {
		at := func() (*session.Session, error) { return find(h) }
		pass(2 * time.Hour)
		h.told(t, at)
		pass(12 * time.Minute)
		first, err := find(h)
		if err != nil {
			t.Fatal(err)
		}
		generation(t, first, 1)
		s, set := h.asToken(t, b, at)
		if len(b.cookies) > 0 && !set {
			t.Error("the browser keeps the cookie whose refresh token is spent")
		}
		generation(t, s, 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
		h.write(t, b, s)
		if _, again := h.asToken(t, b, func() (*session.Session, error) { return h.Load(t.Context(), b.header()) }); again {
			t.Error("a browser that holds the newest form is given a cookie")
		}
	})
}

func TestAnAdoptedSessionThatOnlyServerComponentsAskForEndsAllTheSame(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *house, *session.Session) session.Reason{
		"by a sign-out": func(t *testing.T, h *house, s *session.Session) session.Reason {
			h.End(t.Context(), s)
			if got := h.provider.revocations(); len(got) != 1 || got[0] != s.Tokens.RefreshToken {
				t.Errorf("revoked %v, want the newest token %s", got, s.Tokens.RefreshToken)
			}
			return session.ReasonSignedOut
		},
		"by the person, everywhere": func(t *testing.T, h *house, s *session.Session) session.Reason {
			if err := h.EndEverywhere(t.Context(), s); err != nil {
				t.Error(err)
			}
			return session.ReasonEverywhere
		},
		"by the provider's logout": func(t *testing.T, h *house, _ *session.Session) session.Reason {
			if err := h.Revoke(t.Context(), session.Whose{ProviderID: "origin"}, session.ReasonProvider); err != nil {
				t.Error(err)
			}
			return session.ReasonProvider
		},
		"by its age": func(*testing.T, *house, *session.Session) session.Reason {
			pass(30 * 24 * time.Hour)
			return session.ReasonExpired
		},
	} {
		t.Run(name, func(t *testing.T) {
			brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), _ *browser) {
				other := h.replica(t, func(c *session.Config) { c.Mode = session.ModeCookie })
				pass(2 * time.Hour)
				h.told(t, func() (*session.Session, error) { return find(h) })
				pass(24 * time.Hour)
				s := h.told(t, func() (*session.Session, error) { return find(h) })
				why := end(t, h, s)
				for _, wait := range []time.Duration{0, 12 * time.Minute, 48 * time.Hour} {
					pass(wait)
					_, err := find(other)
					ended(t, err, why)
				}
				count(t, "refreshes", h.provider.refreshes(), 1)
			})
		})
	}
}

// The result was made while the store was away: long after, another replica is asked.
func TestWhatProvedAnAdoptedSessionInAnOutageIsKnownToAllAfterIt(t *testing.T) {
	brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), _ *browser) {
		other := h.replica(t, func(c *session.Config) { c.Mode = session.ModeCookie })
		pass(2 * time.Hour)
		h.store.SetDown(true)
		generation(t, h.told(t, func() (*session.Session, error) { return find(h) }), 1)
		pass(time.Minute)
		h.store.SetDown(false)
		pass(24 * time.Hour)
		generation(t, other.told(t, func() (*session.Session, error) { return find(other) }), 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// A session that began here is handed its cookie by its own browser, and so is an adopted one from its second refresh on: what is kept of
// them for stragglers stays short.
func TestTheResultIsKeptToTheEndForTheFirstOfAnAdoptedSessionAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.Mode = session.ModeCookie })
		began, tokens := time.Now(), h.foreign(t, 0)
		own, _ := h.signIn(t)
		adopted := h.adopt(t, tokens, began)
		pass(2 * time.Hour)
		first := h.fresh(t, adopted, session.Need{})
		h.fresh(t, own, session.Need{})
		pass(2 * time.Hour)
		generation(t, h.fresh(t, first, session.Need{}), 2)
		generation(t, h.adopt(t, tokens, began), 2)
		pass(12 * time.Minute)
		generation(t, h.adopt(t, tokens, began), 1)
		_, err := h.Fresh(t.Context(), own, session.Need{})
		ended(t, err, session.ReasonRefused)
	})
}

// The cache went away after a server component had proven an adopted session: the only good refresh token stands there, and what the
// other replicas are brought is spent. That it is refused says nothing.
func TestAnOutageEndsNoAdoptedSessionWhoseResultStandsInTheCache(t *testing.T) {
	brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), _ *browser) {
		other := h.replica(t, func(c *session.Config) { c.Mode = session.ModeCookie })
		pass(2 * time.Hour)
		h.told(t, func() (*session.Session, error) { return find(h) })
		pass(24 * time.Hour)
		sent := h.provider.refreshes()
		h.store.SetDown(true)
		mine, err := find(h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Fresh(t.Context(), mine, session.Need{})
		unavailable(t, err)
		count(t, "times who proved it sent the spent token", h.provider.refreshes()-sent, 0)
		s, err := find(other)
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{}
		defer other.Watch(s, w.watcher())()
		for range 5 {
			_, err = other.Fresh(t.Context(), s, session.Need{})
			unavailable(t, err)
			pass(2 * time.Second)
		}
		count(t, "times the spent token was sent", h.provider.refreshes()-sent, 1)
		h.store.SetDown(false)
		pass(time.Minute)
		for name, at := range map[string]*house{"who proved it": h, "the other": other} {
			if s, err := find(at); err != nil || s.Generation != 1 {
				t.Errorf("%s: got %v, want the session as it was proven", name, err)
			}
		}
		if got := w.all(); len(got) > 0 {
			t.Errorf("whoever watches it is told %v", got)
		}
	})
}

func TestASessionAdoptedDuringAnOutageIsProven(t *testing.T) {
	brought(t, func(t *testing.T, h *house, find func(*house) (*session.Session, error), _ *browser) {
		pass(2 * time.Hour)
		h.store.SetDown(true)
		generation(t, h.told(t, func() (*session.Session, error) { return find(h) }), 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}
