package machine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/machine"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	const realm = "https://provider.example"
	url := func(context.Context) (string, error) { return "", nil }
	secret := func() []byte { return []byte("sixteen bytes and more") }
	short := func() []byte { return []byte("short") }
	upstream := machine.Credentials{ID: "u", Secret: secret}
	for want, c := range map[string]machine.Config{
		"Config.Keys is missing":              {Realm: realm, TokenURL: url},
		"Config.Realm is missing":             {Keys: ring{[][]byte{key(1)}}, TokenURL: url},
		"Config.TokenURL is missing":          {Keys: ring{[][]byte{key(1)}}, Realm: realm},
		"the key ring is empty":               {Keys: ring{}, Realm: realm, TokenURL: url},
		"client 1 lacks ID or Secret":         {Keys: ring{[][]byte{key(1)}}, Realm: realm, TokenURL: url, Provider: upstream, Clients: []machine.Client{{ID: "a"}}},
		"client 1 is shorter than 16":         {Keys: ring{[][]byte{key(1)}}, Realm: realm, TokenURL: url, Provider: upstream, Clients: []machine.Client{{ID: "a", Secret: short}}},
		"client 2 has the ID of another":      {Keys: ring{[][]byte{key(1)}}, Realm: realm, TokenURL: url, Provider: upstream, Clients: []machine.Client{{ID: "a", Secret: secret}, {ID: "a", Secret: secret}}},
		"client 1 has no credentials":         {Keys: ring{[][]byte{key(1)}}, Realm: realm, TokenURL: url, Clients: []machine.Client{{ID: "a", Secret: secret}}},
		"client 1 has Params that carry the ": {Keys: ring{[][]byte{key(1)}}, Realm: realm, TokenURL: url, Provider: upstream, Clients: []machine.Client{{ID: "a", Secret: secret, Params: map[string]string{"scope": "x"}}}},
	} {
		if _, err := machine.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestWhatStandsInTheStoreTellsNothing(t *testing.T) {
	store := &recorded{Store: kv.NewMemory(kv.MemoryConfig{})}
	p := &provider{}
	r := newReplica(t, p, store)
	q := from("ServiceName", "ServiceSecret", "scope", "ScopeName")
	r.token(t, q)
	p.set(always(400, `{"error":"invalid_scope","error_description":"RefusalText"}`))
	r.ask(t, from("ServiceName", "ServiceSecret", "scope", "OtherScope"))
	all := store.all.Bytes()
	if len(all) < 200 {
		t.Fatalf("the store saw %d bytes: this proves nothing", len(all))
	}
	for _, text := range []string{marker, "ServiceSecret", "ServiceName", "ScopeName", "RefusalText", "token-1", strings.TrimPrefix(q.Authorization, "Basic ")} {
		for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text))[:8], base64.RawURLEncoding.EncodeToString([]byte(text))[:8]} {
			if bytes.Contains(all, []byte(form)) {
				t.Errorf("the store holds %q", form)
			}
		}
	}
	// Who has the store and the server's key, and not the credential, opens nothing; who has the credential and another key neither.
	before := p.calls.Load()
	p.set(nil)
	newReplica(t, p, store).token(t, from("ServiceName", "ServiceSecreu", "scope", "ScopeName"))
	newReplica(t, p, store, func(c *machine.Config) { c.Keys = ring{[][]byte{key(2)}} }).token(t, q)
	if got := p.calls.Load() - before; got != 2 {
		t.Errorf("the provider was asked %d times, want 2: nothing that is stored serves another", got)
	}
	newReplica(t, p, store).token(t, q)
	if got := p.calls.Load() - before; got != 2 {
		t.Error("the rightful owner was not served from the store: this proves nothing")
	}
}

func TestARotatedServerKeyCostsNoRequest(t *testing.T) {
	store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
	q := from("a", "s")
	keys := func(list ...byte) func(*machine.Config) {
		return func(c *machine.Config) {
			var r ring
			for _, k := range list {
				r.keys = append(r.keys, key(k))
			}
			c.Keys = r
		}
	}
	first := newReplica(t, p, store, keys(1)).token(t, q)
	if got := newReplica(t, p, store, keys(2, 1)).token(t, q); got != first || p.calls.Load() != 1 {
		t.Errorf("got %s after %d requests, want %s after one", got, p.calls.Load(), first)
	}
}

