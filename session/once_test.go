package session_test

import (
	"sync"
	"testing"
	"time"

	"vestibule/session"
)

// crowd lets n requests ask at the same moment, in turn at each house, and gives the access tokens they got.
func crowd(t *testing.T, n int, s *session.Session, houses ...*house) map[string]int {
	t.Helper()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		got = map[string]int{} // access token → how many got it
	)
	for i := range n {
		wg.Go(func() {
			newer, err := houses[i%len(houses)].Fresh(t.Context(), s, session.Need{})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got[err.Error()]++
				return
			}
			got[newer.Tokens.AccessToken]++
		})
	}
	wg.Wait()
	return got
}

func sameForAll(t *testing.T, got map[string]int, want string, n int) {
	t.Helper()
	if len(got) != 1 || got[want] != n {
		t.Errorf("got %v, want %s for all %d", got, want, n)
	}
}

// Two requests raced, both refreshed, and the loser deleted the winner's session; every asset of a page triggered a refresh
// of its own: the two oldest complaints of this field.
func TestFiftyRequestsAtOnceAreOneRefresh(t *testing.T) {
	for name, reusing := range map[string]bool{"with rotation": false, "without rotation": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				h.provider.reusing = reusing
				h.provider.delay = 300 * time.Millisecond
				s, _ := h.signIn(t)
				pass(2 * time.Hour)
				sameForAll(t, crowd(t, 50, s, h), "access-2", 50)
				count(t, "refreshes", h.provider.refreshes(), 1)
			})
		})
	}
}

// A neighbour's lock lived two seconds: a provider slower than that let a second replica in.
func TestReplicasShareOneRefreshHoweverSlowTheProviderIs(t *testing.T) {
	for _, delay := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 11 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				// A lease shorter than the call shows that it is renewed.
				short := func(c *session.Config) { c.Timing.Lease, c.Timing.Renew = 2*time.Second, 500*time.Millisecond }
				h := newHouse(t, short)
				h.provider.delay = delay
				s, _ := h.signIn(t)
				pass(time.Hour)
				sameForAll(t, crowd(t, 60, s, h, h.replica(t, short), h.replica(t, short)), "access-2", 60)
				count(t, "refreshes", h.provider.refreshes(), 1)
			})
		})
	}
}

// A neighbour coalesced requests by scope, without the session in the key: one user received another's token.
func TestSessionsNeverShareAToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.delay = time.Second
		replica := h.replica(t)
		var sessions []*session.Session
		for range 20 {
			s, _ := h.signIn(t)
			sessions = append(sessions, s)
		}
		// The worst there is: the same refresh token in two sessions.
		h.provider.reusing = true
		twin, _, err := h.Start(t.Context(), sessions[0].Tokens, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, twin)
		pass(time.Hour)
		var wg sync.WaitGroup
		got := make([]string, len(sessions))
		for i, s := range sessions {
			for _, h := range []*house{h, replica} {
				wg.Go(func() {
					newer, err := h.Fresh(t.Context(), s, session.Need{})
					if err == nil && newer.ID == s.ID && h == replica {
						got[i] = newer.Tokens.AccessToken
					}
				})
			}
		}
		wg.Wait()
		seen := map[string]bool{}
		for i, token := range got {
			if token == "" || seen[token] {
				t.Errorf("session %d got %q, want a token of its own", i, token)
			}
			seen[token] = true
		}
		count(t, "refreshes", h.provider.refreshes(), len(sessions))
	})
}

// The first request wins; one that was sent before the new cookie arrived brings the old one.
func TestAStragglerWithTheOldCookieGetsTheSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(time.Hour)
		newer := h.fresh(t, s, session.Need{})
		for name, h := range map[string]*house{"at the same replica": h, "at another": h.replica(t)} {
			got := h.fresh(t, h.load(t, b), session.Need{})
			if wholeOf(got) != wholeOf(newer) {
				t.Errorf("%s: got %+v, want the successor", name, got)
			}
		}
		pass(9 * time.Minute)
		if got := h.fresh(t, s, session.Need{}); wholeOf(got) != wholeOf(newer) {
			t.Error("after nine minutes the successor is forgotten")
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// A token that lives still is refreshed five minutes early; whoever holds the old cookie and never saw the new one asks when
// it is over. The result must be there by then.
func TestTheSuccessorIsKeptBeyondTheOldTokensEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.life = 10 * time.Hour
		s, _ := h.signIn(t)
		h.fresh(t, s, session.Need{Force: true})
		pass(10*time.Hour + 30*time.Second)
		got := h.fresh(t, s, session.Need{})
		generation(t, got, 2) // the successor was adopted, and being over by now it was refreshed
		count(t, "refreshes", h.provider.refreshes(), 2)
	})
}

