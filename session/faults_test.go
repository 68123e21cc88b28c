package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

func TestADefiniteRefusalEndsTheSessionAndIsNotAskedAgain(t *testing.T) {
	for name, left := range map[string]time.Duration{"with a living token": 4 * time.Minute, "with a token that is over": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				s, _ := h.signIn(t)
				pass(time.Hour - left)
				h.provider.before = func(int) error { return session.ErrRefused }
				for range 4 {
					for _, h := range []*house{h, h, h.replica(t)} {
						_, err := h.Fresh(t.Context(), s, session.Need{})
						if e := ended(t, err, session.ReasonRefused); e.KeepCookies {
							t.Error("the cookies of a session that is over stay")
						}
					}
					pass(7 * time.Second)
				}
				count(t, "calls in 28 s", h.provider.refreshes(), 1)
				pass(3 * time.Second)
				_, err := h.Fresh(t.Context(), s, session.Need{})
				ended(t, err, session.ReasonRefused)
				count(t, "calls after 31 s: the session stays over", h.provider.refreshes(), 1)
			})
		})
	}
}

// A neighbour turned every error of the token endpoint into a sign-out, 503 and time-outs included.
func TestTroubleAtTheProviderNeverEndsASession(t *testing.T) {
	for name, fault := range map[string]error{
		"throttled":          &session.Unavailable{},
		"an unknown error":   errors.New("unexpected EOF"),
		"a lost answer":      &session.Unavailable{Lost: true},
		"operator's mistake": &session.Unavailable{Cause: errors.New("invalid_client")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				s, b := h.signIn(t)
				down := func(int) error { return fault }
				h.provider.before = down
				pass(56 * time.Minute)
				for range 10 {
					if got := h.fresh(t, s, session.Need{}); got != s {
						t.Error("the living token is not served")
					}
				}
				count(t, "calls while it lives, within the breather", h.provider.refreshes(), 1)
				pass(5 * time.Second)
				h.fresh(t, s, session.Need{})
				count(t, "calls after the breather", h.provider.refreshes(), 2)
				pass(time.Hour)
				_, err := h.Fresh(t.Context(), s, session.Need{})
				unavailable(t, err)
				count(t, "calls when it is over: one a request", h.provider.refreshes(), 3)
				h.provider.before = nil
				generation(t, h.fresh(t, h.load(t, b), session.Need{}), 1)
			})
		})
	}
}

// What may have reached the provider is not sent again by those who waited for it: a refresh token that rotates would be
// taken for stolen. The lease is renewed under a slow call, and waiters must know it for the same one.
func TestALostAnswerIsNotReplayedByThoseWhoWaited(t *testing.T) {
	for _, delay := range []time.Duration{100 * time.Millisecond, 4 * time.Second, 6 * time.Second, 11 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				h.provider.reusing, h.provider.delay = true, delay
				h.provider.after = func(call int) error {
					if call == 1 {
						return &session.Unavailable{Lost: true}
					}
					return nil
				}
				s, _ := h.signIn(t)
				pass(time.Hour)
				houses := []*house{h, h.replica(t), h.replica(t)}
				var wg sync.WaitGroup
				for i := range 30 {
					wg.Go(func() {
						<-time.After(time.Duration(i) * delay / 40) // they come one after another
						_, err := houses[i%3].Fresh(t.Context(), s, session.Need{})
						unavailable(t, err)
					})
				}
				wg.Wait()
				count(t, "calls", h.provider.refreshes(), 1)
				generation(t, h.fresh(t, s, session.Need{}), 1)
				count(t, "calls with the next request", h.provider.refreshes(), 2)
			})
		})
	}
}

func TestAProviderThatNeverAnswersIsLeftAfterTheCallsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.delay = time.Hour
		s, _ := h.signIn(t)
		pass(time.Hour)
		before := time.Now()
		_, err := h.Fresh(t.Context(), s, session.Need{})
		unavailable(t, err)
		if waited := time.Since(before); waited != 12*time.Second {
			t.Errorf("waited %s, want the call's 12s", waited)
		}
	})
}

