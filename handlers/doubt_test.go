package handlers_test

import (
	"net/http"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// The provider rolls its keys at a moment when its key set cannot be fetched. The refresh token is spent, the new ID token cannot be
// verified: nobody may be signed out for that, and nothing may be served unverified.
func TestAKeyRollWhileTheKeySetIsDownSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	old := b.token("").AccessToken
	s.clock.advance(2 * time.Hour)
	s.provider.RollKeys()
	s.faults(t, devidp.Faults{JWKS: devidp.Fault{Status: http.StatusInternalServerError}})
	if a := b.get(tokenPath); a.status != http.StatusServiceUnavailable || a.cleared(s.cookie) {
		t.Fatalf("while the keys are missing: got %d, cookie cleared: %v", a.status, a.cleared(s.cookie))
	}
	s.faults(t, devidp.Faults{})
	s.clock.advance(15 * time.Second)
	if got := b.token("").AccessToken; got == old {
		t.Error("got the old token")
	}
	if got := s.provider.Stats(); got.Refresh.OK != 1 || got.Reuses != 0 {
		t.Errorf("%d refreshes, %d reuses; want 1 and none", got.Refresh.OK, got.Reuses)
	}
}
