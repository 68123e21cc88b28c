package kv_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
)

// clock is a time that moves only when it is told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_790_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestMemoryKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) (kv.Store, func(time.Duration)) {
		c := newClock()
		return kv.NewMemory(kv.MemoryConfig{Now: c.now}), c.pass
	})
}

func TestMemoryIsBoundedAndRefusesLoudly(t *testing.T) {
	c := newClock()
	m := kv.NewMemory(kv.MemoryConfig{Now: c.now, MaxBytes: 10_000})
	var err error
	kept := 0
	for ; kept < 1000; kept++ {
		if _, err = m.Put(t.Context(), kv.Write{Key: fmt.Sprint(kept), Value: make([]byte, 100), TTL: time.Minute}); err != nil {
			break
		}
	}
	if !errors.Is(err, kv.ErrFull) || kept < 20 || kept > 50 {
		t.Fatalf("after %d entries: %v, want ErrFull after 20 to 50", kept, err)
	}
	if _, err := m.Put(t.Context(), kv.Write{Key: "0", Value: make([]byte, 100), TTL: time.Minute, If: kv.Any}); err != nil {
		t.Errorf("replacing an entry of a full store: %v", err)
	}
	c.pass(2 * time.Minute)
	if _, err := m.Put(t.Context(), kv.Write{Key: "new", TTL: time.Minute}); err != nil {
		t.Errorf("after everything has expired: %v", err)
	}
	if got := m.Len(); got != 1 {
		t.Errorf("%d entries are held, want 1: expired ones are swept", got)
	}
}

func BenchmarkMemoryGetOfAnUnknownKey(b *testing.B) {
	m := kv.NewMemory(kv.MemoryConfig{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.Get(b.Context(), "ended/AAAAAAAAAAAAAAAAAAAAAA")
	}
}

// What a request asks of the store: one entry each for its session, its person, and its refresh; as a rule none is there.
func BenchmarkMemoryThreeGets(b *testing.B) {
	m := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, key := range asked {
			_, _ = m.Get(b.Context(), key)
		}
	}
}

func BenchmarkMemoryGetManyOfThree(b *testing.B) {
	m := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.GetMany(b.Context(), asked[:]...); err != nil {
			b.Fatal(err)
		}
	}
}

var asked = [...]string{"result/AAAAAAAAAAAAAAAAAAAAAA", "ended/AAAAAAAAAAAAAAAAAAAAAA", "person/AAAAAAAAAAAAAAAAAAAAAA"}

// filled has the first of those that are asked for, in a crowd.
func filled(b *testing.B) *kv.Memory {
	b.Helper()
	m := kv.NewMemory(kv.MemoryConfig{})
	for i := range 10_000 {
		if _, err := m.Put(b.Context(), kv.Write{Key: fmt.Sprint("ended/", i), TTL: time.Hour}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := m.Put(b.Context(), kv.Write{Key: asked[0], Value: make([]byte, 2048), TTL: time.Hour}); err != nil {
		b.Fatal(err)
	}
	return m
}
