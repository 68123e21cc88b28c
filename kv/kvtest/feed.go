package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
)

// OpenTwo makes a feed for one test, as two replicas have it: what one publishes the other hears. They may be the same.
type OpenTwo func(t *testing.T) (a, b kv.Feed)

// RunFeed runs the whole suite for feeds, but for RunFeedBreak.
func RunFeed(t *testing.T, open func(t *testing.T) (a, b kv.Feed)) {
	for _, c := range []struct {
		name string
		test func(*testing.T, OpenTwo)
	}{
		{"what one publishes all hear, within a second", feedReaches},
		{"each publisher's messages keep their order, and none is lost", feedOrder},
		{"messages of all sizes within the limits come whole, others are refused", feedLimits},
		{"Missed is called once before the first message, and not again while nothing breaks", feedMissed},
		{"who listens late hears only what comes after", feedLate},
		{"a listener who takes its time holds up nobody", feedSlow},
		{"Listen ends with ctx and leaves nothing behind", feedEnds},
		{"Publish returns soon when ctx has ended", feedEndedContext},
		{"what a set-up is checked with is heard", feedTried},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// RunFeedBreak proves that listeners get over a break: interrupt makes one, and returns when it is repaired or about to be.
func RunFeedBreak(t *testing.T, open func(t *testing.T) (a, b kv.Feed, interrupt func())) {
	t.Run("after a break Missed is called, and messages are heard again", func(t *testing.T) {
		a, b, interrupt := open(t)
		ears := []*ear{listen(t, a), listen(t, b)}
		for round := range 2 {
			before := []int{ears[0].misses(), ears[1].misses()}
			interrupt()
			for i, e := range ears {
				e.awaitFor(repair, "Missed after the break", func() bool { return e.missed > before[i] })
			}
			publish(t, a, fmt.Sprint("round ", round))
			for _, e := range ears {
				e.hears(fmt.Sprint("round ", round))
			}
		}
	})
}

// repair is how long a break may be felt; long for a busy machine.
const repair = 60 * time.Second

func feedReaches(t *testing.T, open OpenTwo) {
	a, b := open(t)
	ears := []*ear{listen(t, a), listen(t, b), listen(t, b)}
	var took []time.Duration
	for i := range 9 {
		message := fmt.Sprint("message ", i)
		begun := time.Now()
		publish(t, a, message)
		for _, e := range ears {
			e.hears(message)
			e.mu.Lock()
			took = append(took, e.times[slices.Index(e.heard, message)].Sub(begun))
			e.mu.Unlock()
		}
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > time.Second { // a busy machine may hold up one or the other
		t.Errorf("half of all messages took over %s, want a second at most", median)
	}
}

func feedOrder(t *testing.T, open OpenTwo) {
	a, b := open(t)
	ears := []*ear{listen(t, a), listen(t, b)}
	const each = 50
	var publishers sync.WaitGroup
	for name, f := range map[string]kv.Feed{"a": a, "b": b} {
		publishers.Go(func() {
			for i := range each {
				publish(t, f, fmt.Sprintf("%s%02d", name, i))
			}
		})
	}
	publishers.Wait()
	for _, e := range ears {
		for _, name := range []string{"a", "b"} {
			e.hears(fmt.Sprintf("%s%02d", name, each-1))
			got := slices.Compact(e.from(name)) // one that comes twice in a row is no harm
			if len(got) != each || !slices.IsSorted(got) {
				t.Errorf("of %s came %q, want all %d in their order", name, got, each)
			}
		}
	}
}

func feedLimits(t *testing.T, open OpenTwo) {
	a, b := open(t)
	e := listen(t, b)
	for _, message := range []string{"\x00", "\r\n", strings.Repeat("\xff\x00é", kv.MaxMessage/4), strings.Repeat("m", kv.MaxMessage)} {
		publish(t, a, message)
		e.hears(message)
	}
	for name, message := range map[string][]byte{"nil": nil, "empty": {}, "too long": make([]byte, kv.MaxMessage+1)} {
		if err := a.Publish(t.Context(), message); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	mine := []byte("mine")
	if err := a.Publish(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	copy(mine, "ruin")
	e.hears("mine")
}

func feedMissed(t *testing.T, open OpenTwo) {
	a, b := open(t)
	e := listen(t, b) // waits for the first
	if early := e.from(""); len(early) > 0 {
		t.Errorf("%q came before Missed, or from nowhere", early)
	}
	for i := range 3 {
		publish(t, a, fmt.Sprint(i))
		e.hears(fmt.Sprint(i))
	}
	if n := e.misses(); n != 1 {
		t.Errorf("Missed was called %d times, want once", n)
	}
}

func feedLate(t *testing.T, open OpenTwo) {
	a, b := open(t)
	witness := listen(t, b)
	publish(t, a, "before")
	witness.hears("before")
	late := listen(t, b)
	publish(t, a, "after")
	late.hears("after")
	if got := late.from(""); !slices.Equal(got, []string{"after"}) {
		t.Errorf("it heard %q, want what came after", got)
	}
}

func feedSlow(t *testing.T, open OpenTwo) {
	a, b := open(t)
	slow, quick := listen(t, b), listen(t, b)
	hold := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(letGo)
	slow.mu.Lock()
	slow.hold = hold
	slow.mu.Unlock()
	const n = 20
	begun := time.Now()
	for i := range n {
		publish(t, a, fmt.Sprint(i))
	}
	if took := time.Since(begun); took > soon {
		t.Errorf("publishing took %s", took)
	}
	quick.hears(fmt.Sprint(n - 1))
	slow.hears("0")
	letGo()
	slow.hears(fmt.Sprint(n - 1))
	if got := len(slices.Compact(slow.from(""))); got != n {
		t.Errorf("the slow one heard %d messages, want all %d: so few wait for it", got, n)
	}
}

func feedEnds(t *testing.T, open OpenTwo) {
	a, b := open(t)
	gone, stays := listen(t, b), listen(t, b)
	gone.stop()
	publish(t, a, "after the end")
	stays.hears("after the end")
	if got := gone.from(""); len(got) != 0 {
		t.Errorf("it heard %q after Listen had returned", got)
	}
	deadline := time.After(soon)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for gone.left() != "" {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("a goroutine is left:\n%s", gone.left())
		}
	}
	if stays.left() == "" {
		t.Error("no goroutine of the one that still listens is found: this proves nothing")
	}
	ended := false
	_ = returnsSoon(t, "Listen", func(ctx context.Context) error {
		b.Listen(ctx, kv.Listener{Hear: func([]byte) {}, Missed: func() {}})
		ended = true
		return nil
	})
	if !ended {
		t.Error("Listen did not return though ctx had ended before")
	}
}

func feedEndedContext(t *testing.T, open OpenTwo) {
	a, b := open(t)
	e := listen(t, b)
	_ = returnsSoon(t, "Publish", func(ctx context.Context) error { return a.Publish(ctx, []byte("perhaps")) })
	publish(t, a, "surely")
	e.hears("surely")
}

func publish(t *testing.T, f kv.Feed, message string) {
	t.Helper()
	if err := f.Publish(context.Background(), []byte(message)); err != nil {
		t.Errorf("publish %.20q: %v", message, err)
	}
}
