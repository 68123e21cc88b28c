// Package kv is the small expiring key-value contract on which replicas agree: refresh leases and their results, revocations,
// used sign-ins. It owns the contract, the lease built on it, and the form that lives in one process (Memory); every other
// store is a package of its own that passes kvtest. It refuses to know what the values mean: callers seal what is secret.
//
//	Put(If: Absent) → version v1 → Put(If: v1) → version v2 > v1 → … → expired = unknown
//
// Read kv.go for the contract, then lease.go, then memory.go.
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
)

var (
	// ErrNotFound means that the key is unknown: never written, deleted, or expired.
	ErrNotFound = errors.New("kv: no such key")
	// ErrConflict means that a condition did not hold: nothing was changed.
	ErrConflict = errors.New("kv: the entry is not the expected one")
	// ErrInvalid means a key, value or lifetime outside the limits: a mistake of the caller.
	ErrInvalid = errors.New("kv: key, value or lifetime out of bounds")
	// ErrFull means that the store has no room; it is a fault of the system, as a network error is.
	ErrFull = errors.New("kv: the store is full")
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
	// Put writes if the condition holds and returns the new version; ErrConflict if it does not hold.
	Put(ctx context.Context, w Write) (Version, error)
	// Delete removes the entry if it has the version, or whatever stands there for Any. An unknown key is nil, not an
	// error; another version is ErrConflict.
	Delete(ctx context.Context, key string, expected Version) error
	// Ping says whether the store answers at all; readiness asks it.
	Ping(ctx context.Context) error
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
