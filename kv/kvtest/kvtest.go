// Package kvtest proves that a store and a feed keep the contracts of package kv. A new store is one package and one call each
// of Run and RunFeed, and of RunNoWrites if it can be brought to refuse them; nothing here knows how a store works. It also holds Faulty,
// a store that fails on request, for those who live on a store.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
)

// Open makes an empty store for one test, and a way to let time pass for it: a store with an injected clock moves the
// clock, one on a real server waits.
type Open func(t *testing.T) (store kv.Store, pass func(time.Duration))

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"an unknown key is ErrNotFound and deleting it is no error", unknown},
		{"what is put is what is got, and the caller's slices stay the caller's", roundTrip},
		{"conditions hold or nothing changes", conditions},
		{"versions of a key only grow, also past deletion and expiry", versions},
		{"an expired entry is unknown to every method", expiry},
		{"writes outside the limits are refused", limits},
		{"a value of the largest size is kept", large},
		{"many entries come in the order of their keys, and the zero entry for what is unknown", many},
		{"many entries are each the caller's own", manyCopies},
		{"an expired entry among many is unknown", manyExpired},
		{"of many keys there may be none, and not too many", manyLimits},
		{"many values of the largest size come whole", manyLarge},
		{"many entries come soon or not at all when ctx has ended", manyEndedContext},
		{"a lease excludes others until it is released", leaseExcludes},
		{"a settled lease leaves its result", leaseSettles},
		{"a dead holder is replaced and cannot settle any more", leaseTakeOver},
		{"a renewed lease outlives its first term", leaseRenews},
		{"a lease whose taking was not answered is its holder's to take again, under a larger fence", leaseUnanswered},
		{"a lease is withdrawn by its value, and nobody else's with it", leaseWithdrawn},
		{"methods return soon when ctx has ended, and change all or nothing", endedContext},
		{"what a set-up is checked with goes through", tried},
		{"a lease under a ctx that has ended returns soon and is never half settled", leaseEndedContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
	RunContention(t, open)
}

// RunContention proves that of many who ask for the same lease at once exactly one gets it.
func RunContention(t *testing.T, open Open) {
	t.Run("of many at once exactly one wins each round", func(t *testing.T) {
		s, _ := open(t)
		over := kv.Absent
		for round := range 20 {
			var (
				wg   sync.WaitGroup
				mu   sync.Mutex
				wins []kv.Version
			)
			for i := range 32 {
				wg.Go(func() {
					l, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "k", Value: fmt.Appendf(nil, "%d", i), TTL: time.Minute, Over: over})
					if errors.Is(err, kv.ErrConflict) {
						return
					}
					if err != nil {
						t.Errorf("round %d: %v", round, err)
						return
					}
					mu.Lock()
					wins = append(wins, l.Fence())
					mu.Unlock()
				})
			}
			wg.Wait()
			if len(wins) != 1 {
				t.Fatalf("round %d: %d winners, want 1", round, len(wins))
			}
			if over != kv.Absent && wins[0] <= over {
				t.Fatalf("round %d: fence %d is not above %d", round, wins[0], over)
			}
			over = wins[0]
		}
	})
}

