package idp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFloor is the pause after a fetch that did not make the token verify for which it was begun, so that a
	// stream of forged tokens, with unknown keys or with known ones, costs one request in that time. A fetch that did
	// starts no pause: the next roll of the provider's keys is noticed at once.
	keysFloor = 10 * time.Second
	// keysRetry is the pause after the first failed fetch; it doubles up to keysFloor.
	keysRetry = time.Second
)

var (
	errSignature   = errors.New("the signature does not verify")
	errUnknownKey  = errors.New("it is signed with a key that the provider does not publish")
	errKeysPending = errors.New("the provider's keys cannot be fetched now")
)

// keySet holds the provider's signing keys; it is the oidc.KeySet behind verification. go-oidc's own remote set
// asks the provider again for every token with an unknown key; this one has a floor between fetches.
type keySet struct {
	now   func() time.Time
	fetch func(context.Context) ([]jose.JSONWebKey, error)

	flight flight
	mu     sync.Mutex
	keys   []jose.JSONWebKey
	// No token may cause a fetch before this moment.
	closedUntil time.Time
	failures    int
}

// VerifySignature checks a compact JWS against the keys held and returns its payload. For a key it does not
// know it fetches the set once, when the floor allows it. The error is errSignature, errUnknownKey,
// errKeysPending (the answer may be different later) or the context's.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	var algs []jose.SignatureAlgorithm
	for _, a := range asymmetric() {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	jws, err := jose.ParseSignedCompact(jwt, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	id := jws.Signatures[0].Header.KeyID
	if payload, ok := k.try(jws); ok {
		return payload, nil
	}
	// A provider may give a new key an old name, so a known name is looked up again too, but then the
	// answer is final.
	known := k.has(id)
	err = k.seek(ctx, func() bool { _, ok := k.try(jws); return ok })
	if payload, ok := k.try(jws); ok {
		return payload, nil
	}
	if known {
		return nil, errSignature
	}
	return nil, err
}

// seek fetches the set because of a token; helps says afterwards whether that was of use to it. It returns
// errUnknownKey when the fetch was begun by this call and succeeded: what is unknown now stays unknown.
func (k *keySet) seek(ctx context.Context, helps func() bool) error {
	k.mu.Lock()
	closed := k.now().Before(k.closedUntil)
	k.mu.Unlock()
	if closed {
		return errKeysPending
	}
	started, err := k.flight.do(ctx, func(ctx context.Context) error {
		err, found := errPanicked, false // so that work that panics leaves a pause behind too
		defer func() { k.pause(err, found) }()
		if err = k.renew(ctx); err == nil {
			found = helps()
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || !started:
		// A fetch that others began may be older than the token.
		return errKeysPending
	}
	return errUnknownKey
}

// pause closes the set to further fetches when this one brought nothing.
func (k *keySet) pause(err error, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.closedUntil = k.now().Add(min(keysRetry<<min(k.failures, 4), keysFloor))
		k.failures++
	case !found:
		k.closedUntil = k.now().Add(keysFloor)
	}
}

// refresh fetches the set regardless of the floor.
func (k *keySet) refresh(ctx context.Context) error {
	_, err := k.flight.do(ctx, k.renew)
	return err
}

// ensure fetches the set when no key is held, so that nothing is spent before there is a way to verify what
// comes back.
func (k *keySet) ensure(ctx context.Context) error {
	if !k.empty() {
		return nil
	}
	if err := k.seek(ctx, func() bool { return true }); err != nil && k.empty() {
		return err
	}
	return nil
}

func (k *keySet) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.failures = keys, 0
	return nil
}

func (k *keySet) held() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

func (k *keySet) empty() bool { return len(k.held()) == 0 }

func (k *keySet) has(id string) bool {
	return slices.ContainsFunc(k.held(), func(key jose.JSONWebKey) bool { return key.KeyID == id })
}

// try verifies with every key that the token may mean: those of its kid, or all when it has none.
func (k *keySet) try(jws *jose.JSONWebSignature) ([]byte, bool) {
	header := jws.Signatures[0].Header
	for _, key := range k.held() {
		if header.KeyID != "" && key.KeyID != header.KeyID || !fits(key, header.Algorithm) {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}
