package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// errPanicked is how work ends that panicked; the log has the rest.
var errPanicked = errors.New("it ended in a panic, which is in the log")

// flight is shared work, done by one goroutine at a time however many ask. The work has a context of its own:
// a caller that leaves does not stop what the others wait for. Nobody stands above that goroutine, so a panic in the
// work becomes errPanicked for all who wait, or it would end the process.
type flight struct {
	log     *slog.Logger
	mu      sync.Mutex
	current *landing
}

type landing struct {
	done chan struct{}
	err  error
}

// do starts work, or joins the one under way, and waits for it on the caller's context. started says whether
// this call began it. Work takes its time limit itself.
func (f *flight) do(ctx context.Context, work func(context.Context) error) (started bool, err error) {
	f.mu.Lock()
	l := f.current
	if started = l == nil; started {
		l = &landing{done: make(chan struct{})}
		f.current = l
		go f.run(context.WithoutCancel(ctx), l, work)
	}
	f.mu.Unlock()
	select {
	case <-l.done:
		return started, l.err
	case <-ctx.Done():
		return started, ctx.Err()
	}
}

func (f *flight) run(ctx context.Context, l *landing, work func(context.Context) error) {
	l.err = errPanicked // until the work has come to an end of its own
	defer func() {
		if p := recover(); p != nil {
			f.log.ErrorContext(ctx, "panic", "in", "shared work", "error", harmlessPanic(p), "stack", string(debug.Stack()))
		}
		f.mu.Lock()
		f.current = nil
		f.mu.Unlock()
		close(l.done)
	}()
	l.err = work(ctx)
}

// harmlessPanic tells what was panicked with. The runtime's own words hold no data of ours (an index, a nil); of any other
// value, which may hold a secret, only the type is told.
func harmlessPanic(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return printable(err.Error())
	}
	return fmt.Sprintf("a %T", p)
}

// busy reports whether work is under way.
func (f *flight) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current != nil
}

// backoff is base doubled n times, at most limit, give or take a quarter so that replicas do not march in step.
func backoff(base time.Duration, n int, limit time.Duration) time.Duration {
	d := base
	for range n {
		if d >= limit {
			break
		}
		d *= 2
	}
	return jitter(min(d, limit))
}

func jitter(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }

// sleep waits, and reports whether it was allowed to finish.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
