package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"vestibule/secret"
	"vestibule/session"
)

// vault is where the keys of all replicas are stored: what a secret manager is.
type vault struct {
	mu    sync.Mutex
	text  string
	reads int
}

func (v *vault) fetch(context.Context, secret.AWSSecret) ([]byte, error) { return v.read("") }

func (v *vault) read(string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	return []byte(v.text), nil
}

func (v *vault) rotate() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text = secret.GenerateKey()
}

func (v *vault) asked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

// ring is what a process that starts now makes of the vault.
func (v *vault) ring(t testing.TB) *secret.Ring {
	t.Helper()
	return ringOf(t, secret.Config{AWS: v.fetch}, "awssm:key")
}

// ringOf is a ring of the keys that the references lead to.
func ringOf(t testing.TB, c secret.Config, refs ...string) *secret.Ring {
	t.Helper()
	r := secret.NewResolver(c)
	var keys []secret.Value
	for _, ref := range refs {
		key, err := r.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ring, err := secret.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// floor is how often a vault is asked at most.
const floor = 10 * time.Second

func onRing(r session.KeyRing) func(*session.Config) { return func(c *session.Config) { c.Keys = r } }

func TestACookieSealedUnderAKeyThatOnlyAnotherReplicaKnowsIsOpened(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		late := newHouse(t, onRing(v.ring(t)))
		_, before := late.signIn(t)
		pass(time.Minute)
		v.rotate()
		early := late.replica(t, onRing(v.ring(t)))
		s, b := early.signIn(t)
		asked := v.asked()
		for range 3 {
			if got := late.load(t, b); got.ID != s.ID {
				t.Fatal("another session was opened")
			}
		}
		count(t, "looks at the vault", v.asked()-asked, 1)
		late.load(t, before) // under the former key
	})
}

func TestAllWhoBringACookieOfANewKeyAtOnceAreServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		late := newHouse(t, onRing(v.ring(t)))
		pass(time.Minute)
		v.rotate()
		early := late.replica(t, onRing(v.ring(t)))
		_, b := early.signIn(t)
		asked := v.asked()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := late.Load(t.Context(), b.header()); err != nil {
					t.Errorf("got %v: the answer would clear a good cookie", err)
				}
			})
		}
		wg.Wait()
		count(t, "looks at the vault", v.asked()-asked, 1)
	})
}

// turning is a ring whose keys turn by themselves at its nth look: another request's refresh, which ends just then. Its own refresh
// is turned away by the floor.
type turning struct {
	ring
	next  []byte
	at    int
	looks int
}

func (r *turning) Version() uint64 {
	if r.looks++; r.looks == r.at {
		r.turn(r.next)
	}
	return r.ring.Version()
}

func (*turning) Refresh(context.Context) error { return nil }

// Two requests of one browser bring a cookie of a new key; one of them has the keys read afresh. The other, whose own look was
// the old keys', must not call the cookie unreadable: that would clear it.
func TestKeysThatTurnBetweenTwoLooksStillOpen(t *testing.T) {
	seal := newHouse(t, func(c *session.Config) { c.Keys = &ring{keys: [][]byte{key(2)}, version: 1} })
	_, b := seal.signIn(t)
	for at := 1; ; at++ {
		r := &turning{ring: ring{keys: [][]byte{key(1)}, version: 1}, next: key(2)}
		h := newHouse(t, onRing(r))
		r.at, r.looks = at, 0
		_, err := h.Load(t.Context(), b.header())
		if r.looks < at { // the keys never turned: every look was tried
			if !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("keys that did not turn: got %v, want ErrUnreadable", err)
			}
			if at < 3 {
				t.Errorf("only %d looks: this proves nothing", at-1)
			}
			return
		}
		if err != nil {
			t.Errorf("the keys turned at look %d: got %v, want the session", at, err)
		}
	}
}

func TestGarbageCookiesDoNotFloodTheVault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		h := newHouse(t, onRing(v.ring(t)))
		_, good := h.signIn(t)
		for round := range 3 {
			pass(floor)
			asked := v.asked()
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					<-time.After(time.Duration(i) * floor / 70)
					line := []string{cookieName + "=" + numbered(part(noise(byte(round), 60)), i)}
					if _, err := h.Load(t.Context(), line); !errors.Is(err, session.ErrUnreadable) {
						t.Errorf("garbage: got %v, want ErrUnreadable", err)
					}
				})
			}
			wg.Wait()
			count(t, "looks at the vault within one floor", v.asked()-asked, 1)
		}
		asked := v.asked()
		pass(floor)
		h.load(t, good)
		_, _ = h.Load(t.Context(), nil)
		_, _ = h.Load(t.Context(), []string{"other=1; " + cookieName + "x=2"})
		count(t, "looks for cookies that are good or not ours", v.asked()-asked, 0)
	})
}

// brokenVault answers as a secret manager that is down does, after a while.
type brokenVault struct{ ring }

