package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Lease is the right to do one piece of work that others would otherwise do too. It lives in the entry whose result it
// will become: whoever waits looks at one key only. A lease ends by Settle, by Release, or by itself when it is not renewed.
type Lease struct {
	store Store
	key   string
	value []byte
	ttl   time.Duration

	mu    sync.Mutex // Renew runs beside the work that ends in Settle
	fence Version
	over  bool
}

// LeaseRequest asks for a lease.
type LeaseRequest struct {
	Key   string
	Value []byte        // what others see while the work goes on; see Withdraw for what is gained if no other lease has the same
	TTL   time.Duration // how long the lease outlives its last renewal
	Over  Version       // the version of an entry it may replace; Absent: none
}

// Acquire takes the lease, or answers ErrConflict when somebody else was first. After any other error but ErrNotAsked the lease may stand
// all the same: who finds its own value there may acquire it again over that version, which shuts out the attempt that was not answered,
// and who wants it no more calls Withdraw.
func Acquire(ctx context.Context, s Store, r LeaseRequest) (*Lease, error) {
	v, err := s.Put(ctx, Write{Key: r.Key, Value: r.Value, TTL: r.TTL, If: r.Over})
	if err != nil {
		return nil, err
	}
	return &Lease{store: s, key: r.Key, value: r.Value, ttl: r.TTL, fence: v}, nil
}

// Fence is the version under which the lease stands: larger than that of every earlier holder.
func (l *Lease) Fence() Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fence
}

// Renew extends the lease by its TTL. ErrConflict means that it was lost: somebody else may be at work.
func (l *Lease) Renew(ctx context.Context) error {
	return l.put(ctx, l.value, l.ttl, false)
}

// renewTime bounds one renewal.
const renewTime = time.Second

// Keep renews the lease at every interval until stop is called, so that slow work does not let a second holder in; stop waits for a
// renewal under way. failed is told of one that came to nothing, a panic of the store included, which would end the process here.
func (l *Lease) Keep(ctx context.Context, every time.Duration, failed func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := l.renewOnce(ctx); err != nil {
					failed(err)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// renewOnce is not cut short when the work ends meanwhile: a renewal that may or may not have taken place would leave the holder
// without the version that it settles over.
func (l *Lease) renewOnce(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kv: panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	return l.Renew(ctx)
}

// Settle puts the result where the lease stood, if it is still held; ErrConflict if it was lost.
func (l *Lease) Settle(ctx context.Context, result []byte, ttl time.Duration) error {
	return l.put(ctx, result, ttl, true)
}

// Release gives the lease up without a result. A lease that was lost is nothing to give up: nil.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	l.over = true
	if err := l.store.Delete(ctx, l.key, l.fence); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// Withdraw takes back a lease of which nobody knows whether it stands. It may be tried until it succeeds: it touches nothing but this lease.
func (l *Lease) Withdraw(ctx context.Context) error { return Withdraw(ctx, l.store, l.key, l.value) }

// Withdraw removes the lease if one with this value stands there, for a holder whose Acquire or Release was not answered. The value must be
// of that one lease alone. A write that is still on its way when Withdraw looks is not found, and runs out by itself.
func Withdraw(ctx context.Context, s Store, key string, value []byte) error {
	e, err := s.Get(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(e.Value, value):
		return nil
	}
	if err := s.Delete(ctx, key, e.Version); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

func (l *Lease) put(ctx context.Context, value []byte, ttl time.Duration, last bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return ErrConflict
	}
	v, err := l.store.Put(ctx, Write{Key: l.key, Value: value, TTL: ttl, If: l.fence})
	if err != nil {
		return err
	}
	l.fence, l.over = v, last
	return nil
}
