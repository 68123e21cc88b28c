package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Watcher is told what becomes of a session. Its functions must return soon; nil ones are not called.
type Watcher struct {
	Ended   func(Reason)            // the session is over; called at most once
	Renewed func(expires time.Time) // it has a new access token, which lasts until then
}

// Watch has w told what becomes of the session, on whichever replica it happens, until stop is called. What ended before is not told:
// ask Alive after Watch. What is told may come a second late, and may get lost where replicas cannot reach each other: whoever
// watches for long asks Alive now and then.
func (m *Manager) Watch(s *Session, w Watcher) (stop func()) {
	watched := &watch{session: s, groups: m.groupsOf(s.Tokens), generation: s.Generation, watcher: w}
	m.watches.add(watched)
	return func() { m.watches.remove(watched) }
}

// Alive says whether the session still stands: nil, or *Ended. In server mode what stands in the store is judged, and it may be
// *Unavailable. In cookie mode this form of the session is, but for its idleness, since the browser may have been active in a newer one;
// a store that does not answer ends nothing.
func (m *Manager) Alive(ctx context.Context, s *Session) error {
	if m.c.Mode == ModeServer {
		stands, err := m.redeem(ctx, s.ticket)
		if err != nil {
			return err
		}
		if stands, err = m.seen(ctx, stands); err != nil {
			return err
		}
		return m.alive(ctx, stands)
	}
	var ended *Ended
	if err := m.lifetime(s); errors.As(err, &ended) && ended.Reason != ReasonIdle {
		return err
	}
	return m.revoked(ctx, s)
}

// watch is one Watcher, and what it watches.
type watch struct {
	session *Session
	groups  []group
	watcher Watcher

	generation uint32 // the newest form that is known; under watches.mu
	over       bool   // it was told; under watches.mu
}

// watches is all that is watched in this process.
type watches struct {
	mu sync.Mutex
	of map[ID]map[*watch]bool
}

func newWatches() *watches { return &watches{of: map[ID]map[*watch]bool{}} }

func (ws *watches) add(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	id := w.session.ID
	if ws.of[id] == nil {
		ws.of[id] = map[*watch]bool{}
	}
	ws.of[id][w] = true
}

func (ws *watches) remove(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	id := w.session.ID
	delete(ws.of[id], w)
	if len(ws.of[id]) == 0 {
		delete(ws.of, id)
	}
}

// hear calls those whom the news concerns. They are called outside the lock: they may stop watching at once.
func (ws *watches) hear(n news) {
	for _, call := range ws.concerned(n) {
		call()
	}
}

func (ws *watches) concerned(n news) (calls []func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n.kind == newsGroup {
		for _, of := range ws.of {
			calls = append(calls, told(of, n)...)
		}
		return calls
	}
	return told(ws.of[n.id], n)
}

func told(of map[*watch]bool, n news) (calls []func()) {
	for w := range of {
		if call := w.told(n); call != nil {
			calls = append(calls, call)
		}
	}
	return calls
}

// told gives what is to be called; nil: nothing.
func (w *watch) told(n news) func() {
	switch {
	case w.over:
		return nil
	case n.kind == newsRenewed:
		if n.generation <= w.generation {
			return nil
		}
		w.generation = n.generation
		if w.watcher.Renewed == nil {
			return nil
		}
		return func() { w.watcher.Renewed(n.at) }
	case !n.ends(w):
		return nil
	}
	w.over = true
	if w.watcher.Ended == nil {
		return nil
	}
	return func() { w.watcher.Ended(n.reason) }
}

// sessions gives each session that is watched once, in its newest form.
func (ws *watches) sessions() []*Session {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	out := make([]*Session, 0, len(ws.of))
	for _, of := range ws.of {
		var newest *watch
		for w := range of {
			if newest == nil || w.generation > newest.generation {
				newest = w
			}
		}
		if newest != nil {
			s := *newest.session
			s.Generation = newest.generation
			out = append(out, &s)
		}
	}
	return out
}
