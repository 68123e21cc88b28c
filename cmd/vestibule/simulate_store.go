package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vestibule/kv"
)

// ledger writes down what all replicas keep in their cache, and how often they ask it.
type ledger struct {
	mu      sync.Mutex
	entries map[string]entryWeight // key → what stands there
	calls   map[string]int         // operation → how often
	faults  int
}

// entryWeight is an entry without its content.
type entryWeight struct {
	bytes   int
	expires time.Time
}

func newLedger() *ledger {
	return &ledger{entries: map[string]entryWeight{}, calls: map[string]int{}}
}

func (l *ledger) called(operation string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[operation]++
	if err != nil && !errors.Is(err, kv.ErrNotFound) && !errors.Is(err, kv.ErrConflict) && !errors.Is(err, errSevered) && !errors.Is(err, context.Canceled) {
		l.faults++
	}
}

func (l *ledger) put(w kv.Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[w.Key] = entryWeight{bytes: len(w.Key) + len(w.Value), expires: time.Now().Add(w.TTL)}
}

func (l *ledger) deleted(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, key)
}

// cacheSummary is what the cache held at the end, and what it was asked.
type cacheSummary struct {
	Kinds     map[string]kindSummary `json:"kinds"`     // by the first part of the key
	Bytes     int                    `json:"bytes"`     // per session, keys and values; the cache's own overhead comes on top
	PerAnswer float64                `json:"perAnswer"` // calls for each request of a browser, refreshes included
	Calls     map[string]int         `json:"calls"`
	Faults    int                    `json:"faults"` // calls without an answer
}

// kindSummary is the entries of one kind.
type kindSummary struct {
	Entries int `json:"entries"`
	Bytes   int `json:"bytes"` // of one, on average
}

func (l *ledger) summary(sessions, requests int) cacheSummary {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := cacheSummary{Kinds: map[string]kindSummary{}, Calls: map[string]int{}, Faults: l.faults}
	now, all, calls := time.Now(), 0, 0
	for key, e := range l.entries {
		if !now.Before(e.expires) {
			continue
		}
		name, _, _ := strings.Cut(key, "/")
		k := c.Kinds[name]
		c.Kinds[name] = kindSummary{k.Entries + 1, k.Bytes + e.bytes}
		all += e.bytes
	}
	for name, k := range c.Kinds {
		c.Kinds[name] = kindSummary{k.Entries, k.Bytes / k.Entries}
	}
	for operation, n := range l.calls {
		c.Calls[operation] = n
		calls += n
	}
	c.Bytes = all / max(1, sessions)
	c.PerAnswer = float64(calls) / float64(max(1, requests))
	return c
}

// errSevered is all that a killed replica hears of its store.
var errSevered = errors.New("the replica was killed")

// booked is one replica's way to its store: everything is written into the ledger, and nothing passes once it is severed.
type booked struct {
	kv.Store
	ledger  *ledger
	severed *atomic.Bool
}

// ask makes one call. One that is under way when the replica is killed may still arrive, as a packet does that has left; its answer
// is lost.
func (b booked) ask(operation string, call func() error) error {
	if b.severed.Load() {
		return errSevered
	}
	err := call()
	if b.severed.Load() {
		err = errSevered
	}
	b.ledger.called(operation, err)
	return err
}

// Get implements kv.Store.
func (b booked) Get(ctx context.Context, key string) (e kv.Entry, err error) {
	err = b.ask("get", func() error { e, err = b.Store.Get(ctx, key); return err })
	return e, err
}

// Ping implements kv.Store. Probes are no cost of a session: they are not written down.
func (b booked) Ping(ctx context.Context) error {
	if b.severed.Load() {
		return errSevered
	}
	return b.Store.Ping(ctx)
}

// GetMany implements kv.Store.
func (b booked) GetMany(ctx context.Context, keys ...string) (all []kv.Entry, err error) {
	err = b.ask("getmany", func() error { all, err = b.Store.GetMany(ctx, keys...); return err })
	return all, err
}

// Put implements kv.Store.
func (b booked) Put(ctx context.Context, w kv.Write) (v kv.Version, err error) {
	err = b.ask("put", func() error {
		if v, err = b.Store.Put(ctx, w); err == nil {
			b.ledger.put(w)
		}
		return err
	})
	return v, err
}

// Delete implements kv.Store.
func (b booked) Delete(ctx context.Context, key string, expected kv.Version) error {
	return b.ask("delete", func() error {
		err := b.Store.Delete(ctx, key, expected)
		if err == nil {
			b.ledger.deleted(key)
		}
		return err
	})
}

// severedFeed is one replica's way to the feed.
type severedFeed struct {
	kv.Feed
	severed *atomic.Bool
}

// Publish implements kv.Feed.
func (f severedFeed) Publish(ctx context.Context, message []byte) error {
	if f.severed.Load() {
		return errSevered
	}
	return f.Feed.Publish(ctx, message)
}
