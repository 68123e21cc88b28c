package machine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

// fresh is the request of a caller who saw the token refused.
func fresh(q machine.Request) machine.Request {
	q.Fresh = true
	return q
}

// The signing key was replaced: the token lives by the clock and is good for nothing. Whoever found out must not wait for its renewal, and
// nobody else is to be given it afterwards.
func TestWhoWantsAFreshTokenGetsOneAndSoDoAllOthers(t *testing.T) {
	for name, row := range map[string]struct {
		q      machine.Request
		change func(*machine.Config)
	}{
		"a service":      {from("a", "s"), func(*machine.Config) {}},
		"a named client": {from("billing", ownKey), withBilling},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil, row.change)
				other := row.q // the same in another spelling
				other.Body = append([]byte("scope=&"), other.Body...)
				old := r.token(t, row.q)
				for range 3 {
					r.token(t, row.q) // opened, and kept so
					r.token(t, other)
				}
				time.Sleep(10 * time.Minute)
				a := r.ask(t, fresh(row.q))
				if tokenOf(t, a) == old || a.How != machine.HowMiss || !a.Forced || a.Origin != 200 || a.TTL != time.Hour {
					t.Errorf("got %+v, want a new token, because it was asked for", a)
				}
				for _, q := range []machine.Request{row.q, other, fresh(row.q), fresh(other)} {
					if b := r.ask(t, q); tokenOf(t, b) != tokenOf(t, a) || b.How != machine.HowHit || b.Forced {
						t.Errorf("afterwards: got %s %s, want the new token from memory", b.How, b.Body)
					}
				}
				if got := p.calls.Load(); got != 2 {
					t.Errorf("%d requests, want one for each token", got)
				}
			})
		})
	}
}

func TestAClientThatAlwaysWantsAFreshTokenCostsOneRequestAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		for range 600 {
			if a := r.ask(t, fresh(from("a", "s"))); a.Age > time.Minute {
				t.Fatalf("got a token that is %s old, want at most a minute", a.Age)
			}
			time.Sleep(time.Second)
		}
		if got := p.calls.Load(); got != 10 {
			t.Errorf("%d requests in ten minutes, want ten", got)
		}
	})
}

// Both replicas hold the old token; many callers of each find out at once. The new one ends before the old: the provider shortened its life.
func TestAFreshTokenCostsOneRequestOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
		one, two, cold := newReplica(t, p, store), newReplica(t, p, store), newReplica(t, p, store)
		q := from("a", "s")
		one.token(t, q)
		two.token(t, q)
		time.Sleep(10 * time.Minute)
		p.set(after(time.Second, 200, `{"access_token":"new","expires_in":600}`))
		var wait sync.WaitGroup
		for i := range 60 {
			wait.Go(func() {
				if got := []*replica{one, two, cold}[i%3].token(t, fresh(q)); got != "new" {
					t.Errorf("got %s, want the new one", got)
				}
			})
		}
		wait.Wait()
		for _, r := range []*replica{one, two, cold, newReplica(t, p, store)} {
			if got := r.token(t, q); got != "new" {
				t.Errorf("afterwards: got %s, want the new one", got)
			}
		}
		if got := p.calls.Load(); got != 2 {
			t.Errorf("%d requests, want one for each token", got)
		}
	})
}

// A replica that has just started finds the old token in the store, for a caller whom it does, when one comes whom it does not.
func TestWhoWantsAFreshTokenIsNotContentWithSomebodyElsesLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, deliberate{kv.NewMemory(kv.MemoryConfig{})}
		old := newReplica(t, p, store).token(t, from("a", "s"))
		time.Sleep(10 * time.Minute)
		cold := newReplica(t, p, store)
		var wait sync.WaitGroup
		wait.Go(func() {
			if got := cold.token(t, from("a", "s")); got != old {
				t.Errorf("who wants any: got %s, want the old one", got)
			}
		})
		synctest.Wait() // it waits for the store
		a := cold.ask(t, fresh(from("a", "s")))
		if tokenOf(t, a) == old || !a.Forced {
			t.Errorf("got %s, forced %v, want a new one, because it was asked for", a.Body, a.Forced)
		}
		wait.Wait()
	})
}

// deliberate is a store that takes its time to read.
type deliberate struct{ kv.Store }

func (d deliberate) Get(ctx context.Context, key string) (kv.Entry, error) {
	time.Sleep(200 * time.Millisecond) // of the bubble's clock
	return d.Store.Get(ctx, key)
}

func TestWhoWantsAFreshTokenGetsTheOldOneMarkedWhileTheProviderFails(t *testing.T) {
	for name, shared := range map[string]kv.Store{"alone": nil, "with a store": kv.NewMemory(kv.MemoryConfig{})} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, shared)
				q := from("a", "s")
				old := r.token(t, q)
				time.Sleep(10 * time.Minute)
				p.set(always(503, "down"))
				a := r.ask(t, fresh(q))
				if tokenOf(t, a) != old || a.How != machine.HowStale || a.Origin != 503 || !a.Forced {
					t.Errorf("got %+v, want the old token, marked", a)
				}
				before := p.calls.Load()
				for range 20 { // for two seconds nobody waits for what would fail again
					time.Sleep(100 * time.Millisecond)
					if a := r.ask(t, fresh(q)); tokenOf(t, a) != old || a.How != machine.HowStale || p.calls.Load() != before {
						t.Errorf("a moment later: got %s after %d requests more", a.How, p.calls.Load()-before)
					}
				}
				if a := r.ask(t, q); tokenOf(t, a) != old || a.How != machine.HowHit {
					t.Errorf("who wants any: got %s %s, want a hit", a.How, a.Body)
				}
				p.set(nil)
				time.Sleep(30 * time.Second)
				if a := r.ask(t, fresh(q)); tokenOf(t, a) == old {
					t.Errorf("when it works again: got %s %s, want a new token", a.How, a.Body)
				}
			})
		})
	}
}

func TestAFreshTokenThatIsRefusedTakesTheOldOneWithIt(t *testing.T) {
	for _, refusal := range []string{"invalid_client", "invalid_scope"} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{}
			r := newReplica(t, p, kv.NewMemory(kv.MemoryConfig{}))
			q := from("a", "s")
			for range 3 {
				r.token(t, q)
			}
			time.Sleep(10 * time.Minute)
			body := fmt.Sprintf(`{"error":%q}`, refusal)
			p.set(always(400, body))
			for _, q := range []machine.Request{fresh(q), q, fresh(q)} {
				if a := r.ask(t, q); a.Status != 400 || string(a.Body) != body {
					t.Errorf("%s: got %d %s, want the refusal", refusal, a.Status, a.Body)
				}
			}
		})
	}
}

// What is too large for the memory is asked for each time, but the old token is not served in its place.
func TestAFreshTokenThatCannotBeKeptReplacesTheOldOneAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		q := from("a", "s")
		old := r.token(t, q)
		time.Sleep(10 * time.Minute)
		p.set(always(200, `{"access_token":"new","expires_in":3600,"pad":"`+strings.Repeat("x", 62<<10)+`"}`))
		for _, q := range []machine.Request{fresh(q), q} {
			if got := r.token(t, q); got == old {
				t.Error("got the old token, want the new one")
			}
		}
	})
}
