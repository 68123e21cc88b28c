package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/redis/redistest"
)

// guard puts before a store what the command puts there, with a pause of its own.
func guard(t *testing.T, url string, changes chan<- bool) kv.Store {
	t.Helper()
	s := open(t, url)
	return kv.Guard(s, kv.GuardConfig{Timeout: s.Timeout(), Pause: 200 * time.Millisecond, Changed: func(open bool, _ error) { changes <- open }})
}

// closes asks until the breaker opens, and gives the longest time that one call took on the way.
func opens(t *testing.T, s kv.Store, changes <-chan bool) (longest time.Duration) {
	t.Helper()
	for range 100 {
		begun := time.Now()
		if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Fatalf("a dead server answered: %v", err)
		}
		longest = max(longest, time.Since(begun))
		select {
		case open := <-changes:
			if !open {
				t.Fatal("the guard says that the server answers")
			}
			return longest
		default:
		}
	}
	t.Fatal("after 100 faults the guard still asks")
	return 0
}

// costsNothing asks often enough for a dead cache to be felt, were it asked each time.
func costsNothing(t *testing.T, s kv.Store) {
	t.Helper()
	begun, refused := time.Now(), 0
	for time.Since(begun) < 100*time.Millisecond {
		if _, err := s.Get(t.Context(), "k"); errors.Is(err, kv.ErrUnavailable) {
			refused++
		}
	}
	if refused < 1000 {
		t.Errorf("%d refusals in 100 ms, want 1000 at least", refused)
	}
}

// costsMilliseconds asks while the breaker is open; now and then a call tries the server, and takes its time.
func costsMilliseconds(t *testing.T, s kv.Store) {
	t.Helper()
	var took []time.Duration
	for range 100 {
		for _, ask := range []func() error{
			func() error { _, err := s.Get(t.Context(), "k"); return err },
			func() error { _, err := s.GetMany(t.Context(), "a", "b", "c"); return err },
			func() error { _, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); return err },
			func() error { return s.Delete(t.Context(), "k", kv.Any) },
		} {
			begun := time.Now()
			_ = ask()
			took = append(took, time.Since(begun))
		}
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 5*time.Millisecond {
		t.Errorf("a call costs %s (median), want 5 ms at most", median)
	}
}

