package machine

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// KeyRing is the server's keys, newest first. Version grows when they change.
type KeyRing interface {
	Keys() [][]byte
	Version() uint64
}

// storeKeys names and seals what stands in the store. Without the caller's credential neither the name can be found nor the value
// opened; without the server's key the credential cannot be guessed from them. Under another realm all of it is another: a token is
// worth nothing, and tells too much, at a provider that did not issue it.
type storeKeys struct {
	ring    KeyRing
	realm   string
	current atomic.Pointer[derived]
	mu      sync.Mutex // one derivation per change
}

type derived struct {
	version uint64
	pairs   []pair // newest first
}

// pair is what is derived from one key of the ring, each for its own purpose (RFC 5869).
type pair struct{ naming, sealing []byte }

// place is one request's place in the store under one server key.
type place struct {
	name string
	seal [32]byte
}

func newStoreKeys(ring KeyRing, realm string) (*storeKeys, error) {
	s := &storeKeys{ring: ring, realm: realm}
	d, err := s.derived()
	if err != nil {
		return nil, err
	}
	if len(d.pairs) == 0 {
		return nil, errors.New("machine: the key ring is empty")
	}
	return s, nil
}

func (s *storeKeys) derived() (*derived, error) {
	version := s.ring.Version()
	if d := s.current.Load(); d != nil && d.version == version {
		return d, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.current.Load(); d != nil && d.version == version {
		return d, nil
	}
	d := &derived{version: version}
	for _, key := range s.ring.Keys() {
		naming, err := hkdf.Key(sha256.New, key, nil, "vestibule machine token name v2 "+s.realm, 32)
		if err != nil {
			return nil, fmt.Errorf("derive a key for names: %w", err)
		}
		sealing, err := hkdf.Key(sha256.New, key, nil, "vestibule machine token sealing v2 "+s.realm, 32)
		if err != nil {
			return nil, fmt.Errorf("derive a key for sealing: %w", err)
		}
		d.pairs = append(d.pairs, pair{naming, sealing})
	}
	s.current.Store(d)
	return d, nil
}

// places gives the request's places, the newest key's first: the others are read while keys are rotated, never written.
func (s *storeKeys) places(canonical []byte) ([]place, error) {
	d, err := s.derived()
	if err != nil {
		return nil, err
	}
	out := make([]place, len(d.pairs))
	for i, p := range d.pairs {
		mac := hmac.New(sha256.New, p.naming)
		mac.Write(canonical)
		out[i].name = "machine/" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		// HKDF's second half: the server's key is the secret, the request with its credential says what the key is for.
		seal, err := hkdf.Expand(sha256.New, p.sealing, string(canonical), 32)
		if err != nil {
			return nil, fmt.Errorf("derive the key of a token: %w", err)
		}
		copy(out[i].seal[:], seal)
	}
	return out, nil
}

// What is sealed. The word is authenticated with the value, so that one cannot be passed off as the other.
const (
	sealedToken = "token"
	sealedError = "error"
)

func (p *place) close(what string, plain []byte) ([]byte, error) {
	aead, err := p.cipher()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(what)), nil
}

func (p *place) open(what string, sealed []byte) ([]byte, error) {
	aead, err := p.cipher()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, []byte(what))
}

func (p *place) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(p.seal[:])
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// half is half a SHA-256: 128 bits that find something in memory, or open it.
type half [16]byte

// memoryKeys finds and opens what stands in memory. One hash of a key that only this process knows and the whole request gives both
// halves; neither is kept, so memory opens to nobody but who brings the request again.
type memoryKeys struct {
	request, canonical, secret [32]byte
}

func newMemoryKeys() *memoryKeys {
	k := &memoryKeys{}
	_, _ = rand.Read(k.request[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(k.canonical[:])
	_, _ = rand.Read(k.secret[:])
	return k
}

// ofRequest is for the request as it came, before anybody has understood it.
func (k *memoryKeys) ofRequest(r Request) (find, open half) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	b := append((*buf)[:0], k.request[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Authorization)))
	b = append(b, r.Authorization...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Query)))
	b = append(b, r.Query...)
	b = append(b, r.Body...)
	sum := sha256.Sum256(b)
	*buf = b
	return half(sum[:16]), half(sum[16:])
}

// ofCanonical is for the request understood: the same for every way of writing it.
func (k *memoryKeys) ofCanonical(canonical []byte) (find, open half) {
	sum := sha256.Sum256(append(k.canonical[:len(k.canonical):len(k.canonical)], canonical...))
	return half(sum[:16]), half(sum[16:])
}

// mark tells one secret of a named client from the next: what was remembered under an old one must not be served.
func (k *memoryKeys) mark(secret []byte) (m [8]byte) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	b := append(append((*buf)[:0], k.secret[:]...), secret...)
	sum := sha256.Sum256(b)
	*buf = b
	return [8]byte(sum[:8])
}

func (h half) xor(other half) half {
	for i := range h {
		h[i] ^= other[i]
	}
	return h
}

// scratch are buffers for what is needed for a moment only.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}
