package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"vestibule/kv"
)

// record is what stands in the store about one refresh token of one session: one byte of state, then what the state needs.
type record []byte

type state byte

const (
	stateLeased state = 'L' // somebody is at work
	stateDone   state = 'D' // the newer session, sealed
	stateFailed state = 'F' // the provider refused; the reason follows
	stateDoubt  state = 'P' // the newer session, sealed, whose ID token could not be verified yet
	stateGaveUp state = 'U' // whoever waited for the lease of the versions that follow gives up too; seconds to wait
)

func (r record) is(s state) bool { return len(r) > 0 && state(r[0]) == s }

func failedRecord(why Reason) record { return append(record{byte(stateFailed)}, why...) }

// gaveUpRecord names the versions of the lease from its first to its last renewal: a waiter has seen one of them.
func gaveUpRecord(first, last kv.Version, retryAfter time.Duration) record {
	r := binary.BigEndian.AppendUint64(record{byte(stateGaveUp)}, uint64(first))
	r = binary.BigEndian.AppendUint64(r, uint64(last))
	return binary.BigEndian.AppendUint32(r, uint32(min(retryAfter, time.Hour)/time.Second))
}

// gaveUp says whether the record tells waiters of that lease to give up, and for how long.
func (r record) gaveUp(lease kv.Version) (retryAfter time.Duration, ok bool) {
	if !r.is(stateGaveUp) || len(r) != 21 {
		return 0, false
	}
	first, last := kv.Version(binary.BigEndian.Uint64(r[1:])), kv.Version(binary.BigEndian.Uint64(r[9:]))
	if lease < first || lease > last {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint32(r[17:])) * time.Second, true
}

// recordKey names the record. It contains the session, so no two sessions ever share a result, and it is a hash, so the store
// does not learn the refresh token.
func recordKey(s *Session) string {
	h := sha256.New()
	_, _ = io.WriteString(h, "vestibule refresh record v1\x00")
	h.Write(s.ID[:])
	_, _ = io.WriteString(h, s.Tokens.RefreshToken)
	return "refresh/" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// sealRecord seals the newer session under a key that only who holds the old refresh token can make: a store that leaks
// opens nothing, and no other session can read it.
func (m *Manager) sealRecord(as state, old, newer *Session) (record, error) {
	aead, err := recordCipher(old)
	if err != nil {
		return nil, err
	}
	packed, err := m.codec.pack(newer)
	if err != nil {
		return nil, err
	}
	return append(record{byte(as)}, aead.Seal(nil, nil, packed, nil)...), nil
}

func (m *Manager) openRecord(old *Session, r record) (*Session, error) {
	if !r.is(stateDone) && !r.is(stateDoubt) {
		return nil, errors.New("session: not a result")
	}
	aead, err := recordCipher(old)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, r[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("open a refresh result: %w", err)
	}
	s, err := m.codec.unpack(plain)
	if err != nil {
		return nil, err
	}
	if s.ID != old.ID {
		return nil, errors.New("session: the result of another session")
	}
	s.keys, s.ticket = m.markKeysOf(s), old.ticket
	return s, nil
}

func recordCipher(old *Session) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(old.Tokens.RefreshToken), old.ID[:], "vestibule refresh result v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a refresh result: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of a refresh result: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
