package machine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

// A replica whose provider was changed shares store and keys with what was there before.
func TestATokenOfAnotherProviderIsNotServedFromTheStore(t *testing.T) {
	store, before, after := kv.NewMemory(kv.MemoryConfig{}), &provider{}, &provider{}
	after.set(always(200, granted(77)))
	at := func(realm string) func(*machine.Config) { return func(c *machine.Config) { c.Realm = realm } }
	q := from("a", "s")
	old := newReplica(t, before, store, at("https://old.example/token")).token(t, q)
	if got := newReplica(t, after, store, at("https://new.example/token")).token(t, q); got == old || after.calls.Load() != 1 {
		t.Errorf("got %s after %d requests to the new provider, want its own token", got, after.calls.Load())
	}
	if got := newReplica(t, before, store, at("https://old.example/token")).token(t, q); got != old || before.calls.Load() != 1 {
		t.Error("the old provider's token is not found by its own realm: this proves nothing")
	}
}

func TestATokenOfAnotherUpstreamClientIsNotServedFromTheStore(t *testing.T) {
	store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
	p.set(func(_ context.Context, c call) (int, string, error) {
		return 200, `{"access_token":"of ` + c.id + `","expires_in":3600}`, nil
	})
	const key = "sixteen bytes and more"
	through := func(id string) func(*machine.Config) {
		secret := func() []byte { return []byte("upstream") }
		return func(c *machine.Config) {
			c.Provider = machine.Credentials{ID: id, Secret: secret}
			c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte(key) }}}
		}
	}
	for _, id := range []string{"one", "two", "one"} {
		if got, want := newReplica(t, p, store, through(id)).token(t, from("billing", key)), "of "+id; got != want {
			t.Errorf("got a token %s, want one %s", got, want)
		}
	}
	if got := p.calls.Load(); got != 2 {
		t.Errorf("the provider was asked %d times, want once for each of its clients", got)
	}
}

// Discovery may be under way for as long as the provider is down: what lives in memory is served without it.
func TestAHitDoesNotNeedTheTokenEndpoint(t *testing.T) {
	asked := 0
	r := newReplica(t, &provider{}, nil, func(c *machine.Config) {
		c.TokenURL = func(context.Context) (string, error) {
			if asked++; asked > 1 {
				return "", errors.New("nobody knows it any more")
			}
			return "https://provider.example/oauth2/token", nil
		}
	})
	r.token(t, from("a", "s", "scope", "x y"))
	r.token(t, from("a", "s", "scope", "x y"))
	r.token(t, from("a", "s", "scope", "y x"))
	if asked != 1 {
		t.Errorf("the endpoint was asked for %d times, want once", asked)
	}
}

// A request is one that was sent: how long nobody knew where to is neither counted nor taken for what the provider took.
func TestOnlyRequestsThatWereMadeAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, known := &provider{}, false
		p.set(after(time.Second, 200, granted(1)))
		var took []time.Duration
		r := newReplica(t, p, nil, func(c *machine.Config) {
			c.TokenURL = func(context.Context) (string, error) {
				time.Sleep(3 * time.Second)
				if !known {
					return "", errors.New("discovery fails")
				}
				return "https://provider.example/oauth2/token", nil
			}
			c.Observe = func(e machine.Event) {
				if e.Kind == machine.EventUpstream {
					took = append(took, e.Took)
				}
			}
		})
		r.fails(t, from("a", "s"), machine.ErrUnavailable)
		r.fails(t, machine.Request{Body: []byte("grant_type=refresh_token&refresh_token=x")}, machine.ErrUnavailable)
		if len(took) != 0 || p.calls.Load() != 0 {
			t.Errorf("%d requests counted and %d made, want none", len(took), p.calls.Load())
		}
		known = true
		time.Sleep(time.Minute)
		a := r.ask(t, from("a", "s"))
		if len(took) != 1 || took[0] != time.Second || a.TTL != time.Hour-time.Second {
			t.Errorf("counted %v, and the token lives %s, want one request of a second", took, a.TTL)
		}
	})
}
