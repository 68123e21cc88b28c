package devidp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// maxOldKeys bounds how many keys that no longer sign stay published.
const maxOldKeys = 16

// signingKey is an RSA key that may still be in the making; its kid is known at once.
type signingKey struct {
	kid  string
	made chan struct{} // closed when priv and err are set
	priv *rsa.PrivateKey
	err  error
}

// newSigningKey makes a key in the background: a sixth of a second of CPU that a start should not wait for.
func newSigningKey() *signingKey {
	k := &signingKey{kid: newKid(), made: make(chan struct{})}
	go func() {
		defer close(k.made)
		k.priv, k.err = rsa.GenerateKey(rand.Reader, 2048)
	}()
	return k
}

// newKid is 44 characters with +, / and =, as Cognito's are: a kid is compared, never put in a URL or a file name.
func newKid() string { return base64.StdEncoding.EncodeToString(randomBytes(32)) }

func (k *signingKey) wait(ctx context.Context) error {
	select {
	case <-k.made:
		if k.err != nil {
			return fmt.Errorf("make a signing key: %w", k.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a signing key: %w", ctx.Err())
	}
}

// Keys is a pair of signing keys, one for ID tokens and one for access tokens. It never changes, so several
// providers may start with the same one.
type Keys struct {
	id, access *signingKey
}

// NewKeys begins to make a pair and returns at once.
func NewKeys() *Keys { return &Keys{id: newSigningKey(), access: newSigningKey()} }

func (p *Keys) wait(ctx context.Context) error {
	if err := p.id.wait(ctx); err != nil {
		return err
	}
	return p.access.wait(ctx)
}

// keyring is the pair that signs and the keys that are still published.
type keyring struct {
	mu   sync.Mutex
	pair *Keys
	old  []*signingKey // newest first
	// stray signs for the WrongKey lie; never published.
	stray func() *signingKey
}

func newKeyring(first *Keys) *keyring {
	if first == nil {
		first = NewKeys()
	}
	return &keyring{pair: first, stray: sync.OnceValue(newSigningKey)}
}

// current gives the pair that signs, made.
func (k *keyring) current(ctx context.Context) (*Keys, error) {
	k.mu.Lock()
	pair := k.pair
	k.mu.Unlock()
	return pair, pair.wait(ctx)
}

func (k *keyring) roll() {
	next := NewKeys()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.old = append([]*signingKey{k.pair.id, k.pair.access}, k.old...)
	k.old = k.old[:min(len(k.old), maxOldKeys)]
	k.pair = next
}

func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.old = nil
}

// published is the key set, in a new order each time: nobody may lean on the first key being the right one.
func (k *keyring) published(ctx context.Context) (jose.JSONWebKeySet, error) {
	k.mu.Lock()
	all := append([]*signingKey{k.pair.id, k.pair.access}, k.old...)
	k.mu.Unlock()
	set := jose.JSONWebKeySet{}
	for _, key := range all {
		if err := key.wait(ctx); err != nil {
			return jose.JSONWebKeySet{}, err
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.priv.Public(), KeyID: key.kid, Algorithm: "RS256", Use: "sig"})
	}
	mathrand.Shuffle(len(set.Keys), func(i, j int) { set.Keys[i], set.Keys[j] = set.Keys[j], set.Keys[i] })
	return set, nil
}
