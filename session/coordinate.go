package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"vestibule/kv"
)

// maxHops bounds how many refreshes a straggler can be behind.
const maxHops = 64

// coordinate gives a newer form of the session: one that somebody else has made, or one it makes itself under a lease that
// excludes all other replicas.
//
//	unknown, stale result, gave up → take the lease → Provider.Refresh → result
//	leased by another replica      → look again until it is something else
//	leased here                    → a flight of before left it: take it again
//	newer result                   → adopt it
//	newer result in doubt          → confirm it, then adopt it
//	failed                         → the session is over
func (m *Manager) coordinate(ctx context.Context, s *Session, store kv.Store) (*Session, error) {
	// What this process made while the store did not answer, the store does not know.
	if newer := m.result(ctx, m.local, s); newer != nil {
		return m.adopt(ctx, newer)
	}
	if d, ok := m.doubted(ctx, m.local, s); ok {
		return m.confirm(ctx, d)
	}
	c := m.newClaim(s, store)
	defer m.renounce(ctx, c)
	awaited := kv.Absent // the lease that was waited for last
	var held time.Time   // until then its holder may be at work, whatever the store says
	for {
		e, err := store.Get(ctx, c.key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			if m.waitedForStore(ctx, s, store, held, &m.unread, err) {
				continue
			}
			return m.alone(ctx, s, store, err)
		}
		if store != kv.Store(m.local) {
			m.unread.over()
		}
		r := record(e.Value)
		switch {
		case r.is(stateDone):
			if newer, err := m.openRecord(s, r); err == nil && newer.Generation > s.Generation {
				return m.adopt(ctx, newer)
			}
		case r.is(stateDoubt):
			if newer, err := m.openRecord(s, r); err == nil && newer.Generation > s.Generation {
				return m.confirm(ctx, doubt{old: s, newer: newer, store: store, version: e.Version})
			}
		case r.is(stateFailed):
			return nil, m.over(ctx, s, Reason(r[1:]))
		case r.is(stateLeased) && !m.holder.owns(r):
			awaited, held = e.Version, time.Now().Add(m.t.Lease)
			if err := m.pause(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if wait, ok := r.gaveUp(awaited); ok {
			return nil, m.unavailable(&Unavailable{RetryAfter: wait, Cause: errors.New("another replica tried in vain")})
		}
		lease, err := m.acquire(ctx, c, e.Version)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		if err != nil {
			if m.waitedForStore(ctx, s, store, held, &m.unleased, err) {
				continue
			}
			return m.alone(ctx, s, store, err)
		}
		return m.refresh(ctx, s, store, lease)
	}
}

// adopt follows the results from one refresh to the next: a straggler gets the newest form, not the one after its own.
func (m *Manager) adopt(ctx context.Context, s *Session) (*Session, error) {
	s = m.newest(ctx, s)
	if err := m.endedMeanwhile(ctx, s); err != nil {
		return nil, err
	}
	stands, err := m.commit(ctx, s, s) // who made it may not have been able to
	if err != nil {
		return nil, err
	}
	m.observeRefresh("adopted")
	return stands, nil
}

// newest follows the chain of kept results from s as far as it goes.
func (m *Manager) newest(ctx context.Context, s *Session) *Session {
	for range maxHops {
		newer := m.successor(ctx, s)
		if newer == nil {
			break
		}
		s = newer
	}
	return s
}

// successor is the kept result of the session's refresh token, if it is newer than the session; nil otherwise.
func (m *Manager) successor(ctx context.Context, s *Session) *Session {
	if newer := m.result(ctx, m.c.Store, s); newer != nil {
		return newer
	}
	return m.result(ctx, m.local, s)
}

// result is successor as one store has it.
func (m *Manager) result(ctx context.Context, store kv.Store, s *Session) *Session {
	e, err := store.Get(ctx, recordKey(s))
	if err != nil || !record(e.Value).is(stateDone) {
		return nil
	}
	if newer, err := m.openRecord(s, e.Value); err == nil && newer.Generation > s.Generation {
		return newer
	}
	return nil
}

// refresh asks the provider while the lease is held, and leaves the result where the lease stood.
func (m *Manager) refresh(ctx context.Context, s *Session, store kv.Store, lease *kv.Lease) (*Session, error) {
	if newer, err := m.overtaken(ctx, s); newer != nil || err != nil {
		m.release(ctx, s, lease)
		return newer, err
	}
	first := lease.Fence()
	stop := lease.Keep(ctx, m.t.Renew, func(err error) {
		m.c.Logger.WarnContext(ctx, "a refresh lease could not be renewed", "error", err)
	})
	tokens, err := m.ask(ctx, s)
	stop()
	// What the provider answered is recorded also when the flight's own time is up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call)
	defer cancel()
	var u *Unavailable
	switch {
	case err == nil:
		return m.succeed(ctx, s, tokens, store, lease)
	case errors.Is(err, ErrRefused):
		return m.refused(ctx, s, store, lease)
	case errors.Is(err, ErrUntrusted):
		m.settle(ctx, s, lease, failedRecord(ReasonUntrusted), m.t.Failure)
		return nil, m.untrusted(ctx, s, s, err)
	case !errors.As(err, &u):
		u = &Unavailable{Cause: err, Lost: true}
	}
	level := slog.LevelWarn
	if u.Operator {
		level = slog.LevelError
	}
	m.c.Logger.Log(ctx, level, "a refresh failed; the session stays", "error", u.Cause, "lost", u.Lost)
	if tokens.AccessToken != "" {
		newer := m.renewed(s, tokens)
		m.keep(ctx, kept{state: stateDoubt, old: s, newer: newer, store: store, lease: lease})
		if err := m.endedMeanwhile(ctx, s); err != nil { // as in succeed
			<-m.revokeNewest(ctx, newer)
			return nil, err
		}
		return nil, m.unavailable(u)
	}
	// The marker turns away those who wait for this very lease; a later request finds it stale and tries again.
	m.settle(ctx, s, lease, gaveUpRecord(first, lease.Fence(), u.RetryAfter), max(time.Second, 4*m.t.Poll))
	return nil, m.unavailable(u)
}

// overtaken says, while the lease is held and before the provider is asked, that the session has ended, or that its refresh token was
// spent already and what came of it stands in the store.
func (m *Manager) overtaken(ctx context.Context, s *Session) (newer *Session, err error) {
	if err := m.endedMeanwhile(ctx, s); err != nil || m.c.Mode == ModeCookie {
		return nil, err
	}
	stands, err := m.redeem(ctx, s.ticket)
	switch {
	case err != nil:
		return nil, m.outcome(err)
	case stands.Generation > s.Generation:
		m.observeRefresh("adopted")
		return stands, nil
	}
	return nil, m.outcome(m.settled())
}

// ask asks the provider. A panic is an answer that was lost: whoever waits for the lease is told.
func (m *Manager) ask(ctx context.Context, s *Session) (t Tokens, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.t.Call)
	defer cancel()
	defer m.caught(ctx, "a refresh at the provider", &err)
	return m.c.Provider.Refresh(ctx, s.Tokens)
}

// succeed makes the newer session and keeps it for stragglers before anybody is told.
func (m *Manager) succeed(ctx context.Context, s *Session, t Tokens, store kv.Store, lease *kv.Lease) (*Session, error) {
	granted := m.renewed(s, t)
	newer, err := m.commit(ctx, s, granted)
	if err != nil {
		m.settle(ctx, s, lease, failedRecord(ReasonGone), m.t.Failure)
		<-m.revokeNewest(ctx, granted)
		return nil, m.outcome(err)
	}
	m.keep(ctx, kept{state: stateDone, old: s, newer: newer, store: store, lease: lease})
	// End leaves its mark and then looks for the newest token; here the token is kept and then the mark looked for. In
	// whatever order they run, one sees the other: new tokens do not outlive a session that was ended meanwhile.
	if err := m.endedMeanwhile(ctx, s); err != nil {
		<-m.revokeNewest(ctx, newer)
		return nil, err
	}
	m.recent.Add(s.ID, attempt{at: m.c.Now(), generation: newer.Generation})
	m.observeRefresh("refreshed")
	m.tell(ctx, renewedNews(newer))
	return newer, nil
}

// renewed is the next form of a session.
func (m *Manager) renewed(s *Session, t Tokens) *Session {
	newer := *s
	newer.Generation++
	newer.Seen = m.c.Now().Truncate(time.Second)
	newer.Tokens = t
	old := s.Tokens
	keep := func(field *string, old string) {
		if *field == "" {
			*field = old
		}
	}
	keep(&newer.Tokens.RefreshToken, old.RefreshToken)
	keep(&newer.Tokens.Scope, old.Scope)
	keep(&newer.Tokens.Subject, old.Subject)
	keep(&newer.Tokens.Nonce, old.Nonce)
	keep(&newer.Tokens.ProviderID, old.ProviderID)
	keep(&newer.Tokens.IDToken, old.IDToken)
	if len(t.Claims) == 0 {
		newer.Tokens.Claims = old.Claims
	}
	newer.keys, newer.ahead, newer.overdue = m.markKeysOf(&newer), false, false
	return &newer
}

// kept is a result to keep.
type kept struct {
	state      state // stateDone or stateDoubt
	old, newer *Session
	store      kv.Store
	lease      *kv.Lease // where the result is to stand; nil: nobody holds one
}

// keptFor is how long a result is kept: beyond the end of the old access token, because whoever still holds the old cookie asks for a
// refresh at about that time at the latest.
func (m *Manager) keptFor(k kept) time.Duration {
	now := m.c.Now()
	ttl := min(max(m.t.Successor, k.old.Left(now)+time.Minute), 24*time.Hour)
	switch {
	case m.c.Mode == ModeServer && k.state == stateDone:
		ttl = min(ttl, time.Minute) // the browser holds no token that could be old: only requests under way are behind
	case m.c.Mode == ModeCookie && m.asAdopted(k.old):
		// Who is signed in may be all that is asked, and by server components, which hand no cookie on: until somebody else asks, this
		// is the only place where the good refresh token stands. At the end of the session nobody needs it.
		ttl = min(max(ttl, m.Limit(k.newer).Sub(now)+time.Minute), kv.MaxTTL)
	}
	return ttl
}

// keep leaves the result for stragglers. A lease that was lost does not matter: the provider has
// answered, so this is the truth.
func (m *Manager) keep(ctx context.Context, k kept) {
	r, err := m.sealRecord(k.state, k.old, k.newer)
	if err != nil {
		m.c.Logger.ErrorContext(ctx, "a refresh result could not be kept", "error", err)
		return
	}
	ttl := m.keptFor(k)
	w := kv.Write{Key: recordKey(k.old), Value: r, TTL: ttl, If: kv.Any}
	err = kv.ErrConflict
	if k.lease != nil {
		err = k.lease.Settle(ctx, r, ttl)
	}
	if err != nil {
		_, err = k.store.Put(ctx, w)
	}
	if err == nil {
		m.share(ctx, k, w)
		return
	}
	m.c.Observe(Event{Kind: EventRefreshDegraded})
	m.c.Logger.WarnContext(ctx, "the cache did not take a refresh result: only this process knows it", "error", err)
	here := w
	if left := m.keptUntil(k.newer).Sub(m.c.Now()); m.c.Mode == ModeServer && left > ttl {
		here.TTL = min(left, kv.MaxTTL) // the store may still hold the old form, for as long as it is away
	}
	if _, err = m.local.Put(ctx, here); err != nil {
		m.c.Logger.ErrorContext(ctx, "a refresh result could not be kept", "error", err)
	}
	m.insistOn(ctx, k.store, w)
}

// share has the other replicas know of a result that they may be asked for long after the outage in which it was made.
func (m *Manager) share(ctx context.Context, k kept, w kv.Write) {
	if k.store == kv.Store(m.local) && m.c.Mode == ModeCookie && m.asAdopted(k.old) {
		m.insistOn(ctx, m.c.Store, w)
	}
}

// insistOn is insist for a result. It is written for what is left of its time.
func (m *Manager) insistOn(ctx context.Context, store kv.Store, w kv.Write) {
	until := m.c.Now().Add(w.TTL)
	m.insist(ctx, w.Key, untaken{
		what: "a refresh result", until: until,
		write: func(ctx context.Context) error {
			late := w
			late.TTL = max(time.Second, until.Sub(m.c.Now()))
			_, err := store.Put(ctx, late)
			return err
		},
	})
}

// refused looks once more before it gives up: a replica whose lease ran out may have won after all.
func (m *Manager) refused(ctx context.Context, s *Session, store kv.Store, lease *kv.Lease) (*Session, error) {
	if newer := m.successor(ctx, s); newer != nil {
		return m.adopt(ctx, newer)
	}
	if newer, err := m.overtaken(ctx, s); newer != nil || err != nil {
		m.release(ctx, s, lease)
		return newer, err
	}
	err := lease.Settle(ctx, failedRecord(ReasonRefused), m.t.Failure)
	switch {
	case errors.Is(err, kv.ErrConflict):
		// The lease was lost, and whoever took it may have spent the token: its result stands there now or soon.
		return m.coordinate(ctx, s, store)
	case err == nil:
		m.markRefused(ctx, s)
	case m.c.Mode == ModeServer:
		return nil, m.unavailable(&Unavailable{Cause: err}) // another replica may have won: its result stands where nobody can look now
	default:
		m.observeRefresh(string(ReasonRefused))
		m.c.Logger.WarnContext(ctx, "a refused refresh could not be compared with other replicas", "error", err)
		return nil, &Ended{Reason: ReasonRefused, KeepCookies: true}
	}
	return nil, m.over(ctx, s, ReasonRefused)
}

func (m *Manager) settle(ctx context.Context, s *Session, lease *kv.Lease, r record, ttl time.Duration) {
	if err := lease.Settle(ctx, r, ttl); err != nil {
		m.c.Logger.DebugContext(ctx, "a refresh lease could not be settled", "error", err)
		m.withdraw(ctx, recordKey(s), lease.Withdraw)
	}
}

// endedMeanwhile is revoked for a flight, which somebody must hear of.
func (m *Manager) endedMeanwhile(ctx context.Context, s *Session) error {
	return m.outcome(m.revoked(ctx, s))
}

func (m *Manager) outcome(err error) error {
	var ended *Ended
	switch {
	case errors.As(err, &ended):
		m.observeRefresh(string(ended.Reason))
	case errors.Is(err, ErrUnavailable):
		m.observeRefresh("unavailable")
	}
	return err
}

// over is the end of the session, with the word of its revocation record if there is one: a session that was replaced must
// not clear the cookies of the one that replaced it.
func (m *Manager) over(ctx context.Context, s *Session, why Reason) error {
	m.observeRefresh(string(why))
	var ended *Ended
	if err := m.revoked(ctx, s); errors.As(err, &ended) {
		return ended
	}
	return &Ended{Reason: why}
}

func (m *Manager) unavailable(u *Unavailable) error {
	m.observeRefresh("unavailable")
	return u
}

func (m *Manager) observeRefresh(outcome string) {
	m.c.Observe(Event{Kind: EventRefresh, Outcome: outcome})
}
