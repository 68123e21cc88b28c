package machine_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/machine"
)

// withTwo makes billing and open named clients that share a client of the provider's, whose secret a test may change, and apart one with
// another. All have the same key.
func withTwo(secret *atomic.Value) func(*machine.Config) {
	return func(c *machine.Config) {
		c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte(secret.Load().(string)) }}
		own := func() []byte { return []byte(ownKey) }
		c.Clients = []machine.Client{
			{ID: "billing", Secret: own}, {ID: "open", Secret: own},
			{ID: "apart", Secret: own, Upstream: machine.Credentials{ID: "theirs", Secret: func() []byte { return []byte("s") }}},
		}
	}
}

func secretOf(text string) *atomic.Value {
	v := &atomic.Value{}
	v.Store(text)
	return v
}

// outdated grants tokens to everybody but ours with a secret that is over.
func outdated(_ context.Context, c call) (int, string, error) {
	if c.id == "ours" && c.secret == "outdated" {
		return 400, `{"error":"invalid_client"}`, nil
	}
	return 200, granted(1), nil
}

const disowned = "a named client gets no token"

func TestARefusalOfOurOwnCredentialsIsRememberedForAllWhoShareThem(t *testing.T) {
	for name, open := range map[string]func() kv.Store{
		"alone": func() kv.Store { return nil }, "with a store": func() kv.Store { return kv.NewMemory(kv.MemoryConfig{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, secret := &provider{}, secretOf("outdated")
				p.set(outdated)
				r := newReplica(t, p, open(), withTwo(secret))
				for i := range 40 {
					id := []string{"billing", "open"}[i%2]
					f := r.fails(t, from(id, ownKey), machine.ErrUnavailable)
					if f.RetryAfter <= 0 || f.RetryAfter > 5*time.Second {
						t.Fatalf("told to come back in %s, want when it is asked about again", f.RetryAfter)
					}
				}
				if calls, lines := p.calls.Load(), strings.Count(r.logs.String(), disowned); calls != 1 || lines != 1 {
					t.Errorf("%d requests and %d lines for 40 callers, want one of each", calls, lines)
				}
				r.token(t, from("apart", ownKey)) // with credentials that nobody refused
				time.Sleep(5 * time.Second)
				r.fails(t, from("open", ownKey), machine.ErrUnavailable)
				if calls, lines := p.calls.Load(), strings.Count(r.logs.String(), disowned); calls != 3 || lines != 2 {
					t.Errorf("%d requests and %d lines after the time, want it asked and told of again", calls, lines)
				}
				secret.Store("current")
				r.token(t, from("open", ownKey)) // at once
			})
		})
	}
}

// All of them are under way when the first refusal comes.
func TestARefusalOfOurOwnCredentialsIsToldOnceHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(after(time.Second, 400, `{"error":"invalid_client"}`))
		r := newReplica(t, p, nil, withTwo(secretOf("outdated")), func(c *machine.Config) {
			c.Rate = 10
			for i := range 40 {
				c.Clients = append(c.Clients, machine.Client{ID: fmt.Sprint("c", i), Secret: func() []byte { return []byte(ownKey) }})
			}
		})
		var wait sync.WaitGroup
		for i := range 40 {
			wait.Go(func() { r.fails(t, from(fmt.Sprint("c", i), ownKey), machine.ErrUnavailable) })
		}
		wait.Wait()
		if got := strings.Count(r.logs.String(), disowned); got != 1 {
			t.Errorf("%d lines for 40 clients, want one", got)
		}
		if got := p.calls.Load(); got > 20 {
			t.Errorf("%d requests, want those of the first second and none of who waited for a turn", got)
		}
	})
}

// Nothing is going to be asked, so nobody is made to wait for it, and the store has nothing to write.
func TestARefusalOfOurOwnCredentialsThatIsRememberedTakesNoLease(t *testing.T) {
	store, p := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}, &provider{}
	p.set(outdated)
	r := newReplica(t, p, store, withTwo(secretOf("outdated")))
	r.fails(t, from("billing", ownKey), machine.ErrUnavailable)
	before := store.Calls()
	r.fails(t, from("open", ownKey), machine.ErrUnavailable)
	if got := store.Calls() - before; got != 1 {
		t.Errorf("%d calls of the store, want one look for another replica's token", got)
	}
}

// The refused secret is the one that is kept, and the reference holds another by now.
func TestASecretOfOursThatWasRefusedIsReadAfreshMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, secret, stored := &provider{}, secretOf("outdated"), secretOf("outdated")
		p.set(outdated)
		r := newReplica(t, p, nil, withTwo(secret), func(c *machine.Config) {
			c.Provider.Refresh = func(context.Context) error { secret.Store(stored.Load()); return nil }
		})
		r.fails(t, from("billing", ownKey), machine.ErrUnavailable)
		stored.Store("current")
		r.token(t, from("billing", ownKey))
		if got := p.calls.Load(); got != 2 {
			t.Errorf("%d requests, want one with each secret", got)
		}
	})
}

func TestAPauseOfOurCredentialsIsKeptByAllWhoShareThem(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		body   string
		then   error
	}{
		"throttled":          {429, `{"error":"slow_down"}`, machine.ErrBusy},
		"Cognito's throttle": {400, `{"__type":"TooManyRequestsException"}`, machine.ErrBusy},
		"failed":             {503, "down", machine.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, secret := &provider{header: http.Header{"Retry-After": {"30"}}}, secretOf("s")
				p.set(always(row.status, row.body))
				r := newReplica(t, p, nil, withTwo(secret))
				if a := r.ask(t, from("billing", ownKey)); a.Status != row.status {
					t.Fatalf("got %d, want what the provider said", a.Status)
				}
				p.set(nil)
				time.Sleep(29 * time.Second)
				for _, id := range []string{"open", "billing"} {
					if f := r.fails(t, from(id, ownKey), row.then); f.RetryAfter != time.Second {
						t.Errorf("%s: told to come back in %s, want the second that is left", id, f.RetryAfter)
					}
				}
				if got := p.calls.Load(); got != 1 {
					t.Errorf("%d requests, want one: the provider asked us to leave it alone", got)
				}
				r.token(t, from("apart", ownKey))
				time.Sleep(time.Second)
				r.token(t, from("open", ownKey))
			})
		})
	}
}

// One named client's request makes the provider fail, which has said nothing of when to come back.
func TestAFailureWithoutAWordPausesTheNamedClientAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(always(500, "oops"))
		r := newReplica(t, p, nil, withTwo(secretOf("s")))
		for range 4 { // the pause grows
			_, _ = r.Token(t.Context(), nil, from("billing", ownKey))
			time.Sleep(time.Second)
		}
		p.set(nil)
		for i := range 20 {
			r.within(t, 5*time.Second, from("open", ownKey, "scope", fmt.Sprint(i)))
		}
		if r.events.count("limited pause") > 3 {
			t.Error("a client was held up for another's requests")
		}
	})
}