func unknown(t *testing.T, open Open) {
	s, _ := open(t)
	if _, err := s.Get(t.Context(), "nobody"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), "nobody", kv.Any); err != nil {
		t.Errorf("Delete: %v, want nil", err)
	}
	if err := s.Delete(t.Context(), "nobody", 7); err != nil {
		t.Errorf("Delete of a version: %v, want nil", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func roundTrip(t *testing.T, open Open) {
	s, _ := open(t)
	in := []byte{0, 1, 2, 255}
	v := put(t, s, kv.Write{Key: "a/b c\x00é", Value: in, TTL: time.Minute})
	in[0] = 9
	for range 2 {
		e := get(t, s, "a/b c\x00é")
		if !bytes.Equal(e.Value, []byte{0, 1, 2, 255}) || e.Version != v {
			t.Fatalf("got %v version %d, want the bytes put at version %d", e.Value, e.Version, v)
		}
		e.Value[0] = 9
	}
	put(t, s, kv.Write{Key: "empty", TTL: time.Minute})
	if e := get(t, s, "empty"); len(e.Value) != 0 {
		t.Errorf("an empty value came back as %v", e.Value)
	}
}

func conditions(t *testing.T, open Open) {
	s, _ := open(t)
	v1 := put(t, s, kv.Write{Key: "k", Value: []byte("1"), TTL: time.Minute})
	refuse(t, s, kv.Write{Key: "k", Value: []byte("x"), TTL: time.Minute, If: kv.Absent})
	refuse(t, s, kv.Write{Key: "k", Value: []byte("x"), TTL: time.Minute, If: v1 + 1})
	refuse(t, s, kv.Write{Key: "new", Value: []byte("x"), TTL: time.Minute, If: v1})
	v2 := put(t, s, kv.Write{Key: "k", Value: []byte("2"), TTL: time.Minute, If: v1})
	refuse(t, s, kv.Write{Key: "k", Value: []byte("x"), TTL: time.Minute, If: v1})
	if err := s.Delete(t.Context(), "k", v1); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Delete of an old version: %v, want ErrConflict", err)
	}
	if e := get(t, s, "k"); string(e.Value) != "2" {
		t.Errorf("value %q, want 2", e.Value)
	}
	put(t, s, kv.Write{Key: "k", Value: []byte("3"), TTL: time.Minute, If: kv.Any})
	put(t, s, kv.Write{Key: "fresh", Value: []byte("3"), TTL: time.Minute, If: kv.Any})
	if err := s.Delete(t.Context(), "k", kv.Any); err != nil {
		t.Errorf("Delete: %v", err)
	}
	refuse(t, s, kv.Write{Key: "k", Value: []byte("x"), TTL: time.Minute, If: v2})
}

func versions(t *testing.T, open Open) {
	s, pass := open(t)
	last := put(t, s, kv.Write{Key: "k", TTL: time.Second})
	grow := func(how string) {
		t.Helper()
		v := put(t, s, kv.Write{Key: "k", TTL: time.Second, If: kv.Any})
		if v <= last {
			t.Errorf("%s: version %d after %d", how, v, last)
		}
		last = v
	}
	grow("overwritten")
	if err := s.Delete(t.Context(), "k", kv.Any); err != nil {
		t.Fatal(err)
	}
	grow("after deletion")
	pass(1100 * time.Millisecond)
	grow("after expiry")
}

func expiry(t *testing.T, open Open) {
	s, pass := open(t)
	v := put(t, s, kv.Write{Key: "short", Value: []byte("x"), TTL: time.Second})
	put(t, s, kv.Write{Key: "long", Value: []byte("x"), TTL: time.Hour})
	pass(1100 * time.Millisecond)
	if _, err := s.Get(t.Context(), "short"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get of an expired entry: %v, want ErrNotFound", err)
	}
	refuse(t, s, kv.Write{Key: "short", TTL: time.Minute, If: v})
	if err := s.Delete(t.Context(), "short", v); err != nil {
		t.Errorf("Delete of an expired entry: %v, want nil", err)
	}
	put(t, s, kv.Write{Key: "short", TTL: time.Minute, If: kv.Absent})
	e := get(t, s, "long")
	if left := e.Expires; left.IsZero() {
		t.Error("a live entry does not say when it expires")
	}
}

func limits(t *testing.T, open Open) {
	s, _ := open(t)
	for name, w := range map[string]kv.Write{
		"no key":             {TTL: time.Minute},
		"a key too long":     {Key: strings.Repeat("k", kv.MaxKey+1), TTL: time.Minute},
		"a value too large":  {Key: "k", Value: make([]byte, kv.MaxValue+1), TTL: time.Minute},
		"no lifetime":        {Key: "k"},
		"a life in the past": {Key: "k", TTL: -1},
		"a life too long":    {Key: "k", TTL: kv.MaxTTL + 1},
	} {
		if _, err := s.Put(t.Context(), w); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func large(t *testing.T, open Open) {
	s, _ := open(t)
	want := bytes.Repeat([]byte{0xA5}, kv.MaxValue)
	key := strings.Repeat("k", kv.MaxKey)
	put(t, s, kv.Write{Key: key, Value: want, TTL: time.Minute})
	if e := get(t, s, key); !bytes.Equal(e.Value, want) {
		t.Errorf("%d bytes came back, want the %d put", len(e.Value), len(want))
	}
}

// soon is how long a method may take once its ctx has ended, in real time: long for a busy machine, short for a caller.
const soon = 5 * time.Second

// returnsSoon fails when call is still under way long after its ctx, which has ended already, and gives what it answered.
func returnsSoon(t *testing.T, what string, call func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	answer := make(chan error, 1)
	go func() { answer <- call(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-time.After(soon):
		t.Fatalf("%s: still under way %s after ctx ended", what, soon)
		return nil
	}
}

// endedContext leaves to the store whether it answers or fails; a condition that does not hold is not an excuse to write.
func endedContext(t *testing.T, open Open) {
	s, _ := open(t)
	v := put(t, s, kv.Write{Key: "k", Value: []byte("1"), TTL: time.Minute})
	_ = returnsSoon(t, "Ping", s.Ping)
	if err := returnsSoon(t, "Get", func(ctx context.Context) error {
		e, err := s.Get(ctx, "k")
		if err == nil && (string(e.Value) != "1" || e.Version != v) {
			t.Errorf("Get: %q version %d, want what was put", e.Value, e.Version)
		}
		return err
	}); errors.Is(err, kv.ErrNotFound) {
		t.Error("Get: an entry that lives is called unknown because ctx had ended")
	}
	if err := returnsSoon(t, "Put", func(ctx context.Context) error {
		_, err := s.Put(ctx, kv.Write{Key: "k", Value: []byte("x"), TTL: time.Minute, If: v + 1})
		return err
	}); err == nil {
		t.Error("Put: a condition that does not hold was passed over")
	}
	if e := get(t, s, "k"); string(e.Value) != "1" || e.Version != v {
		t.Errorf("after a refused Put: %q version %d, want what stood there", e.Value, e.Version)
	}
	err := returnsSoon(t, "Put", func(ctx context.Context) error {
		_, err := s.Put(ctx, kv.Write{Key: "k", Value: []byte("2"), TTL: time.Minute, If: v})
		return err
	})
	e := get(t, s, "k")
	if errors.Is(err, kv.ErrConflict) || err == nil && string(e.Value) != "2" {
		t.Errorf("Put answered %v and left %q", err, e.Value)
	}
	err = returnsSoon(t, "Delete", func(ctx context.Context) error { return s.Delete(ctx, "k", e.Version) })
	_, gone := s.Get(t.Context(), "k")
	if errors.Is(err, kv.ErrConflict) || err == nil && !errors.Is(gone, kv.ErrNotFound) {
		t.Errorf("Delete answered %v, and Get then %v", err, gone)
	}
}

func put(t *testing.T, s kv.Store, w kv.Write) kv.Version {
	t.Helper()
	v, err := s.Put(context.Background(), w)
	if err != nil {
		t.Fatalf("put %q: %v", w.Key, err)
	}
	return v
}

func get(t *testing.T, s kv.Store, key string) kv.Entry {
	t.Helper()
	e, err := s.Get(context.Background(), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return e
}

func refuse(t *testing.T, s kv.Store, w kv.Write) {
	t.Helper()
	if _, err := s.Put(t.Context(), w); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("put of %q if %d: %v, want ErrConflict", w.Key, w.If, err)
	}
}
