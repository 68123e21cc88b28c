package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
)

// slow answers as told, after a time; meanwhile it listens to ctx.
type slow struct {
	kv.Store
	delay time.Duration
	err   error
	asked atomic.Int64
}

func (s *slow) Get(ctx context.Context, key string) (kv.Entry, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.delay):
		return kv.Entry{}, s.err
	case <-ctx.Done():
		return kv.Entry{}, ctx.Err()
	}
}

func (s *slow) Ping(ctx context.Context) error {
	_, err := s.Get(ctx, "")
	return err
}

func TestGuardedMemoryKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) (kv.Store, func(time.Duration)) {
		c := newClock()
		return kv.Guard(kv.NewMemory(kv.MemoryConfig{Now: c.now}), kv.GuardConfig{Timeout: time.Minute}), c.pass
	})
}

func TestGuardAnswersInTimeForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := kv.Guard(&slow{delay: time.Hour}, kv.GuardConfig{})
		begun := time.Now()
		_, err := g.Get(t.Context(), "k")
		if took := time.Since(begun); took != 250*time.Millisecond {
			t.Errorf("it took %s, want 250 ms", took)
		}
		if errors.Is(err, kv.ErrNotAsked) {
			t.Errorf("got %v, though it was asked", err)
		}
		if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrUnavailable, and nobody's deadline but the guard's", err)
		}
	})
}

func TestGuardLeavesADeadStoreAloneAndFindsItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}
		var changes []string
		g := kv.Guard(store, kv.GuardConfig{Changed: func(open bool, fault error) { changes = append(changes, fmt.Sprint(open, " ", fault)) }})
		store.SetDown(true)
		for range 5 {
			if _, err := g.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); !errors.Is(err, kvtest.ErrDown) {
				t.Fatalf("before it gives up: %v, want the store's own fault", err)
			}
		}
		asked := store.Calls()
		for range 1000 {
			if err := g.Delete(t.Context(), "k", kv.Any); !errors.Is(err, kv.ErrUnavailable) || !errors.Is(err, kv.ErrNotAsked) {
				t.Fatalf("left alone: %v, want ErrUnavailable and ErrNotAsked", err)
			}
		}
		if got := store.Calls() - asked; got != 0 {
			t.Errorf("it was asked %d times while it was left alone", got)
		}
		for range 3 { // still dead: one try in each pause, and nobody hears of it anew
			time.Sleep(1300 * time.Millisecond)
			for range 10 {
				_ = g.Ping(t.Context())
			}
		}
		if got := store.Calls() - asked; got != 3 {
			t.Errorf("it was tried %d times in 3 pauses, want 3", got)
		}
		store.SetDown(false)
		time.Sleep(1300 * time.Millisecond)
		if err := g.Ping(t.Context()); err != nil {
			t.Errorf("back again: %v", err)
		}
		if _, err := g.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); err != nil {
			t.Errorf("back again: %v", err)
		}
		if want := []string{"true " + kvtest.ErrDown.Error(), "false <nil>"}; !slices.Equal(changes, want) {
			t.Errorf("changes %q, want %q", changes, want)
		}
	})
}

func TestOnlyFaultsOpenTheGuard(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		err   error
		ctx   context.Context
		opens bool
	}{
		"an unknown key is an answer":                {err: kv.ErrNotFound},
		"a conflict is an answer":                    {err: fmt.Errorf("wrapped: %w", kv.ErrConflict)},
		"a write out of bounds is one":               {err: kv.ErrInvalid},
		"a full store still reads":                   {err: kv.ErrFull},
		"a store that takes no writes does":          {err: fmt.Errorf("wrapped: %w", kv.ErrNoWrites)},
		"a caller who left says nothing":             {err: errors.New("cut"), ctx: ended},
		"any other error is a fault":                 {err: errors.New("connection reset"), opens: true},
		"a deadline that is not the caller's is one": {err: context.DeadlineExceeded, opens: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := false
				store := &slow{err: test.err}
				g := kv.Guard(store, kv.GuardConfig{Changed: func(open bool, _ error) { opened = open }})
				ctx := test.ctx
				if ctx == nil {
					ctx = t.Context()
				}
				for range 100 {
					_, _ = g.Get(ctx, "k")
				}
				if opened != test.opens {
					t.Errorf("opened %v, want %v", opened, test.opens)
				}
				if asked := store.asked.Load(); test.opens && asked != 5 || !test.opens && asked != 100 {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// Every second call fails: never five in a row, and still half of all callers wait for nothing.
func TestAStoreThatFailsHalfOfTheTimeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}
		g := kv.Guard(store, kv.GuardConfig{})
		for i := range 100 {
			store.SetDown(i%2 == 1)
			if errors.Is(g.Ping(t.Context()), kv.ErrUnavailable) {
				if i < 19 || i > 21 {
					t.Errorf("left alone after %d calls, want 20", i)
				}
				return
			}
		}
		t.Error("after 100 calls it is still asked")
	})
}

func TestOfManyWhoFindThePauseOverOneTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{delay: time.Hour}
		g := kv.Guard(store, kv.GuardConfig{})
		for range 5 {
			_ = g.Ping(t.Context())
		}
		time.Sleep(1300 * time.Millisecond)
		asked, begun := store.asked.Load(), time.Now()
		var waited atomic.Int64
		for range 50 {
			go func() {
				_ = g.Ping(context.Background())
				if time.Since(begun) > 0 {
					waited.Add(1)
				}
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if got := store.asked.Load() - asked; got != 1 || waited.Load() != 1 {
			t.Errorf("%d tried and %d waited, want 1 of 50", got, waited.Load())
		}
	})
}

// The caller who was the one to try leaves: the next one tries, the breaker is not stuck.
func TestATryThatIsAbandonedLeavesRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{delay: 100 * time.Millisecond, err: errors.New("down")}
		g := kv.Guard(store, kv.GuardConfig{})
		for range 5 {
			_ = g.Ping(t.Context())
		}
		time.Sleep(1300 * time.Millisecond)
		store.err = nil
		brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := g.Ping(brief); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the caller's own deadline: %v", err)
		}
		if err := g.Ping(t.Context()); err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}

func TestAPanicInTheStoreIsAFaultAndStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := false
		g := kv.Guard(&slow{}, kv.GuardConfig{Changed: func(open bool, fault error) { opened = open && fault != nil }})
		for range 5 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was swallowed")
					}
				}()
				_, _ = g.Put(t.Context(), kv.Write{}) // slow has no store below
			}()
		}
		if !opened {
			t.Error("five panics are no faults")
		}
	})
}

func TestEveryGuardedCallIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		store := &slow{err: kv.ErrNotFound, delay: time.Millisecond}
		g := kv.Guard(store, kv.GuardConfig{Observe: func(c kv.Call) {
			calls = append(calls, fmt.Sprint(c.Operation, " ", c.Outcome, " ", c.Duration))
		}})
		get := func(err error, delay time.Duration) {
			store.err, store.delay = err, delay
			_, _ = g.Get(t.Context(), "k")
		}
		get(kv.ErrNotFound, time.Millisecond)
		get(kv.ErrFull, 0)
		get(kv.ErrNoWrites, 0)
		get(errors.New("reset"), 0)
		get(nil, time.Hour)
		brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_ = g.Ping(brief)
		for range 3 {
			get(errors.New("reset"), 0)
		}
		get(nil, 0)
		want := []string{"get ok 1ms", "get full 0s", "get no_writes 0s", "get fault 0s", "get timeout 250ms", "ping abandoned 1ms",
			"get fault 0s", "get fault 0s", "get fault 0s", "get refused 0s"}
		if !slices.Equal(calls, want) {
			t.Errorf("got  %q\nwant %q", calls, want)
		}
	})
}

func TestManyEntriesAreOneGuardedCall(t *testing.T) {
	store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}
	var calls []string
	g := kv.Guard(store, kv.GuardConfig{Pause: time.Hour, Observe: func(c kv.Call) { calls = append(calls, c.Operation+" "+c.Outcome) }})
	if _, err := g.GetMany(t.Context(), make([]string, kv.MaxKeys+1)...); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("too many keys: %v, want ErrInvalid", err)
	}
	store.SetDown(true)
	for range 5 {
		_, _ = g.GetMany(t.Context(), "a", "b")
	}
	if entries, err := g.GetMany(t.Context(), "a", "b"); !errors.Is(err, kv.ErrUnavailable) || entries != nil {
		t.Errorf("left alone: %v, %v, want ErrUnavailable", entries, err)
	}
	if entries, err := g.GetMany(t.Context()); err != nil || len(entries) != 0 {
		t.Errorf("no keys, for which nobody has to be asked: %v, %v", entries, err)
	}
	want := []string{"get_many ok", "get_many fault", "get_many fault", "get_many fault", "get_many fault", "get_many fault", "get_many refused"}
	if !slices.Equal(calls, want) {
		t.Errorf("got  %q\nwant %q", calls, want)
	}
}

func BenchmarkGuardOfADeadStore(b *testing.B) {
	store := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}
	store.SetDown(true)
	g := kv.Guard(store, kv.GuardConfig{Pause: time.Hour})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Get(b.Context(), "k")
	}
}

func BenchmarkGuardedMemoryGet(b *testing.B) {
	g := kv.Guard(kv.NewMemory(kv.MemoryConfig{}), kv.GuardConfig{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Get(b.Context(), "k")
	}
}
