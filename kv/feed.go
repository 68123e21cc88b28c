package kv

import (
	"context"
	"slices"
	"sync"
)

// queueLength is how many messages wait for a listener of a Memory: with the largest ones, 1 MB. One more, and all that wait
// are dropped, for which the listener's Missed is called.
const queueLength = 1 << 10

// Publish implements Feed: all who listen in this process hear it. It never waits for a listener.
func (m *Memory) Publish(_ context.Context, message []byte) error {
	if err := CheckMessage(message); err != nil {
		return err
	}
	m.feed.Lock()
	defer m.feed.Unlock()
	for q := range m.listeners {
		q.put(slices.Clone(message))
	}
	return nil
}

// Listen implements Feed.
func (m *Memory) Listen(ctx context.Context, l Listener) {
	q := &queue{missed: true, filled: make(chan struct{}, 1)}
	q.filled <- struct{}{}
	m.feed.Lock()
	m.listeners[q] = struct{}{}
	m.feed.Unlock()
	defer func() {
		m.feed.Lock()
		delete(m.listeners, q)
		m.feed.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.filled:
			q.empty(ctx, l)
		}
	}
}

// queue holds what one listener has not heard yet.
type queue struct {
	mu       sync.Mutex
	messages [][]byte
	missed   bool          // something before these messages was dropped, or nothing was heard at all yet
	filled   chan struct{} // says that there is something to take
}

func (q *queue) put(message []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == queueLength {
		q.messages, q.missed = nil, true
	}
	q.messages = append(q.messages, message)
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// empty tells the listener what waits, unless ctx ends first.
func (q *queue) empty(ctx context.Context, l Listener) {
	for ctx.Err() == nil {
		message, missed := q.take()
		switch {
		case missed:
			l.Missed()
		case message != nil:
			l.Hear(message)
		default:
			return
		}
	}
}

func (q *queue) take() (message []byte, missed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.missed {
		q.missed = false
		return nil, true
	}
	if len(q.messages) > 0 {
		message, q.messages = q.messages[0], q.messages[1:]
	}
	return message, false
}
