// Package kv is the small expiring key-value contract on which replicas agree: refresh leases and their results, revocations,
// used sign-ins. It owns the contract, the lease built on it, the form that lives in one process (Memory), and the Guard before remote ones;
// every other store is a package of its own that passes kvtest. It refuses to know what the values mean: callers seal what is secret.
//
//	Put(If: Absent) → version v1 → Put(If: v1) → version v2 > v1 → … → expired = unknown
//
// Read kv.go for the contract, then lease.go, then memory.go, feed.go and guard.go; try.go is for who sets a store up.
package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Version tells one write of a key from every other write of it. Versions of one key only grow, also past its expiry or
// deletion for as long as the store keeps its state, so a version serves as a fencing value.
type Version uint64

const (
	// Absent as a condition: the key must be unknown.
	Absent Version = 0
	// Any as a condition: whatever stands there, or nothing.
	Any Version = math.MaxUint64
)

// Limits that every store keeps, so that a caller never learns of them from one store only.
const (
	MaxKey   = 512                       // bytes of a key
	MaxValue = 256 << 10                 // bytes of a value; below DynamoDB's item limit of 400 kB
	MaxTTL   = 10 * 365 * 24 * time.Hour // ten years, Cognito's longest refresh token
	MaxKeys  = 100                       // keys of one GetMany; what DynamoDB takes in one call

	MaxMessage = 1 << 10 // bytes of a message of a Feed
)

var (
	// ErrNotFound means that the key is unknown: never written, deleted, or expired.
	ErrNotFound = errors.New("kv: no such key")
	// ErrConflict means that a condition did not hold: nothing was changed.
	ErrConflict = errors.New("kv: the entry is not the expected one")
	// ErrInvalid means a key, value, lifetime, message or number of keys outside the limits: a mistake of the caller.
	ErrInvalid = errors.New("kv: key, value, lifetime, message or number of keys out of bounds")
	// ErrNoWrites means that the store answers, may be read, and took no write: a copy that may only be read, a server that has lost its
	// replicas or its disk, a user without the right, a table short of throughput. It may be over in a moment, as a failover is. It is a
	// fault of the system; of a call that was sent twice only the second attempt is known to have been refused.
	ErrNoWrites = errors.New("kv: the store takes no writes")
	// ErrFull is the ErrNoWrites of a store that has no room.
	ErrFull = fmt.Errorf("%w: it is full", ErrNoWrites)
)

// Entry is what stands under a key.
type Entry struct {
	Value   []byte // the caller's own copy
	Version Version
	Expires time.Time
}

// Write is one conditional write.
type Write struct {
	Key   string
	Value []byte        // copied by the store
	TTL   time.Duration // more than zero, at most MaxTTL
	If    Version       // Absent (the zero value), Any, or the version that must stand there
}

// Store is the contract. An expired entry is unknown to every method at once, however late the store really removes it.
// ErrNotFound, ErrConflict and ErrInvalid are answers; every other error is a fault of the system, after which the caller
// does not know whether a write took place. Methods are safe for concurrent use and return soon after ctx ends.
type Store interface {
	// Get returns the entry, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// GetMany returns the entries of up to MaxKeys keys, in the order of the keys; the zero Entry, whose version is Absent,
	// stands for a key that is unknown. It costs one round trip. The entries are each of some moment during the call, not all
	// of the same one. No keys is no entries; too many is ErrInvalid.
	GetMany(ctx context.Context, keys ...string) ([]Entry, error)
	// Put writes if the condition holds and returns the new version; ErrConflict if it does not hold.
	Put(ctx context.Context, w Write) (Version, error)
	// Delete removes the entry if it has the version, or whatever stands there for Any. An unknown key is nil, not an
	// error; another version is ErrConflict.
	Delete(ctx context.Context, key string, expected Version) error
	// Ping says whether the store answers at all; readiness asks it.
	Ping(ctx context.Context) error
}

// Feed carries short messages to every replica that listens. It keeps nothing: who does not listen at that moment misses them, so
// a message only says sooner what an entry says too. Those of one publisher keep their order; one may come twice. Methods are safe for
// concurrent use.
type Feed interface {
	// Publish hands the message to all who listen, on this replica and all others, within a second. It takes 1 to MaxMessage
	// bytes, else ErrInvalid; another error means that some may not hear it.
	Publish(ctx context.Context, message []byte) error
	// Listen calls l until ctx ends; it reconnects by itself for as long as that takes, with pauses. It never calls l from two
	// goroutines at once.
	Listen(ctx context.Context, l Listener)
}

// Listener hears a Feed. Both functions must return soon: what comes meanwhile waits.
type Listener struct {
	Hear func(message []byte) // the listener's own copy
	// Missed is called each time messages may have passed unheard, when listening works again, and once when it first works.
	Missed func()
}

// Check refuses a write that is outside the limits with ErrInvalid. Stores call it first.
func (w Write) Check() error {
	switch {
	case w.Key == "" || len(w.Key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes, want 1 to %d", ErrInvalid, len(w.Key), MaxKey)
	case len(w.Value) > MaxValue:
		return fmt.Errorf("%w: value of %d bytes, want at most %d", ErrInvalid, len(w.Value), MaxValue)
	case w.TTL <= 0 || w.TTL > MaxTTL:
		return fmt.Errorf("%w: lifetime %s", ErrInvalid, w.TTL)
	}
	return nil
}
