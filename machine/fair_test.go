package machine_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/machine"
)

const ownKey = "sixteen bytes and more"

// withBilling makes billing a named client.
func withBilling(c *machine.Config) {
	c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte("s") }}
	c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte(ownKey) }}}
}

// grantOnly grants tokens to these clients, and answers all others in another way.
func grantOnly(others func(context.Context, call) (int, string, error), ids ...string) func(context.Context, call) (int, string, error) {
	return func(ctx context.Context, c call) (int, string, error) {
		for _, id := range ids {
			if c.id == id && c.form.Get("boom") == "" {
				return 200, granted(1), nil
			}
		}
		return others(ctx, c)
	}
}

// within asks for a token and wants it soon.
func (r *replica) within(t *testing.T, most time.Duration, q machine.Request) {
	t.Helper()
	begin := time.Now()
	r.token(t, q)
	if took := time.Since(begin); took > most {
		t.Errorf("waited %s for a token, want at most %s", took, most)
	}
}

// Services that have just started have nothing to show yet. What one of them does wrong must not keep the others out.
func TestOneClientThatIsRefusedLeavesOthersTheirFirstToken(t *testing.T) {
	basic := func(i int) machine.Request { return from("bad", fmt.Sprint("wrong-", i)) }
	inForm := func(i int) machine.Request {
		return machine.Request{Body: fmt.Appendf(nil, "grant_type=client_credentials&client_id=bad&client_secret=wrong-%d", i)}
	}
	escaped := func(i int) machine.Request {
		return from([]string{"bad", "b%61d", "%62ad"}[i%3], fmt.Sprint("wrong-", i))
	}
	scopes := func(i int) machine.Request { return from("bad", "s", "scope", fmt.Sprint(i)) }
	grants := func(i int) machine.Request { return refreshing(i, 1) }
	assertions := func(i int) machine.Request {
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"bad","jti":"%d"}`, i))
		return machine.Request{Body: fmt.Appendf(nil, "grant_type=client_credentials&client_assertion=e30.%s.x", claims)}
	}
	for name, request := range map[string]func(int) machine.Request{
		"many secrets": basic, "many secrets in the form": inForm, "many spellings of its id": escaped,
		"many scopes": scopes, "other grants": grants, "assertions": assertions,
	} {
		for _, delay := range []time.Duration{0, 4 * time.Second} {
			t.Run(fmt.Sprint(name, " after ", delay), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &provider{}
					p.set(grantOnly(after(delay, 400, `{"error":"invalid_scope"}`), "good", "ours"))
					r := newReplica(t, p, nil, withBilling)
					var done sync.WaitGroup
					for i := range 600 {
						done.Go(func() { _, _ = r.Token(t.Context(), nil, request(i)) })
					}
					synctest.Wait()
					r.within(t, time.Second, from("good", "s"))
					r.within(t, time.Second, from("billing", ownKey))
					done.Wait()
				})
			})
		}
	}
}

// Whoever makes up ids shares with who has nothing to show. A named client has its key, which we know.
func TestANamedClientIsNoStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(grantOnly(after(5*time.Second, 400, `{"error":"invalid_client"}`), "ours"))
		r := newReplica(t, p, nil, withBilling)
		var done sync.WaitGroup
		for i := range 3000 {
			done.Go(func() { _, _ = r.Token(t.Context(), nil, from(fmt.Sprint("made-up-", i), "s")) })
		}
		synctest.Wait()
		r.within(t, time.Second, from("billing", ownKey))
		done.Wait()
	})
}

func TestTheClientRateIsKeptByWhoNeverGetsAToken(t *testing.T) {
	for name, request := range map[string]func(int) machine.Request{
		"refused scopes": func(i int) machine.Request { return from("a", "s", "scope", fmt.Sprint(i)) },
		"wrong secrets":  func(i int) machine.Request { return from("a", fmt.Sprint(i)) },
		"other grants":   func(i int) machine.Request { return refreshing(i, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(always(400, `{"error":"invalid_scope"}`))
				r := newReplica(t, p, nil)
				begin := time.Now()
				for i := 0; time.Since(begin) < 10*time.Second && i < 1000; i++ { // without a limit no time would pass
					if a := r.ask(t, request(i)); a.Status != 400 {
						t.Fatalf("got %d, want the provider's refusal", a.Status)
					}
				}
				if got := p.calls.Load(); got > 10*20+10+1 || got < 10*20 {
					t.Errorf("%d requests in ten seconds, want 20 each and ten at first", got)
				}
			})
		})
	}
}

func TestWhatIsPassedOnKeepsToHalfOfTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		var done sync.WaitGroup
		for i := range 600 {
			done.Go(func() { _, _ = r.Token(t.Context(), nil, refreshing(i, 100)) })
		}
		time.Sleep(time.Second)
		if got := p.calls.Load(); got > 50+25 || got < 50 {
			t.Errorf("%d requests in the first second, want 50 and at first 25 more", got)
		}
		done.Wait()
	})
}

func TestARetryAfterPausesWhatIsPassedOnForThatClientAlone(t *testing.T) {
	for status, then := range map[int]error{429: machine.ErrBusy, 503: machine.ErrUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const said = `{ "error" : "provider's own words" }`
				begin := time.Now()
				p := &provider{header: http.Header{"Retry-After": {"30"}}}
				p.set(after(time.Second, status, said))
				r := newReplica(t, p, nil)
				var done sync.WaitGroup
				for range 100 { // most wait for their turn when the first are told to come back later
					done.Go(func() {
						a, err := r.Token(t.Context(), nil, refreshing(0, 1))
						if err == nil && (a.Status != status || string(a.Body) != said || a.RetryAfter != "30") {
							t.Errorf("got %d %s, Retry-After %q, want what the provider said", a.Status, a.Body, a.RetryAfter)
						}
					})
				}
				done.Wait()
				if got := p.calls.Load(); got != 8 {
					t.Errorf("%d requests, want the 8 that were under way: the provider asked to be left alone", got)
				}
				p.set(nil)
				if f := r.fails(t, refreshing(0, 1), then); f.RetryAfter != 31*time.Second-time.Since(begin) {
					t.Errorf("told to come back in %s, %s after the first request, want what is left of 30 s after its answer", f.RetryAfter, time.Since(begin))
				}
				r.token(t, refreshing(1, 2)) // another client is not held back
				time.Sleep(31 * time.Second)
				r.token(t, refreshing(0, 1))
			})
		})
	}
}

// With a public client's id anybody can send what makes the provider fail.
func TestAFailureWithoutRetryAfterPausesNobodyWhoIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(always(500, "oops"))
		r := newReplica(t, p, nil)
		for range 20 {
			if a := r.ask(t, refreshing(0, 1)); a.Status != 500 || string(a.Body) != "oops" {
				t.Errorf("got %d %s, want what the provider said", a.Status, a.Body)
			}
		}
		p.set(nil)
		r.token(t, refreshing(0, 1))
	})
}

func TestStrangersDoNotOpenTheBreakerForProvenClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(grantOnly(always(500, "oops"), "good", "ours", "late"))
		r := newReplica(t, p, nil, withBilling)
		r.token(t, from("good", "s"))
		boom := func(rounds int) {
			for i := range rounds {
				_, _ = r.Token(t.Context(), nil, from(fmt.Sprint("made-up-", i), "s", "boom", "x"))
			}
		}
		boom(20)
		if r.events.count("limited breaker") == 0 {
			t.Fatal("twenty strangers in trouble opened no breaker at all: this would prove nothing")
		}
		r.fails(t, from("late", "s"), machine.ErrUnavailable)
		for i := range 3 { // an answer to a proven client shows that the provider is there for strangers, too
			boom(20)
			r.token(t, from("good", "s", "scope", fmt.Sprint(i)))
		}
		r.token(t, from("late", "s"))
		boom(20)
		r.token(t, from("billing", ownKey))
	})
}

// One id with many secrets is one client.
func TestOneClientIDDoesNotOpenTheBreakerForOtherStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(grantOnly(always(500, "oops"), "good"))
		r := newReplica(t, p, nil)
		for i := range 20 {
			_, _ = r.Token(t.Context(), nil, from("bad", fmt.Sprint(i)))
		}
		r.token(t, from("good", "s"))
	})
}

func TestStrangersDoNotKeepTheBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		r.token(t, from("one", "s"))
		r.token(t, from("two", "s"))
		p.set(always(503, "down"))
		for i := range 10 {
			for _, id := range []string{"one", "two"} {
				_, _ = r.Token(t.Context(), nil, from(id, "s", "scope", fmt.Sprint(i)))
			}
			time.Sleep(10 * time.Second)
		}
		if r.events.count("limited breaker") == 0 {
			t.Fatal("two proven clients in trouble did not open the breaker: this would prove nothing")
		}
		time.Sleep(time.Minute)
		p.set(grantOnly(always(500, "oops"), "one"))
		for i := range 5 { // these are the first to come when it may close
			_, _ = r.Token(t.Context(), nil, from(fmt.Sprint("made-up-", i), "s", "boom", "x"))
		}
		r.token(t, from("one", "s", "scope", "after"))
	})
}

func TestAProviderThatCannotBeReachedOpensTheBreakerForAll(t *testing.T) {
	for name, ask := range map[string]func(i int) machine.Request{
		"for what is passed on":      func(i int) machine.Request { return refreshing(i, 2) },
		"for strangers' first token": func(i int) machine.Request { return from(fmt.Sprint("stranger", i%2), fmt.Sprint("s", i)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil)
				r.token(t, from("good", "s"))
				p.set(func(context.Context, call) (int, string, error) {
					return 0, "", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
				})
				for i := range 5 {
					r.fails(t, ask(i), machine.ErrUnavailable)
				}
				before := p.calls.Load()
				if f := r.fails(t, from("good", "s", "scope", "x"), machine.ErrUnavailable); f.RetryAfter <= 0 || p.calls.Load() != before {
					t.Errorf("got %v after %d more requests, want to be told when to come back", f, p.calls.Load()-before)
				}
			})
		})
	}
}

// Who hangs up before the provider has answered says nothing about the provider.
func TestCallersWhoHangUpDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(after(time.Second, 200, granted(1)))
		r := newReplica(t, p, nil)
		for i := range 10 {
			ctx, hangUp := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := r.Token(ctx, nil, refreshing(i, 10)); !errors.Is(err, machine.ErrUnavailable) {
				t.Errorf("who hung up: %v", err)
			}
			hangUp()
		}
		r.token(t, refreshing(0, 10))
	})
}
