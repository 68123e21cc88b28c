package session

import (
	"context"
	"errors"
	"time"

	"vestibule/kv"
)

// Load gives the session that the browser brought in its Cookie header lines. ErrNone: it brought none. ErrUnreadable: what
// it brought is none of ours. *Ended: the session is over. A store that does not answer never ends a session: in cookie mode its
// revocations are then not seen, which is observed as EventRevocationBlind; in server mode the answer is *Unavailable. Nor does one that
// takes no writes: what it could not be told of is no idleness. *Unavailable it is, in both modes, of a cookie that may be sealed under a
// key which was stored a moment ago and may not be read yet.
func (m *Manager) Load(ctx context.Context, header []string) (*Session, error) {
	all := m.ours(header)
	found := false
	for _, b := range all {
		found = found || b.name == m.c.CookieName || m.isChunk(b.name)
	}
	if !found {
		return nil, ErrNone
	}
	values := m.sealedValues(all)
	version := m.sealer.version()
	s, err := m.openAny(ctx, values)
	if errors.Is(err, ErrUnreadable) && len(values) > 0 {
		asked := time.Now()
		if m.sealer.changed(ctx, version) {
			s, err = m.openAny(ctx, values)
		}
		if errors.Is(err, ErrUnreadable) && m.sealer.undecided(asked, values...) {
			err = &Unavailable{Cause: errKeyUnread}
		}
	}
	if err != nil {
		return nil, err
	}
	if s, err = m.seen(ctx, m.proven(ctx, s)); err != nil {
		return nil, err
	}
	return s, m.alive(ctx, s)
}

// openAny opens the first that can be opened.
func (m *Manager) openAny(ctx context.Context, values []string) (*Session, error) {
	if m.c.Mode == ModeServer {
		return m.redeemAny(ctx, values)
	}
	for _, sealed := range values {
		if s := m.open(sealed); s != nil {
			return s, nil
		}
	}
	return nil, ErrUnreadable
}

// open opens a sealed session, or knows it already.
func (m *Manager) open(sealed string) *Session {
	if len(sealed) > maxChunks*cookieLimit {
		return nil
	}
	key := knownKey{sealed: sealed, version: m.sealer.version()}
	if s, ok := m.known.get(key); ok {
		m.c.Observe(Event{Kind: EventRemembered})
		return s
	}
	plain, ok := m.sealer.open(m.c.CookieName, sealed)
	if !ok {
		return nil
	}
	s, err := m.codec.unpack(plain)
	if err != nil {
		return nil
	}
	s.keys = m.markKeysOf(s)
	m.c.Observe(Event{Kind: EventOpened})
	m.known.offer(key, s)
	return s
}

// alive is nil, or an *Ended. In server mode what stands in the store is not over: whoever ends a session takes it out. Only what
// the store did not take is known here alone.
func (m *Manager) alive(ctx context.Context, s *Session) error {
	if err := m.lifetime(s); err != nil {
		return err
	}
	if m.c.Mode == ModeServer {
		return m.revokedHere(ctx, s)
	}
	return m.revoked(ctx, s)
}

// lifetime is what the session itself says of its end.
func (m *Manager) lifetime(s *Session) error {
	now := m.c.Now()
	if !now.Before(m.Limit(s)) {
		return &Ended{Reason: ReasonExpired}
	}
	if s.Tokens.RefreshToken == "" && !now.Before(s.Tokens.Expires) {
		return &Ended{Reason: ReasonNoRefresh}
	}
	if m.c.IdleTimeout > 0 && !now.Before(s.Seen.Add(m.c.IdleTimeout)) {
		// This copy only: of requests that went out together one may have slid the session, and its cookie is not to be cleared.
		straggler := m.c.Mode == ModeCookie && now.Before(s.Seen.Add(m.c.IdleTimeout+time.Minute))
		return &Ended{Reason: ReasonIdle, KeepCookies: straggler}
	}
	return nil
}

// Slide gives the session as seen now, and whether that is worth a new cookie: only with an idle time-out, only after a tenth
// of it, and never while a newer form of the session exists, whose cookie this one would overwrite. A form that Load found beyond the
// browser's cookie is always worth one.
func (m *Manager) Slide(ctx context.Context, s *Session) (*Session, bool) {
	now := m.c.Now().Truncate(time.Second)
	if m.c.IdleTimeout <= 0 || !s.overdue && now.Sub(s.Seen) < max(time.Second, m.c.IdleTimeout/10) {
		return s, s.ahead && !m.superseded(ctx, s)
	}
	if m.c.Mode == ModeCookie && s.Tokens.RefreshToken != "" && m.superseded(ctx, s) {
		return s, false
	}
	slid := *s
	slid.Seen, slid.overdue = now, false
	if m.c.Mode == ModeServer {
		if err := m.replace(ctx, s, &slid); err != nil {
			if !errors.Is(err, kv.ErrConflict) { // else somebody else has seen it, renewed it or ended it meanwhile
				m.usedInVain(s.ID)
			}
			return s, false
		}
	}
	return &slid, true
}

// superseded says whether a newer form of the session exists or is being made, as far as anybody can say.
func (m *Manager) superseded(ctx context.Context, s *Session) bool {
	e, err := m.c.Store.Get(ctx, recordKey(s))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		// Nobody can say. An overwritten refresh token is lost, so sliding waits; but not until the session is over by idleness, if there
		// is such a thing, or an outage would end those who are at work.
		m.notWritten(ctx, err)
		if m.c.IdleTimeout <= 0 || !s.overdue && m.c.Now().Sub(s.Seen) < m.c.IdleTimeout/2 {
			m.usedInVain(s.ID)
			return true
		}
		e, _ = m.local.Get(ctx, recordKey(s))
	} else if m.c.Mode == ModeCookie {
		m.unnoted.over()
	}
	return record(e.Value).is(stateLeased) || m.successor(ctx, s) != nil
}
