package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/session"
)

// A store that stalls for less than half a second has written the lease when we have stopped listening: whoever took it for another
// replica's would wait for as long as a lease lasts.
func TestALeaseWhoseTakingWasNotAnsweredHoldsNobodyUp(t *testing.T) {
	for name, lost := range map[string]int{"once": 1, "three times in a row": 3} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHouse(t)
				s, _ := h.signIn(t)
				pass(2 * time.Hour)
				h.store.LoseAnswers(lost)
				began := time.Now()
				generation(t, h.fresh(t, s, session.Need{}), 1)
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %s, want a second at most", took)
				}
				generation(t, h.replica(t).fresh(t, s, session.Need{}), 1)
				count(t, "refreshes", h.provider.refreshes(), 1)
			})
		})
	}
}

func TestALeaseWhoseTakingWasNotAnsweredStillExcludesOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, other := separate(t)
		h.provider.delay, other.provider.delay = 300*time.Millisecond, 300*time.Millisecond
		s, _ := h.signIn(t)
		pass(2 * time.Hour)
		h.store.LoseAnswers(1)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * 10 * time.Millisecond)
				generation(t, []*house{h, other}[i%2].fresh(t, s, session.Need{}), 1)
			})
		}
		wg.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s, want a second at most", took)
		}
		count(t, "refreshes of both", h.provider.refreshes()+other.provider.refreshes(), 1)
	})
}

// While the token lives a flight that the store fails puts the refresh off; what it left there is in the way of all other replicas.
func TestALeaseOfAFlightThatWasPutOffIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, other := separate(t)
		s, _ := h.signIn(t)
		pass(56 * time.Minute)
		h.store.LoseAnswers(1)
		generation(t, h.fresh(t, s, session.Need{}), 0)
		pass(time.Second)
		generation(t, other.fresh(t, s, session.Need{}), 1)
		count(t, "refreshes of both", h.provider.refreshes()+other.provider.refreshes(), 1)
	})
}

// A store that reads and takes the lease, but answers no write for longer than a hiccup: the process refreshes alone, and what it made
// comes to stand where others wait for its lease.
func TestWhatWasRefreshedAloneTakesThePlaceOfTheLease(t *testing.T) {
	if mode() == session.ModeServer {
		t.Skip("without the store nothing is refreshed there")
	}
	bubble(t, func(t *testing.T) {
		store := &kvtest.Faulty{Store: newStore()}
		h := newHouseOn(t, store, newProvider())
		other := newHouseOn(t, &kvtest.Faulty{Store: store.Store}, h.provider)
		s, _ := h.signIn(t)
		pass(2 * time.Hour)
		store.LoseAnswers(1 << 20)
		generation(t, h.fresh(t, s, session.Need{}), 1)
		began := time.Now()
		generation(t, other.fresh(t, s, session.Need{}), 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("another replica waited %s, want a second at most", took)
		}
		store.LoseAnswers(0)
		count(t, "refreshes", h.provider.refreshes(), 1)
	})
}

// clinging is a store that deletes nothing for a while.
type clinging struct {
	kv.Store
	faults atomic.Int64
}

func (c *clinging) Delete(ctx context.Context, key string, expected kv.Version) error {
	if c.faults.Add(-1) >= 0 {
		return kvtest.ErrDown
	}
	return c.Store.Delete(ctx, key, expected)
}

func TestALeaseThatCouldNotBeReleasedIsReleasedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &clinging{Store: kv.NewMemory(kv.MemoryConfig{})}
		h := newHouseOn(t, &kvtest.Faulty{Store: store}, newProvider(), serverMode)
		other := h.replica(t, serverMode)
		s, b := h.signIn(t)
		pass(2 * time.Hour)
		h.store.SetDown(true)
		_, err := h.Load(t.Context(), b.header())
		unavailable(t, err)
		h.store.SetDown(false)
		store.faults.Store(3)
		_, err = h.Fresh(t.Context(), s, session.Need{}) // it takes the lease, and finds that the store has just come back
		unavailable(t, err)
		if store.faults.Load() == 3 {
			t.Fatal("no lease was released")
		}
		pass(3 * time.Second)
		began := time.Now()
		generation(t, other.fresh(t, s, session.Need{}), 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("another replica waited %s, want a second at most", took)
		}
	})
}

// The word that a refresh came to nothing is lost with the lease's last write: neither this process nor another waits for the lease.
func TestALeaseThatCouldNotBeSettledHoldsNobodyUp(t *testing.T) {
	for _, next := range []string{"here", "there"} {
		t.Run("the next asks "+next, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := separate(t)
				s, _ := here.signIn(t)
				pass(2 * time.Hour)
				here.provider.before = func(int) error {
					here.store.SetDown(true)
					return errors.New("unexpected EOF")
				}
				_, err := here.Fresh(t.Context(), s, session.Need{})
				unavailable(t, err)
				here.store.SetDown(false)
				here.provider.before = nil
				if next == "there" {
					pass(time.Second)
				}
				began := time.Now()
				generation(t, map[string]*house{"here": here, "there": there}[next].fresh(t, s, session.Need{}), 1)
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %s, want a second at most", took)
				}
			})
		})
	}
}
