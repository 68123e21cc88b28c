package devidp_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"vestibule/idp/devidp"
)

// lockedBuffer takes log lines of several requests at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTheLogTellsReasonsAndNoSecrets(t *testing.T) {
	var log lockedBuffer
	b := start(t, func(c *devidp.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	code := b.code()
	got := b.exchange(code).tokens(t)
	next := b.refresh(got.Refresh).tokens(t)
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.exchange("an-unknown-code")
	b.userInfo("not-a-token")
	for _, reason := range []string{"signed in", "the refresh token was rotated before", "unknown code", "no published key signed the token"} {
		if !strings.Contains(log.String(), reason) {
			t.Errorf("the log does not say %q:\n%s", reason, log.String())
		}
	}
	for name, secret := range map[string]string{
		"code": code, "access token": got.Access, "ID token": got.ID, "refresh token": got.Refresh, "new refresh token": next.Refresh,
		"unknown code": "an-unknown-code", "presented token": "not-a-token", "client secret": b.s.ClientSecret(), "password": "wonderland", "verifier": verifier,
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
