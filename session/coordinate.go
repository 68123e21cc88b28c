package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"vestibule/kv"
)

// maxHops bounds how many refreshes a straggler can be behind.
const maxHops = 64

// coordinate gives a newer form of the session: one that somebody else has made, or one it makes itself under a lease that
// excludes all other replicas.
//
//	unknown, stale result, gave up → take the lease → Provider.Refresh → result
//	leased                         → look again until it is something else
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
	key := recordKey(s)
	awaited := kv.Absent // the lease that was waited for last
	for {
		e, err := store.Get(ctx, key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return m.alone(ctx, s, store, err)
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
		case r.is(stateLeased):
			awaited = e.Version
			if err := m.pause(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if wait, ok := r.gaveUp(awaited); ok {
			return nil, m.unavailable(&Unavailable{RetryAfter: wait, Cause: errors.New("another replica tried in vain")})
		}
		lease, err := kv.Acquire(ctx, store, kv.LeaseRequest{Key: key, Value: record{byte(stateLeased)}, TTL: m.t.Lease, Over: e.Version})
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		if err != nil {
			return m.alone(ctx, s, store, err)
		}
		return m.refresh(ctx, s, store, lease)
	}
}

// alone goes on without the store: this process still refreshes once, other replicas are not seen.
func (m *Manager) alone(ctx context.Context, s *Session, store kv.Store, cause error) (*Session, error) {
	if ctx.Err() != nil || store == kv.Store(m.local) {
		return nil, m.unavailable(&Unavailable{Cause: cause})
	}
	m.c.Observe(Event{Kind: EventRefreshDegraded})
	m.c.Logger.WarnContext(ctx, "the cache does not answer: this refresh is coordinated in this process alone", "error", cause)
	newer, err := m.coordinate(ctx, s, m.local)
	var ended *Ended
	if errors.As(err, &ended) {
		// Another replica may have won unseen: its cookie, already in the browser, is not to be cleared.
		return nil, &Ended{Reason: ended.Reason, KeepCookies: true}
	}
	return newer, err
}

// adopt follows the results from one refresh to the next: a straggler gets the newest form, not the one after its own.
func (m *Manager) adopt(ctx context.Context, s *Session) (*Session, error) {
	s = m.newest(ctx, s)
	if err := m.endedMeanwhile(ctx, s); err != nil {
		return nil, err
	}
	m.observeRefresh("adopted")
	return s, nil
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
	if err := m.endedMeanwhile(ctx, s); err != nil {
		_ = lease.Release(ctx) // it runs out by itself
		return nil, err
	}
	first := lease.Fence()
	stop := m.renew(ctx, lease)
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
		m.settle(ctx, lease, failedRecord(ReasonUntrusted), m.t.Failure)
		return nil, m.untrusted(ctx, s, s, err)
	case !errors.As(err, &u):
		u = &Unavailable{Cause: err, Lost: true}
	}
	m.c.Logger.WarnContext(ctx, "a refresh failed; the session stays", "error", u.Cause, "lost", u.Lost)
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
	m.settle(ctx, lease, gaveUpRecord(first, lease.Fence(), u.RetryAfter), max(time.Second, 4*m.t.Poll))
	return nil, m.unavailable(u)
}

// ask asks the provider. A panic is an answer that was lost: whoever waits for the lease is told.
func (m *Manager) ask(ctx context.Context, s *Session) (t Tokens, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.t.Call)
	defer cancel()
	defer m.caught(ctx, "a refresh at the provider", &err)
	return m.c.Provider.Refresh(ctx, s.Tokens)
}