func TestADeadStoreCostsCoordinationAndNothingElse(t *testing.T) {
	store, p := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}, &provider{}
	store.SetDown(true)
	r := newReplica(t, p, store)
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if _, err := r.Token(t.Context(), nil, from("a", "s")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := p.calls.Load(); got != 1 {
		t.Errorf("the provider was asked %d times, want once", got)
	}
	if r.events.count("degraded ") != 1 || !strings.Contains(r.logs.String(), "in this process alone") {
		t.Error("nobody was told that the store is dead")
	}
}

func TestAnotherReplicasTokenIsAdopted(t *testing.T) {
	store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
	one, two := newReplica(t, p, store), newReplica(t, p, store)
	token := one.token(t, from("a", "s"))
	a := two.ask(t, from("a", "s"))
	if tokenOf(t, a) != token || a.How != machine.HowShared || p.calls.Load() != 1 {
		t.Errorf("got %s, %s after %d requests, want the same token, shared", a.Body, a.How, p.calls.Load())
	}
	if a := two.ask(t, from("a", "s")); a.How != machine.HowHit {
		t.Errorf("the next: %s, want a hit", a.How)
	}
}

func TestOneReplicaRenewsAndTheOthersGoOnServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		one, two, cold := newReplica(t, p, store), newReplica(t, p, store), newReplica(t, p, store)
		q := from("a", "s")
		old := one.token(t, q)
		two.token(t, q)
		time.Sleep(50 * time.Minute)
		p.set(after(5*time.Second, 200, granted(2)))
		begin := time.Now()
		for _, r := range []*replica{one, two} {
			if a := r.ask(t, q); tokenOf(t, a) != old || a.How != machine.HowHit {
				t.Errorf("got %s %s, want the old token at once", a.How, a.Body)
			}
		}
		synctest.Wait()
		// In the middle of the renewal a replica that has just started finds the old token in the lease.
		if a := cold.ask(t, q); tokenOf(t, a) != old || a.How != machine.HowShared {
			t.Errorf("a cold replica: got %s %s, want the old token", a.How, a.Body)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("somebody waited %s for a renewal, want nobody", took)
		}
		time.Sleep(6 * time.Second)
		for _, r := range []*replica{one, two} {
			if got := r.token(t, q); got == old {
				t.Error("the renewed token is not served")
			}
		}
		if got := p.calls.Load(); got != 2 {
			t.Errorf("the provider was asked %d times, want 2", got)
		}
	})
}

func TestWhoWaitedForARefusalOfAnotherReplicaGetsItsVeryWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		const refusal = `{ "error":"invalid_scope" }`
		p.set(after(time.Second, 400, refusal))
		one, two := newReplica(t, p, store), newReplica(t, p, store)
		var wait sync.WaitGroup
		for _, r := range []*replica{one, two, one, two} {
			wait.Go(func() {
				a, err := r.Token(t.Context(), nil, from("a", "s"))
				if err != nil || a.Status != 400 || string(a.Body) != refusal || a.ContentType != "application/json" {
					t.Errorf("got %d %s, %v", a.Status, a.Body, err)
				}
			})
		}
		wait.Wait()
		if got := p.calls.Load(); got != 1 {
			t.Errorf("the provider was asked %d times, want once", got)
		}
		one.ask(t, from("a", "s"))
		if got := p.calls.Load(); got != 2 {
			t.Error("a refusal was kept for who came later")
		}
	})
}

func TestACallerThatHangsUpStopsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(after(time.Second, 200, granted(1)))
		r := newReplica(t, p, nil)
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := r.Token(ctx, nil, from("a", "s"))
			gone <- err
		}()
		synctest.Wait()
		other := make(chan machine.Answer)
		go func() { a, _ := r.Token(t.Context(), nil, from("a", "s")); other <- a }()
		synctest.Wait()
		hangUp()
		if err := <-gone; !errors.Is(err, machine.ErrUnavailable) {
			t.Errorf("who hung up: %v", err)
		}
		if a := <-other; a.Status != 200 || a.How != machine.HowCollapsed || p.calls.Load() != 1 {
			t.Errorf("who stayed: got %d %s after %d requests", a.Status, a.How, p.calls.Load())
		}
	})
}

func TestASlowProviderIsGivenUpAndAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, kv.NewMemory(kv.MemoryConfig{}))
		old := r.token(t, from("a", "s"))
		p.set(after(time.Hour, 200, granted(9)))
		time.Sleep(59*time.Minute + 30*time.Second)
		begin := time.Now()
		a := r.ask(t, from("a", "s"))
		if tokenOf(t, a) != old || a.How != machine.HowStale || time.Since(begin) != 2*time.Second {
			t.Errorf("got %s %s after %s, want the old token after two seconds", a.How, a.Body, time.Since(begin))
		}
		time.Sleep(time.Minute)
		begin = time.Now()
		f := r.fails(t, from("b", "s"), machine.ErrUnavailable)
		if took := time.Since(begin); took != 15*time.Second || strings.Contains(f.Error(), "https") {
			t.Errorf("got %v after %s, want no URL in it and 15 s", f, took)
		}
		must(t, r.Drain(t.Context()))
	})
}

// A panic below us is an answer that was lost, and not the end of the process or of the others' patience.
func TestAPanicAtTheProviderIsAFailureAndLeavesNoLease(t *testing.T) {
	p := &provider{}
	store := kv.NewMemory(kv.MemoryConfig{})
	r := newReplica(t, p, store)
	p.set(func(context.Context, call) (int, string, error) { panic("boom") })
	r.fails(t, from("a", "s"), machine.ErrUnavailable)
	if store.Len() != 0 {
		t.Errorf("%d records are left, want none", store.Len())
	}
	if !strings.Contains(r.logs.String(), "boom") {
		t.Error("the log does not tell of the panic")
	}
	p.set(nil)
	r.token(t, from("a", "s"))
}

func TestAnswersAreBounded(t *testing.T) {
	p := &provider{}
	r := newReplica(t, p, kv.NewMemory(kv.MemoryConfig{}))
	p.set(always(200, `{"access_token":"x","expires_in":60,"pad":"`+strings.Repeat("x", 64<<10)+`"}`))
	r.fails(t, from("a", "s"), machine.ErrUnavailable)
	// What fits the bound and not the memory is served, and asked for again.
	p.set(always(200, `{"access_token":"x","expires_in":60,"pad":"`+strings.Repeat("x", 63<<10)+`"}`))
	alone := newReplica(t, p, nil)
	alone.token(t, from("a", "s"))
	alone.token(t, from("a", "s"))
	if got := alone.Held(); got != 0 {
		t.Errorf("%d tokens are held, want none", got)
	}
	if _, err := r.Token(t.Context(), nil, machine.Request{Body: make([]byte, machine.MaxForm+1)}); !errors.Is(err, machine.ErrRequest) {
		t.Errorf("a form without end: %v", err)
	}
}

