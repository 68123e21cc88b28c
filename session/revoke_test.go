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

// bothModes runs a test in both, each time with two replicas that hear of each other.
func bothModes(t *testing.T, test func(t *testing.T, here, there *house)) {
	for name, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				feed := kv.NewMemory(kv.MemoryConfig{})
				in := func(c *session.Config) { c.Mode, c.Feed = mode, feed }
				here := newHouse(t, in)
				there := here.replica(t, in)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for _, h := range []*house{here, there} {
					wg.Go(func() { h.Run(ctx) })
				}
				defer wg.Wait()
				defer cancel()
				pass(time.Second) // until both listen
				test(t, here, there)
			})
		})
	}
}

// as signs in as a subject of a provider's session.
func (h *house) as(t *testing.T, sub, sid string) (*session.Session, *browser) {
	t.Helper()
	tokens := h.provider.grant()
	tokens.Subject, tokens.ProviderID = sub, sid
	s, cookies, err := h.Start(t.Context(), tokens, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{}
	b.take(cookies)
	return s, b
}

// A neighbour's index had one slot for each person, so a logout found the newest session only.
func TestALogoutEndsEverySessionOfAPersonAndNobodyElses(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		var hers []*browser
		for i := range 150 {
			_, b := here.as(t, "ada", fmt.Sprint("sid", i))
			hers = append(hers, b)
		}
		_, his := here.as(t, "bob", "sid-bob")
		pass(time.Minute)
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		for _, b := range hers {
			if _, err := here.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
				t.Fatalf("one session goes on: %v", err)
			}
		}
		here.load(t, his)
		// All in the same second: she signs in again, is signed out again, and signs in again.
		_, b := here.as(t, "ada", "sid-new")
		there.load(t, b)
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
		_, b = here.as(t, "ada", "sid-newer")
		there.load(t, b)
	})
}

func TestALogoutOfOneProviderSessionLeavesTheOthers(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		_, first := here.as(t, "ada", "sid1")
		_, second := here.as(t, "ada", "sid2")
		pass(time.Minute)
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada", ProviderID: "sid1"}, session.ReasonProvider); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Load(t.Context(), first.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
		here.load(t, second)
	})
}

func TestSigningOutEverywhereEndsTheOtherDevicesToo(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		s, one := here.as(t, "ada", "sid1")
		_, other := there.as(t, "ada", "sid2")
		pass(time.Minute)
		if err := here.EndEverywhere(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*browser{one, other} {
			if _, err := there.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
				t.Errorf("got %v, want its end", err)
			}
		}
		if got := here.provider.revocations(); !slices.Contains(got, s.Tokens.RefreshToken) {
			t.Errorf("revoked %v, want %s among them", got, s.Tokens.RefreshToken)
		}
	})
}

// A session that was ended while its cookie's refresh was under way elsewhere is ended all the same.
func TestALogoutDuringARefreshHolds(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		s, b := here.as(t, "ada", "sid1")
		pass(2 * time.Hour)
		here.provider.delay = 3 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := here.Fresh(t.Context(), s, session.Need{}); !errors.Is(err, session.ErrEnded) {
				t.Errorf("the refresh under way: %v", err)
			}
		})
		pass(time.Second)
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if _, err := here.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v, want its end", err)
		}
		pass(time.Minute)
		if got := here.provider.revocations(); !slices.Contains(got, "refresh-2") {
			t.Errorf("revoked %v: the tokens that came too late live on", got)
		}
	})
}

func TestALogoutThatTheStoreDoesNotTakeIsAnErrorAndHoldsHere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		there := h.replica(t)
		_, b := h.as(t, "ada", "sid1")
		pass(time.Minute)
		h.store.SetDown(true)
		if err := h.Revoke(t.Context(), session.Whose{Subject: "ada"}, session.ReasonRevoked); err == nil {
			t.Error("no error")
		}
		pass(time.Millisecond) // what is done beside it, in vain too, is over
		h.store.SetDown(false)
		_, err := h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonRevoked)
		pass(time.Minute) // it goes on trying
		if _, err := there.Load(t.Context(), b.header()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("another replica: %v", err)
		}
		if err := h.Revoke(t.Context(), session.Whose{}, session.ReasonRevoked); err == nil {
			t.Error("nobody's sessions were ended without an error")
		}
	})
}

