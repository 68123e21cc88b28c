package kvtest

import (
	"context"
	"errors"
	"sync/atomic"

	"vestibule/kv"
)

// ErrDown is what a Faulty store answers while it is down.
var ErrDown = errors.New("kvtest: the store is down")

// Faulty passes everything to the store it wraps, until it is told to be down.
type Faulty struct {
	kv.Store
	down  atomic.Bool
	mute  atomic.Int64 // so many writes to come are not answered
	calls atomic.Int64
}

// SetDown turns every further call into ErrDown, or back.
func (f *Faulty) SetDown(down bool) { f.down.Store(down) }

// LoseAnswers makes the next n calls of Put and Delete take place and answer ErrDown, as when a time-out is over before the answer comes.
func (f *Faulty) LoseAnswers(n int) { f.mute.Store(int64(n)) }

// Calls is the number of calls so far, refused ones included.
func (f *Faulty) Calls() int64 { return f.calls.Load() }

// Get implements kv.Store.
func (f *Faulty) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := f.fault(); err != nil {
		return kv.Entry{}, err
	}
	return f.Store.Get(ctx, key)
}

// GetMany implements kv.Store.
func (f *Faulty) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.Store.GetMany(ctx, keys...)
}

// Put implements kv.Store.
func (f *Faulty) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := f.fault(); err != nil {
		return 0, err
	}
	v, err := f.Store.Put(ctx, w)
	if f.lost() {
		return 0, ErrDown
	}
	return v, err
}

// Delete implements kv.Store.
func (f *Faulty) Delete(ctx context.Context, key string, expected kv.Version) error {
	if err := f.fault(); err != nil {
		return err
	}
	err := f.Store.Delete(ctx, key, expected)
	if f.lost() {
		return ErrDown
	}
	return err
}

// Ping implements kv.Store.
func (f *Faulty) Ping(ctx context.Context) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

func (f *Faulty) lost() bool {
	for {
		n := f.mute.Load()
		if n <= 0 {
			return false
		}
		if f.mute.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (f *Faulty) fault() error {
	f.calls.Add(1)
	if f.down.Load() {
		return ErrDown
	}
	return nil
}
