package kvtest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/kv"
)

// ears numbers them, so that each knows its goroutines again.
var ears atomic.Int64

// ear listens to a feed, and remembers.
type ear struct {
	t     *testing.T
	label string // on every goroutine that Listen begins
	stop  func() // ends Listen, and returns when it has returned
	busy  atomic.Bool
	news  chan struct{} // something came

	mu     sync.Mutex
	heard  []string
	times  []time.Time // of what was heard
	missed int
	hold   chan struct{} // if set, Hear waits until it is closed
}

// listen begins to listen, and returns when that works.
func listen(t *testing.T, f kv.Feed) *ear {
	t.Helper()
	e := &ear{t: t, label: fmt.Sprint("ear-", ears.Add(1)), news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.Do(ctx, pprof.Labels("kvtest", e.label), func(ctx context.Context) {
			f.Listen(ctx, kv.Listener{Hear: e.hear, Missed: e.miss})
		})
	}()
	e.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(soon):
			t.Errorf("Listen is still under way %s after ctx ended", soon)
		}
	})
	t.Cleanup(e.stop)
	e.await("the first Missed", func() bool { return e.missed > 0 })
	return e
}

func (e *ear) hear(message []byte) {
	defer e.enter()()
	e.mu.Lock()
	e.heard, e.times = append(e.heard, string(message)), append(e.times, time.Now())
	hold := e.hold
	e.mu.Unlock()
	for i := range message { // nobody else may see that
		message[i] = 'x'
	}
	e.tell()
	if hold != nil {
		<-hold
	}
}

func (e *ear) miss() {
	defer e.enter()()
	e.mu.Lock()
	e.missed++
	e.mu.Unlock()
	e.tell()
}

// enter fails when somebody is inside already.
func (e *ear) enter() (leave func()) {
	if e.busy.Swap(true) {
		e.t.Error("a listener is called from two goroutines at once")
	}
	return func() { e.busy.Store(false) }
}

func (e *ear) tell() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// await waits for a condition over what came so far.
func (e *ear) await(what string, holds func() bool) {
	e.t.Helper()
	e.awaitFor(soon, what, holds)
}

func (e *ear) awaitFor(limit time.Duration, what string, holds func() bool) {
	e.t.Helper()
	late := time.After(limit)
	for {
		e.mu.Lock()
		held, heard, missed := holds(), len(e.heard), e.missed
		e.mu.Unlock()
		if held {
			return
		}
		select {
		case <-e.news:
		case <-late:
			e.t.Fatalf("%s: not within %s; %d messages and %d times Missed came", what, limit, heard, missed)
		}
	}
}

// hears waits for a message.
func (e *ear) hears(message string) {
	e.t.Helper()
	e.await(fmt.Sprintf("%.20q", message), func() bool { return slices.Contains(e.heard, message) })
}

// from is what was heard that begins so.
func (e *ear) from(prefix string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var of []string
	for _, message := range e.heard {
		if strings.HasPrefix(message, prefix) {
			of = append(of, message)
		}
	}
	return of
}

func (e *ear) misses() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.missed
}

// left tells of the goroutines that Listen began, as far as a package of kv is in them. (A driver keeps its connections.)
func (e *ear) left() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, `"kvtest":"`+e.label+`"`) && strings.Contains(stack, "vestibule/kv") {
			return stack
		}
	}
	return ""
}
