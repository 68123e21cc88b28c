package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
)

// picky refuses writes while it is told to, and fails to be read.
type picky struct {
	kv.Store
	refusal, fault error
}

func (p *picky) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if p.refusal != nil {
		return 0, p.refusal
	}
	return p.Store.Put(ctx, w)
}

func (p *picky) Get(ctx context.Context, key string) (kv.Entry, error) {
	if p.fault != nil {
		return kv.Entry{}, p.fault
	}
	return p.Store.Get(ctx, key)
}

func write(t *testing.T, s kv.Store) error {
	t.Helper()
	_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Hour, If: kv.Any})
	return err
}

func TestAFullMemoryRefusesWritesAndIsRead(t *testing.T) {
	kvtest.RunNoWrites(t, func(t *testing.T) (s kv.Store, refuse, allow func()) {
		m := kv.NewMemory(kv.MemoryConfig{MaxBytes: kv.MaxValue})
		full := &picky{Store: m}
		return full, func() { full.refusal = kv.ErrFull }, func() { full.refusal = nil }
	})
}

// A store that is throttled takes one write and refuses the next: that is one change, and one more when it is over.
func TestRefusedWritesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &picky{Store: kv.NewMemory(kv.MemoryConfig{})}
		var heard []string
		g := kv.Guard(store, kv.GuardConfig{Writes: func(refusal error) { heard = append(heard, fmt.Sprint(refusal)) }})
		refusal := fmt.Errorf("%w: a reason", kv.ErrNoWrites)
		for range 30 {
			store.refusal = refusal
			if err := write(t, g); !errors.Is(err, kv.ErrNoWrites) {
				t.Fatalf("got %v, want ErrNoWrites", err)
			}
			store.refusal = nil
			time.Sleep(time.Second)
			if err := write(t, g); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(kv.DefaultGuardCalm)
		if _, err := g.Get(t.Context(), "k"); err != nil || len(heard) != 1 {
			t.Errorf("a read: %v; heard %q", err, heard)
		}
		if err := write(t, g); err != nil {
			t.Fatal(err)
		}
		if want := []string{refusal.Error(), "<nil>"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

// Refused writes come quickly and say nothing of reads: they neither hide a store that cannot be read nor call it back.
func TestRefusedWritesDoNotHideAStoreThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &picky{Store: kv.NewMemory(kv.MemoryConfig{}), refusal: kv.ErrNoWrites, fault: errors.New("throttled")}
		var changes []bool
		g := kv.Guard(store, kv.GuardConfig{Changed: func(open bool, _ error) { changes = append(changes, open) }})
		for range 100 {
			for range 3 {
				_ = write(t, g)
			}
			_, _ = g.Get(t.Context(), "k")
			time.Sleep(100 * time.Millisecond)
		}
		if !slices.Equal(changes, []bool{true}) {
			t.Errorf("left alone: %v, want once and for good", changes)
		}
		store.fault = nil
		time.Sleep(2 * time.Second)
		if _, err := g.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("readable again: %v", err)
		}
	})
}

func TestTryNoticesAStoreThatDoesNotKeepItsWord(t *testing.T) {
	if err := kv.Try(t.Context(), forgetful{kv.NewMemory(kv.MemoryConfig{})}); err == nil {
		t.Error("a store that forgets what it was given passes")
	}
	m := kv.NewMemory(kv.MemoryConfig{})
	if err := kv.Try(t.Context(), m); err != nil || m.Len() != 0 {
		t.Errorf("got %v, and %d entries are left", err, m.Len())
	}
}

// forgetful loses every entry at once.
type forgetful struct{ kv.Store }

func (f forgetful) Get(context.Context, string) (kv.Entry, error) {
	return kv.Entry{}, kv.ErrNotFound
}

func TestAFeedThatCarriesNothingIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, f := range map[string]kv.Feed{"it cannot be listened to": silent{}, "nothing arrives": silent{begins: true}} {
			if err := kv.TryFeed(t.Context(), f); err == nil {
				t.Errorf("%s: it passes", name)
			}
		}
	})
}

// silent carries no message.
type silent struct{ begins bool }

func (silent) Publish(context.Context, []byte) error { return nil }

func (s silent) Listen(ctx context.Context, l kv.Listener) {
	if s.begins {
		l.Missed()
	}
	<-ctx.Done()
}
