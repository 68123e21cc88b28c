package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"vestibule/kv"
)

// Adopt makes a session of tokens whose sign-in took place elsewhere, at the time started: verified, but not given to us.
//
// Its ID is derived from the refresh token, a secret of high entropy, so that all requests that bring the same tokens, to
// whichever replica, make one session: they share its refresh, and find it ended once it was. What is given back is its
// newest form. *Ended: it is over, or was ended before. device is as for Start.
//
// Until it was refreshed for the first time nothing shows that the refresh token belongs to the access token; see Unproven.
func (m *Manager) Adopt(ctx context.Context, t Tokens, started time.Time, device string) (*Session, error) {
	s := m.newSession(started.Truncate(time.Second), t)
	s.ID, s.Seen = m.adoptedID(t), m.c.Now().Truncate(time.Second)
	s.ticket = m.adoptedTicket(t)
	s.keys = m.markKeysOf(s)
	if t.RefreshToken != "" {
		s = m.newest(ctx, s)
	}
	outcome := "adopted"
	s, err := m.takeIn(ctx, s, device)
	var ended *Ended
	if errors.As(err, &ended) {
		s, outcome = nil, string(ended.Reason)
	}
	m.c.Observe(Event{Kind: EventAdoption, Outcome: outcome})
	return s, err
}

// takeIn gives the session if it is not over; in server mode as it stands in the store, where the first who brings it puts it.
func (m *Manager) takeIn(ctx context.Context, s *Session, device string) (*Session, error) {
	if err := m.lifetime(s); err != nil {
		return s, err
	}
	if m.c.Mode == ModeCookie {
		return s, m.revoked(ctx, s)
	}
	stands, err := m.redeem(ctx, s.ticket)
	var ended *Ended
	if !errors.As(err, &ended) || ended.Reason != ReasonGone {
		return stands, err
	}
	if err := m.create(ctx, s, device); err != nil && !errors.Is(err, kv.ErrConflict) {
		return nil, err
	}
	return m.redeem(ctx, s.ticket) // of several who bring it at once all go on with the one that stands
}

// adoptedTicket is what the session that these tokens make is kept under, in server mode. Without a refresh token the access token is
// the secret.
func (m *Manager) adoptedTicket(t Tokens) ticket {
	h := sha256.New()
	for _, part := range []string{"vestibule adopt", m.c.Issuer, m.c.ClientID, t.RefreshToken} {
		_, _ = io.WriteString(h, part+"\x00") // a hash takes everything
	}
	if t.RefreshToken == "" {
		_, _ = io.WriteString(h, t.AccessToken)
	}
	return ticket(h.Sum(nil))
}

// adoptedID is the ID of the session that these tokens make.
func (m *Manager) adoptedID(t Tokens) ID { return m.adoptedTicket(t).id() }

// Unproven says that the session was adopted, was never refreshed, and that its access token has run out: then nothing is
// left that proves who brought it. Access tokens are handed to scripts and other services, so one of them together with an
// invented refresh token must not be good for longer than by itself. Fresh proves the session, or ends it.
func (m *Manager) Unproven(s *Session) bool {
	return s.Generation == 0 && s.Left(m.c.Now()) == 0 && m.asAdopted(s)
}

// asAdopted says that this is the form in which a session was adopted: it was never refreshed.
func (m *Manager) asAdopted(s *Session) bool {
	return s.Generation == 0 && s.ID == m.adoptedID(s.Tokens)
}

// proven gives what became of a session that is Unproven by itself, if somebody has proven it: who did so may not have been able to
// hand its cookie on, as a server component is not, and its refresh token is good once.
func (m *Manager) proven(ctx context.Context, s *Session) *Session {
	if m.c.Mode == ModeServer || s.Tokens.RefreshToken == "" || !m.Unproven(s) {
		return s
	}
	newest := m.newest(ctx, s)
	if newest != s {
		newest.ahead = true
	}
	return newest
}

// Superseded says that a newer form of the session exists or is being made, or that nobody can say: a cookie of this one could
// overwrite the newer one's.
func (m *Manager) Superseded(ctx context.Context, s *Session) bool {
	return m.c.Mode == ModeCookie && s.Tokens.RefreshToken != "" && m.superseded(ctx, s)
}
