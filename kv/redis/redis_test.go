package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/kv/redis/redistest"
)

func TestStandaloneKeepsTheContract(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, suite(redistest.Start(t, redistest.Config{}).URL()+"?"+patient))
}

// Without persistence a restart forgets all, the counters of versions too.
func TestVersionsGrowPastALossOfAllState(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s := open(t, server.URL()+"?"+patient)
	lease, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	server.Restart()
	// The very next call: the connections in the pool are dead, and nobody should notice.
	next, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute})
	if err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	if next.Fence() <= lease.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), lease.Fence())
	}
	if err := lease.Settle(t.Context(), []byte("late"), time.Minute); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the holder from before settled: %v, want ErrConflict", err)
	}
}

// A server whose clock is set back, played by a counter that lies a year ahead: growth must not depend on the clock.
func TestVersionsGrowThoughTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s, raw := open(t, server.URL()+"?"+patient), client(t, server)
	first := put(t, s, "k", kv.Absent)
	ahead := uint64(first) + uint64(365*24*time.Hour/time.Microsecond)
	counters := raw.Keys(t.Context(), "vestibule:{???}").Val()
	if len(counters) != 1 {
		t.Fatalf("counters %q, want one", counters)
	}
	if err := raw.Set(t.Context(), counters[0], fmt.Sprint(ahead), 0).Err(); err != nil {
		t.Fatal(err)
	}
	second := put(t, s, "k", first)
	if uint64(second) != ahead+1 {
		t.Errorf("version %d, want one more than the counter, %d", second, ahead+1)
	}
	if err := s.Delete(t.Context(), "k", second); err != nil {
		t.Fatal(err)
	}
	if third := put(t, s, "k", kv.Absent); third <= second {
		t.Errorf("version %d after deletion of %d", third, second)
	}
	if err := raw.Del(t.Context(), counters[0]).Err(); err != nil { // an eviction
		t.Fatal(err)
	}
	if last := put(t, s, "k", kv.Any); uint64(last) <= ahead {
		t.Errorf("version %d of a living key after its counter was evicted, want more than %d", last, ahead)
	}
}

func TestAFullServerIsErrFullAndStillReadsAndDeletes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"maxmemory 4mb", "maxmemory-policy noeviction"}})
	changes := make(chan bool, 10)
	s, guarded := open(t, server.URL()+"?"+patient), guard(t, server.URL()+"?"+patient, changes)
	got := hearing(t, s)
	next(t, got, "missed")
	var err error
	n := 0
	for ; err == nil && n < 200; n++ {
		_, err = s.Put(t.Context(), kv.Write{Key: fmt.Sprint(n), Value: make([]byte, kv.MaxValue), TTL: time.Minute})
	}
	if !errors.Is(err, kv.ErrFull) {
		t.Fatalf("after %d entries of the largest size: %v, want ErrFull", n, err)
	}
	if _, err := s.Get(t.Context(), fmt.Sprint(n-1)); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("the refused write: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), "0"); err != nil {
		t.Errorf("reading from a full server: %v", err)
	}
	for range 20 { // no reason to stop asking: it still reads
		if _, err := guarded.Put(t.Context(), kv.Write{Key: "more", Value: make([]byte, kv.MaxValue), TTL: time.Minute, If: kv.Any}); !errors.Is(err, kv.ErrFull) {
			t.Fatalf("through the guard: %v, want ErrFull", err)
		}
		if entries, err := guarded.GetMany(t.Context(), "0", "more"); err != nil || len(entries[0].Value) != kv.MaxValue {
			t.Fatalf("reading through the guard: %v", err)
		}
	}
	if len(changes) > 0 {
		t.Error("the guard leaves a full server alone")
	}
	if err := s.Publish(t.Context(), []byte("news")); err != nil {
		t.Errorf("publishing on a full server: %v", err)
	}
	next(t, got, "news")
	for i := range n / 2 {
		if err := s.Delete(t.Context(), fmt.Sprint(i), kv.Any); err != nil {
			t.Fatalf("deleting from a full server: %v", err)
		}
	}
	put(t, s, "room", kv.Absent)
}

func TestWhatSomebodyElsePutThereIsAFaultAndNeverReadWhole(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s, raw := open(t, server.URL()+"?"+patient), client(t, server)
	put(t, s, "k", kv.Absent)
	entries := raw.Keys(t.Context(), "vestibule:{???}:k").Val()
	if len(entries) != 1 {
		t.Fatalf("entries %q, want one", entries)
	}
	for name, foreign := range map[string]string{"short": "hello", "huge": strings.Repeat("x", 4<<20)} {
		if err := raw.Set(t.Context(), entries[0], foreign, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("%s: Get: %v, want a fault", name, err)
		}
		if _, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
			t.Errorf("%s: Put: %v, want ErrConflict", name, err)
		}
	}
	raw.Del(t.Context(), entries[0])
	raw.RPush(t.Context(), entries[0], "a list")
	if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a list: Get: %v, want a fault", err)
	}
}

func TestNothingOutlivesItsTimeOnTheServerButCounters(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s, raw := open(t, server.URL()+"?prefix=app:&"+patient), client(t, server)
	for i := range 50 {
		if _, err := s.Put(t.Context(), kv.Write{Key: fmt.Sprint(i), TTL: 1500 * time.Microsecond}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "stays", kv.Absent)
	eventually(t, 10*time.Second, "expiry", func() error {
		if left := raw.Keys(t.Context(), "app:{*}:*").Val(); len(left) != 1 {
			return fmt.Errorf("%d entries", len(left))
		}
		return nil
	})
	if all := raw.Keys(t.Context(), "*").Val(); len(all) > 1+51 {
		t.Errorf("%d keys in all, want one entry and at most a counter for each of 51", len(all))
	}
}

// An operator who lets the server drop entries hears that revocations may vanish.
func TestAServerThatEvictsIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]int{"allkeys-lru": 1, "noeviction": 0} {
		server := redistest.Start(t, redistest.Config{Lines: []string{"maxmemory-policy " + policy}})
		log := &buffer{}
		s := openLogged(t, server.URL()+"?"+patient, slog.New(slog.NewTextHandler(log, nil)))
		for range 3 {
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(log.String(), "level=WARN"); got != want {
			t.Errorf("%s: %d warnings, want %d: %s", policy, got, want, log)
		}
	}
}

// buffer is written by the driver's goroutines too.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}
