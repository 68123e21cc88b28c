package kv

import (
	"context"
	"errors"
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
	Value []byte        // what others see while the work goes on
	TTL   time.Duration // how long the lease outlives its last renewal
	Over  Version       // the version of an entry it may replace; Absent: none
}

// Acquire takes the lease, or answers ErrConflict when somebody else was first.
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
