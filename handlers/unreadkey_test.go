package handlers_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"vestibule/secret"
)

// A replica that has just started seals with the newest key; another one must not clear the cookie because it may not look for the key
// just now.
func TestACookieOfAKeyThatMayNotBeReadYetIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	stored, start := secret.GenerateKey(), time.Now()
	ring := func() *secret.Ring {
		r := secret.NewResolver(secret.Config{
			Now: func() time.Time { return start }, // the keys have just been read, for as long as the test takes
			AWS: func(context.Context, secret.AWSSecret) ([]byte, error) { return []byte(stored), nil },
		})
		key, err := r.Resolve(t.Context(), "awssm:key")
		must(t, err)
		made, err := secret.NewRing(key)
		must(t, err)
		return made
	}
	late := newServer(t, func(o *options) { o.session.Keys = ring() })
	late.stranger(t).get(tokenPath, "Cookie: "+late.cookie+"=garbage").wants(t, http.StatusUnauthorized, unauthorized) // has them read
	stored = secret.GenerateKey()
	early := late.replica(t, func(o *options) { o.session.Keys = ring() })
	b := late.browser(t).at(early)
	b.signIn()
	b.token("")
	a := b.at(late).get(tokenPath)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "2" || len(a.set) > 0 {
		t.Errorf("got %d, Retry-After %q and cookies %v, want 503, 2 and none", a.status, a.header.Get("Retry-After"), a.set)
	}
	a = late.stranger(t).get(tokenPath, "Cookie: "+late.cookie+"=garbage")
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if !a.cleared(late.cookie) {
		t.Error("garbage was not cleared")
	}
}