func (*brokenVault) Refresh(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestAVaultThatHangsKeepsAnUnreadableCookieForAMomentOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, onRing(&brokenVault{ring{keys: [][]byte{key(1)}, version: 1}}))
		start := time.Now()
		if _, err := h.Load(t.Context(), []string{cookieName + "=" + part(noise(1, 60))}); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %s, want no more than a browser waits without notice", took)
		}
	})
}

// A sign-in begins at one replica and may come back to another; so does a sign-out's note.
func TestAPendingSignInOfANewKeyComesBackToAReplicaThatDoesNotKnowTheKeyYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		late := newHouse(t, onRing(v.ring(t)))
		pass(time.Minute)
		v.rotate()
		early := late.replica(t, onRing(v.ring(t)))
		b := &browser{}
		p, cookies, err := early.Begin(nil, session.Errand{ReturnTo: "/after"})
		if err != nil {
			t.Fatal(err)
		}
		b.take(cookies)
		got, _, err := late.Take(t.Context(), b.header(), p.State)
		if err != nil || got.ReturnTo != "/after" {
			t.Errorf("got %q and %v, want the sign-in that was begun", got.ReturnTo, err)
		}
	})
}

// A replica that starts with a new key seals with it at once. Another may just have looked, for somebody's garbage, and may not look again.
func TestACookieOfAKeyThatMayNotBeReadYetIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		late := newHouse(t, onRing(v.ring(t)))
		pass(time.Minute)
		garbage := []string{cookieName + "=" + part(noise(1, 60))}
		if _, err := late.Load(t.Context(), garbage); !errors.Is(err, session.ErrUnreadable) {
			t.Fatalf("garbage: got %v, want ErrUnreadable", err)
		}
		v.rotate()
		early := late.replica(t, onRing(v.ring(t)))
		s, b := early.signIn(t)
		begun := &browser{}
		p, cookies, err := early.Begin(nil, session.Errand{ReturnTo: "/after"})
		if err != nil {
			t.Fatal(err)
		}
		begun.take(cookies)
		for range 3 { // the floor is up for 10 s
			pass(3 * time.Second)
			if _, err := late.Load(t.Context(), b.header()); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable: the answer would clear a good cookie", err)
			}
			if _, gone, err := late.Take(t.Context(), begun.header(), p.State); !errors.Is(err, session.ErrUnavailable) || len(gone) > 0 {
				t.Errorf("a sign-in under way: got %v and cleared %v, want ErrUnavailable", err, gone)
			}
			if _, err := late.Load(t.Context(), garbage); !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("garbage: got %v, want ErrUnreadable", err)
			}
		}
		pass(time.Second)
		if got := late.load(t, b); got.ID != s.ID {
			t.Error("another session was opened")
		}
		if got, _, err := late.Take(t.Context(), begun.header(), p.State); err != nil || got.ReturnTo != "/after" {
			t.Errorf("got %q and %v, want the sign-in that was begun", got.ReturnTo, err)
		}
	})
}

// What no key will ever open is told so, also while somebody keeps the floor up with garbage of a fresh date.
func TestACookieThatNoKeyOpensIsNotInDoubtForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &vault{}
		v.rotate()
		h := newHouse(t, onRing(v.ring(t)))
		_, old := h.replica(t, onRing(&ring{keys: [][]byte{key(9)}, version: 1})).signIn(t)
		forger := h.replica(t, onRing(&ring{keys: [][]byte{key(8)}, version: 1}))
		pass(time.Hour)
		_, recent := h.replica(t, onRing(&ring{keys: [][]byte{key(9)}, version: 1})).signIn(t)
		asked, start := v.asked(), time.Now()
		decided := false
		for !decided && time.Since(start) < time.Hour {
			pass(time.Second / 3)
			_, forged := forger.signIn(t)
			_, _ = h.Load(t.Context(), forged.header())
			pass(time.Second / 10) // after a look, if there was one
			if _, err := h.Load(t.Context(), old.header()); !errors.Is(err, session.ErrUnreadable) {
				t.Fatalf("an old one: got %v, want ErrUnreadable", err)
			}
			_, err := h.Load(t.Context(), recent.header())
			decided = errors.Is(err, session.ErrUnreadable)
		}
		took := time.Since(start)
		if took < floor || took > time.Minute {
			t.Errorf("a recent one was in doubt for %s, want at most a minute, and more than a moment: that would prove nothing", took)
		}
		if looks, most := v.asked()-asked, int(took/floor)+1; looks > most {
			t.Errorf("the vault was asked %d times within %s, want at most %d", looks, took, most)
		}
	})
}

// A date in the future is no honest replica's.
func TestACookieThatComesFromTheFutureIsNotInDoubt(t *testing.T) {
	var b *browser
	bubble(t, func(t *testing.T) {
		pass(time.Hour)
		_, b = newHouse(t, onRing(&ring{keys: [][]byte{key(9)}, version: 1})).signIn(t)
	})
	bubble(t, func(t *testing.T) { // the bubble's clock begins anew
		v := &vault{}
		v.rotate()
		h := newHouse(t, onRing(v.ring(t)))
		pass(time.Second) // the floor is up
		if _, err := h.Load(t.Context(), b.header()); !errors.Is(err, session.ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
	})
}
