package handlers_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// The token answer is what an open page asks for; looking who is signed in is not activity.
func TestTheTokenAnswerKeepsAnIdleSessionAliveAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.IdleTimeout = 30 * time.Minute })
	b := s.browser(t)
	b.signIn()
	began := s.clock.Now()
	ends := func() time.Duration {
		a := b.get("/api/auth/session")
		if a.status != http.StatusOK || len(a.set) != 0 {
			t.Fatalf("session: got %d and %v, want 200 and no cookie", a.status, a.set)
		}
		var got struct {
			ExpiresAt int64 `json:"expiresAt"`
		}
		must(t, json.Unmarshal([]byte(a.body), &got))
		return time.Unix(got.ExpiresAt, 0).Sub(began)
	}
	for _, step := range []struct {
		passes time.Duration
		asks   bool
		ends   time.Duration
	}{
		{20 * time.Minute, true, 50 * time.Minute},
		{20 * time.Minute, false, 50 * time.Minute}, // at 40 min: would have ended at 30
		{9 * time.Minute, false, 50 * time.Minute},
		{30 * time.Second, true, 79*time.Minute + 30*time.Second},
		{time.Minute, true, 79*time.Minute + 30*time.Second}, // less than a tenth later: not worth a cookie
	} {
		s.clock.advance(step.passes)
		if step.asks {
			b.token("")
		}
		if got := ends(); got != step.ends {
			t.Errorf("after %s: the session ends after %s, want %s", s.clock.Now().Sub(began), got, step.ends)
		}
	}
	old := b.cookies()
	s.clock.advance(30 * time.Minute)
	for _, path := range []string{"/api/auth/session", tokenPath} {
		a := s.stranger(t).get(path, old)
		a.wants(t, http.StatusUnauthorized, unauthorized)
		if !a.cleared(s.cookie) {
			t.Errorf("%s: the cookie of an idle session was not cleared", path)
		}
	}
	b.get(tokenPath)
	if b.holdsSession() {
		t.Error("the browser still holds the cookie")
	}
	if got := s.provider.Stats().Refresh.Asked; got != 0 {
		t.Errorf("got %d refreshes of a session that nobody used, want none", got)
	}
}
