package upstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// lasting is what would never end by itself, so that a process could not stop: a socket, a stream of events.
type lasting interface {
	leave(goodbye) // ends as its protocol has it, soon
	cut()          // ends now
	end()          // is over
}

// Drain ends sockets and streams of events, and waits for them: WebSockets get a close frame (1001, going away) between two frames,
// streams of events just end, for both are wont to be opened anew. What has not ended after two seconds is cut. What is opened later ends
// at once. The error says that ctx ended first.
func (a *App) Drain(ctx context.Context) error {
	for _, l := range a.open.leave() {
		l.leave(restarting)
	}
	polite, cancel := context.WithTimeout(ctx, a.farewell)
	defer cancel()
	if a.open.wait(polite) == nil {
		return nil
	}
	for _, l := range a.open.leave() {
		l.cut()
	}
	if err := a.open.wait(ctx); err != nil {
		return fmt.Errorf("end sockets and streams: %w", err)
	}
	return nil
}

// part has one end whose session is over, and cuts it if it has not in a while: nobody would look at it again otherwise. WebSockets get a
// close frame (1008, policy violation).
func (a *App) part(l lasting) {
	l.leave(sessionOver)
	time.AfterFunc(a.farewell, func() { a.open.cut(l) })
}

// registry is what lasts at present.
type registry struct {
	mu      sync.Mutex
	all     map[lasting]bool
	leaving bool
	fewer   chan struct{} // closed, and made anew, when one is over
}

func newRegistry() registry {
	return registry{all: map[lasting]bool{}, fewer: make(chan struct{})}
}

// add takes in what a request has become.
func (r *registry) add(l lasting) {
	r.mu.Lock()
	r.all[l] = true
	leaving := r.leaving
	r.mu.Unlock()
	if leaving {
		l.leave(restarting)
	}
}

// cut cuts what is still open. What is over is left alone: its connection may serve another request by now, and whoever removes
// it waits here until this is done.
func (r *registry) cut(l lasting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[l] {
		l.cut()
	}
}

// remove takes what is over off the list.
func (r *registry) remove(l lasting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, l)
	close(r.fewer)
	r.fewer = make(chan struct{})
}

// leave gives all that is open, and makes what is added later leave at once.
func (r *registry) leave() []lasting {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = true
	return slices.Collect(maps.Keys(r.all))
}

func (r *registry) wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		left, fewer := len(r.all), r.fewer
		r.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-fewer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
