package session

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vestibule/kv"
)

// Listed is one of somebody's sessions, as Sessions gives it.
type Listed struct {
	ID      string    // for EndListed; it opens nothing
	Device  string    // the label given to Start; "" where nobody knew
	Started time.Time // at the sign-in
	Seen    time.Time // when the browser was last active, to within a tenth of the idle time-out, or to the last refresh
	Current bool      // it is the one that asks
}

// ErrNoList means that sessions are kept in cookies: nobody has a list of them.
var ErrNoList = errors.New("session: sessions in cookies are listed nowhere")

// maxListed bounds what Sessions gives.
const maxListed = kv.MaxKeys

// Sessions gives the sessions of the subject of s, the newest first and at most a hundred, in server mode; ErrNoList in cookie mode,
// *Unavailable where the store does not answer.
func (m *Manager) Sessions(ctx context.Context, s *Session) ([]Listed, error) {
	all, err := m.members(ctx, s)
	if err != nil {
		return nil, err
	}
	all = shown(all, s.ID)
	entries, err := m.storedOf(ctx, all)
	if err != nil {
		return nil, m.storeDown(ctx, err)
	}
	e, err := m.c.Store.Get(ctx, m.subject(s.Tokens.Subject).markKey())
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, m.storeDown(ctx, err)
	}
	over, _ := readDeadline(e.Value) // what it ends is taken out of the store a moment later
	var out []Listed
	for i, one := range all {
		seen, ok := storedSeen(entries[i].Value)
		if _, idle := m.seemsIdle(one.id, seen); idle && one.id != s.ID {
			continue // the store keeps it for longer than it lasts
		}
		if ok && !over.ends(&Session{ID: one.id, Started: one.started}) {
			out = append(out, Listed{ID: one.id.String(), Device: one.device, Started: one.started, Seen: seen, Current: one.id == s.ID})
		}
	}
	return out, nil
}

// shown are the newest, and the one that asks whatever its age.
func shown(all []member, current ID) []member {
	if len(all) <= maxListed {
		return all
	}
	at := slices.IndexFunc(all, func(one member) bool { return one.id == current })
	if at >= maxListed {
		all[maxListed-1] = all[at]
	}
	return all[:maxListed]
}

// members are the sessions of the subject of s, the newest first.
func (m *Manager) members(ctx context.Context, s *Session) ([]member, error) {
	if m.c.Mode == ModeCookie {
		return nil, ErrNoList
	}
	if s.Tokens.Subject == "" {
		return nil, nil
	}
	all, _, err := m.list(ctx, m.subject(s.Tokens.Subject))
	if err != nil {
		return nil, m.storeDown(ctx, err)
	}
	now := m.c.Now()
	all = slices.DeleteFunc(all, func(one member) bool { return !now.Before(one.started.Add(m.c.MaxAge)) })
	slices.Reverse(all)
	return all, nil
}

// EndListed ends those of the sessions of the subject of s that are named, this one as End would not: its refresh token is not
// revoked. A name that is not in the list is passed over: it has ended, or is somebody else's. *Unavailable: the store did not take all
// of it; this process refuses them all the same and goes on trying.
func (m *Manager) EndListed(ctx context.Context, s *Session, ids ...string) error {
	all, err := m.members(ctx, s)
	if err != nil {
		return err
	}
	var work errgroup.Group
	work.SetLimit(atOnce)
	for _, one := range all {
		if slices.Contains(ids, one.id.String()) {
			work.Go(func() error { return m.endListed(ctx, one, ReasonElsewhere) })
		}
	}
	if err := work.Wait(); err != nil {
		return m.storeDown(ctx, err)
	}
	return nil
}

// EndOthers ends all sessions of the subject of s but this one, listed or not. The error is that of EndListed.
func (m *Manager) EndOthers(ctx context.Context, s *Session) error {
	if s.Tokens.Subject == "" {
		return nil
	}
	if err := m.endGroup(ctx, m.subject(s.Tokens.Subject), ReasonElsewhere, s.ID); err != nil {
		return m.storeDown(ctx, err)
	}
	return nil
}

func (m *Manager) endListed(ctx context.Context, one member, why Reason) error {
	return m.markEnded(ctx, &Session{ID: one.id, Started: one.started, Generation: math.MaxUint32}, why)
}
