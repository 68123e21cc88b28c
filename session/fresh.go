package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/singleflight"
)

// Need is what a caller asks of the access token beyond the ordinary.
type Need struct {
	MinTTL time.Duration // life that must be left; capped at the token's whole life
	Force  bool          // a new token, whatever is left
	Brief  bool          // waits for a refresh no longer than who has a living token, even without one
}

// Fresh gives the session with an access token that is good enough, refreshed if it must be: exactly once, however many ask.
// The session given back is newer than s if its Generation is larger; then the browser needs its cookies, also when there is
// an error. While the token lives it is served rather than an error. *Ended: the session is definitely over. *Unavailable: nobody can
// say, and no living token is left.
func (m *Manager) Fresh(ctx context.Context, s *Session, need Need) (*Session, error) {
	// One round may adopt a form that is old already, the next then makes a newer one.
	for range 3 {
		if !m.wanted(s, need) {
			return m.latest(ctx, s, need), nil
		}
		if s.Tokens.RefreshToken == "" {
			return m.withoutRefresh(s)
		}
		newer, err := m.await(ctx, s, need.Brief)
		if err != nil {
			return m.despite(s, err)
		}
		// Without rotation all forms share a refresh token and so a flight: it may have been an older form's, whose newest
		// form is what s is already. Then the next round is a flight for s.
		if newer.Generation > s.Generation {
			s, need.Force = newer, false
		}
		if s.Life() == 0 {
			break // born dead: another refresh would bring another of its kind
		}
	}
	if s.Left(m.c.Now()) > 0 {
		return s, nil
	}
	return s, &Unavailable{Cause: errors.New("the provider's tokens are over when they come: is this machine's clock right?")}
}

// wanted says whether a refresh must be tried now.
func (m *Manager) wanted(s *Session, need Need) bool {
	now := m.c.Now()
	left, life := s.Left(now), s.Life()
	last, tried := m.recent.Get(s.ID)
	if left < min(m.c.RefreshBefore, life/2) || left == 0 {
		// Due. While the token lives a failure buys a breather, or every request would wait for a provider that is down.
		return left == 0 || !tried || last.failures == 0 || (now.Sub(last.at) >= m.t.Breather && !now.Before(last.notBefore))
	}
	if !need.Force && left >= min(need.MinTTL, life) {
		return false
	}
	refreshed := s.Generation > 0 && now.Sub(s.Tokens.Issued) < m.t.Forced
	return !refreshed && (!tried || now.Sub(last.at) >= m.t.Forced)
}

// latest gives who asked for a new token too soon after somebody else what that one got, if it is kept: a straggler with the old
// cookie is not served the old token. Who asks for nothing special gets what this process made of the session: the answer that had the
// new cookie may never have arrived, and the old one leads nowhere once the result is not kept any more.
func (m *Manager) latest(ctx context.Context, s *Session, need Need) *Session {
	if s.Tokens.RefreshToken == "" {
		return s
	}
	if !need.Force && s.Left(m.c.Now()) >= min(need.MinTTL, s.Life()) {
		if last, _ := m.recent.Get(s.ID); last.generation <= s.Generation {
			return s
		}
	}
	if newest := m.newest(ctx, s); newest.Left(m.c.Now()) > 0 {
		return newest
	}
	return s
}

func (m *Manager) withoutRefresh(s *Session) (*Session, error) {
	if s.Left(m.c.Now()) > 0 {
		return s, nil
	}
	return nil, &Ended{Reason: ReasonNoRefresh}
}

// despite decides what a failed refresh means for the caller: only a definite end is one.
func (m *Manager) despite(s *Session, err error) (*Session, error) {
	if errors.Is(err, ErrEnded) {
		return nil, err
	}
	if s.Left(m.c.Now()) > 0 {
		return s, nil
	}
	m.usedInVain(s.ID)
	var u *Unavailable
	if errors.As(err, &u) {
		return nil, err
	}
	return nil, &Unavailable{Cause: err}
}

// await joins the one flight of this form of the session, or starts it, and waits as long as the caller may wait. The flight
// has a context of its own: a browser that hangs up does not stop a rotation that others wait for.
func (m *Manager) await(ctx context.Context, s *Session, brief bool) (*Session, error) {
	living := s.Left(m.c.Now())
	if last, ok := m.recent.Get(s.ID); ok && last.failures > 0 && living == 0 {
		if wait := last.notBefore.Sub(m.c.Now()); wait > 0 {
			// It may be another form's failure: what is newer than s may live.
			if newest := m.newest(ctx, s); newest.Generation > s.Generation {
				return newest, nil
			}
			return nil, &Unavailable{RetryAfter: wait, Cause: errors.New("it failed a moment ago, or asked to be left alone")}
		}
	}
	m.running.add() // here, and not in the flight: a process that stops must know of it before it runs
	flight := m.flights.DoChan(recordKey(s), func() (any, error) { return m.fly(ctx, s) })
	patience := m.t.WaitDead
	if living > 0 || brief {
		patience = m.t.WaitLiving
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-flight:
		m.running.done()
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Session), nil
	case <-timer.C:
		m.leave(flight)
		return nil, &Unavailable{Cause: errors.New("a refresh takes too long")}
	case <-ctx.Done():
		m.leave(flight)
		return nil, &Unavailable{Cause: ctx.Err()}
	}
}

// leave lets the flight go on without the caller, and counts it until it lands.
func (m *Manager) leave(flight <-chan singleflight.Result) {
	go func() {
		<-flight
		m.running.done()
	}()
}

// fly is one flight: it coordinates, refreshes if it must, and remembers how that went.
func (m *Manager) fly(ctx context.Context, s *Session) (newer *Session, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
	defer cancel()
	defer func() {
		if err != nil && !errors.Is(err, ErrEnded) {
			m.failed(s, err)
		}
	}()
	defer m.caught(ctx, "a refresh", &err)
	return m.coordinate(ctx, s, m.c.Store)
}

const (
	// failuresInARow: later than that after a failure, the next is a first one again.
	failuresInARow = 30 * time.Second
	// longestPause is below what a 503 asks clients to wait.
	longestPause = time.Second
	// longestRetryAfter bounds what a provider may ask for; a longer pause is not believed.
	longestRetryAfter = time.Hour
)

// failed remembers a refresh in vain. The first may be tried again at once by whoever asks next; from the second in a row on, the
// pause before the next grows, or an outage would become a flood: one request here would be one request there.
func (m *Manager) failed(s *Session, err error) {
	last, _ := m.recent.Get(s.ID)
	now := m.c.Now()
	next := attempt{at: now, failures: 1, generation: last.generation}
	if now.Sub(last.at) < failuresInARow {
		next.failures += last.failures
	}
	pause := time.Duration(0)
	if next.failures > 1 {
		pause = min(longestPause, 250*time.Millisecond<<min(next.failures-2, 10))
		pause = pause/2 + rand.N(pause/2+1)
	}
	var u *Unavailable
	if errors.As(err, &u) {
		pause = max(pause, min(u.RetryAfter, longestRetryAfter))
	}
	next.notBefore = now.Add(pause)
	m.recent.Add(s.ID, next)
}
