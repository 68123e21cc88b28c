package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"vestibule/kv"
)

// Idleness is judged by when a session was last seen, which has to be written where every replica reads it. What could not be written is no
// idleness: neither the time during which the store took nothing, nor a use that was asked for in vain. This process knows of both what
// it met with itself, and looks them up only for a session that would be over. In server mode a session ends by idleness only where the
// store takes a write at that moment, so a process that began in the outage ends none either.

// unnoted is what this process knows of use that could not be noted.
type unnoted struct {
	uses *lru.Cache[ID, time.Time] // session → when it was last used in vain
	open atomic.Bool               // the store took nothing when it was last asked to

	mu     sync.Mutex
	last   outage    // goes on while open
	before []outage  // oldest first
	logged bool      // of the last one
	told   time.Time // when that was
}

// outage is a time in which the store failed and took no write between: its first fault and its last.
type outage struct{ from, to time.Time }

const (
	unnotedUses = 16_384 // forgetting one leaves the outages themselves
	maxOutages  = 64     // beyond that the shortest is forgotten
	// shortOutage is what is not worth remembering: within it the use in vain is all that counts.
	shortOutage = time.Second
	// toldAgain bounds how often a store that fails now and then is logged.
	toldAgain = time.Minute
	// spareTime is how long the store keeps a session beyond its idle end, in server mode: after a longer outage it is lost all the same.
	spareTime = 12 * time.Hour
)

func newUnnoted() (*unnoted, error) {
	uses, err := lru.New[ID, time.Time](unnotedUses)
	return &unnoted{uses: uses}, err
}

// failed notes a fault of the store. After a silence longer than that it is another outage's: nobody knows what was between.
func (u *unnoted) failed(now time.Time, silence time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open.Load() && now.Sub(u.last.to) > silence {
		u.end()
	}
	if !u.open.Load() {
		u.last, u.logged = outage{from: now}, false
	}
	u.last.to = now
	u.open.Store(true)
}

// over notes that the store took a write.
func (u *unnoted) over() {
	if !u.open.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.end()
}

// end remembers the outage that goes on. u.mu is held.
func (u *unnoted) end() {
	if !u.open.Swap(false) || u.last.length() < shortOutage {
		return
	}
	if u.before = append(u.before, u.last); len(u.before) > maxOutages {
		shortest := slices.MinFunc(u.before, func(a, b outage) int { return int(a.length() - b.length()) })
		u.before = slices.DeleteFunc(u.before, func(o outage) bool { return o == shortest })
	}
}

func (o outage) length() time.Duration { return o.to.Sub(o.from) }

// idleSince is since when a session that was seen then counts as idle.
func (u *unnoted) idleSince(id ID, seen time.Time) time.Time {
	since := seen
	u.mu.Lock()
	all := u.before
	if u.open.Load() {
		all = append(slices.Clip(all), u.last)
	}
	for _, o := range all {
		if o.from.Before(seen) {
			o.from = seen
		}
		since = since.Add(max(0, o.length()))
	}
	u.mu.Unlock()
	if used, _ := u.uses.Get(id); used.After(since) {
		return used
	}
	return since
}

// tell says whether to log: once an outage.
func (u *unnoted) tell(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.logged || now.Sub(u.told) < toldAgain {
		return false
	}
	u.logged, u.told = true, now
	return true
}

// usedInVain notes here that a session was in use, where the store could not be told. A session that never ends by idleness needs no note.
func (m *Manager) usedInVain(id ID) {
	if m.c.IdleTimeout > 0 {
		m.unnoted.uses.Add(id, m.c.Now())
	}
}

// storeFailed notes that the store did not answer.
func (m *Manager) storeFailed(ctx context.Context) {
	if m.c.IdleTimeout > 0 && ctx.Err() == nil { // a caller who gave up says nothing about the store
		m.unnoted.failed(m.c.Now(), m.c.IdleTimeout)
	}
}

// notWritten is storeFailed where that a session is in use was to be written, or was found to be so late that it has to be.
func (m *Manager) notWritten(ctx context.Context, cause error) {
	m.storeFailed(ctx)
	if m.c.IdleTimeout <= 0 || ctx.Err() != nil {
		return
	}
	m.c.Observe(Event{Kind: EventIdleBlind})
	if m.unnoted.tell(m.c.Now()) {
		m.c.Logger.WarnContext(ctx, "the cache does not take that sessions are in use: until it does, none of them ends by idleness", "error", cause)
	}
}

// seemsIdle says that a session that was last seen then is over by idleness, as far as this process knows.
func (m *Manager) seemsIdle(id ID, seen time.Time) (since time.Time, over bool) {
	now := m.c.Now()
	if m.c.IdleTimeout <= 0 || now.Before(seen.Add(m.c.IdleTimeout)) {
		return seen, false
	}
	since = m.unnoted.idleSince(id, seen)
	return since, !now.Before(since.Add(m.c.IdleTimeout))
}

// seen gives the session to judge: as it is, unless it would be over by idleness and that cannot be said. The error is that of redeem.
func (m *Manager) seen(ctx context.Context, s *Session) (*Session, error) {
	since, over := m.seemsIdle(s.ID, s.Seen)
	if over && m.c.Mode == ModeServer && m.c.Now().Before(m.Limit(s)) {
		same := *s
		switch err := m.replace(ctx, s, &same); {
		case errors.Is(err, kv.ErrConflict):
			return m.redeem(ctx, s.ticket) // somebody has just seen it, or ended it
		case err != nil && !errors.Is(err, ErrEnded) && !errors.Is(err, ErrTooLarge):
			since, over = m.c.Now(), false
		}
	}
	if over || since.Equal(s.Seen) {
		return s, nil
	}
	inUse := *s
	inUse.Seen, inUse.overdue = since, true
	return &inUse, nil
}
