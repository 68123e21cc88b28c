package machine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

func TestATokenThatIsOverWhenItComesIsPassedOnAndNotKept(t *testing.T) {
	const body = `{"access_token":"x","expires_in":1,"token_type":"Bearer"}`
	for name, store := range map[string]func() kv.Store{
		"alone": func() kv.Store { return nil }, "with a store": func() kv.Store { return kv.NewMemory(kv.MemoryConfig{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(after(10*time.Millisecond, 200, body))
				r := newReplica(t, p, store())
				for n := range int64(2) {
					a := r.ask(t, from("a", "s"))
					if a.Status != 200 || string(a.Body) != body || a.TTL != 0 || a.Stored || a.Origin != 200 || p.calls.Load() != n+1 {
						t.Errorf("got %d %s, %+v, want what the provider says", a.Status, a.Body, a)
					}
				}
			})
		})
	}
}

// Who waits on another replica for such a token is given what the provider said, too, in the place of asking again in turn.
func TestATokenThatIsOverWhenItComesIsPassedOnToOtherReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
		p.set(after(500*time.Millisecond, 200, `{"access_token":"x","expires_in":1}`))
		var wait sync.WaitGroup
		for _, r := range []*replica{newReplica(t, p, store), newReplica(t, p, store)} {
			wait.Go(func() { r.token(t, from("a", "s")) })
		}
		wait.Wait()
		if got := p.calls.Load(); got != 1 {
			t.Errorf("the provider was asked %d times, want once", got)
		}
	})
}

// slow is a store that takes its time to write.
type slow struct{ kv.Store }

func (s slow) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	time.Sleep(200 * time.Millisecond) // of the bubble's clock
	return s.Store.Put(ctx, w)
}

func TestATokenThatEndsWhileItIsPutAwayIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"access_token":"x","expires_in":2}`
		p := &provider{}
		p.set(after(900*time.Millisecond, 200, body))
		r := newReplica(t, p, slow{kv.NewMemory(kv.MemoryConfig{})})
		if a := r.ask(t, from("a", "s")); string(a.Body) != body || a.TTL != 0 || a.Stored {
			t.Errorf("got %s, %+v, want what the provider says", a.Body, a)
		}
	})
}

func TestAnswersSayWhetherTheyWereKept(t *testing.T) {
	large := `{"access_token":"x","expires_in":3600,"pad":"` + strings.Repeat("x", 62<<10) + `"}`
	for name, row := range map[string]struct {
		body   string
		store  kv.Store
		stored bool
		again  machine.How
	}{
		"a token":                          {granted(1), nil, true, machine.HowHit},
		"one over the bound of memory":     {large, nil, false, machine.HowMiss},
		"the same with a store":            {large, kv.NewMemory(kv.MemoryConfig{}), true, machine.HowShared},
		"one without a life":               {`{"access_token":"x"}`, nil, false, machine.HowMiss},
		"the same with a store beneath it": {`{"access_token":"x"}`, kv.NewMemory(kv.MemoryConfig{}), false, machine.HowMiss},
		"no token":                         {`{"expires_in":3600}`, nil, false, machine.HowError},
		"none with a store beneath it":     {`{"expires_in":3600}`, kv.NewMemory(kv.MemoryConfig{}), false, machine.HowError},
	} {
		p := &provider{}
		p.set(always(200, row.body))
		r := newReplica(t, p, row.store)
		if a := r.ask(t, from("a", "s")); a.Stored != row.stored {
			t.Errorf("%s: stored %v, want %v", name, a.Stored, row.stored)
		}
		if a := r.ask(t, from("a", "s")); a.How != row.again || a.Stored && a.How != machine.HowMiss {
			t.Errorf("%s, again: %s, stored %v, want %s", name, a.How, a.Stored, row.again)
		}
	}
}

// JSON does not tell a whole number from a float that is one.
func TestLivesWrittenAsFloatsCount(t *testing.T) {
	for text, want := range map[string]string{
		"3600.0": "3500", "3.6e3": "3500", "36E+2": "3500", `"3600.0"`: `"3500"`, "1e9": "999999900", "9007199254740991": "9007199254740891",
		"3600.25": "", `"0x1p4"`: "", `"inf"`: "", `"1_000"`: "", "1e400": "", "9007199254740993": "", "0.0": "", "-3.6e3": "", "5e-1": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{}
			body := func(number string) string { return `{"access_token":"x","expires_in":` + number + `}` }
			p.set(always(200, body(text)))
			r := newReplica(t, p, nil)
			r.ask(t, from("a", "s"))
			time.Sleep(100 * time.Second)
			a := r.ask(t, from("a", "s"))
			if want == "" && (string(a.Body) != body(text) || p.calls.Load() != 2) || want != "" && (string(a.Body) != body(want) || p.calls.Load() != 1) {
				t.Errorf("%s: got %s after %d requests, want %q", text, a.Body, p.calls.Load(), want)
			}
		})
	}
}

// What is said of a token's life is counted down across replicas, also where it is more than anything is kept for.
func TestALifeOfAgesIsToldAndKeptForAYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
		p.set(func(context.Context, call) (int, string, error) {
			return 200, `{"access_token":"x","expires_in":99999999999}`, nil
		})
		one := newReplica(t, p, store)
		if a := one.ask(t, from("a", "s")); string(a.Body) != `{"access_token":"x","expires_in":99999999999}` || a.TTL != 365*24*time.Hour {
			t.Errorf("got %s for %s, want what the provider says, and a year", a.Body, a.TTL)
		}
		time.Sleep(99 * time.Second)
		a := newReplica(t, p, store).ask(t, from("a", "s"))
		if string(a.Body) != `{"access_token":"x","expires_in":99999999900}` || a.How != machine.HowShared {
			t.Errorf("got %s %s, want it counted down", a.How, a.Body)
		}
	})
}
