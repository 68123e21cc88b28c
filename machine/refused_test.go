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

// A server key is being rotated when a client is taken off at the provider: what stands under the older key must not come back.
func TestATokenWhoseRenewalWasRefusedIsNotFoundAgainUnderAnOlderKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		rotated := func(c *machine.Config) { c.Keys = ring{[][]byte{key(2), key(1)}} }
		q := from("a", "s")
		old := newReplica(t, p, store).token(t, q)
		r := newReplica(t, p, store, rotated)
		if got := r.token(t, q); got != old {
			t.Fatalf("got %s, want %s from under the older key: this would prove nothing", got, old)
		}
		p.set(always(400, `{"error":"invalid_client"}`))
		time.Sleep(50 * time.Minute)
		r.token(t, q) // once more, while it is renewed behind
		synctest.Wait()
		time.Sleep(time.Minute)
		for name, r := range map[string]*replica{"the same replica": r, "a new one": newReplica(t, p, store, rotated)} {
			if a := r.ask(t, q); a.Status != 400 {
				t.Errorf("%s: got %d %s, want the refusal", name, a.Status, a.How)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestATokenFromTheStoreThatCannotBeRenewedIsServedWithoutAskingEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		q := from("a", "s")
		old := newReplica(t, p, store).token(t, q)
		time.Sleep(59*time.Minute + 15*time.Second)
		p.set(always(403, "a firewall")) // no throttling and no outage: nothing else holds requests back
		r := newReplica(t, p, store)
		before := p.calls.Load()
		for range 10 {
			if a := r.ask(t, q); tokenOf(t, a) != old || a.How != machine.HowStale {
				t.Errorf("got %s %s, want the old token, marked", a.How, a.Body)
			}
		}
		if got := p.calls.Load() - before; got != 1 {
			t.Errorf("the provider was asked %d times in a moment, want once", got)
		}
	})
}

// The second attempt with our own, newly read secret does not get its turn. That the first was refused is our trouble, not the caller's.
func TestARefusalOfOurOwnCredentialsNeverReachesANamedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(always(400, `{"error":"invalid_client"}`))
		secret := "outdated"
		r := newReplica(t, p, nil, func(c *machine.Config) {
			c.Rate, c.Timing.Turn = 1, 100*time.Millisecond
			c.Provider = machine.Credentials{
				ID: "ours", Secret: func() []byte { return []byte(secret) }, Refresh: func(context.Context) error { secret = "current"; return nil },
			}
			c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte("sixteen bytes and more") }}}
		})
		a, err := r.Token(t.Context(), nil, from("billing", "sixteen bytes and more"))
		if !errors.Is(err, machine.ErrBusy) || p.calls.Load() != 1 {
			t.Errorf("got %d %s, %v after %d requests, want to be told to come back", a.Status, a.Body, err, p.calls.Load())
		}
		p.set(nil)
		time.Sleep(time.Second)
		r.token(t, from("billing", "sixteen bytes and more"))
	})
}

// Providers have codes of their own for a client that is to get nothing more.
func TestARenewalThatIsRefusedInAnyOAuthErrorDropsTheToken(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		body   string
		living bool
	}{
		"a code of the provider's":     {400, `{"error":"client_disabled"}`, false},
		"one in other letters":         {403, `{"error":"E-1042.Suspended","error_description":"x"}`, false},
		"on another status":            {404, `{"error":"client_not_found"}`, false},
		"a registered one":             {400, `{"error":"unauthorized_client"}`, false},
		"a gateway's words":            {403, `{"error":"Forbidden"}`, true},
		"in two":                       {404, `{"status":404,"error":"Not Found","path":"/oauth2/token"}`, true},
		"prose":                        {400, `{"error":"no upstream found"}`, true},
		"no text":                      {400, `{"error":{"code":17}}`, true},
		"an empty one":                 {400, `{"error":""}`, true},
		"AWS's":                        {400, `{"__type":"InternalErrorException"}`, true},
		"a page":                       {403, "a firewall", true},
		"a server's error":             {400, `{"error":"server_error"}`, true},
		"a provider that is away":      {400, `{"error":"temporarily_unavailable"}`, true},
		"Google's":                     {400, `{"error":"internal_failure"}`, true},
		"throttling":                   {400, `{"error":"slow_down"}`, true},
		"throttling in other words":    {403, `{"error":"rate_limit_exceeded"}`, true},
		"throttling by status":         {429, `{"error":"client_disabled"}`, true},
		"too slow":                     {408, `{"error":"client_disabled"}`, true},
		"too early":                    {425, `{"error":"client_disabled"}`, true},
		"a failure that is no refusal": {500, `{"error":"client_disabled"}`, true},
		"an error in a good answer":    {200, `{"error":"client_disabled"}`, true},
		"a list":                       {403, `[{"error":"client_disabled"}]`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
				r, q := newReplica(t, p, store), from("a", "s")
				r.token(t, q)
				p.set(always(row.status, row.body))
				time.Sleep(50 * time.Minute)
				r.token(t, q) // while it is renewed behind
				synctest.Wait()
				time.Sleep(time.Minute)
				for name, r := range map[string]*replica{"the same replica": r, "a new one": newReplica(t, p, store)} {
					if a := r.ask(t, q); (a.TTL > 0) != row.living {
						t.Errorf("%s: got %d %s %s, want a living token: %v", name, a.Status, a.How, a.Body, row.living)
					}
				}
			})
		})
	}
}
