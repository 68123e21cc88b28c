package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Need is what a caller asks of the access token beyond the ordinary.
type Need struct {
	MinTTL time.Duration // life that must be left; capped at the token's whole life
	Force  bool          // a new token, whatever is left
}

// Fresh gives the session with an access token that is good enough, refreshed if it must be: exactly once, however many ask.
// The session given back is newer than s if its Generation is larger; then the browser needs its cookies. While the token
// lives it is served rather than an error. *Ended: the session is definitely over. *Unavailable: nobody can say, and no
// living token is left.
func (m *Manager) Fresh(ctx context.Context, s *Session, need Need) (*Session, error) {
	// One round adopts a form that may be old already, one makes a newer; more means that tokens are born dead.
	for range 3 {
		if !m.wanted(s, need) {
			return m.latest(ctx, s, need), nil
		}
		if s.Tokens.RefreshToken == "" {
			return m.withoutRefresh(s)
		}
		newer, err := m.await(ctx, s)
		if err != nil {
			return m.despite(s, err)
		}
		// Without rotation all forms share a refresh token and so a flight: it may have been an older form's, whose newest
		// form is what s is already. Then the next round is a flight for s.
		if newer.Generation > s.Generation {
			s, need.Force = newer, false
		}
	}
	if s.Left(m.c.Now()) > 0 {
		return s, nil
	}
	return nil, &Unavailable{Cause: errors.New("the provider's tokens are over when they come")}
}

// wanted says whether a refresh must be tried now.
func (m *Manager) wanted(s *Session, need Need) bool {
	now := m.c.Now()
	left, life := s.Left(now), s.Life()
	last, tried := m.recent.Get(s.ID)
	if left < min(m.c.RefreshBefore, life/2) || left == 0 {
		// Due. While the token lives a failure buys a breather, or every request would wait for a provider that is down.
		return left == 0 || !tried || !last.failed || (now.Sub(last.at) >= m.t.Breather && !now.Before(last.notBefore))
	}
	if !need.Force && left >= min(need.MinTTL, life) {
		return false
	}
	refreshed := s.Generation > 0 && now.Sub(s.Tokens.Issued) < m.t.Forced
	return !refreshed && (!tried || now.Sub(last.at) >= m.t.Forced)
}

// latest gives who asked for a new token too soon after somebody else what that one got, if it is kept: a straggler with the old
// cookie is not served the old token.
func (m *Manager) latest(ctx context.Context, s *Session, need Need) *Session {
	if (!need.Force && need.MinTTL <= 0) || s.Tokens.RefreshToken == "" {
		return s
	}
	if !need.Force && s.Left(m.c.Now()) >= min(need.MinTTL, s.Life()) {
		return s
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
	var u *Unavailable
	if errors.As(err, &u) {
		return nil, err
	}
	return nil, &Unavailable{Cause: err}
}

// await joins the one flight of this form of the session, or starts it, and waits as long as the caller may wait. The flight
// has a context of its own: a browser that hangs up does not stop a rotation that others wait for.
func (m *Manager) await(ctx context.Context, s *Session) (*Session, error) {
	living := s.Left(m.c.Now())
	if last, ok := m.recent.Get(s.ID); ok && last.failed && living == 0 {
		if wait := last.notBefore.Sub(m.c.Now()); wait > 0 {
			return nil, &Unavailable{RetryAfter: wait, Cause: errors.New("it asked to be left alone")}
		}
	}
	flight := m.flights.DoChan(recordKey(s), func() (any, error) { return m.fly(ctx, s) })
	patience := m.t.WaitDead
	if living > 0 {
		patience = m.t.WaitLiving
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Session), nil
	case <-timer.C:
		return nil, &Unavailable{Cause: errors.New("a refresh takes too long")}
	case <-ctx.Done():
		return nil, &Unavailable{Cause: ctx.Err()}
	}
}

// fly is one flight: it coordinates, refreshes if it must, and remembers how that went.
func (m *Manager) fly(ctx context.Context, s *Session) (*Session, error) {
	m.running.add()
	defer m.running.done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
	defer cancel()
	newer, err := m.coordinate(ctx, s, m.c.Store)
	if err != nil && !errors.Is(err, ErrEnded) {
		failed := attempt{at: m.c.Now(), failed: true}
		var u *Unavailable
		if errors.As(err, &u) {
			failed.notBefore = failed.at.Add(min(u.RetryAfter, time.Minute))
		}
		m.recent.Add(s.ID, failed)
	}
	return newer, err
}

// Drain waits until no refresh and no revocation is under way, or ctx ends: a process that stops in the middle of a rotation
// would take the new tokens with it.
func (m *Manager) Drain(ctx context.Context) error { return m.running.wait(ctx) }

// flightCount counts what runs on its own. A sync.WaitGroup would do, were it allowed to grow while somebody waits.
type flightCount struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to zero; nil while nobody waits
}

func (f *flightCount) add() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *flightCount) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

func (f *flightCount) wait(ctx context.Context) error {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return nil
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
