package session

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// errPanicked stands for a panic in work that nobody called directly: such a panic would end the process.
var errPanicked = errors.New("session: a panic in the background")

// caught makes a panic one log record with its stack, and an error. It is to be deferred.
func (m *Manager) caught(ctx context.Context, work string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %s: %v", errPanicked, work, p)
		m.c.Logger.ErrorContext(ctx, "panic", "in", work, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// Drain waits until no refresh and no revocation is under way, or ctx ends: a process that stops in the middle of a rotation
// would take the new tokens with it. It is for the end of the process: what is tried again and again is tried once more.
func (m *Manager) Drain(ctx context.Context) error {
	m.backlog.leave()
	return m.running.wait(ctx)
}

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