// renew keeps the lease alive until stop is called: a slow provider must not let a second replica in.
func (m *Manager) renew(ctx context.Context, lease *kv.Lease) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(m.t.Renew)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				m.renewOnce(ctx, lease)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// renewOnce is not cut short when the work ends meanwhile: a renewal that may or may not have taken place would leave the holder
// without the version that it settles over.
func (m *Manager) renewOnce(ctx context.Context, lease *kv.Lease) {
	var err error
	defer func() {
		if err != nil {
			m.c.Logger.WarnContext(ctx, "a refresh lease could not be renewed", "error", err)
		}
	}()
	defer m.caught(ctx, "a lease's renewal", &err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err = lease.Renew(ctx)
}

// succeed makes the newer session and keeps it for stragglers before anybody is told.
func (m *Manager) succeed(ctx context.Context, s *Session, t Tokens, store kv.Store, lease *kv.Lease) (*Session, error) {
	newer := m.renewed(s, t)
	m.keep(ctx, kept{state: stateDone, old: s, newer: newer, store: store, lease: lease})
	// End leaves its mark and then looks for the newest token; here the token is kept and then the mark looked for. In
	// whatever order they run, one sees the other: new tokens do not outlive a session that was ended meanwhile.
	if err := m.endedMeanwhile(ctx, s); err != nil {
		<-m.revokeNewest(ctx, newer)
		return nil, err
	}
	m.recent.Add(s.ID, attempt{at: m.c.Now()})
	m.observeRefresh("refreshed")
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
	return &newer
}

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
		newer := m.renewed(d.old, tokens)
		m.keep(ctx, kept{state: stateDone, old: d.old, newer: newer, store: d.store})
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
	m.markEnded(ctx, s, ReasonUntrusted)
	m.revokeNewest(ctx, latest)
	return m.over(ctx, s, ReasonUntrusted)
}

// kept is a result to keep.
type kept struct {
	state      state // stateDone or stateDoubt
	old, newer *Session
	store      kv.Store
	lease      *kv.Lease // where the result is to stand; nil: nobody holds one
}

// keep leaves the result for stragglers. It is kept beyond the end of the old access token: whoever still holds the old
// cookie asks for a refresh at about that time at the latest. A lease that was lost does not matter: the provider has
// answered, so this is the truth.
func (m *Manager) keep(ctx context.Context, k kept) {
	r, err := m.sealRecord(k.state, k.old, k.newer)
	if err != nil {
		m.c.Logger.ErrorContext(ctx, "a refresh result could not be kept", "error", err)
		return
	}
	ttl := min(max(m.t.Successor, k.old.Left(m.c.Now())+time.Minute), 24*time.Hour)
	if k.lease != nil && k.lease.Settle(ctx, r, ttl) == nil {
		return
	}
	w := kv.Write{Key: recordKey(k.old), Value: r, TTL: ttl, If: kv.Any}
	if _, err = k.store.Put(ctx, w); err == nil {
		return
	}
	m.c.Observe(Event{Kind: EventRefreshDegraded})
	m.c.Logger.WarnContext(ctx, "the cache did not take a refresh result: only this process knows it", "error", err)
	if _, err = m.local.Put(ctx, w); err != nil {
		m.c.Logger.ErrorContext(ctx, "a refresh result could not be kept", "error", err)
	}
}

// refused looks once more before it gives up: a replica whose lease ran out may have won after all.
func (m *Manager) refused(ctx context.Context, s *Session, store kv.Store, lease *kv.Lease) (*Session, error) {
	if newer := m.successor(ctx, s); newer != nil {
		return m.adopt(ctx, newer)
	}
	err := lease.Settle(ctx, failedRecord(ReasonRefused), m.t.Failure)
	switch {
	case errors.Is(err, kv.ErrConflict):
		// The lease was lost, and whoever took it may have spent the token: its result stands there now or soon.
		return m.coordinate(ctx, s, store)
	case err == nil:
		m.markRefused(ctx, s)
	default:
		m.observeRefresh(string(ReasonRefused))
		m.c.Logger.WarnContext(ctx, "a refused refresh could not be compared with other replicas", "error", err)
		return nil, &Ended{Reason: ReasonRefused, KeepCookies: true}
	}
	return nil, m.over(ctx, s, ReasonRefused)
}

func (m *Manager) settle(ctx context.Context, lease *kv.Lease, r record, ttl time.Duration) {
	if err := lease.Settle(ctx, r, ttl); err != nil {
		m.c.Logger.DebugContext(ctx, "a refresh lease could not be settled", "error", err)
	}
}

// endedMeanwhile is revoked for a flight, which somebody must hear of.
func (m *Manager) endedMeanwhile(ctx context.Context, s *Session) error {
	err := m.revoked(ctx, s)
	var ended *Ended
	if errors.As(err, &ended) {
		m.observeRefresh(string(ended.Reason))
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

// pause waits a jittered moment: replicas that wait for the same lease do not look in step.
func (m *Manager) pause(ctx context.Context) error {
	t := time.NewTimer(m.t.Poll/2 + rand.N(m.t.Poll))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return m.unavailable(&Unavailable{Cause: ctx.Err()})
	}
}