func TestAnAnswerThatComesWhenTheFlightsTimeIsUpIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.Timing.Flight = 5 * time.Second })
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.after = func(int) error {
			pass(6 * time.Second)
			return nil
		}
		newer := h.fresh(t, s, session.Need{})
		if got := h.replica(t).fresh(t, s, session.Need{}); wholeOf(got) != wholeOf(newer) {
			t.Errorf("another replica got %+v, want what was kept", got)
		}
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

func TestARefreshedIDTokenThatCannotBeTrustedEndsTheSessionForGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(56 * time.Minute)
		h.provider.before = func(int) error { return session.ErrUntrusted }
		_, err := h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonUntrusted)
		h.provider.before = nil
		pass(time.Hour)
		for _, h := range []*house{h, h.replica(t)} {
			_, err = h.Load(t.Context(), b.header())
			ended(t, err, session.ReasonUntrusted)
			_, err = h.Fresh(t.Context(), s, session.Need{})
			ended(t, err, session.ReasonUntrusted)
		}
		count(t, "calls", h.provider.refreshes(), 1)
	})
}

// separate makes two replicas on one store that can lose it one by one, each with a provider of its own.
func separate(t *testing.T, c ...func(*session.Config)) (a, b *house) {
	a = newHouse(t, c...)
	b = newHouseOn(t, &kvtest.Faulty{Store: a.store.Store}, newProvider())
	b.provider.families = a.provider.families
	return a, b
}

func patient(c *session.Config) { c.Timing.Call, c.Timing.Flight = time.Minute, 2*time.Minute }

func TestAHolderThatDiesIsReplacedWithin25Seconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dying, h := separate(t, patient)
		s, _ := dying.signIn(t)
		pass(time.Hour)
		dying.provider.delay = 50 * time.Second
		dying.provider.before = func(int) error { return errors.New("nobody is left to hear this") }
		_, err := dying.Fresh(canceled(t), s, session.Need{})
		unavailable(t, err)
		pass(time.Second)
		dying.store.SetDown(true) // from here on nothing is heard of it
		began := time.Now()
		for {
			newer, err := h.Fresh(t.Context(), s, session.Need{})
			if err == nil {
				generation(t, newer, 1)
				break
			}
			unavailable(t, err)
		}
		if took := time.Since(began); took > 25*time.Second || took < 15*time.Second {
			t.Errorf("replaced after %s, want 15s to 25s", took)
		}
		count(t, "calls of the one that took over", h.provider.refreshes(), 1)
	})
}

// One that was frozen for so long that its lease ran out finds its token spent by the winner.
func TestWhoeverIsRefusedLooksOnceMoreForTheWinner(t *testing.T) {
	for name, delayOfTheWinner := range map[string]time.Duration{"the winner is done": 0, "the winner is still at work": 8 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				frozen, h := separate(t, patient)
				s, _ := frozen.signIn(t)
				pass(time.Hour)
				frozen.provider.delay = 25 * time.Second
				frozen.provider.before = func(int) error {
					frozen.store.SetDown(false) // it thaws
					return session.ErrRefused
				}
				var late *session.Session
				var lateErr error
				done := make(chan struct{})
				go func() {
					defer close(done)
					for {
						var waited *session.Unavailable
						if late, lateErr = frozen.Fresh(t.Context(), s, session.Need{}); !errors.As(lateErr, &waited) {
							return
						}
					}
				}()
				pass(time.Second)
				frozen.store.SetDown(true)
				pass(20 * time.Second) // the lease has run out
				h.provider.delay = delayOfTheWinner
				newer := h.fresh(t, s, session.Need{})
				<-done
				if lateErr != nil || wholeOf(late) != wholeOf(newer) {
					t.Errorf("the late one got %+v, %v; want the winner's form", late, lateErr)
				}
				count(t, "calls", frozen.provider.refreshes()+h.provider.refreshes(), 2)
			})
		})
	}
}

func TestWhoeverIsRefusedAndCannotLookKeepsTheCookies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.before = func(int) error {
			h.store.SetDown(true)
			return session.ErrRefused
		}
		_, err := h.Fresh(t.Context(), s, session.Need{})
		if e := ended(t, err, session.ReasonRefused); !e.KeepCookies {
			t.Error("the winner's cookie, if there is one, would be cleared")
		}
	})
}

