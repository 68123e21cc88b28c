package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

// full is a store without room, or a copy that may only be read: it answers, and takes nothing.
type full struct {
	kv.Store
	fault error // nil: it has room
}

func (f *full) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if f.fault != nil {
		return 0, f.fault
	}
	return f.Store.Put(ctx, w)
}

// A lease that cannot be taken, though the store reads on: the process goes on alone, and nobody hangs.
func TestAStoreThatOnlyReadsHoldsUpNoRefreshInCookieMode(t *testing.T) {
	for name, c := range map[string]struct {
		fault error
		most  time.Duration
	}{
		"full":        {kv.ErrFull, 100 * time.Millisecond},
		"a read copy": {errors.New("READONLY You can't write against a read only replica"), 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := &full{Store: newStore()}
				h := newHouse(t, func(c *session.Config) { c.Mode, c.Store = session.ModeCookie, store })
				s, _ := h.signIn(t)
				pass(2 * time.Hour)
				store.fault = c.fault
				began := time.Now()
				generation(t, h.fresh(t, s, session.Need{}), 1)
				if took := time.Since(began); took > c.most {
					t.Errorf("it took %v, want at most %v", took, c.most)
				}
				if h.seen("refresh_degraded") == 0 {
					t.Error("nobody counted it")
				}
			})
		})
	}
}

// cut is a feed that one replica cannot reach for a while.
type cut struct {
	kv.Feed
	store *kvtest.Faulty
}

func (c cut) Publish(ctx context.Context, message []byte) error {
	if _, err := c.store.Get(ctx, "reachable"); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return c.Feed.Publish(ctx, message)
}

// One replica is cut off from the cache, and a session ends there. The others notice nothing of the outage, so nobody but that replica
// can tell them.
func TestAnEndingDuringAnOutageIsToldAfterIt(t *testing.T) {
	ends := map[string]func(context.Context, *house, *session.Session) string{
		"a sign-out": func(ctx context.Context, h *house, s *session.Session) string {
			h.End(ctx, s)
			return "ended signed_out"
		},
		"everywhere": func(ctx context.Context, h *house, s *session.Session) string {
			_ = h.EndEverywhere(ctx, s)
			return "ended signed_out_everywhere"
		},
	}
	for name, end := range ends {
		for name2, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
			t.Run(name+" in mode "+name2, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					feed := kv.NewMemory(kv.MemoryConfig{})
					there := newHouse(t, func(c *session.Config) { c.Mode, c.Feed = mode, feed })
					line := &kvtest.Faulty{Store: there.store}
					here := newHouseOn(t, line, there.provider, func(c *session.Config) { c.Mode, c.Feed = mode, cut{Feed: feed, store: line} })
					ctx, stop := context.WithCancel(t.Context())
					var wg sync.WaitGroup
					wg.Go(func() { there.Run(ctx) })
					defer wg.Wait()
					defer stop()
					pass(time.Second) // until it listens
					s, b := here.as(t, "ada", "sid1")
					w := &watched{}
					defer there.Watch(there.load(t, b), w.watcher())()
					line.SetDown(true)
					want := end(t.Context(), here, s)
					pass(10 * time.Second)
					if got := w.all(); len(got) > 0 {
						t.Fatalf("told %v by who is cut off", got)
					}
					line.SetDown(false)
					pass(3 * time.Second)
					if got := w.all(); !slices.Contains(got, want) {
						t.Errorf("told %v, want %q", got, want)
					}
				})
			})
		}
	}
}

// The answer that had the new cookie got lost, and the browser goes on with the old one: what it asks for next brings the new one again.
func TestALostAnswerToAForcedRefreshIsMadeUpFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(10*time.Minute))
		s, b := h.signIn(t)
		pass(5 * time.Minute)
		generation(t, h.fresh(t, s, session.Need{Force: true}), 1) // and nobody takes its cookie
		pass(time.Minute)
		got := h.fresh(t, h.load(t, b), session.Need{})
		generation(t, got, 1)
		pass(8 * time.Minute)
		if _, slides := h.Slide(t.Context(), got); !slides {
			t.Error("the newest form does not slide")
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// Whoever is at work stays signed in, although nobody can say whether a newer form of the session exists.
func TestAnOutageEndsNoSessionThatIsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(10*time.Minute), func(c *session.Config) { c.Mode = session.ModeCookie })
		s, _ := h.signIn(t)
		h.store.SetDown(true)
		for range 30 {
			pass(time.Minute)
			if slid, changed := h.Slide(t.Context(), s); changed {
				s = slid
			}
			if now := time.Now(); !now.Before(s.Seen.Add(10 * time.Minute)) {
				t.Fatalf("seen at %v, and it is %v", s.Seen, now)
			}
		}
	})
}

// Two requests went out together at the edge of the idle time. The first slid the session: the second, which came a moment too late,
// takes the new cookie from nobody.
func TestARequestTooLateByAMomentClearsNoCookie(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, idleOut(10*time.Minute), func(c *session.Config) { c.Mode = session.ModeCookie })
		_, b := h.signIn(t)
		for _, c := range []struct {
			after time.Duration
			keeps bool
		}{{10*time.Minute + 2*time.Second, true}, {2 * time.Minute, false}} {
			pass(c.after)
			_, err := h.Load(t.Context(), b.header())
			var ended *session.Ended
			if !errors.As(err, &ended) || ended.Reason != session.ReasonIdle || ended.KeepCookies != c.keeps {
				t.Errorf("got %+v, want an end by idleness that keeps the cookies: %v", err, c.keeps)
			}
		}
	})
}

// between does something after the first look at a subject's record and before the write that follows it.
type between struct {
	kv.Store
	do func()
}

func (b *between) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	e, err := b.Store.GetMany(ctx, keys...)
	if do := b.do; do != nil && len(keys) == 1 && strings.HasPrefix(keys[0], "ended-sub/") {
		b.do = nil
		do()
	}
	return e, err
}

// An operator ends all sessions of a person who ends all others at the same moment: the operator's word counts.
func TestAnExceptionOutlivesNoEndOfAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here := newHouse(t, serverMode)
		hook := &between{Store: here.store}
		there := here.replica(t, serverMode, func(c *session.Config) { c.Store = hook })
		s, b := here.as(t, "ada", "sid1")
		pass(time.Minute)
		hook.do = func() {
			if err := here.EndOthers(t.Context(), s); err != nil {
				t.Error(err)
			}
		}
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		if hook.do != nil {
			t.Fatal("nothing came between: this proves nothing")
		}
		if _, err := here.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("all sessions are over, and one lives: %v", err)
		}
	})
}
