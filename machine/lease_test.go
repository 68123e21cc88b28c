package machine_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
)

func TestAReplicaThatDiesHoldingTheLeaseIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		dying := newReplica(t, p, &deaf{Store: store}) // acquires, and neither renews nor settles
		survivor := newReplica(t, p, store)
		q := from("a", "s")
		dying.token(t, q)
		begin := time.Now()
		survivor.token(t, q)
		if took := time.Since(begin); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("the lease was taken over after %s, want about 5 s, well before callers are turned away", took)
		}
	})
}

// A provider that takes its time is no reason to take a lease over: it is renewed in between, and nobody else asks.
func TestASlowRequestKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		p.set(after(9*time.Second, 200, granted(1)))
		one, two := newReplica(t, p, store), newReplica(t, p, store)
		var wait sync.WaitGroup
		for _, r := range []*replica{one, two} {
			wait.Go(func() { r.token(t, from("a", "s")) })
		}
		wait.Wait()
		if got := p.calls.Load(); got != 1 {
			t.Errorf("the provider was asked %d times, want once", got)
		}
	})
}

// A store that stalls has written the lease when nobody listens any more. Its holder goes on alone; the others do not wait for it.
func TestALeaseWhoseTakingWasNotAnsweredHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		stalling := &kvtest.Faulty{Store: kept}
		here, there := newReplica(t, p, stalling), newReplica(t, p, kept)
		q := from("a", "s")
		stalling.LoseAnswers(1)
		here.token(t, q)
		time.Sleep(time.Second)
		begin := time.Now()
		there.token(t, q)
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("another replica waited %s, want no time: nobody is at work", took)
		}
	})
}

// Two replicas without a token of before: the lease of the one that is at work is not taken for what the other left.
func TestOnlyTheOwnLeaseIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		q := from("a", "s")
		p.set(after(2*time.Second, 200, granted(1)))
		here, there := newReplica(t, p, kept), newReplica(t, p, &refusing{Store: kept})
		third := newReplica(t, p, kept)
		var wait sync.WaitGroup
		wait.Go(func() { there.token(t, q) }) // its lease is not even written, and it looks for it
		synctest.Wait()                       // or it would find the lease of the other
		wait.Go(func() { here.token(t, q) })
		time.Sleep(time.Second)
		third.token(t, q)
		wait.Wait()
		if got := p.calls.Load(); got != 2 {
			t.Errorf("the provider was asked %d times, want twice: by the one that is alone, and by the holder", got)
		}
	})
}

// The cache goes away for good while a token is asked for, and then the process stops: it does not wait for what cannot be done.
func TestAProcessThatStopsWaitsForNoStoreThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := &kvtest.Faulty{Store: kv.NewMemory(kv.MemoryConfig{})}, &provider{}
		p.set(func(context.Context, call) (int, string, error) {
			store.SetDown(true)
			return 200, granted(1), nil
		})
		r := newReplica(t, p, store)
		r.token(t, from("a", "s"))
		synctest.Wait()
		begin, calls := time.Now(), store.Calls()
		must(t, r.Drain(t.Context()))
		if took := time.Since(begin); took != 0 {
			t.Errorf("the process was held up for %s, want no time", took)
		}
		if got := store.Calls() - calls; got != 1 {
			t.Errorf("%d calls of the store at the end, want the lease tried once more", got)
		}
	})
}

// It comes back just then: the last attempt spares the others the wait.
func TestAProcessThatStopsTakesItsLeaseBackIfItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, p := kv.NewMemory(kv.MemoryConfig{}), &provider{}
		store := &kvtest.Faulty{Store: kept}
		p.set(func(context.Context, call) (int, string, error) {
			store.SetDown(true)
			return 200, granted(1), nil
		})
		r := newReplica(t, p, store)
		r.token(t, from("a", "s"))
		synctest.Wait()
		if kept.Len() != 1 {
			t.Fatalf("%d records, want the lease: this would prove nothing", kept.Len())
		}
		store.SetDown(false)
		must(t, r.Drain(t.Context()))
		if got := kept.Len(); got != 0 {
			t.Errorf("%d records are left, want the lease taken back", got)
		}
	})
}

// A store that does not even say that it is gone.
func TestAProcessThatStopsGivesAStoreThatHangsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := &hanging{Store: kv.NewMemory(kv.MemoryConfig{})}, &provider{}
		p.set(func(context.Context, call) (int, string, error) {
			store.hangs.Store(true)
			return 200, granted(1), nil
		})
		r := newReplica(t, p, store)
		r.token(t, from("a", "s"))
		begin := time.Now()
		must(t, r.Drain(t.Context()))
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the process was held up for %s, want two attempts of a second at most", took)
		}
	})
}

// hanging is a store that answers nobody from some moment on.
type hanging struct {
	kv.Store
	hangs atomic.Bool
}

func (h *hanging) wait(ctx context.Context) error {
	if !h.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (h *hanging) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := h.wait(ctx); err != nil {
		return kv.Entry{}, err
	}
	return h.Store.Get(ctx, key)
}

func (h *hanging) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := h.wait(ctx); err != nil {
		return 0, err
	}
	return h.Store.Put(ctx, w)
}

func (h *hanging) Delete(ctx context.Context, key string, expected kv.Version) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	return h.Store.Delete(ctx, key, expected)
}

// refusing is a store that writes nothing.
type refusing struct{ kv.Store }

func (*refusing) Put(context.Context, kv.Write) (kv.Version, error) { return 0, kvtest.ErrDown }

// deaf is a store that loses every write after the first.
type deaf struct {
	kv.Store
	mu     sync.Mutex
	writes int
}

func (d *deaf) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	d.mu.Lock()
	d.writes++
	n := d.writes
	d.mu.Unlock()
	if n > 1 {
		return 0, kvtest.ErrDown
	}
	return d.Store.Put(ctx, w)
}

func (d *deaf) Delete(context.Context, string, kv.Version) error { return kvtest.ErrDown }
