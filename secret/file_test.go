package secret_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/secret"
)

// Whoever met something that no key opens is told at once: a file costs microseconds.
func TestAFileIsReadForEachWhoAsks(t *testing.T) {
	v := &vault{text: "one"}
	now := time.Unix(1_800_000_000, 0)
	r := secret.NewResolver(secret.Config{ReadFile: v.read, Now: func() time.Time { return now }})
	value := resolve(t, r, "file:/s")
	for i, text := range []string{"two", "three"} {
		v.set(text, nil)
		if err := value.Refresh(t.Context()); err != nil || string(value.Bytes()) != text || v.count() != i+2 {
			t.Errorf("got %v, %q and %d reads, want %q and %d", err, value.Bytes(), v.count(), text, i+2)
		}
	}
}

// hanging is a file whose second read takes until its gate opens, and then brings what the file held when that read began.
type hanging struct {
	gate  chan struct{}
	text  atomic.Value
	reads atomic.Int32
}

func newHanging() *hanging {
	h := &hanging{gate: make(chan struct{})}
	h.text.Store("one")
	return h
}

func (h *hanging) read(string) ([]byte, error) {
	text := h.text.Load().(string)
	if h.reads.Add(1) == 2 {
		<-h.gate
	}
	return []byte(text), nil
}

func TestWhoComesDuringAReadOfAFileAwaitsOneThatBeganAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := newHanging()
		v := resolve(t, secret.NewResolver(secret.Config{ReadFile: file.read}), "file:/s")
		var callers sync.WaitGroup
		callers.Go(func() { _ = v.Refresh(t.Context()) })
		synctest.Wait()
		file.text.Store("two")
		for range 20 {
			callers.Go(func() {
				if err := v.Refresh(t.Context()); err != nil || string(v.Bytes()) != "two" {
					t.Errorf("got %v and %q, want what the file held when it was asked", err, v.Bytes())
				}
			})
		}
		synctest.Wait()
		close(file.gate)
		callers.Wait()
		if got := file.reads.Load(); got != 3 {
			t.Errorf("got %d reads, want a third for all of them", got)
		}
	})
}

// A file on a server that is gone: no time-out reaches a read that hangs in the system.
func TestAFileThatHangsIsGivenUpAndHoldsOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := newHanging()
		var failures atomic.Int32
		r := secret.NewResolver(secret.Config{ReadFile: file.read, OnFailure: func(string) { failures.Add(1) }})
		v := resolve(t, r, "file:/s")
		start := time.Now()
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := v.Refresh(t.Context()); err == nil {
					t.Error("got no error from a read that hangs")
				}
			})
		}
		callers.Wait()
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("they waited %s", took)
		}
		for range 5 {
			<-time.After(time.Minute)
			start = time.Now()
			if err := v.Refresh(t.Context()); err == nil || time.Since(start) > 0 {
				t.Errorf("got %v after %s, want an error at once", err, time.Since(start))
			}
		}
		synctest.Wait()
		if file.reads.Load() != 2 || failures.Load() != 1 || string(v.Bytes()) != "one" {
			t.Errorf("got %d reads, %d failures and %q, want 2, 1 and the last good value", file.reads.Load(), failures.Load(), v.Bytes())
		}
		file.text.Store("two")
		close(file.gate)
		synctest.Wait()
		if err := v.Refresh(t.Context()); err != nil {
			t.Errorf("it has come back: got %v", err)
		}
		if err := v.Refresh(t.Context()); err != nil || string(v.Bytes()) != "two" {
			t.Errorf("it has come back: got %v and %q, want the new value", err, v.Bytes())
		}
	})
}

func TestAFileThatCannotBeReadIsTriedEveryTenSecondsOnly(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v := &vault{text: "one"}
	r := secret.NewResolver(secret.Config{ReadFile: v.read, Now: func() time.Time { return now }})
	value := resolve(t, r, "file:/s")
	v.set("", errors.New("gone"))
	for second := range 30 {
		if err := value.Refresh(t.Context()); err == nil {
			t.Errorf("second %d: got no error", second)
		}
		now = now.Add(time.Second)
	}
	if got := v.count(); got != 1+3 {
		t.Errorf("got %d reads within 30 s, want 3 after the first", got)
	}
}
