package session

import (
	"context"
	"crypto/rand"
	"time"

	"vestibule/kv"
)

// newSession makes a session with a new random ID.
func (m *Manager) newSession(now time.Time, t Tokens) *Session {
	s := &Session{Started: now, Seen: now, Tokens: t}
	_, _ = rand.Read(s.ID[:]) // never fails (crypto/rand)
	s.endedKey = endedKey(s.ID)
	return s
}

// End ends the session: first here and in the store, so that its cookie is refused at once, then at the provider, which is
// told to revoke the newest refresh token. It waits for the provider a short while only; the revocation goes on without it.
func (m *Manager) End(ctx context.Context, s *Session) {
	m.markEnded(ctx, s, ReasonSignedOut)
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
		defer m.running.done()
		defer close(ch)
		var err error // told by the record of the panic
		defer m.caught(ctx, "a revocation", &err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
		defer cancel()
		m.revoke(ctx, m.newest(ctx, s))
	}()
	return ch
}

// markEnded leaves the record that refuses the cookie for as long as it could still be brought. It is kept here too when the
// store does not take it, so that at least this process refuses.
func (m *Manager) markEnded(ctx context.Context, s *Session, why Reason) {
	left := s.Started.Add(m.c.MaxAge).Sub(m.c.Now())
	if left <= 0 {
		return
	}
	w := kv.Write{Key: s.endedKey, Value: []byte(why), TTL: min(left+time.Minute, kv.MaxTTL), If: kv.Any}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call) // an ended session stays ended if the browser hangs up
	defer cancel()
	if _, err := m.c.Store.Put(ctx, w); err != nil {
		m.c.Observe(Event{Kind: EventRevocationBlind})
		m.c.Logger.WarnContext(ctx, "the cache did not take a sign-out: other replicas accept the old cookie until its token runs out", "error", err)
		if _, err := m.local.Put(ctx, w); err != nil {
			m.c.Logger.ErrorContext(ctx, "a sign-out could not be recorded", "error", err)
		}
	}
}

func (m *Manager) revoke(ctx context.Context, s *Session) {
	if err := m.c.Provider.Revoke(ctx, s.Tokens.RefreshToken); err != nil {
		m.c.Logger.WarnContext(ctx, "the provider did not revoke a refresh token", "error", err)
	}
}
