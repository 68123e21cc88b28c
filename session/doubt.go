package session

import (
	"context"
	"errors"

	"vestibule/kv"
)

// doubt is a result whose ID token could not be verified when it came.
type doubt struct {
	old, newer *Session
	store      kv.Store
	version    kv.Version
}

// confirm verifies a result that was in doubt. It spends nothing, so it needs no lease: of several who do it at once all come to the
// same end.
func (m *Manager) confirm(ctx context.Context, d doubt) (*Session, error) {
	tokens, err := m.askAgain(ctx, d)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call)
	defer cancel()
	var u *Unavailable
	switch {
	case err == nil:
		granted := m.renewed(d.old, tokens)
		newer, err := m.commit(ctx, d.old, granted)
		if err != nil {
			<-m.revokeNewest(ctx, granted)
			return nil, m.outcome(err)
		}
		m.keep(ctx, kept{state: stateDone, old: d.old, newer: newer, store: d.store})
		m.tell(ctx, renewedNews(newer))
		return m.adopt(ctx, newer)
	case errors.Is(err, ErrUntrusted):
		if err := d.store.Delete(ctx, recordKey(d.old), d.version); err != nil {
			m.c.Logger.DebugContext(ctx, "a result that cannot be trusted stays until it runs out", "error", err)
		}
		return nil, m.untrusted(ctx, d.old, d.newer, err)
	case !errors.As(err, &u):
		u = &Unavailable{Cause: err}
	}
	return nil, m.unavailable(u)
}

func (m *Manager) askAgain(ctx context.Context, d doubt) (t Tokens, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.t.Call)
	defer cancel()
	defer m.caught(ctx, "a confirmation at the provider", &err)
	return m.c.Provider.Confirm(ctx, d.old.Tokens, d.newer.Tokens)
}

// inDoubt is the result in doubt of the session's refresh token, in whichever store it is kept.
func (m *Manager) inDoubt(ctx context.Context, s *Session) (doubt, bool) {
	if d, ok := m.doubted(ctx, m.c.Store, s); ok {
		return d, true
	}
	return m.doubted(ctx, m.local, s)
}

func (m *Manager) doubted(ctx context.Context, store kv.Store, s *Session) (doubt, bool) {
	e, err := store.Get(ctx, recordKey(s))
	if err != nil || !record(e.Value).is(stateDoubt) {
		return doubt{}, false
	}
	newer, err := m.openRecord(s, e.Value)
	return doubt{old: s, newer: newer, store: store, version: e.Version}, err == nil && newer.Generation > s.Generation
}

// untrusted ends the session, whose latest form is the one whose refresh token is to be revoked: its tokens may be somebody else's.
func (m *Manager) untrusted(ctx context.Context, s, latest *Session, err error) error {
	m.c.Logger.WarnContext(ctx, "a refreshed ID token cannot be trusted: the session ends", "error", err)
	_ = m.markEnded(ctx, s, ReasonUntrusted) // as in End
	m.revokeNewest(ctx, latest)
	return m.over(ctx, s, ReasonUntrusted)
}
