package machine

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	breakerFaults = 5 // in a row, of more than one, open a breaker
	probeEvery    = time.Second
)

// open says how long the provider is left alone, by this credential.
func (l *lanes) open(who half) time.Duration {
	now := l.now()
	if l.proven.Contains(who) {
		return l.breaker.left(now, byProven)
	}
	if wait := l.doubtful.left(now, byStranger); wait > 0 {
		return wait
	}
	return l.breaker.left(now, byStranger)
}

// judge tells the breakers how a request went. A stranger's failure says something about strangers only, as its request may be the
// cause, unless the provider could not be reached at all (away). An answer says that the provider is there, whoever got it.
func (l *lanes) judge(who half, failed, away bool) {
	now, proven := l.now(), l.proven.Contains(who)
	if !failed {
		l.breaker.close()
		l.doubtful.close()
		return
	}
	if !proven {
		who = l.claimOf(who) // secrets are made up even more easily than ids
		l.doubtful.failed(now, who)
	}
	if proven || away {
		l.breaker.failed(now, who)
	}
}

// Who finds out whether the provider is back. Each kind has its own turn: a stranger's request that makes the provider fail must not be
// all that ever gets through.
const (
	byProven = iota
	byStranger
	probers
)

// breaker keeps requests from a provider that fails for all. One client alone cannot open it: it has its own backoff, and a request
// that makes a provider fail must not be a switch for all.
type breaker struct {
	mu      sync.Mutex
	faults  int
	first   half // whose fault was first
	several bool
	opened  int // times in a row
	until   time.Time
	probe   [probers]time.Time // when the next one may go through, once until is over
}

// left is how long it stays open. When that is over one request of a kind goes through and the others wait for what comes of it.
func (b *breaker) left(now time.Time, by int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == 0 {
		return 0
	}
	for _, end := range []time.Time{b.until, b.probe[by]} {
		if wait := end.Sub(now); wait > 0 {
			return wait
		}
	}
	b.probe[by] = now.Add(probeEvery)
	return 0
}

func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults, b.several, b.opened = 0, false, 0
	b.until, b.probe = time.Time{}, [probers]time.Time{}
}

func (b *breaker) failed(now time.Time, who half) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults == 0 {
		b.first = who
	}
	b.faults++
	b.several = b.several || who != b.first
	if b.faults >= breakerFaults && b.several {
		pause := min(longestPause, time.Second<<min(b.opened, 5))
		b.until = now.Add(pause/2 + rand.N(pause/2+1))
		b.probe = [probers]time.Time{}
		b.opened++
	}
}
