package secret

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// keySize is the length of a key in bytes.
const keySize = 32

// ErrNoKeys says that a ring was asked for without any key.
var ErrNoKeys = errors.New("no key is given, want at least one")

// Ring is a ring of 32-byte keys, newest first: the first seals, all open. Its keys follow
// the references they came from; a first key that a refresh brings only opens for two minutes,
// in which the one before it goes on sealing and other replicas come to know the new one.
// It is safe for concurrent use.
type Ring struct {
	values []Value
}

// NewRing makes a ring. Every value is 32 bytes in standard base64 (RFC 4648 section 4)
// and no key repeats another; the error joins everything that is wrong, counting keys
// from 1, and is ErrNoKeys when there is no value at all. From here on a refresh of these
// values that brings anything but a good key counts as failed.
func NewRing(values ...Value) (*Ring, error) {
	if len(values) == 0 {
		return nil, ErrNoKeys
	}
	var faults []error
	for i, v := range values {
		if !v.IsSet() {
			faults = append(faults, fmt.Errorf("key %d is empty", i+1))
			continue
		}
		v.src.guard(checkKey) // before the check below, so that no refresh slips between
	}
	if faults = append(faults, CheckKeys(values...)...); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &Ring{values: slices.Clone(values)}, nil
}

// CheckKeys returns every fault that NewRing would find in the values that are set, in
// order. It passes over those that are not: a configuration is checked before its
// references are read. No fault quotes a key.
func CheckKeys(values ...Value) []error {
	var faults []error
	keys := make([][]byte, len(values)) // nil where there is no good key
	for i, v := range values {
		if !v.IsSet() {
			continue
		}
		key, err := decodeKey(v.Bytes())
		if err != nil {
			faults = append(faults, fmt.Errorf("key %d %w", i+1, err))
			continue
		}
		if first := find(keys[:i], key); first >= 0 {
			faults = append(faults, fmt.Errorf("key %d repeats key %d", i+1, first+1))
			continue
		}
		keys[i] = key
	}
	return faults
}

// Keys returns the decoded keys, the one that seals first, for the caller to keep until Version moves.
// A key that a refresh replaced follows at the end until it is replaced once more: what
// it sealed a moment ago, here or on another replica, still opens. To cut a key off at
// once, replace it and restart.
func (r *Ring) Keys() [][]byte {
	var keys, former [][]byte
	for i, v := range r.values {
		h := v.src.state()
		if i == 0 && !h.ripe.IsZero() {
			keys = appendKey(keys, h.sealing)
		}
		keys = appendKey(keys, h.current)
		former = append(former, h.former, h.sealing)
	}
	for _, text := range former {
		keys = appendKey(keys, text)
	}
	return keys
}

// Version grows whenever Keys would answer anew. It costs an atomic read for each key.
// Read Version before Keys, so that a change between the two is seen the next time.
func (r *Ring) Version() uint64 {
	version := uint64(1)
	for _, v := range r.values {
		version += v.src.state().version
	}
	return version
}

// Refresh reads every key afresh under the rules of Value.Refresh, for a caller that met
// something no key opens: another replica may have seen a rotation first.
func (r *Ring) Refresh(ctx context.Context) error {
	var faults []error
	for i, v := range r.values {
		if err := v.Refresh(ctx); err != nil {
			faults = append(faults, fmt.Errorf("refresh key %d: %w", i+1, err))
		}
	}
	return errors.Join(faults...)
}

// LastRead is when the last successful read of the first key began: what was stored by then is known here. Only the first is asked,
// because what somebody seals with is his first key. False means that no read brings another: it is a literal, or could not be read
// for five minutes, after which nobody is to wait for what it may hold.
func (r *Ring) LastRead() (at time.Time, follows bool) { return r.values[0].src.lastRead() }

// GenerateKey returns a fresh random key in the form that NewRing reads.
func GenerateKey() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return base64.StdEncoding.EncodeToString(key)
}

// decodeKey is strict about the alphabet and says nothing of what it read.
func decodeKey(text []byte) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || bytes.ContainsAny(text, "\r\n") { // the decoder skips line breaks
		return nil, errors.New("is not standard base64")
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("is %d bytes, want %d", len(key), keySize)
	}
	return key, nil
}

func checkKey(text []byte) error {
	_, err := decodeKey(text)
	return err
}

// appendKey adds the key that text encodes, unless it is there already or is none.
func appendKey(keys [][]byte, text []byte) [][]byte {
	key, err := decodeKey(text)
	if err != nil || find(keys, key) >= 0 {
		return keys
	}
	return append(keys, key)
}

// find returns the index of key in keys, or -1.
func find(keys [][]byte, key []byte) int {
	return slices.IndexFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}
