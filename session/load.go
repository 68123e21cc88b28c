package session

import (
	"context"
	"errors"
	"time"

	"vestibule/kv"
)

// Load gives the session that the browser brought in its Cookie header lines. ErrNone: it brought none. ErrUnreadable: what
// it brought is none of ours. *Ended: the session is over. A store that does not answer never ends a session: its
// revocations are then not seen, which is observed as EventRevocationBlind.
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
	s := m.openAny(values)
	if s == nil && len(values) > 0 && m.sealer.changed(ctx, version) {
		s = m.openAny(values)
	}
	if s == nil {
		return nil, ErrUnreadable
	}
	return s, m.alive(ctx, s)
}

// openAny opens the first that can be opened.
func (m *Manager) openAny(values []string) *Session {
	for _, sealed := range values {
		if s := m.open(sealed); s != nil {
			return s
		}
	}
	return nil
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
	m.c.Observe(Event{Kind: EventOpened})
	m.known.offer(key, s)
	return s
}

// alive is nil, or an *Ended.
func (m *Manager) alive(ctx context.Context, s *Session) error {
	now := m.c.Now()
	if !now.Before(s.Started.Add(m.c.MaxAge)) {
		return &Ended{Reason: ReasonExpired}
	}
	if s.Tokens.RefreshToken == "" && !now.Before(s.Tokens.Expires) {
		return &Ended{Reason: ReasonNoRefresh}
	}
	if m.c.IdleTimeout > 0 && !now.Before(s.Seen.Add(m.c.IdleTimeout)) {
		return &Ended{Reason: ReasonIdle} // this copy only: the browser may hold one that was seen since
	}
	return m.revoked(ctx, s)
}

// revoked asks for the revocation record: first here, where it is put when the store does not take it, then in the store.
func (m *Manager) revoked(ctx context.Context, s *Session) error {
	for _, store := range []kv.Store{m.local, m.c.Store} {
		e, err := store.Get(ctx, s.endedKey)
		switch {
		case err == nil:
			if k, ok := readMark(e.Value); ok && s.Generation <= k.upTo {
				return &Ended{Reason: k.reason, KeepCookies: k.reason == ReasonReplaced}
			}
		case !errors.Is(err, kv.ErrNotFound):
			m.c.Observe(Event{Kind: EventRevocationBlind})
			m.c.Logger.WarnContext(ctx, "the cache does not answer: a session that was ended would pass", "error", err)
		}
	}
	return nil
}

// Slide gives the session as seen now, and whether that is worth a new cookie: only with an idle time-out, only after a tenth
// of it, and never while a newer form of the session exists, whose cookie this one would overwrite.
func (m *Manager) Slide(ctx context.Context, s *Session) (*Session, bool) {
	if m.c.IdleTimeout <= 0 {
		return s, false
	}
	now := m.c.Now().Truncate(time.Second)
	if now.Sub(s.Seen) < max(time.Second, m.c.IdleTimeout/10) {
		return s, false
	}
	if s.Tokens.RefreshToken != "" && m.superseded(ctx, s) {
		return s, false
	}
	slid := *s
	slid.Seen = now
	return &slid, true
}

// superseded says whether a newer form of the session exists or is being made.
func (m *Manager) superseded(ctx context.Context, s *Session) bool {
	e, err := m.c.Store.Get(ctx, recordKey(s))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return true // nobody can say; sliding can wait, an overwritten refresh token is lost
	}
	return record(e.Value).is(stateLeased) || m.successor(ctx, s) != nil
}

func endedKey(id ID) string { return "ended/" + id.String() }
