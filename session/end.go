package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"vestibule/kv"
)

// newSession makes a session with a new random ID.
func (m *Manager) newSession(now time.Time, t Tokens) *Session {
	s := &Session{Started: now, Seen: now, Tokens: t}
	_, _ = rand.Read(s.ID[:]) // never fails (crypto/rand)
	s.endedKey = endedKey(s.ID)
	return s
}

// End ends the session: first here and in the store, so that its cookie is refused at once, then at the provider, which is
// told to revoke the newest refresh token. It waits for the provider a short while only; the revocation goes on without it.
func (m *Manager) End(ctx context.Context, s *Session) {
	m.markEnded(ctx, s, ReasonSignedOut)
	wait := time.NewTimer(m.t.Revoke)
	defer wait.Stop()
	select {
	case <-m.revokeNewest(ctx, s):
	case <-wait.C:
	case <-ctx.Done():
	}
}

// revokeNewest has the provider revoke the newest refresh token of the session, on a context of its own.
func (m *Manager) revokeNewest(ctx context.Context, s *Session) (done <-chan struct{}) {
	ch := make(chan struct{})
	if s.Tokens.RefreshToken == "" {
		close(ch)
		return ch
	}
	m.running.add()
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
		defer cancel()
		newest, err := m.revokeFirst(ctx, s, ch)
		if err != nil && !errors.Is(err, errPanicked) {
			m.revokeAgain(ctx, newest, err)
		}
	}()
	return ch
}

// revokeFirst is the attempt that a stopping process waits for.
func (m *Manager) revokeFirst(ctx context.Context, s *Session, done chan<- struct{}) (newest *Session, err error) {
	defer m.running.done()
	defer close(done)
	newest = s
	defer m.caught(ctx, "a revocation", &err)
	newest = m.newest(ctx, s)
	if d, ok := m.inDoubt(ctx, newest); ok {
		newest = d.newer // granted, if not verified: it must not outlive the session either
	}
	return newest, m.c.Provider.Revoke(ctx, newest.Tokens.RefreshToken)
}

// revokePauses come before each further attempt: a provider that is down for a moment must not leave a refresh token alive. Their sum
// is less than Timing.Flight.
var revokePauses = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second}

func (m *Manager) revokeAgain(ctx context.Context, s *Session, err error) {
	defer m.caught(ctx, "a revocation", &err)
	for _, pause := range revokePauses {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if err = m.c.Provider.Revoke(ctx, s.Tokens.RefreshToken); err == nil {
			return
		}
	}
	m.c.Logger.WarnContext(ctx, "the provider did not revoke a refresh token", "error", err)
}

// markEnded leaves the record that refuses the session's cookies for as long as they could still be brought.
func (m *Manager) markEnded(ctx context.Context, s *Session, why Reason) {
	m.leaveMark(ctx, s, mark{reason: why, upTo: math.MaxUint32}, kv.Any)
}

// markRefused does so for the forms of the session whose refresh token was refused: a newer form may live, in another replica or
// in the browser, and is not touched. It never takes the place of a stronger mark, also not of one that is made at the same moment.
func (m *Manager) markRefused(ctx context.Context, s *Session) {
	e, err := m.c.Store.Get(ctx, s.endedKey)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return // the failed record refuses for now
	}
	if k, ok := readMark(e.Value); ok && k.upTo >= s.Generation {
		return
	}
	m.leaveMark(ctx, s, mark{reason: ReasonRefused, upTo: s.Generation}, e.Version)
}

// leaveMark keeps the mark here too when the store does not take it, so that at least this process refuses.
func (m *Manager) leaveMark(ctx context.Context, s *Session, k mark, over kv.Version) {
	left := s.Started.Add(m.c.MaxAge).Sub(m.c.Now())
	if left <= 0 {
		return
	}
	w := kv.Write{Key: s.endedKey, Value: k.bytes(), TTL: min(left+time.Minute, kv.MaxTTL), If: over}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call) // an ended session stays ended if the browser hangs up
	defer cancel()
	if _, err := m.c.Store.Put(ctx, w); err != nil && !errors.Is(err, kv.ErrConflict) {
		m.c.Observe(Event{Kind: EventRevocationBlind})
		m.c.Logger.WarnContext(ctx, "the cache did not take a sign-out: other replicas accept the old cookie until its token runs out", "error", err)
		w.If = kv.Any
		if _, err := m.local.Put(ctx, w); err != nil {
			m.c.Logger.ErrorContext(ctx, "a sign-out could not be recorded", "error", err)
		}
	}
}

// mark is the revocation record of a session: why, and up to which generation.
type mark struct {
	reason Reason
	upTo   uint32
}

func (k mark) bytes() []byte {
	return append(binary.BigEndian.AppendUint32(nil, k.upTo), k.reason...)
}

func readMark(b []byte) (mark, bool) {
	if len(b) < 4 {
		return mark{}, false
	}
	return mark{reason: Reason(b[4:]), upTo: binary.BigEndian.Uint32(b)}, true
}
