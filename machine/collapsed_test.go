package machine_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

// burst asks so many times at once of each replica.
func burst(t *testing.T, n int, replicas ...*replica) []machine.Answer {
	t.Helper()
	var mu sync.Mutex
	var out []machine.Answer
	var wait sync.WaitGroup
	for _, r := range replicas {
		for range n {
			wait.Go(func() {
				a := r.ask(t, from("a", "s"))
				mu.Lock()
				defer mu.Unlock()
				out = append(out, a)
			})
		}
	}
	wait.Wait()
	return out
}

// RFC 9211, sections 2.3 and 2.6: one request was sent on, and who waited for it did not send it.
func TestOneCallerAloneIsToldTheStatusOfOneRequest(t *testing.T) {
	for name, row := range map[string]struct {
		status    int
		body      string
		mine, how machine.How // of who asked, and of the others
	}{
		"a refusal":              {400, `{"error":"invalid_scope"}`, machine.HowError, machine.HowError},
		"a page":                 {403, "a firewall", machine.HowError, machine.HowError},
		"a token":                {200, granted(1), machine.HowMiss, machine.HowCollapsed},
		"a token without a life": {200, `{"access_token":"x"}`, machine.HowMiss, machine.HowCollapsed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
				p.set(after(time.Second, row.status, row.body))
				asked := 0
				for _, a := range burst(t, 5, newReplica(t, p, store), newReplica(t, p, store)) {
					switch {
					case a.Status != row.status:
						t.Errorf("got %d %s", a.Status, a.Body)
					case a.Origin == row.status && a.How == row.mine && !a.Collapsed:
						asked++
					case a.How == machine.HowShared: // a token that stood in the store
					case a.Origin != 0 || a.How != row.how || !a.Collapsed:
						t.Errorf("%s, status %d, collapsed %v, want %s of another's request", a.How, a.Origin, a.Collapsed, row.how)
					}
				}
				if asked != 1 || p.calls.Load() != 1 {
					t.Errorf("%d are told that they asked, and the provider was asked %d times, want once", asked, p.calls.Load())
				}
			})
		})
	}
}

func TestWhoJoinsARenewalThatFailsIsNotToldThatItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		r.token(t, from("a", "s"))
		p.set(after(time.Second, 403, "a firewall"))
		time.Sleep(59*time.Minute + 10*time.Second)
		asked := 0
		for _, a := range burst(t, 5, r) {
			if a.How != machine.HowStale || a.Collapsed == (a.Origin == 403) {
				t.Errorf("%s, status %d, collapsed %v, want the old token, and the status for who asked", a.How, a.Origin, a.Collapsed)
			}
			if a.Origin != 0 {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("%d are told that they asked, want one", asked)
		}
	})
}

// savings adds up what callers are said not to have waited for.
func savings(total *atomic.Int64) func(*machine.Config) {
	return func(c *machine.Config) { c.Observe = func(e machine.Event) { total.Add(int64(e.Saved)) } }
}

func TestTimeThatCallersWaitedIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
		p.set(after(time.Second, 200, granted(1)))
		var saved atomic.Int64
		one, two := newReplica(t, p, store, savings(&saved)), newReplica(t, p, store, savings(&saved))
		late := make(chan struct{})
		go func() {
			defer close(late)
			time.Sleep(600 * time.Millisecond)
			one.token(t, from("a", "s"))
		}()
		burst(t, 10, one, two)
		<-late
		// A replica looks at the store now and then, so who waits for another waits a little longer.
		if got, most := time.Duration(saved.Swap(0)), 600*time.Millisecond; got > most || got < most-100*time.Millisecond {
			t.Errorf("saved %s, want about the %s that the last one came later, and no more", got, most)
		}
		for range 3 {
			one.token(t, from("a", "s"))
		}
		if got := time.Duration(saved.Swap(0)); got != 3*time.Second {
			t.Errorf("three hits saved %s, want a second each", got)
		}
		// The provider hangs, and the caller waits for two seconds: more than the token took.
		time.Sleep(59*time.Minute + 10*time.Second)
		p.set(after(time.Hour, 200, granted(2)))
		if a := one.ask(t, from("a", "s")); a.How != machine.HowStale || saved.Load() != 0 {
			t.Errorf("%s saved %s after two seconds, want nothing", a.How, time.Duration(saved.Load()))
		}
	})
}