func TestADeadCacheCostsMillisecondsAndIsFoundAgain(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(t *testing.T) (url string, begin, end func()){
		"slower than a call may take": func(t *testing.T) (string, func(), func()) {
			w := newWire(t, "", redistest.Start(t, redistest.Config{}).Addr())
			return "redis://" + w.addr + "?timeout=300ms", func() { w.delay.Store(int64(2 * time.Second)) }, func() { w.delay.Store(0) }
		},
		"busy with somebody else's work": func(t *testing.T) (string, func(), func()) {
			server := redistest.Start(t, redistest.Config{})
			raw := client(t, server)
			return server.URL() + "?timeout=300ms", func() {
				if err := raw.ClientPause(t.Context(), 4*time.Second).Err(); err != nil {
					t.Fatal(err)
				}
			}, func() {} // it ends by itself
		},
		"hanging": func(t *testing.T) (string, func(), func()) {
			server := redistest.Start(t, redistest.Config{})
			return server.URL() + "?timeout=300ms", server.Pause, server.Resume
		},
		"gone and started anew": func(t *testing.T) (string, func(), func()) {
			server := redistest.Start(t, redistest.Config{})
			return server.URL() + "?timeout=300ms", server.Stop, server.Restart
		},
		"there, and its port is closed from the start": func(t *testing.T) (string, func(), func()) {
			server := redistest.Start(t, redistest.Config{})
			server.Stop()
			return server.URL() + "?timeout=300ms", nil, server.Restart
		},
		"behind a host that does not answer": func(t *testing.T) (string, func(), func()) {
			server := redistest.Start(t, redistest.Config{})
			addr, free := blackHole(t)
			return "redis://" + addr + "?timeout=300ms", nil, func() { free(); newWire(t, addr, server.Addr()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, begin, end := outage(t)
			changes := make(chan bool, 1000)
			s := guard(t, url, changes)
			if begin != nil {
				eventually(t, 20*time.Second, "the first answers", func() error { return burst(t, s) })
				for len(changes) > 0 { // a busy machine may have made it open before
					<-changes
				}
				begin()
			}
			if longest := opens(t, s, changes); longest > 3*time.Second {
				t.Errorf("one call took %s, want about 300 ms", longest)
			}
			costsMilliseconds(t, s)
			end()
			eventually(t, 20*time.Second, "recovery", func() error { return burst(t, s) })
		})
	}
}

// burst asks many times at once, so that the pool holds some connections.
func burst(t *testing.T, s kv.Store) error {
	var calls sync.WaitGroup
	answers := make(chan error, 20)
	for i := range cap(answers) {
		calls.Go(func() {
			_, err := s.Put(t.Context(), kv.Write{Key: fmt.Sprint(i), TTL: time.Minute, If: kv.Any})
			answers <- err
		})
	}
	calls.Wait()
	close(answers)
	var all error
	for err := range answers {
		all = errors.Join(all, err)
	}
	return all
}

func TestAServerThatHangsCostsItsTimeoutAFewTimesAndThenNothing(t *testing.T) {
	t.Parallel()
	server, changes := redistest.Start(t, redistest.Config{}), make(chan bool, 10)
	s := guard(t, server.URL(), changes)
	eventually(t, 10*time.Second, "the first write", func() error {
		_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Hour, If: kv.Any})
		return err
	})
	for len(changes) > 0 { // a busy machine may have made it open before
		<-changes
	}
	server.Pause()
	if longest := opens(t, s, changes); longest > 3*time.Second {
		t.Errorf("one call took %s, want about 250 ms", longest)
	}
	costsNothing(t, s)
	server.Resume()
	eventually(t, 10*time.Second, "recovery", func() error { _, err := s.Get(t.Context(), "k"); return err })
}

func TestAServerThatIsGoneIsFoundAgain(t *testing.T) {
	t.Parallel()
	server, changes := redistest.Start(t, redistest.Config{}), make(chan bool, 10)
	s := guard(t, server.URL()+"?"+patient, changes)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	opens(t, s, changes)
	costsNothing(t, s)
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a server that is gone answers to Ping")
	}
	server.Restart()
	eventually(t, 10*time.Second, "recovery", func() error { return s.Ping(t.Context()) })
}

func TestACallerThatGivesUpIsNotHeldByAServerThatHangs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s := open(t, server.URL()+"?"+patient)
	put(t, s, "k", kv.Absent)
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := s.Get(ctx, "k"); err == nil {
		t.Error("a server that hangs answered")
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the call took %s, want about 50 ms", took)
	}
}

// A write that reached the server and whose answer was lost must not come back as ErrConflict: the lease would be nobody's.
func TestAWriteSentTwiceIsOneWrite(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	proxy := loseAnswers(t, server.Addr())
	s := open(t, "redis://"+proxy.addr+"?pool_size=1&"+patient)
	put(t, s, "warm", kv.Absent) // the script is known to the server from here on
	proxy.loseNext.Store(true)
	v, err := s.Put(t.Context(), kv.Write{Key: "lease", Value: []byte("mine"), TTL: time.Minute})
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	if proxy.loseNext.Load() || proxy.lost.Load() != 1 {
		t.Fatalf("%d answers were lost, want 1: this proves nothing", proxy.lost.Load())
	}
	e, err := s.Get(t.Context(), "lease")
	if err != nil || e.Version != v || string(e.Value) != "mine" {
		t.Errorf("got %q version %d, %v; want what was put, version %d", e.Value, e.Version, err, v)
	}
	if _, err := s.Put(t.Context(), kv.Write{Key: "lease", Value: []byte("mine"), TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the same write by somebody else: %v, want ErrConflict", err)
	}
}
