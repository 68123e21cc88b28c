package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// known remembers sessions whose cookie was opened before, so that a busy browser does not pay for decryption each time. It
// remembers what opening depends on alone; lifetimes and revocation are judged on every use.
//
// A cookie is remembered when it comes for the second time: a stream of cookies that come once would otherwise push the busy
// ones out and keep the garbage collector busy with sessions that nobody asks for again.
type known struct {
	sessions *lru.Cache[knownKey, *Session]
	hash     cipher.AEAD             // under a key that only this value knows
	seen     [seenOnce]atomic.Uint64 // hash → the last cookie with such a hash; a collision costs one more opening
	buffers  sync.Pool               // of *[]byte
}

// knownKey is the hash of a sealed cookie together with the version of the keys that opened it: only who holds the very cookie
// finds the session, and a change of keys forgets everything.
//
// The hash is GCM's authentication tag of the cookie (NIST SP 800-38D, GHASH), under a random key and always the same nonce. Without
// the key, two cookies have the same tag with a chance below 2^-119, whoever chooses them; the tags themselves never
// leave this value. SHA-256 would do as well, and cost a returning browser a twelfth more of the whole answer.
type knownKey struct {
	tag     [16]byte
	version uint64
}

// seenOnce is how many cookies are told apart before they are remembered; 8 bytes each.
const seenOnce = 4096

// newKnown remembers so many sessions; nil, which remembers nothing, for none.
func newKnown(sessions int) (*known, error) {
	if sessions <= 0 {
		return nil, nil
	}
	cache, err := lru.New[knownKey, *Session](sessions)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the hash of remembered cookies: %w", err)
	}
	hash, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make the hash of remembered cookies: %w", err)
	}
	return &known{sessions: cache, hash: hash}, nil
}

// key hashes without leaving a copy of the cookie to the garbage collector, which would be most of what a returning browser costs.
func (k *known) key(sealed string, version uint64) knownKey {
	if k == nil {
		return knownKey{}
	}
	b, ok := k.buffers.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	defer k.buffers.Put(b)
	const nonce, tag = 12, 16
	*b = append((*b)[:0], make([]byte, nonce+tag)...)
	*b = append(*b, sealed...)
	out := k.hash.Seal((*b)[nonce:nonce], (*b)[:nonce], nil, (*b)[nonce+tag:])
	return knownKey{tag: [16]byte(out), version: version}
}

func (k *known) get(key knownKey) (*Session, bool) {
	if k == nil {
		return nil, false
	}
	return k.sessions.Get(key)
}

// offer remembers a session that was opened, if its cookie was offered before.
func (k *known) offer(key knownKey, s *Session) {
	if k == nil {
		return
	}
	hash := binary.LittleEndian.Uint64(key.tag[:])
	if k.seen[hash%seenOnce].Swap(hash) == hash {
		k.sessions.Add(key, s)
	}
}
