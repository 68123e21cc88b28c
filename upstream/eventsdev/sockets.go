package eventsdev

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// maxConnections bounds the sockets that are open at once.
const maxConnections = 1000

// sockets are the open connections, and the count of everything that still runs.
type sockets struct {
	mu      sync.Mutex
	closed  bool
	open    map[*connection]struct{}
	changed chan struct{} // closed, and replaced, when open changes
	running sync.WaitGroup
}

func newSockets() *sockets {
	return &sockets{open: map[*connection]struct{}{}, changed: make(chan struct{})}
}

// tracked lets close wait for handlers: [http.Server.Close] waits for none, and forgets those that took their connection.
func (k *sockets) tracked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !k.enter() {
			http.Error(w, "closing", http.StatusServiceUnavailable)
			return
		}
		defer k.running.Done()
		next.ServeHTTP(w, r)
	})
}

func (k *sockets) enter() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.running.Add(1)
	return true
}

// add reports whether one more may be open.
func (k *sockets) add(c *connection) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.open) >= maxConnections {
		c.cancel()
		return false
	}
	k.open[c] = struct{}{}
	k.tell()
	return true
}

func (k *sockets) remove(c *connection) {
	c.cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, c)
	k.tell()
	close(c.done)
}

// tell wakes whoever waits. The caller holds mu.
func (k *sockets) tell() {
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *sockets) all() []*connection {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]*connection, 0, len(k.open))
	for c := range k.open {
		list = append(list, c)
	}
	return list
}

// drop ends all that are open and waits for their end.
func (k *sockets) drop(code int) int {
	list := k.all()
	for _, c := range list {
		if maySend(code) {
			c.finish(code, "dropped on request")
		} else {
			c.cancel()
		}
	}
	for _, c := range list {
		<-c.done
	}
	return len(list)
}

func (k *sockets) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.drop(0)
	k.running.Wait()
}

func (k *sockets) wait(ctx context.Context, n int) error {
	for {
		k.mu.Lock()
		open, changed := len(k.open), k.changed
		k.mu.Unlock()
		if open == n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d open sockets, have %d: %w", n, open, ctx.Err())
		}
	}
}

// maySend reports whether a close frame may carry the code (RFC 6455, section 7.4).
func maySend(code int) bool {
	switch code {
	case 1004, 1005, 1006:
		return false
	}
	return code >= 1000 && code <= 1014 || code >= 3000 && code <= 4999
}