func TestTheAnswerIsTheProvidersButForTheNumber(t *testing.T) {
	for name, row := range map[string]struct{ body, want string }{
		"Cognito's":          {`{"access_token":"x","expires_in":3600,"token_type":"Bearer"}`, `{"access_token":"x","expires_in":3500,"token_type":"Bearer"}`},
		"spaces and more":    {"{ \"token_type\" : \"x\",\n\"expires_in\" :  3600 , \"access_token\":\"y\", \"scope\":\"a b\" }\n", "{ \"token_type\" : \"x\",\n\"expires_in\" :  3500 , \"access_token\":\"y\", \"scope\":\"a b\" }\n"},
		"a text":             {`{"access_token":"x","expires_in":"3600"}`, `{"access_token":"x","expires_in":"3500"}`},
		"the number twice":   {`{"ext":3600,"expires_in":3600,"access_token":"3600"}`, `{"ext":3600,"expires_in":3500,"access_token":"3600"}`},
		"a nested one":       {`{"x":{"expires_in":3600},"access_token":"x","expires_in":3600}`, `{"x":{"expires_in":3600},"access_token":"x","expires_in":3500}`},
		"an escaped name":    {`{"access_token":"x","expires\u005fin":3600}`, `{"access_token":"x","expires\u005fin":3500}`},
		"without":            {`{"access_token":"x"}`, ""},
		"two of it":          {`{"access_token":"x","expires_in":3600,"expires_in":60}`, ""},
		"nothing":            {`{"access_token":"x","expires_in":0}`, ""},
		"less than nothing":  {`{"access_token":"x","expires_in":-5}`, ""},
		"a fraction":         {`{"access_token":"x","expires_in":3600.5}`, ""},
		"an age":             {`{"access_token":"x","expires_in":99999999999}`, `{"access_token":"x","expires_in":99999999899}`},
		"no number at all":   {`{"access_token":"x","expires_in":1e30}`, ""},
		"an empty token":     {`{"access_token":"","expires_in":3600}`, ""},
		"no token":           {`{"expires_in":3600}`, ""},
		"a list":             {`[{"access_token":"x","expires_in":3600}]`, ""},
		"more behind":        {`{"access_token":"x","expires_in":3600}{}`, ""},
		"an error with both": {`{"error":"x","access_token":"x","expires_in":3600}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(always(200, row.body))
				r := newReplica(t, p, nil)
				if a := r.ask(t, from("a", "s")); string(a.Body) != row.body {
					t.Errorf("the first answer is %s, want it as it came", a.Body)
				}
				time.Sleep(100 * time.Second)
				a, calls := r.ask(t, from("a", "s")), p.calls.Load()
				switch {
				case row.want != "" && (string(a.Body) != row.want || calls != 1 || a.Age != 100*time.Second):
					t.Errorf("got  %s\nwant %s", a.Body, row.want)
				case row.want == "" && (string(a.Body) != row.body || calls != 2):
					t.Errorf("got %s after %d requests, want it passed on and not kept", a.Body, calls)
				}
			})
		})
	}
}

func TestShortLivesAreServedAlmostToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(always(200, `{"access_token":"x","expires_in":10}`))
		r := newReplica(t, p, nil)
		for second, want := range map[int]machine.How{0: machine.HowMiss} {
			if a := r.ask(t, from("a", "s")); a.How != want {
				t.Errorf("second %d: %s, want %s", second, a.How, want)
			}
		}
		time.Sleep(5 * time.Second)
		if a := r.ask(t, from("a", "s")); a.How != machine.HowHit || p.calls.Load() != 1 {
			t.Errorf("half its life: %s after %d requests, want a hit: min_ttl is at most a fifth of it", a.How, p.calls.Load())
		}
		time.Sleep(4 * time.Second)
		if a := r.ask(t, from("a", "s")); a.How != machine.HowMiss {
			t.Errorf("the last second: %s, want a new one", a.How)
		}
	})
}

func TestManyKeysAreKeptApart(t *testing.T) {
	p := &provider{}
	p.set(func(_ context.Context, c call) (int, string, error) {
		return 200, fmt.Sprintf(`{"access_token":"%s/%s","expires_in":3600}`, c.id, c.form.Get("scope")), nil
	})
	r := newReplica(t, p, kv.NewMemory(kv.MemoryConfig{}), func(c *machine.Config) { c.Rate, c.ClientRate = 1_000_000, 1_000_000 })
	for round := range 2 {
		for client := range 30 {
			for scope := range 10 {
				id, name := fmt.Sprint("c", client), fmt.Sprint("s", scope)
				if got, want := r.token(t, from(id, "secret", "scope", name)), id+"/"+name; got != want {
					t.Fatalf("round %d: got %s, want %s", round, got, want)
				}
			}
		}
	}
	if p.calls.Load() != 300 || r.Held() != 300 {
		t.Errorf("%d requests, %d held, want 300 of each", p.calls.Load(), r.Held())
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	p := &provider{header: http.Header{"Location": {"https://evil.example/"}}}
	p.set(always(302, ""))
	r := newReplica(t, p, nil)
	r.fails(t, from("a", "s"), machine.ErrUnavailable)
	if got := p.calls.Load(); got != 3 {
		t.Errorf("%d requests, want those three that an outage costs, and none elsewhere", got)
	}
}
