package machine_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

// Whoever waits for another replica is told what the provider told that one, however many come there meanwhile and are turned away.
func TestTheProvidersPauseHoldsOnTheReplicaThatWaited(t *testing.T) {
	for status, want := range map[int]error{429: machine.ErrBusy, 503: machine.ErrUnavailable} {
		for name, row := range map[string]struct {
			id, key string
			change  func(*machine.Config)
		}{
			"a service":      {"a", "s", func(*machine.Config) {}},
			"a named client": {"billing", ownKey, withBilling},
		} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{header: http.Header{"Retry-After": {"30"}}}
					p.set(after(time.Second, status, "later"))
					asks, waits := newReplica(t, p, store, row.change), newReplica(t, p, store, row.change)
					q := from(row.id, row.key)
					var wait sync.WaitGroup
					wait.Go(func() {
						if a := asks.ask(t, q); a.Status != status || a.RetryAfter != "30" {
							t.Errorf("who asked: got %d, Retry-After %q", a.Status, a.RetryAfter)
						}
						for range 20 { // these find the pause, and nothing to wait for
							asks.fails(t, q, want)
						}
					})
					synctest.Wait()
					for range 3 {
						wait.Go(func() {
							if f := waits.fails(t, q, want); f.RetryAfter < 29*time.Second || f.RetryAfter > 30*time.Second {
								t.Errorf("who waited: told to come back in %s, want what is left of 30 s", f.RetryAfter)
							}
						})
					}
					wait.Wait()
					late := newReplica(t, p, store, row.change)
					for range 28 {
						for _, q := range []machine.Request{q, from(row.id, row.key, "scope", "x")} {
							waits.fails(t, q, want)
						}
						late.fails(t, q, want)
						time.Sleep(time.Second)
					}
					if got := p.calls.Load(); got != 1 {
						t.Errorf("%d requests, want one: the provider asked to be left alone", got)
					}
					p.set(nil)
					time.Sleep(3 * time.Second)
					late.token(t, q)
					asks.token(t, q)
				})
			})
		}
	}
}

// A replica that has used up its own share has nothing to say to others, who have theirs.
func TestAReplicaThatMayNotAskLeavesTheTurnToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		full := newReplica(t, p, store, func(c *machine.Config) { c.ClientRate = 1 })
		free := newReplica(t, p, store)
		full.token(t, from("a", "s"))
		_, done := flood(t, full, "a", "s", 20)
		synctest.Wait()
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				if _, err := free.Token(t.Context(), nil, from("a", "s", "scope", fmt.Sprint(i))); err != nil {
					t.Errorf("got %v, want a token", err)
				}
			})
		}
		wait.Wait()
		done.Wait()
	})
}

// A provider that says nothing of when to come back is nobody's pause elsewhere: who waited passes its words on, who comes later asks.
func TestAFailureWithoutAWordIsForWhoWaitedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		p.set(after(time.Second, 503, "down"))
		asks, waits := newReplica(t, p, store), newReplica(t, p, store)
		var wait sync.WaitGroup
		words := func(r *replica) {
			if a := r.ask(t, from("a", "s")); a.Status != 503 || string(a.Body) != "down" {
				t.Errorf("got %d %s, want the provider's words", a.Status, a.Body)
			}
		}
		wait.Go(func() {
			words(asks)
			asks.fails(t, from("a", "s"), machine.ErrUnavailable) // at once, so it finds its own pause, and leaves the words where they are
		})
		synctest.Wait()
		asked := p.calls.Load()
		wait.Go(func() { words(waits) })
		wait.Wait()
		if got := p.calls.Load() - asked; got != 2 {
			t.Errorf("%d requests more, want the two further attempts of who asked", got)
		}
		before := p.calls.Load()
		_, err := newReplica(t, p, store).Token(t.Context(), nil, from("a", "s"))
		if err != nil && !errors.Is(err, machine.ErrUnavailable) || p.calls.Load() == before {
			t.Errorf("got %v after %d requests more, want the provider asked", err, p.calls.Load()-before)
		}
	})
}
