package machine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/machine"
)

// flood asks for n tokens at once, each under another scope, and counts those that came.
func flood(t *testing.T, r *replica, id, secret string, n int) (came *atomic.Int64, done *sync.WaitGroup) {
	came, done = &atomic.Int64{}, &sync.WaitGroup{}
	for i := range n {
		done.Go(func() {
			if a, err := r.Token(t.Context(), nil, from(id, secret, "scope", fmt.Sprint(i))); err == nil && a.Status == 200 {
				came.Add(1)
			}
		})
	}
	return came, done
}

func TestOneClientThatFloodsAStuckProviderLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		r.token(t, from("bad", "s"))
		r.token(t, from("good", "s"))
		p.set(func(ctx context.Context, c call) (int, string, error) {
			if c.id == "good" {
				return 200, granted(1), nil
			}
			<-ctx.Done() // the bad one's requests never end
			return 0, "", ctx.Err()
		})
		_, done := flood(t, r, "bad", "s", 2000)
		synctest.Wait()
		for i := range 10 {
			begin := time.Now()
			if a := r.ask(t, from("good", "s", "scope", fmt.Sprint("g", i))); a.Status != 200 || time.Since(begin) > time.Second {
				t.Errorf("the good client got %d after %s, want a token within a second", a.Status, time.Since(begin))
			}
		}
		done.Wait()
	})
}

// Anybody can make up credentials. They share one lane, so they cannot use up what services that got tokens before need.
func TestStrangersCannotStarveProvenClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		r.token(t, from("good", "s"))
		p.set(func(ctx context.Context, c call) (int, string, error) {
			if c.id == "good" {
				return 200, granted(1), nil
			}
			return after(5*time.Second, 400, `{"error":"invalid_client"}`)(ctx, c)
		})
		var done sync.WaitGroup
		for i := range 3000 {
			done.Go(func() { _, _ = r.Token(t.Context(), nil, from(fmt.Sprint("made-up-", i), "s")) })
		}
		synctest.Wait()
		begin := time.Now()
		r.token(t, from("good", "s", "scope", "x"))
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the good client waited %s, want less than a second", took)
		}
		// The good client's name with wrong secrets is a stranger, and uses up nothing of the good client's.
		for i := range 100 {
			done.Go(func() { _, _ = r.Token(t.Context(), nil, from("good", fmt.Sprint("guess-", i))) })
		}
		begin = time.Now()
		r.token(t, from("good", "s", "scope", "y"))
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the good client waited %s while its name was abused, want less than a second", took)
		}
		done.Wait()
	})
}

func TestTheRatesAreKept(t *testing.T) {
	for name, row := range map[string]struct{ clients, most int }{
		"one client":   {1, 20 + 10},
		"many clients": {20, 100 + 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil)
				for i := range row.clients {
					r.token(t, from(fmt.Sprint(i), "s"))
				}
				time.Sleep(10 * time.Second) // the allowance is whole again
				before := p.calls.Load()
				var floods []*sync.WaitGroup
				for i := range row.clients {
					_, done := flood(t, r, fmt.Sprint(i), "s", 200)
					floods = append(floods, done)
				}
				time.Sleep(time.Second)
				if got := int(p.calls.Load() - before); got > row.most || got < row.most*3/4 {
					t.Errorf("%d requests in the first second, want about %d and no more", got, row.most)
				}
				for _, done := range floods {
					done.Wait()
				}
				// All that waited too long were told when to come back.
				if r.events.count("limited turn") == 0 {
					t.Error("nobody was turned away")
				}
			})
		})
	}
}

func TestAPassingFaultIsRetriedWithinTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(context.Context, call) (int, string, error){
			"a server error":     always(500, "oops"),
			"Cognito throttling": always(400, `{"__type":"com.amazonaws#TooManyRequestsException"}`),
			"a lost connection":  func(context.Context, call) (int, string, error) { return 0, "", errors.New("reset") },
		} {
			p := &provider{}
			r := newReplica(t, p, nil)
			p.set(func(ctx context.Context, c call) (int, string, error) {
				if p.calls.Load() < 3 {
					return fault(ctx, c)
				}
				return 200, granted(3), nil
			})
			if a := r.ask(t, from("a", "s")); a.Status != 200 || p.calls.Load() != 3 {
				t.Errorf("%s: got %d %s after %d requests, want the token of the third", name, a.Status, a.Body, p.calls.Load())
			}
		}
	})
}

func TestRetryAfterIsKeptTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{header: http.Header{"Retry-After": {"30"}}}
		r := newReplica(t, p, nil)
		r.token(t, from("a", "s"))
		p.set(always(429, `{"error":"slow_down"}`))
		if a := r.ask(t, from("a", "s", "scope", "x")); a.Status != 429 || a.RetryAfter != "30" {
			t.Fatalf("got %d, Retry-After %q, want what the provider said", a.Status, a.RetryAfter)
		}
		p.set(nil)
		before := p.calls.Load()
		time.Sleep(29 * time.Second)
		if f := r.fails(t, from("a", "s", "scope", "y"), machine.ErrBusy); f.RetryAfter <= 0 || f.RetryAfter > time.Second {
			t.Errorf("told to come back in %s, want the second that is left", f.RetryAfter)
		}
		if a := r.ask(t, from("a", "s")); a.How != machine.HowHit {
			t.Errorf("a living token meanwhile: %s, want a hit", a.How)
		}
		r.token(t, from("b", "s")) // another client is not held back
		if got := p.calls.Load() - before; got != 1 {
			t.Errorf("%d requests, want only the other client's", got)
		}
		time.Sleep(time.Second)
		r.token(t, from("a", "s", "scope", "z"))
	})
}

func TestTheBreakerOpensForTroubleOfSeveralAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		for i := range 10 {
			r.token(t, from(fmt.Sprint(i), "s"))
		}
		p.set(always(503, "down"))
		for i := range 10 {
			_, _ = r.Token(t.Context(), nil, from(fmt.Sprint(i), "s", "scope", "x"))
		}
		if r.events.count("limited breaker") == 0 {
			t.Fatal("ten clients in trouble did not open the breaker")
		}
		before := p.calls.Load()
		_, done := flood(t, r, "new", "s", 300)
		done.Wait()
		if got := p.calls.Load() - before; got > 6 {
			t.Errorf("%d requests while it is open, want hardly any", got)
		}
		p.set(nil)
		time.Sleep(time.Minute)
		for i := range 10 {
			r.token(t, from(fmt.Sprint(i), "s", "scope", "y"))
		}
	})
}

func TestTheTroubleOfOneClientDoesNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		r.token(t, from("cursed", "s"))
		r.token(t, from("good", "s"))
		p.set(func(_ context.Context, c call) (int, string, error) {
			if c.id == "cursed" {
				return 500, "oops", nil
			}
			return 200, granted(1), nil
		})
		for i := range 30 {
			_, _ = r.Token(t.Context(), nil, from("cursed", "s", "scope", fmt.Sprint(i)))
			time.Sleep(time.Minute)
		}
		r.token(t, from("good", "s", "scope", "x"))
		if got := r.events.count("limited breaker"); got != 0 {
			t.Errorf("the breaker refused %d requests, want none", got)
		}
	})
}

func TestWhatIsPassedOnIsBounded(t *testing.T) {
	for name, row := range map[string]struct {
		ids  int
		most int64
	}{
		"all without a client id": {0, 8},
		"of many client ids":      {100, 32},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(after(time.Second, 200, `{"access_token":"x","expires_in":60}`))
				r := newReplica(t, p, nil, func(c *machine.Config) { c.Rate = 1000 }) // slots, not rates, are what is full
				var done sync.WaitGroup
				var turned atomic.Int64
				for i := range 1000 {
					done.Go(func() {
						_, err := r.Token(t.Context(), nil, refreshing(i, row.ids))
						if errors.Is(err, machine.ErrBusy) {
							turned.Add(1)
						}
					})
				}
				synctest.Wait()
				if got := p.calls.Load(); got != row.most {
					t.Errorf("%d requests under way, want %d", got, row.most)
				}
				done.Wait()
				if turned.Load() == 0 || r.Held() != 0 {
					t.Errorf("%d turned away, %d held, want some and none", turned.Load(), r.Held())
				}
			})
		})
	}
}

// refreshing is the i-th request of another grant, by one of so many public clients; 0: it names none.
func refreshing(i, ids int) machine.Request {
	body := "grant_type=refresh_token&refresh_token=x"
	if ids > 0 {
		body += fmt.Sprint("&client_id=app-", i%ids)
	}
	return machine.Request{Body: []byte(body)}
}

// A service that has just started is a stranger. It keeps to what the provider asked for, and nobody pays for it.
func TestAStrangerPausesTooAndAlone(t *testing.T) {
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
				p := &provider{header: http.Header{"Retry-After": {"30"}}}
				p.set(always(row.status, row.body))
				r := newReplica(t, p, nil)
				if a := r.ask(t, from("new", "s")); a.Status != row.status {
					t.Fatalf("got %d, want what the provider said", a.Status)
				}
				p.set(nil)
				for i := range 5 {
					if f := r.fails(t, from("new", "s", "scope", fmt.Sprint(i)), row.then); f.RetryAfter != 30*time.Second {
						t.Errorf("told to come back in %s, want the provider's 30 s", f.RetryAfter)
					}
				}
				if got := p.calls.Load(); got != 1 {
					t.Errorf("%d requests, want one: the provider asked to be left alone", got)
				}
				r.token(t, from("another", "s"))
				time.Sleep(30 * time.Second)
				r.token(t, from("new", "s"))
			})
		})
	}
}