func TestWithoutTheStoreOneProcessStillRefreshesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		h.provider.delay = 300 * time.Millisecond
		s, b := h.signIn(t)
		pass(time.Hour)
		h.store.SetDown(true)
		sameForAll(t, crowd(t, 50, h.load(t, b), h), "access-2", 50)
		h.fresh(t, s, session.Need{})
		count(t, "refreshes", h.provider.refreshes(), 1)
		if h.seen("refresh_degraded") == 0 {
			t.Error("nobody was told that replicas are not seen")
		}
		// The store comes back and knows nothing. A straggler that asked the provider now would be taken for a thief.
		h.store.SetDown(false)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes after the store is back", h.provider.refreshes(), 1)
	})
}

func TestAStoreThatFailsInTheMiddleOfARefreshLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.provider.after = func(int) error { h.store.SetDown(true); return nil }
		generation(t, h.fresh(t, s, session.Need{}), 1)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		h.store.SetDown(false)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// Which replica won cannot be seen without the store. The loser's answer must not clear the winner's cookie.
func TestARefusalWithoutTheStoreKeepsTheCookies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		loser := h.replica(t)
		pass(time.Hour)
		h.store.SetDown(true)
		newer := h.fresh(t, s, session.Need{})
		for range 2 {
			_, err := loser.Fresh(t.Context(), s, session.Need{})
			if e := ended(t, err, session.ReasonRefused); !e.KeepCookies {
				t.Error("the loser would clear the winner's cookie")
			}
		}
		count(t, "calls", h.provider.refreshes(), 2)
		h.write(t, b, newer)
		if got := loser.load(t, b); got.Generation != 1 {
			t.Errorf("generation %d, want the winner's 1", got.Generation)
		}
	})
}

// In a neighbour a request in flight wrote the session back after the sign-out had deleted it.
func TestSignOutDuringARefreshIsNotUndone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, b := h.signIn(t)
		pass(time.Hour)
		h.provider.after = func(int) error {
			h.replica(t).End(t.Context(), s)
			return nil
		}
		_, err := h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonSignedOut)
		_, err = h.Load(t.Context(), b.header())
		ended(t, err, session.ReasonSignedOut)
		_, err = h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonSignedOut)
		count(t, "calls", h.provider.refreshes(), 1)
		revokedAll(t, h.provider, s.Tokens.RefreshToken, "refresh-2")
	})
}

// onDone calls a function when a refresh result has been written, before the refresh goes on.
type onDone struct {
	kv.Store
	call func()
}

func (o *onDone) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	v, err := o.Store.Put(ctx, w)
	if len(w.Value) > 0 && w.Value[0] == 'D' {
		o.call()
	}
	return v, err
}

func TestSignOutBetweenARefreshAndItsAnswerRevokesTheNewToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &onDone{Store: kv.NewMemory(kv.MemoryConfig{})}
		h := newHouseOn(t, &kvtest.Faulty{Store: store}, newProvider())
		s, _ := h.signIn(t)
		pass(time.Hour)
		store.call = func() { h.End(t.Context(), s) }
		_, err := h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonSignedOut)
		revokedAll(t, h.provider, "refresh-2")
	})
}

func TestAnEndedSessionIsNotRefreshed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		s, _ := h.signIn(t)
		pass(time.Hour)
		h.replica(t).End(t.Context(), s)
		_, err := h.Fresh(t.Context(), s, session.Need{})
		ended(t, err, session.ReasonSignedOut)
		count(t, "calls", h.provider.refreshes(), 0)
	})
}

func TestAStragglerOfAReplacedSessionKeepsTheNewCookies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t)
		old, b := h.signIn(t)
		pass(time.Hour)
		h.signInAgain(t, b)
		_, err := h.Fresh(t.Context(), old, session.Need{})
		if e := ended(t, err, session.ReasonReplaced); !e.KeepCookies {
			t.Error("the answer would clear the new session's cookies")
		}
	})
}

func revokedAll(t *testing.T, p *provider, want ...string) {
	t.Helper()
	got := map[string]bool{}
	for _, token := range p.revocations() {
		got[token] = true
	}
	for _, token := range want {
		if !got[token] {
			t.Errorf("%s was not revoked; revoked: %v", token, got)
		}
	}
}
