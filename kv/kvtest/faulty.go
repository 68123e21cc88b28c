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
	calls atomic.Int64
}

// SetDown turns every further call into ErrDown, or back.
func (f *Faulty) SetDown(down bool) { f.down.Store(down) }

// Calls is the number of calls so far, refused ones included.
func (f *Faulty) Calls() int64 { return f.calls.Load() }

// Get implements kv.Store.
func (f *Faulty) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := f.fault(); err != nil {
		return kv.Entry{}, err
	}
	return f.Store.Get(ctx, key)
}

// Put implements kv.Store.
func (f *Faulty) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := f.fault(); err != nil {
		return 0, err
	}
	return f.Store.Put(ctx, w)
}

// Delete implements kv.Store.
func (f *Faulty) Delete(ctx context.Context, key string, expected kv.Version) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key, expected)
}

// Ping implements kv.Store.
func (f *Faulty) Ping(ctx context.Context) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

func (f *Faulty) fault() error {
	f.calls.Add(1)
	if f.down.Load() {
		return ErrDown
	}
	return nil
}
