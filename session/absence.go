package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"vestibule/kv"
)

// What is done while the store is away, and just after. Nothing that it did not say is taken for a no.

// hiccup is how long a store may fail and still be waited for.
const hiccup = 2 * time.Second

// waitedForStore waits a moment, if a store that has failed is to be asked again before this process goes on alone: while somebody who was
// seen with the lease may be at work, for he has spent the refresh token, and while the fault may be over in a moment. Where the
// refresh can be put off, nobody waits. faults are those of the call that failed. A store that says it is full has no hiccup.
func (m *Manager) waitedForStore(ctx context.Context, s *Session, store kv.Store, held time.Time, faults *series, cause error) bool {
	if store == kv.Store(m.local) {
		return false
	}
	faults.failed(ctx)
	now := time.Now() // the clock that pause goes by
	worth := now.Before(held) || faults.lasted(now) < hiccup && !errors.Is(cause, kv.ErrFull)
	return worth && !m.canWait(s) && m.pause(ctx) == nil
}

// series is since when a kind of call to the store has failed without a success between: Unix milliseconds, 0 when it does not. Looking and
// taking a lease have one each, because a store that is full, or a copy that may only be read, goes on answering the one.
type series struct{ since atomic.Int64 }

// failed notes the first of the faults. A caller who gave up says nothing about the store.
func (s *series) failed(ctx context.Context) {
	if ctx.Err() == nil {
		s.since.CompareAndSwap(0, time.Now().UnixMilli())
	}
}

func (s *series) lasted(now time.Time) time.Duration {
	return time.Duration(now.UnixMilli()-s.since.Load()) * time.Millisecond
}

func (s *series) over() {
	if s.since.Load() != 0 {
		s.since.Store(0)
	}
}

// lastMoment is when a refresh can no longer wait for a store that does not answer; of a token's life a quarter at most.
const lastMoment = 30 * time.Second

// canWait says whether the refresh can be put off: the token lives for a while.
func (m *Manager) canWait(s *Session) bool {
	return s.Left(m.c.Now()) > min(lastMoment, s.Life()/4)
}

// errSpentUnseen is why an adopted session that nobody can refresh now is not over.
var errSpentUnseen = errors.New("the refresh token was spent, or refused, and what came of it may stand in the cache, which does not answer")

// alone goes on without the store: this process still refreshes once, other replicas are not seen. Where refresh tokens are good once,
// two replicas that do so end the session, so as long as the token lives it is served, and the refresh put off.
func (m *Manager) alone(ctx context.Context, s *Session, store kv.Store, cause error) (*Session, error) {
	if store != kv.Store(m.local) {
		m.storeFailed(ctx)
	}
	// In server mode the session itself is in the store: what is refreshed now could not be kept for the next request.
	if m.canWait(s) || ctx.Err() != nil || store == kv.Store(m.local) || m.c.Mode == ModeServer {
		return nil, m.unavailable(&Unavailable{Cause: cause})
	}
	if last, _ := m.recent.Get(s.ID); last.generation > s.Generation && m.asAdopted(s) {
		return nil, m.unavailable(&Unavailable{Cause: errSpentUnseen}) // it was refreshed here
	}
	m.c.Observe(Event{Kind: EventRefreshDegraded})
	m.c.Logger.WarnContext(ctx, "the cache does not answer: this refresh is coordinated in this process alone", "error", cause)
	newer, err := m.coordinate(ctx, s, m.local)
	var ended *Ended
	if errors.As(err, &ended) {
		if ended.Reason == ReasonRefused && m.asAdopted(s) {
			return nil, &Unavailable{Cause: errSpentUnseen}
		}
		// Another replica may have won unseen: its cookie, already in the browser, is not to be cleared.
		return nil, &Ended{Reason: ended.Reason, KeepCookies: true}
	}
	return newer, err
}

// storeDown is what the caller hears of a store that did not answer. If he gave up first, that says nothing about the store: whoever hangs
// up again and again would stop everybody's refreshes.
func (m *Manager) storeDown(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return &Unavailable{Cause: cause}
	}
	m.sawAbsence()
	m.storeFailed(ctx)
	m.c.Observe(Event{Kind: EventStoreDown})
	m.c.Logger.DebugContext(ctx, "the cache does not answer: nobody can say whether a session stands", "error", cause)
	return &Unavailable{Cause: cause}
}

func (m *Manager) sawAbsence() { m.absent.Store(m.c.Now().UnixMilli()) }

// settling is how long after an absence of the store nothing is refreshed: another replica may have refreshed when it went away, and puts
// what it has into the store as soon as it can (see insist). What stands there until then is a refresh token that was spent.
const settling = 3 * time.Second

// settled is nil, or *Unavailable while it is too early for a refresh.
func (m *Manager) settled() error {
	if left := settling - time.Duration(m.c.Now().UnixMilli()-m.absent.Load())*time.Millisecond; left > 0 {
		return &Unavailable{RetryAfter: left.Round(time.Second), Cause: errors.New("the cache has just come back")}
	}
	return nil
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
