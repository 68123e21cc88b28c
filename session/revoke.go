package session

import (
	"context"
	"errors"
	"time"

	"vestibule/kv"
)

// Whose names sessions that are to end: those of a subject, or those that came from one session at the provider. With both, the
// provider's session decides (OpenID Connect Back-Channel Logout 1.0, section 2.6).
type Whose struct {
	Subject    string // the sub claim
	ProviderID string // the sid claim, or Cognito's origin_jti
}

// Revoke ends every session of w that has begun until now, in all browsers and on all replicas. It cannot reach their refresh tokens,
// which only the browsers' cookies open: they are never spent again, and revoking them is up to whoever asks. The error means that
// the store did not take it: this process refuses the sessions all the same and goes on trying, and it is good to ask again.
func (m *Manager) Revoke(ctx context.Context, w Whose, why Reason) error {
	switch {
	case w.ProviderID != "":
		return m.endGroup(ctx, m.providerSession(w.ProviderID), why, ID{})
	case w.Subject != "":
		return m.endGroup(ctx, m.subject(w.Subject), why, ID{})
	}
	return errors.New("session: nobody is named whose sessions are to end")
}

// EndEverywhere ends all sessions of the subject, this one with its refresh token as End does. The error is that of Revoke.
func (m *Manager) EndEverywhere(ctx context.Context, s *Session) error {
	var err error
	if s.Tokens.Subject != "" {
		err = m.endGroup(ctx, m.subject(s.Tokens.Subject), ReasonEverywhere, ID{})
	}
	m.end(ctx, s, ReasonEverywhere)
	return err
}

// endGroup ends what has begun until now. The sessions in the store are refused by the deadline; taking them out only makes room.
func (m *Manager) endGroup(ctx context.Context, g group, why Reason, except ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call)
	defer cancel()
	d := deadline{reason: why, until: m.untilNow(ctx, g), except: except}
	m.c.Observe(Event{Kind: EventEnded, Outcome: string(why)})
	err := m.leaveDeadline(ctx, g, d)
	m.tell(ctx, groupNews(g, d))
	m.discardGroup(ctx, g, d)
	return err
}

// clockSkew bounds how far replicas' clocks may differ, and how far ahead all that happens to one person within a second may drive the
// moments of the records. A session can begin twice as far ahead, so that it begins after any of them.
const clockSkew = 5 * time.Minute

// untilNow is the moment until which all sessions of the group are over: later than the one that stands, because a session that has
// begun since is said to have begun after that one, were it in the same second or by a clock that is behind.
func (m *Manager) untilNow(ctx context.Context, g group) time.Time {
	now := m.c.Now().Truncate(time.Second)
	if last := m.lastDeadlines(ctx, g.markKey())[0].until; !now.After(last) && last.Sub(now) < clockSkew {
		return last.Add(time.Second)
	}
	return now
}

// beginning is when a session that begins now is said to have begun: later than the moment until which all sessions of its groups
// have ended, which may lie within the same second. But where the provider has ended its own session since it granted these tokens, they
// are over with it: then it is the moment of that.
func (m *Manager) beginning(ctx context.Context, t Tokens) time.Time {
	now := m.c.Now().Truncate(time.Second)
	groups := m.groupsOf(t)
	keys := make([]string, 0, len(groups))
	for _, g := range groups {
		keys = append(keys, g.markKey())
	}
	var last time.Time
	for i, d := range m.lastDeadlines(ctx, keys...) {
		if groups[i].kind == groupProvider && d.reason == ReasonProvider && !t.Issued.Truncate(time.Second).After(d.until) {
			return d.until
		}
		if d.until.After(last) {
			last = d.until
		}
	}
	if !now.After(last) && last.Sub(now) < 2*clockSkew {
		return last.Add(time.Second)
	}
	return now
}

// lastDeadlines are what stands under each key, here or in the store, whichever has the later moment. A store that does not answer knows
// of none.
func (m *Manager) lastDeadlines(ctx context.Context, keys ...string) []deadline {
	last := make([]deadline, len(keys))
	for _, store := range []kv.Store{m.local, m.c.Store} {
		found, err := store.GetMany(ctx, keys...)
		if err != nil {
			continue
		}
		for i, e := range found {
			if d, ok := readDeadline(e.Value); ok && d.until.After(last[i].until) {
				last[i] = d
			}
		}
	}
	return last
}
