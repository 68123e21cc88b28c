package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/session"
)

// The provider has spent the old refresh token, the store is away for minutes: the only good one is in this process.
func TestAnOutageInTheMiddleOfARefreshSignsNobodyOut(t *testing.T) {
	for _, first := range []string{"here", "there"} {
		t.Run("the first after it asks "+first, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here := newHouse(t, serverMode)
				there := here.replica(t, serverMode)
				s, b := here.signIn(t)
				pass(2 * time.Hour)
				here.provider.after = func(int) error { here.store.SetDown(true); return nil }
				generation(t, here.fresh(t, s, session.Need{}), 1)
				here.provider.after = nil
				for range 9 {
					pass(10 * time.Second)
					_, err := there.Load(t.Context(), b.header())
					unavailable(t, err)
				}
				here.store.SetDown(false)
				at := map[string]*house{"here": here, "there": there}[first]
				loaded := at.load(t, b)
				if _, err := at.Fresh(t.Context(), loaded, session.Need{}); errors.Is(err, session.ErrEnded) {
					t.Fatalf("signed out: %v", err)
				}
				pass(5 * time.Second)
				generation(t, at.fresh(t, at.load(t, b), session.Need{}), 1)
				count(t, "refreshes", here.provider.refreshes(), 1)
			})
		})
	}
}

func TestASignOutDuringALongOutageHoldsAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here := newHouse(t, serverMode)
		there := here.replica(t, serverMode)
		_, b := here.signIn(t)
		here.store.SetDown(true)
		before := here.store.Calls()
		for range 100 {
			here.Abandon(t.Context(), b.header()) // somebody presses the button again and again
		}
		pass(time.Minute)
		if calls := here.store.Calls() - before; calls > 100*3+100 {
			t.Errorf("%d calls of a store that is down", calls)
		}
		here.store.SetDown(false)
		pass(2 * time.Second)
		_, err := there.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
	})
}

// The end of a logout that the store did not take at first arrives after that of a later one, and must not stand in its place.
func TestAnOlderLogoutTakesNoNewerOnesPlace(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		here.store.SetDown(true)
		if err := here.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err == nil {
			t.Fatal("no error")
		}
		here.store.SetDown(false)
		_, b := there.as(t, "ada", "sid1")
		pass(time.Millisecond) // the first logout is not written yet
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := there.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
				t.Fatalf("got %v, want its end", err)
			}
			pass(time.Second)
		}
	})
}

// During a rotation one replica seals under a key that another does not know yet: what is in a list is not what a logout goes by.
func TestALogoutNeedsNoList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here := newHouse(t, serverMode)
		there := here.replica(t, serverMode)
		_, phone := there.as(t, "ada", "sid1")
		here.ring.turn(key(2), key(1))
		_, tablet := here.as(t, "ada", "sid2")
		_, laptop := there.as(t, "ada", "sid3") // it cannot open the list, and writes a new one
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*browser{phone, tablet, laptop} {
			if _, err := here.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
				t.Errorf("got %v, want its end", err)
			}
		}
	})
}

func TestEndingOthersNeedsNoListEither(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		mine, own := here.as(t, "ada", "sid1")
		_, other := there.as(t, "ada", "sid2")
		_, his := there.as(t, "bob", "sid3")
		w := &watched{}
		defer there.Watch(mine, w.watcher())()
		if err := here.EndOthers(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if _, err := here.Load(t.Context(), other.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
		there.load(t, own)
		there.load(t, his)
		if got := w.all(); len(got) > 0 {
			t.Errorf("whoever watches the one that stays is told %v", got)
		}
	})
}

// A hiccup of the feed is no reason to take somebody who is active for idle.
func TestWhoIsWatchedForLongIsNotTakenForIdle(t *testing.T) {
	for name, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &deaf{missed: make(chan struct{})}
				h := newHouse(t, func(c *session.Config) { c.Mode, c.Feed, c.IdleTimeout = mode, d, 30*time.Minute })
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { h.Run(ctx) })
				defer wg.Wait()
				defer cancel()
				s, b := h.signIn(t)
				w := &watched{}
				defer h.Watch(s, w.watcher())()
				for range 10 {
					pass(10 * time.Minute)
					if slid, changed := h.Slide(t.Context(), h.load(t, b)); changed {
						h.write(t, b, slid)
					}
				}
				d.missed <- struct{}{}
				pass(time.Second)
				if got := w.all(); len(got) > 0 {
					t.Errorf("told %v", got)
				}
			})
		})
	}
}

// halfDown is a store one part of which is away.
type halfDown struct {
	kv.Store
	mu   sync.Mutex
	away string // keys that begin so
}

func (h *halfDown) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != "" && slices.ContainsFunc(keys, func(k string) bool { return len(k) > len(h.away) && k[:len(h.away)] == h.away }) {
		return nil, errors.New("CLUSTERDOWN")
	}
	return h.Store.GetMany(ctx, keys...)
}

func TestWhatTheStoreDoesNotSayIsNotTakenForNo(t *testing.T) {
	store := &halfDown{Store: kv.NewMemory(kv.MemoryConfig{})}
	h := newHouse(t, serverMode, func(c *session.Config) { c.Store = store })
	_, b := h.signIn(t)
	h.End(t.Context(), h.load(t, b))
	store.mu.Lock()
	store.away = "ended"
	store.mu.Unlock()
	_, err := h.Load(t.Context(), b.header())
	unavailable(t, err)
	tokens := h.provider.grant()
	if s, err := h.Adopt(t.Context(), tokens, time.Now(), ""); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("adopted %v, %v although nobody can say whether it was ended", fmt.Sprint(s != nil), err)
	}
}

// Replicas that cannot see each other each spent the refresh token, which ended the session: for a cache that was slow for a moment.
func TestWhileTheTokenLivesARefreshWaitsForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		_, b := h.signIn(t)
		pass(57 * time.Minute)
		h.store.SetDown(true)
		for range 3 {
			asked := time.Now()
			generation(t, h.fresh(t, h.load(t, b), session.Need{}), 0)
			if took := time.Since(asked); took > 0 {
				t.Errorf("whoever holds a living token waits %s for a store that is away", took)
			}
			pass(10 * time.Second)
		}
		count(t, "refreshes while it can wait", h.provider.refreshes(), 0)
		pass(2*time.Minute + 5*time.Second)
		generation(t, h.fresh(t, h.load(t, b), session.Need{}), 1)
		count(t, "refreshes at the last moment", h.provider.refreshes(), 1)
		count(t, "told", h.seen("refresh_degraded"), 1)
	})
}

// A store that was away for half a second made a second replica spend the token too, although it had seen the first at work.
func TestAHiccupOfTheStoreIsNoReasonToSpendATokenTwice(t *testing.T) {
	for name, away := range map[string]time.Duration{"a moment": 600 * time.Millisecond, "longer than a hiccup, while the lease was seen": 8 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here := newHouse(t)
				there := here.replica(t)
				here.provider.delay = 1500 * time.Millisecond
				s, _ := here.signIn(t)
				pass(2 * time.Hour)
				var wg sync.WaitGroup
				for i, h := range []*house{here, there} {
					wg.Go(func() {
						pass(time.Duration(i) * 150 * time.Millisecond)
						generation(t, h.fresh(t, s, session.Need{}), 1)
					})
				}
				pass(500 * time.Millisecond)
				here.store.SetDown(true)
				pass(away)
				here.store.SetDown(false)
				wg.Wait()
				count(t, "refreshes", here.provider.refreshes(), 1)
			})
		})
	}
}
