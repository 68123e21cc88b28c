package session

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// What the store did not take is tried again until it does, or until nobody needs it any more: an outage may last minutes, and what was
// learnt meanwhile, that a session has ended, or its only good refresh token, exists nowhere else.

// untaken is one write that the store did not take.
type untaken struct {
	what  string // for the log
	until time.Time
	write func(context.Context) error
	turn  uint64 // of two under one key the one with the higher turn is the later; given by insist
}

const (
	// maxUntaken bounds what is remembered; some kilobytes each at most, because they hold sessions.
	maxUntaken = 10_000
	// Pauses between two rounds; a store that is back should know of what it has missed before others act on what it says.
	firstPause  = 250 * time.Millisecond
	longestWait = time.Second
	// roundTime bounds one round.
	roundTime = 10 * time.Second
)

// backlog is all of them, by what they write: of two writes of one thing the later counts.
type backlog struct {
	mu      sync.Mutex
	waiting map[string]untaken
	turns   uint64 // so many were added so far
	working bool
	leaving chan struct{} // closed when the process is about to stop: one more round, at once
	left    bool
}

func newBacklog() *backlog {
	return &backlog{waiting: map[string]untaken{}, leaving: make(chan struct{})}
}

// insist tries the write again, in the background, until it succeeds or its time is up. key says what is written. A process that stops tries
// once more.
func (m *Manager) insist(ctx context.Context, key string, u untaken) {
	b := m.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.waiting[key]; !known && len(b.waiting) >= maxUntaken {
		m.c.Logger.ErrorContext(ctx, "the cache did not take something, and too much waits for it already", "what", u.what)
		return
	}
	b.turns++
	u.turn = b.turns
	b.waiting[key] = u
	if b.working {
		return
	}
	b.working = true
	m.running.add()
	go m.workOff(context.WithoutCancel(ctx))
}

func (m *Manager) workOff(ctx context.Context) {
	defer m.running.done()
	pause := firstPause
	for last := false; !last; {
		last = m.rest(pause)
		m.round(ctx)
		if m.backlog.finished(last) {
			return
		}
		pause = min(2*pause, longestWait)
	}
}

// rest waits, and says whether the process stops.
func (m *Manager) rest(pause time.Duration) (stopping bool) {
	timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-m.backlog.leaving:
		return true
	}
}

// round tries one after the other until one fails: a store that is down costs one call.
func (m *Manager) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	var err error
	defer m.caught(ctx, "writing what the cache did not take", &err)
	for key, u := range m.backlog.all() {
		if m.c.Now().Before(u.until) {
			if err = u.write(ctx); err != nil {
				return
			}
			m.c.Logger.InfoContext(ctx, "the cache has taken what it did not take at first", "what", u.what)
		}
		m.backlog.drop(key, u)
	}
}

func (b *backlog) all() map[string]untaken {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]untaken, len(b.waiting))
	for key, u := range b.waiting {
		out[key] = u
	}
	return out
}

// drop forgets what was written, unless something newer waits under its key.
func (b *backlog) drop(key string, u untaken) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting[key].turn == u.turn {
		delete(b.waiting, key)
	}
}

// finished says whether the work is over; what is added later then begins it anew.
func (b *backlog) finished(stopping bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.working = len(b.waiting) > 0 && !stopping
	return !b.working
}

// leave has what is waiting tried once more, at once.
func (b *backlog) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left {
		b.left = true
		close(b.leaving)
	}
}
