package kvtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"vestibule/kv"
)

func leaseExcludes(t *testing.T, open Open) {
	s, _ := open(t)
	l := acquire(t, s, kv.Absent)
	if _, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("a second holder: %v, want ErrConflict", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(t.Context()); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("renewing a released lease: %v, want ErrConflict", err)
	}
	acquire(t, s, kv.Absent)
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("releasing twice: %v", err)
	}
	if _, err := s.Get(t.Context(), "lease"); err != nil {
		t.Errorf("the second release took the next holder's lease: %v", err)
	}
}

func leaseSettles(t *testing.T, open Open) {
	s, pass := open(t)
	l := acquire(t, s, kv.Absent)
	if err := l.Settle(t.Context(), []byte("result"), time.Minute); err != nil {
		t.Fatal(err)
	}
	pass(2100 * time.Millisecond)
	e := get(t, s, "lease")
	if string(e.Value) != "result" {
		t.Errorf("value %q, want the result", e.Value)
	}
	if err := l.Settle(t.Context(), []byte("again"), time.Minute); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("settling twice: %v, want ErrConflict", err)
	}
	next := acquire(t, s, e.Version)
	if next.Fence() <= e.Version {
		t.Errorf("fence %d is not above the result's version %d", next.Fence(), e.Version)
	}
}

func leaseTakeOver(t *testing.T, open Open) {
	s, pass := open(t)
	dead := acquire(t, s, kv.Absent)
	old := dead.Fence()
	pass(2100 * time.Millisecond)
	next := acquire(t, s, kv.Absent)
	if next.Fence() <= old {
		t.Errorf("fence %d is not above the dead holder's %d", next.Fence(), old)
	}
	if err := dead.Settle(t.Context(), []byte("late"), time.Minute); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the dead holder settled: %v, want ErrConflict", err)
	}
	if err := dead.Renew(t.Context()); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the dead holder renewed: %v, want ErrConflict", err)
	}
	if err := dead.Release(t.Context()); err != nil {
		t.Errorf("the dead holder's release: %v, want nil", err)
	}
	if err := next.Settle(t.Context(), []byte("done"), time.Minute); err != nil {
		t.Errorf("the living holder: %v", err)
	}
}

func leaseRenews(t *testing.T, open Open) {
	s, pass := open(t)
	l := acquire(t, s, kv.Absent)
	for range 2 {
		pass(1200 * time.Millisecond)
		if err := l.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("a renewed lease was taken: %v", err)
	}
}

// unanswered takes a lease that its holder learns nothing of, and gives the entry that stands then.
func unanswered(t *testing.T, s kv.Store, request kv.LeaseRequest) kv.Entry {
	t.Helper()
	deaf := &Faulty{Store: s}
	deaf.LoseAnswers(1)
	if _, err := kv.Acquire(t.Context(), deaf, request); !errors.Is(err, ErrDown) {
		t.Fatalf("a lost answer: %v, want ErrDown", err)
	}
	e := get(t, s, request.Key)
	if string(e.Value) != string(request.Value) {
		t.Fatalf("%q stands there, want the holder's own %q", e.Value, request.Value)
	}
	return e
}

func leaseUnanswered(t *testing.T, open Open) {
	s, _ := open(t)
	mine := kv.LeaseRequest{Key: "lease", Value: []byte("mine"), TTL: time.Minute}
	e := unanswered(t, s, mine)
	if _, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", Value: []byte("other"), TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("a second holder: %v, want ErrConflict", err)
	}
	mine.Over = e.Version
	l, err := kv.Acquire(t.Context(), s, mine)
	if err != nil {
		t.Fatalf("taking the own lease again: %v", err)
	}
	if l.Fence() <= e.Version {
		t.Errorf("fence %d is not above %d of the attempt that was not answered", l.Fence(), e.Version)
	}
	if _, err := kv.Acquire(t.Context(), s, mine); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("of two who take it again over the same version both got it: %v, want ErrConflict", err)
	}
	if err := l.Settle(t.Context(), []byte("result"), time.Minute); err != nil {
		t.Errorf("its holder: %v", err)
	}
}

func leaseWithdrawn(t *testing.T, open Open) {
	s, _ := open(t)
	mine := kv.LeaseRequest{Key: "lease", Value: []byte("mine"), TTL: time.Minute}
	withdraw := func() {
		t.Helper()
		if err := kv.Withdraw(t.Context(), s, "lease", mine.Value); err != nil {
			t.Errorf("withdraw: %v", err)
		}
	}
	withdraw() // none stands
	unanswered(t, s, mine)
	withdraw()
	other := acquire(t, s, kv.Absent)
	withdraw()
	if err := other.Renew(t.Context()); err != nil {
		t.Errorf("the next holder's lease was withdrawn with it: %v", err)
	}
	deaf := &Faulty{Store: s}
	deaf.SetDown(true)
	if err := kv.Withdraw(t.Context(), deaf, "lease", mine.Value); !errors.Is(err, ErrDown) {
		t.Errorf("of a store that is down: %v, want ErrDown, to be tried again", err)
	}
	if err := other.Withdraw(t.Context()); err != nil {
		t.Errorf("the holder withdraws: %v", err)
	}
	acquire(t, s, kv.Absent)
}

// leaseEndedContext: a holder whose ctx ends is the rule, not the exception: a browser hangs up, a process stops.
func leaseEndedContext(t *testing.T, open Open) {
	s, pass := open(t)
	request := kv.LeaseRequest{Key: "lease", Value: []byte("held"), TTL: 2 * time.Second}
	_ = returnsSoon(t, "Acquire", func(ctx context.Context) error {
		_, err := kv.Acquire(ctx, s, request)
		return err
	})
	pass(2100 * time.Millisecond) // if it stood, nobody renewed it
	l := acquire(t, s, kv.Absent)
	renewed := returnsSoon(t, "Renew", l.Renew)
	if errors.Is(renewed, kv.ErrConflict) {
		t.Error("Renew: a lease that is held is called lost because ctx had ended")
	}
	settled := returnsSoon(t, "Settle", func(ctx context.Context) error { return l.Settle(ctx, []byte("result"), time.Minute) })
	if e := get(t, s, "lease"); settled == nil && string(e.Value) != "result" {
		t.Errorf("Settle answered nil and left %q", e.Value)
	}
	if settled != nil { // whether it took place is not known; a second attempt must leave no doubt
		again := l.Settle(t.Context(), []byte("result"), time.Minute)
		if e := get(t, s, "lease"); again != nil && !errors.Is(again, kv.ErrConflict) || again == nil && string(e.Value) != "result" {
			t.Errorf("the second Settle answered %v and left %q", again, e.Value)
		}
	}
	e := get(t, s, "lease")
	_ = returnsSoon(t, "Release", acquire(t, s, e.Version).Release)
	pass(2100 * time.Millisecond)
	acquire(t, s, kv.Absent)
}

func acquire(t *testing.T, s kv.Store, over kv.Version) *kv.Lease {
	t.Helper()
	l, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", Value: []byte("held"), TTL: 2 * time.Second, Over: over})
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	return l
}
