package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The caller has hung up, so no request is under way any more; the rotation is, and its result is in nobody's hands but ours.
func TestTheStopOfTheServerWaitsForARefreshThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.answers = true // the refresh token is spent by then
	s := newServer(t, func(o *options) { o.idp.Transport = g })
	other := s.replica(t, func(o *options) { o.idp.Transport = g })
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.clock.advance(2 * time.Hour)
	open := g.close()
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	leaver := s.stranger(t)
	go func() {
		_, err := leaver.try(ctx, http.MethodGet, tokenPath, "", old)
		gone <- err
	}()
	<-g.arrived
	hangUp()
	if err := <-gone; err == nil {
		t.Fatal("the browser that hung up got an answer")
	}
	until(t, "the server has noticed", func() bool { return strings.Contains(s.logs.String(), "status=499") })

	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	until(t, "the listener is closed", func() bool {
		_, err := s.stranger(t).try(t.Context(), http.MethodGet, "/healthz", "")
		return err != nil
	})
	select {
	case <-stopped:
		t.Fatal("the server stopped in the middle of a rotation")
	case <-time.After(100 * time.Millisecond):
	}
	open()
	<-stopped
	at := other.stranger(t)
	at.token("", old) // what was made at the last moment is there for everybody
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want 1 and 0", got.Refresh, got.Reuses)
	}
}

func TestTheStopOfTheServerWaitsForARevocation(t *testing.T) {
	t.Parallel()
	g := &revokeGate{arrived: make(chan struct{}, 1), open: make(chan struct{})}
	s := newServer(t, func(o *options) { o.idp.Transport, o.session.Timing.Revoke = g, time.Millisecond })
	b := s.browser(t)
	b.signIn()
	if a := b.post("/api/auth/sign-out", nil); a.status != http.StatusSeeOther {
		t.Fatalf("sign-out: got %d, want 303", a.status)
	}
	<-g.arrived
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("the server stopped before the refresh token was revoked")
	case <-time.After(100 * time.Millisecond):
	}
	close(g.open)
	<-stopped
	if got := s.provider.Stats().Revoke.OK; got != 1 {
		t.Errorf("got %d revocations, want 1", got)
	}
}

// revokeGate holds revocations back.
type revokeGate struct{ arrived, open chan struct{} }

// RoundTrip implements http.RoundTripper.
func (g *revokeGate) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/revoke") {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}