func TestAStragglerSeveralRefreshesBehindGetsTheNewest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.life = time.Minute
		forms := make([]*session.Session, 1, 9)
		forms[0], _ = h.signIn(t)
		for i := range 8 {
			pass(time.Minute)
			forms = append(forms, h.fresh(t, forms[i], session.Need{}))
		}
		newest := forms[len(forms)-1]
		for i, s := range forms {
			for _, h := range []*house{h, h.replica(t)} {
				if got := h.fresh(t, s, session.Need{}); got.Tokens.AccessToken != newest.Tokens.AccessToken {
					t.Errorf("form %d got %s, want %s", i, got.Tokens.AccessToken, newest.Tokens.AccessToken)
				}
			}
		}
		count(t, "refreshes", h.provider.refreshes(), 8)
	})
}

// Without rotation all forms have one refresh token and so one record: what is kept there counts for older forms only.
func TestWithoutRotationAKeptResultCountsOnlyIfItIsNewer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.reusing, h.provider.life = true, 2*time.Minute
		old, _ := h.signIn(t)
		s := old
		for i := range 5 {
			pass(2 * time.Minute)
			s = h.fresh(t, s, session.Need{})
			generation(t, s, uint32(i+1))
			if s.Left(time.Now()) != 2*time.Minute {
				t.Fatalf("%s left, want a whole life: an old result was taken for a new one", s.Left(time.Now()))
			}
		}
		generation(t, h.fresh(t, old, session.Need{}), 5)
		generation(t, h.replica(t).fresh(t, old, session.Need{}), 5)
		count(t, "refreshes", h.provider.refreshes(), 5)
	})
}

// Both share a flight where the refresh token does not rotate, and the flight that the older form began ends at the form that
// the newer one is already: it must not be handed back with a token that is over.
func TestAStragglersFlightDoesNotServeADeadTokenToTheNewestForm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.store.Store.(*remote).latency = 20 * time.Millisecond
		h.provider.reusing, h.provider.life = true, 2*time.Minute
		old, _ := h.signIn(t)
		pass(2 * time.Minute)
		s := h.fresh(t, old, session.Need{})
		pass(2 * time.Minute)
		var wg sync.WaitGroup
		for range 20 {
			for _, form := range []*session.Session{old, s} {
				wg.Go(func() {
					if form == s {
						<-time.After(10 * time.Millisecond) // the older form's flight is under way
					}
					got, err := h.Fresh(t.Context(), form, session.Need{})
					if err != nil || got.Left(time.Now()) <= 0 || got.Generation != 2 {
						t.Errorf("form %d: got %+v, %v; want form 2 with a living token", form.Generation, got, err)
					}
				})
			}
		}
		wg.Wait()
		count(t, "refreshes", h.provider.refreshes(), 2)
	})
}

func TestACallerThatHangsUpDoesNotCancelTheRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.delay = 3 * time.Second
		s, _ := h.signIn(t)
		pass(time.Hour)
		_, err := h.Fresh(canceled(t), s, session.Need{})
		unavailable(t, err)
		pass(4 * time.Second)
		before := time.Now()
		generation(t, h.fresh(t, s, session.Need{}), 1)
		if waited := time.Since(before); waited > 0 {
			t.Errorf("the next request waited %s for what was there", waited)
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

func TestPatienceIsShortWithALivingTokenAndLongerWithout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.Timing.Call = 40 * time.Second })
		h.provider.delay = 30 * time.Second
		s, _ := h.signIn(t)
		pass(56 * time.Minute)
		before := time.Now()
		if got := h.fresh(t, s, session.Need{}); got != s {
			t.Error("the living token is not served")
		}
		if waited := time.Since(before); waited != 2*time.Second {
			t.Errorf("waited %s with a living token, want 2s", waited)
		}
		pass(28 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)

		s, _ = h.signIn(t)
		pass(time.Hour)
		before = time.Now()
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		if waited := time.Since(before); waited != 15*time.Second {
			t.Errorf("waited %s without one, want 15s", waited)
		}
		pass(15 * time.Second)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes", h.provider.refreshes(), 2)
	})
}

func TestDrainWaitsForARefreshThatNobodyWaitsForAnyMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		if err := h.Drain(t.Context()); err != nil {
			t.Errorf("with nothing under way: %v", err)
		}
		h.provider.delay = 5 * time.Second
		s, _ := h.signIn(t)
		pass(time.Hour)
		_, err := h.Fresh(canceled(t), s, session.Need{})
		unavailable(t, err)
		pass(time.Second)
		if err := h.Drain(canceled(t)); err == nil {
			t.Error("drained in the middle of a refresh")
		}
		before := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := h.Drain(t.Context()); err != nil {
					t.Errorf("drain: %v", err)
				}
			})
		}
		wg.Wait()
		if waited := time.Since(before); waited != 4*time.Second {
			t.Errorf("drained after %s, want 4s", waited)
		}
		generation(t, h.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}
