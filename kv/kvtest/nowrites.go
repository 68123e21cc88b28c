package kvtest

import (
	"errors"
	"testing"
	"time"

	"vestibule/kv"
)

// RunNoWrites proves that a store which refuses writes says so and may be read, also through a kv.Guard. refuse makes it refuse them and
// allow ends that; either takes effect before it returns.
func RunNoWrites(t *testing.T, open func(t *testing.T) (s kv.Store, refuse, allow func())) {
	t.Run("a store that refuses writes says so, and is read as before", func(t *testing.T) {
		s, refuse, allow := open(t)
		var opened, writes []error
		g := kv.Guard(s, kv.GuardConfig{
			Timeout: time.Minute, Changed: func(_ bool, fault error) { opened = append(opened, fault) }, Writes: func(refusal error) { writes = append(writes, refusal) },
		})
		if err := kv.Try(t.Context(), s); err != nil {
			t.Fatalf("before: %v", err)
		}
		v := put(t, g, kv.Write{Key: "k", Value: []byte("before"), TTL: time.Hour})
		refuse()
		for range 20 {
			if _, err := g.Put(t.Context(), kv.Write{Key: "k", Value: []byte("x"), TTL: time.Hour, If: v}); !errors.Is(err, kv.ErrNoWrites) {
				t.Fatalf("Put: %v, want ErrNoWrites", err)
			}
			if e := get(t, g, "k"); string(e.Value) != "before" || e.Version != v {
				t.Fatalf("Get: %q version %d, want what stood there", e.Value, e.Version)
			}
			if err := g.Delete(t.Context(), "nobody", kv.Any); err != nil && !errors.Is(err, kv.ErrNoWrites) {
				t.Fatalf("Delete: %v, want nil or ErrNoWrites", err)
			}
		}
		if err := kv.Try(t.Context(), s); !errors.Is(err, kv.ErrNoWrites) {
			t.Errorf("Try: %v, want ErrNoWrites", err)
		}
		if err := g.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v: it may be read", err)
		}
		if len(opened) > 0 {
			t.Errorf("the guard leaves it alone: %v", opened)
		}
		if len(writes) != 1 || !errors.Is(writes[0], kv.ErrNoWrites) {
			t.Errorf("heard of refused writes: %v, want one refusal", writes)
		}
		allow()
		put(t, g, kv.Write{Key: "k", Value: []byte("after"), TTL: time.Hour, If: v})
	})
}

// tried: what a set-up is checked with goes through, and leaves nothing behind.
func tried(t *testing.T, open Open) {
	s, _ := open(t)
	for range 2 {
		if err := kv.Try(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func feedTried(t *testing.T, open OpenTwo) {
	a, b := open(t)
	e := listen(t, b)
	if err := kv.TryFeed(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	publish(t, a, "after")
	e.hears("after")
}
