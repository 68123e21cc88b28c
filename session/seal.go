package session

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/securecookie"
)

// KeyRing is the server's keys, newest first: the first seals, all open. Version grows when they change. Refresh reads them afresh
// where they come from; it is called for cookies that no key opens, which anybody can send, so it must bound by itself
// what that costs. LastRead is when the last read that succeeded began of the key that seals, false where no read brings others.
type KeyRing interface {
	Keys() [][]byte
	Version() uint64
	Refresh(ctx context.Context) error
	LastRead() (at time.Time, follows bool)
}

// refreshTimeout bounds how long a cookie that no key opens may wait for keys that are read afresh.
const refreshTimeout = 2 * time.Second

// dateSkew is how far the clock of the replica that dated a cookie may be off. It is well below clockSkew, because it is also how long a
// cookie that no key will ever open may be in doubt.
const dateSkew = 30 * time.Second

// errKeyUnread is why nobody can say what a cookie is.
var errKeyUnread = errors.New("the cookie may be sealed under a key that was not read here yet")

// sealer seals cookie values under the ring's keys. securecookie encrypts (AES-256-CTR) and then authenticates (HMAC-SHA256)
// name, time and text, so a value is good under its own cookie name only.
type sealer struct {
	ring    KeyRing
	current atomic.Pointer[sealerKeys]
	mu      sync.Mutex // one derivation per change
}

type sealerKeys struct {
	version uint64
	codecs  []*securecookie.SecureCookie // newest first
}

func newSealer(ring KeyRing) (*sealer, error) {
	s := &sealer{ring: ring}
	k, err := s.keys()
	if err != nil {
		return nil, err
	}
	if len(k.codecs) == 0 {
		return nil, fmt.Errorf("session: the key ring is empty")
	}
	return s, nil
}

// version tells one set of keys from the next.
func (s *sealer) version() uint64 { return s.ring.Version() }

// changed says whether the keys are others than they were at that version, and reads them afresh first if they are not: another
// replica may have sealed under a key that was rotated in a moment ago.
func (s *sealer) changed(ctx context.Context, before uint64) bool {
	if s.version() != before {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	_ = s.ring.Refresh(ctx) // the ring tells its operator; here only a change counts
	return s.version() != before
}

// undecided says that one of the values, which came at that moment and which no key opens, may be sealed under a key that was stored after
// the last read and that a floor between reads, or their failure, kept from being read: another replica that has just started seals with
// it. It is unauthenticated, so it must do good to honest cookies only: it takes a date from the value, and a value that is dated before
// the last read is decided, whatever else arrives and keeps the floor up. Who forges dates is told to come again, he alone, and never
// costs a read.
func (s *sealer) undecided(at time.Time, values ...string) bool {
	known, follows := s.ring.LastRead()
	if !follows || !known.Before(at) {
		return false
	}
	for _, value := range values {
		sealed, ok := sealedAt(value)
		if ok && sealed.After(known.Add(-dateSkew)) && sealed.Before(at.Add(dateSkew)) {
			return true
		}
	}
	return false
}

// sealedAt reads when a value was sealed, as it says itself: securecookie's "date|text|MAC", in base64. False means that it is none.
func sealedAt(value string) (time.Time, bool) {
	if len(value) > maxChunks*cookieLimit {
		return time.Time{}, false
	}
	raw, err := base64.URLEncoding.DecodeString(value)
	end := len(raw) - sha256.Size - 1
	if err != nil || end < 0 || raw[end] != '|' {
		return time.Time{}, false
	}
	date, text, _ := bytes.Cut(raw[:end], []byte{'|'})
	seconds, err := strconv.ParseInt(string(date), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	sealed, err := base64.URLEncoding.DecodeString(string(text))
	return time.Unix(seconds, 0), err == nil && len(sealed) > aes.BlockSize // the initialization vector stands before the rest
}

// seal gives a cookie value; plain is destroyed (securecookie encrypts in place).
func (s *sealer) seal(name string, plain []byte) (string, error) {
	k, err := s.keys()
	if err != nil {
		return "", err
	}
	v, err := k.codecs[0].Encode(name, plain)
	if err != nil {
		return "", fmt.Errorf("seal a cookie: %w", err)
	}
	return v, nil
}

// open gives what was sealed, or false: it never says why, and nobody needs to know.
func (s *sealer) open(name, value string) ([]byte, bool) {
	k, err := s.keys()
	if err != nil {
		return nil, false
	}
	for _, c := range k.codecs {
		var plain []byte
		if c.Decode(name, value, &plain) == nil {
			return plain, true
		}
	}
	return nil, false
}

func (s *sealer) keys() (*sealerKeys, error) {
	version := s.ring.Version()
	if k := s.current.Load(); k != nil && k.version == version {
		return k, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.current.Load(); k != nil && k.version == version {
		return k, nil
	}
	k := &sealerKeys{version: version}
	for _, key := range s.ring.Keys() {
		c, err := cookieCodec(key)
		if err != nil {
			return nil, err
		}
		k.codecs = append(k.codecs, c)
	}
	s.current.Store(k)
	return k, nil
}

// cookieCodec derives securecookie's two keys from one of ours (RFC 5869), so that no key serves two purposes. securecookie's
// own clock and length limit are off: lifetimes are in the session, and the length is bounded by chunks before it gets here.
func cookieCodec(key []byte) (*securecookie.SecureCookie, error) {
	mac, err := hkdf.Key(sha256.New, key, nil, "vestibule cookie authentication v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a cookie key: %w", err)
	}
	block, err := hkdf.Key(sha256.New, key, nil, "vestibule cookie encryption v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a cookie key: %w", err)
	}
	return securecookie.New(mac, block).SetSerializer(securecookie.NopEncoder{}).MaxAge(0).MaxLength(0), nil
}
