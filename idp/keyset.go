package idp

import (
	"context"
	"encoding/json"
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
	// mostHeld is how many tokens of strangers may wait for the next fetch at one time: each holds a connection of
	// somebody who has proved nothing.
	mostHeld = 16
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
	// answers is for tokens that the provider sent in an answer; strangers is for logout tokens and adopted for what browsers
	// bring, which anybody may send us: what a stranger makes up never keeps a refreshed token from being verified, nor
	// tokens that come by the other way.
	answers, strangers, adopted floor

	waiting       int           // of strangers' tokens, at most mostHeld
	begun, origin int           // how many fetches were begun, and which of them the keys are from
	asked         time.Time     // when that one was begun
	news          chan struct{} // closed when the keys are replaced; nil while nobody waits for that
}

// floor keeps tokens from causing too many fetches. keySet.mu guards it.
type floor struct {
	closedUntil time.Time // no token may cause a fetch before this moment
	failures    int
}

// VerifySignature checks a compact JWS of an answer of the provider's; see verify. It makes a keySet an oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	return k.verify(ctx, jwt, &k.answers)
}

// verify checks a compact JWS against the keys held and returns its payload. For a key it does not know it fetches
// the set once, when the floor allows it. The error is errSignature, errUnknownKey, errKeysPending (the answer may
// be different later) or the context's.
func (k *keySet) verify(ctx context.Context, jwt string, f *floor) ([]byte, error) {
	return k.verifySince(ctx, jwt, f, k.fetches())
}

// verifySince is verify for a token that came when that many fetches had been begun: the keys of a later one are final.
func (k *keySet) verifySince(ctx context.Context, jwt string, f *floor, came int) ([]byte, error) {
	jws, err := parseSigned(jwt)
	if err != nil {
		return nil, err
	}
	if payload, ok := k.try(jws); ok {
		return payload, nil
	}
	// A provider may give a new key an old name, so a known name is looked up again too, but then the
	// answer is final.
	known := k.has(jws.Signatures[0].Header.KeyID)
	err = k.seek(ctx, f, came, func() bool { _, ok := k.try(jws); return ok })
	if payload, ok := k.try(jws); ok {
		return payload, nil
	}
	if known {
		return nil, errSignature
	}
	return nil, err
}

// verifyAdopted is verify for a token that a browser brought, which may be old. No key that is newer than the set can have signed
// a token that is older, so the provider is not asked for one: the signer was retired, or is made up. A provider may sign with
// a key for futureSkew before it publishes it, clocks that differ included.
func (k *keySet) verifyAdopted(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := parseSigned(jwt)
	if err != nil {
		return nil, err
	}
	var c claims
	// What cannot be read is of no age: go-oidc has refused it already, or the caller will.
	_ = json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c)
	issued, ok := c.moment("iat")
	// Before the keys are tried: what replaces them afterwards may hold the right one.
	if !ok || !k.newerBy(futureSkew, issued) {
		return k.verify(ctx, jwt, &k.adopted)
	}
	if payload, ok := k.try(jws); ok {
		return payload, nil
	}
	if k.has(jws.Signatures[0].Header.KeyID) {
		return nil, errSignature
	}
	return nil, errUnknownKey
}

// parseSigned reads a compact JWS with one asymmetric signature; errSignature for what is none.
func parseSigned(jwt string) (*jose.JSONWebSignature, error) {
	var algs []jose.SignatureAlgorithm
	for _, a := range asymmetric() {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	jws, err := jose.ParseSignedCompact(jwt, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	return jws, nil
}

// newerBy says whether the keys were asked for more than that long after a moment.
func (k *keySet) newerBy(d time.Duration, moment time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys) > 0 && k.asked.After(moment.Add(d))
}

// verifyStranger is verify for a token that anybody may send. One that names a key which we do not hold, while the floor is
// closed, may be the first of a new key behind somebody's forgery: it is held until the keys come from a fetch that was begun
// after it came, and one fetch is enough for all that are held. errKeysPending means that there was none until ctx ended, or
// that too many are held already.
func (k *keySet) verifyStranger(ctx context.Context, jwt string) error {
	came := k.fetches()
	_, err := k.verifySince(ctx, jwt, &k.strangers, came)
	if !errors.Is(err, errKeysPending) || !k.hold() {
		return err
	}
	defer k.release()
	for errors.Is(err, errKeysPending) && k.awaitFloor(ctx, &k.strangers, came) {
		_, err = k.verifySince(ctx, jwt, &k.strangers, came)
	}
	return err
}

// hold takes one of the places for tokens that wait, if one is free.
func (k *keySet) hold() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting >= mostHeld {
		return false
	}
	k.waiting++
	return true
}

func (k *keySet) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting--
}

func (k *keySet) fetches() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.begun
}

// newerThan says whether the keys are from a fetch that was begun after that one.
func (k *keySet) newerThan(fetch int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.origin > fetch
}

// awaitFloor waits until the floor opens or the keys are from a fetch that was begun after the one called came, whatever for;
// it reports whether one of them happened before ctx ended.
func (k *keySet) awaitFloor(ctx context.Context, f *floor, came int) bool {
	k.mu.Lock()
	if k.origin > came {
		k.mu.Unlock()
		return true
	}
	if k.news == nil {
		k.news = make(chan struct{})
	}
	news, left := k.news, f.closedUntil.Sub(k.now())
	k.mu.Unlock()
	timer := time.NewTimer(max(left, keysPause)) // an open floor is a fetch by somebody else that was joined and failed
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-ctx.Done():
		return false
	}
	return true
}

// seek fetches the set because of a token that came when that many fetches had been begun; helps says afterwards whether
// that was of use to it. It returns errUnknownKey when a fetch was begun by this call, or since the token came, and succeeded:
// what is unknown now stays unknown.
func (k *keySet) seek(ctx context.Context, f *floor, came int, helps func() bool) error {
	k.mu.Lock()
	closed, looked := k.now().Before(f.closedUntil), k.origin > came
	k.mu.Unlock()
	if looked {
		return errUnknownKey
	}
	if closed {
		return errKeysPending
	}
	started, err := k.flight.do(ctx, func(ctx context.Context) error {
		if k.newerThan(came) { // since the look above
			return nil
		}
		err, found := errPanicked, false // so that work that panics leaves a pause behind too
		defer func() { k.pause(f, err, found) }()
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

// pause closes the floor to further fetches when this one brought nothing.
func (k *keySet) pause(f *floor, err error, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		f.closedUntil = k.now().Add(min(keysRetry<<min(f.failures, 4), keysFloor))
		f.failures++
	case !found:
		f.closedUntil = k.now().Add(keysFloor)
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
	if err := k.seek(ctx, &k.answers, k.fetches(), func() bool { return true }); err != nil && k.empty() {
		return err
	}
	return nil
}

func (k *keySet) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	k.mu.Lock()
	k.begun++
	this, asked := k.begun, k.now() // fetches come one after the other
	k.mu.Unlock()
	keys, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.origin, k.asked = keys, this, asked
	for _, f := range []*floor{&k.answers, &k.strangers, &k.adopted} {
		f.failures = 0
	}
	if k.news != nil {
		close(k.news)
		k.news = nil
	}
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
