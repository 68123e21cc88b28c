package session

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// newSession makes a session with a new random ID.
func (m *Manager) newSession(now time.Time, t Tokens) *Session {
	s := &Session{Started: now, Seen: now, Tokens: t, life: wholeSeconds(m.c.MaxAge)}
	if m.c.Mode == ModeServer {
		s.ticket = newTicket()
		s.ID = s.ticket.id()
	} else {
		_, _ = rand.Read(s.ID[:]) // never fails (crypto/rand)
	}
	s.keys = m.markKeysOf(s)
	return s
}

// End ends the session: first here and in the store, so that its cookie is refused at once, then at the provider, which is
// told to revoke the newest refresh token. It waits for the provider a short while only; the revocation goes on without it.
func (m *Manager) End(ctx context.Context, s *Session) { m.end(ctx, s, ReasonSignedOut) }

func (m *Manager) end(ctx context.Context, s *Session, why Reason) {
	_ = m.markEnded(ctx, s, why) // it holds here at once, and is tried again
	wait := time.NewTimer(m.t.Revoke)
	defer wait.Stop()
	select {
	case <-m.revokeNewest(ctx, s):
	case <-wait.C:
	case <-ctx.Done():
	}
}

// revokeNewest has the provider revoke the newest refresh token of the session, on a context of its own.
func (m *Manager) revokeNewest(ctx context.Context, s *Session) (done <-chan struct{}) {
	ch := make(chan struct{})
	if s.Tokens.RefreshToken == "" {
		close(ch)
		return ch
	}
	m.running.add()
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
		defer cancel()
		newest, err := m.revokeFirst(ctx, s, ch)
		if err != nil && !errors.Is(err, errPanicked) {
			m.revokeAgain(ctx, newest, err)
		}
	}()
	return ch
}

// revokeFirst is the attempt that a stopping process waits for.
func (m *Manager) revokeFirst(ctx context.Context, s *Session, done chan<- struct{}) (newest *Session, err error) {
	defer m.running.done()
	defer close(done)
	newest = s
	defer m.caught(ctx, "a revocation", &err)
	newest = m.newest(ctx, s)
	if d, ok := m.inDoubt(ctx, newest); ok {
		newest = d.newer // granted, if not verified: it must not outlive the session either
	}
	return newest, m.c.Provider.Revoke(ctx, newest.Tokens.RefreshToken)
}

// revokePauses come before each further attempt: a provider that is down for a moment must not leave a refresh token alive. Their sum
// is less than Timing.Flight.
var revokePauses = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second}

func (m *Manager) revokeAgain(ctx context.Context, s *Session, err error) {
	defer m.caught(ctx, "a revocation", &err)
	for _, pause := range revokePauses {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if err = m.c.Provider.Revoke(ctx, s.Tokens.RefreshToken); err == nil {
			return
		}
	}
	m.c.Logger.WarnContext(ctx, "the provider did not revoke a refresh token", "error", err)
}