// watched notes what a watcher is told.
type watched struct {
	mu   sync.Mutex
	told []string
}

func (w *watched) watcher() session.Watcher {
	return session.Watcher{
		Ended:   func(why session.Reason) { w.note("ended " + string(why)) },
		Renewed: func(time.Time) { w.note("renewed") },
	}
}

func (w *watched) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, what)
}

func (w *watched) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

func TestWhoWatchesASessionHearsOfItFromEveryReplica(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		s, b := here.as(t, "ada", "sid1")
		_, other := here.as(t, "bob", "sid2")
		w, bobs := &watched{}, &watched{}
		defer there.Watch(there.load(t, b), w.watcher())()
		defer there.Watch(there.load(t, other), bobs.watcher())()
		stopped := &watched{}
		there.Watch(there.load(t, b), stopped.watcher())()
		pass(2 * time.Hour)
		s = here.fresh(t, s, session.Need{})
		pass(time.Second)
		here.End(t.Context(), s)
		pass(time.Second)
		here.End(t.Context(), s)
		pass(time.Second)
		if got, want := w.all(), []string{"renewed", "ended signed_out"}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if err := here.Revoke(t.Context(), session.Whose{Subject: "bob"}, session.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got, want := bobs.all(), []string{"ended revoked"}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if got := stopped.all(); len(got) > 0 {
			t.Errorf("told %v after it had stopped", got)
		}
	})
}

// deaf is a feed that hears nothing until it is told that it has missed something.
type deaf struct{ missed chan struct{} }

func (*deaf) Publish(context.Context, []byte) error { return errors.New("nobody hears") }

func (d *deaf) Listen(ctx context.Context, l kv.Listener) {
	for {
		select {
		case <-d.missed:
			l.Missed()
		case <-ctx.Done():
			return
		}
	}
}

func TestWhatWasMissedIsLookedUp(t *testing.T) {
	for name, mode := range map[string]session.Mode{"cookie": session.ModeCookie, "server": session.ModeServer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &deaf{missed: make(chan struct{})}
				in := func(c *session.Config) { c.Mode, c.Feed = mode, d }
				here := newHouse(t, in)
				there := here.replica(t, in)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { there.Run(ctx) })
				defer wg.Wait()
				defer cancel()
				s, b := here.as(t, "ada", "sid1")
				_, other := here.as(t, "ada", "sid2")
				w, stays := &watched{}, &watched{}
				defer there.Watch(there.load(t, b), w.watcher())()
				defer there.Watch(there.load(t, other), stays.watcher())()
				here.End(t.Context(), s)
				pass(time.Second)
				if got := w.all(); len(got) > 0 {
					t.Fatalf("told %v by a feed that tells nothing", got)
				}
				d.missed <- struct{}{}
				pass(time.Second)
				if got, want := w.all(), []string{"ended signed_out"}; !slices.Equal(got, want) {
					t.Errorf("told %v, want %v", got, want)
				}
				if got := stays.all(); len(got) > 0 {
					t.Errorf("told %v of a session that stands", got)
				}
			})
		})
	}
}

// The provider's logout may arrive while the code's exchange is under way, and a session that is moved past it would survive. Another of
// the same person's sign-ins, or one that the provider granted later, is not concerned.
func TestALogoutDuringASignInEndsWhatComesOfIt(t *testing.T) {
	bothModes(t, func(t *testing.T, here, there *house) {
		granted := func(sid string) session.Tokens {
			tokens := here.provider.grant()
			tokens.Subject, tokens.ProviderID = "ada", sid
			return tokens
		}
		during, other := granted("sid1"), granted("sid2")
		pass(2 * time.Second)
		if err := there.Revoke(t.Context(), session.Whose{Subject: "ada", ProviderID: "sid1"}, session.ReasonProvider); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		for _, c := range []struct {
			tokens session.Tokens
			over   bool
		}{{during, true}, {other, false}, {granted("sid1"), false}} {
			_, cookies, err := here.Start(t.Context(), c.tokens, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			b := &browser{}
			b.take(cookies)
			if _, err = here.Load(t.Context(), b.header()); errors.Is(err, session.ErrEnded) != c.over {
				t.Errorf("%s: got %v, want it over: %v", c.tokens.ProviderID, err, c.over)
			}
		}
	})
}
