package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/dynamodb"
	"vestibule/kv/dynamodb/dynamodbtest"
)

// guard puts before a store what the command puts there, with a pause of its own.
func guard(s *dynamodb.Store, changes chan<- bool) kv.Store {
	return kv.Guard(s, kv.GuardConfig{Timeout: s.Timeout(), Pause: 200 * time.Millisecond, Changed: func(open bool, _ error) { changes <- open }})
}

// opens asks until the breaker opens, and gives the longest time that one call took on the way.
func opens(t *testing.T, s kv.Store, changes <-chan bool) (longest time.Duration) {
	t.Helper()
	for range 100 {
		begun := time.Now()
		if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrConflict) {
			t.Fatalf("a server that does not work answered: %v", err)
		}
		longest = max(longest, time.Since(begun))
		select {
		case open := <-changes:
			if !open {
				t.Fatal("the guard says that the server answers")
			}
			return longest
		default:
		}
	}
	t.Fatal("after 100 faults the guard still asks")
	return 0
}

// costsNothing asks while the breaker is open; half of the calls at least are far below what anybody feels.
func costsNothing(t *testing.T, s kv.Store) {
	t.Helper()
	var took []time.Duration
	for range 1000 {
		begun := time.Now()
		_, _ = s.Get(t.Context(), "k")
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 5*time.Millisecond {
		t.Errorf("half of the calls took over %s", median)
	}
}

func TestThrottlingIsAFaultWithinTheTimeAndNeverAConflict(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	url := f.store(t, server)
	s, changes := open(t, url, nil), make(chan bool, 10)
	v := put(t, open(t, url+patient, nil), "k", kv.Absent)
	for _, code := range []string{"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"} {
		f.set(refuse(code))
		for what, call := range calls(t, s, v) {
			begun := time.Now()
			err := call()
			if err == nil || errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrInvalid) {
				t.Errorf("%s, %s: %v, want a fault", code, what, err)
			}
			if writes := strings.HasPrefix(what, "put") || what == "delete" || what == "acquiring"; errors.Is(err, kv.ErrNoWrites) != writes {
				t.Errorf("%s, %s: %v, want ErrNoWrites of writes alone", code, what, err)
			}
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("%s, %s: it took %s, want a second at most", code, what, took)
			}
		}
	}
	f.counts()
	if _, err := s.Get(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "RequestLimitExceeded") {
		t.Errorf("got %v, want AWS's name for it", err)
	}
	if got := f.counts()["GetItem"]; got != 3 {
		t.Errorf("asked %d times, want 3", got)
	}
	guarded := guard(s, changes)
	opens(t, guarded, changes)
	costsNothing(t, guarded)
	f.set(nil)
	eventually(t, 10*time.Second, "recovery", func() error { _, err := guarded.Get(t.Context(), "k"); return err })
}

// calls are all that a store can be asked, by name.
func calls(t *testing.T, s *dynamodb.Store, v kv.Version) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"get":       func() error { _, err := s.Get(ctx, "k"); return err },
		"get many":  func() error { _, err := s.GetMany(ctx, "k", "l"); return err },
		"put":       func() error { _, err := s.Put(ctx, kv.Write{Key: "k", TTL: time.Minute}); return err },
		"put over":  func() error { _, err := s.Put(ctx, kv.Write{Key: "k", TTL: time.Minute, If: v}); return err },
		"put any":   func() error { _, err := s.Put(ctx, kv.Write{Key: "k", TTL: time.Minute, If: kv.Any}); return err },
		"delete":    func() error { return s.Delete(ctx, "k", v) },
		"ping":      func() error { return s.Ping(ctx) },
		"publish":   func() error { return s.Publish(ctx, []byte("m")) },
		"acquiring": func() error { _, err := kv.Acquire(ctx, s, kv.LeaseRequest{Key: "new", TTL: time.Minute}); return err },
	}
}

func TestThrottlingThatPassesIsNotFelt(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	f.set(once("PutItem", func(w http.ResponseWriter) { refuse("ThrottlingException")(w, "", "") }))
	put(t, s, "k", kv.Absent)
	f.set(once("BatchGetItem", func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"Responses":{"table-1":[]},"UnprocessedKeys":{"table-1":{"Keys":[{"pk":{"S":"k/k"}}],"ConsistentRead":true}}}`)
	}))
	entries, err := s.GetMany(t.Context(), "k")
	if err != nil || string(entries[0].Value) != "value" {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestKeysThatAreHeldBackForGoodAreAFault(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+"&timeout=500ms", nil)
	f.set(func(w http.ResponseWriter, _, body string) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"Responses":{},"UnprocessedKeys":{"table-1":{"Keys":[{"pk":{"S":"k/k"}}]}}}`)
		return true
	})
	begun := time.Now()
	entries, err := s.GetMany(t.Context(), "k")
	if err == nil || !strings.Contains(err.Error(), "1 of 1 items were held back") {
		t.Errorf("got %v, %v, want a fault that says so", entries, err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s, want 500 ms", took)
	}
}

// A write that reached the server and whose answer was lost must not come back as ErrConflict: the lease would be nobody's.
func TestAWriteSentTwiceIsOneWrite(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	v := kv.Absent
	for _, over := range []string{"nothing", "itself", "whatever stands there"} {
		w := kv.Write{Key: "lease", Value: []byte(over), TTL: time.Minute, If: v}
		if over == "whatever stands there" {
			w.If = kv.Any
		}
		f.set(loseAnswer(server, "PutItem"))
		f.counts()
		var err error
		if v, err = s.Put(t.Context(), w); err != nil {
			t.Fatalf("over %s: %v", over, err)
		}
		if n := f.counts()["PutItem"]; n != 2 {
			t.Fatalf("over %s: sent %d times, want 2: this proves nothing", over, n)
		}
		e, err := s.Get(t.Context(), "lease")
		if err != nil || e.Version != v || string(e.Value) != over {
			t.Errorf("over %s: got %q version %d, %v; want what was put, version %d", over, e.Value, e.Version, err, v)
		}
	}
	if _, err := s.Put(t.Context(), kv.Write{Key: "lease", Value: []byte("nothing"), TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the same write by somebody else: %v, want ErrConflict", err)
	}
	f.set(loseAnswer(server, "PutItem"))
	if err := s.Delete(t.Context(), "lease", v); err != nil {
		t.Errorf("a deletion sent twice: %v", err)
	}
}

// An attempt that was believed lost may arrive after what was written since.
func TestAWriteThatArrivesLateUndoesNothing(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	for _, condition := range []kv.Version{kv.Absent, kv.Any} {
		key := fmt.Sprint(condition)
		var late string
		f.set(func(_ http.ResponseWriter, operation, body string) bool {
			if operation == "PutItem" && late == "" {
				late = body
			}
			return false
		})
		v := put(t, s, key, condition)
		f.set(nil)
		if err := s.Delete(t.Context(), key, v); err != nil {
			t.Fatal(err)
		}
		if !refusedBy(server, late) {
			t.Errorf("condition %d: a deleted entry was brought back", condition)
		}
		if _, err := s.Get(t.Context(), key); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("condition %d: %v, want ErrNotFound", condition, err)
		}
	}
}

// refusedBy says whether the condition of a PutItem did not hold.
func refusedBy(server *dynamodbtest.Server, body string) bool {
	_, err := server.Try("PutItem", body)
	return err != nil && strings.Contains(err.Error(), "ConditionalCheckFailed")
}

func TestAServerThatHangsCostsItsTimeAFewTimesAndThenNothing(t *testing.T) {
	t.Parallel()
	server, changes := dynamodbtest.Start(t), make(chan bool, 10)
	s := open(t, server.URL(), nil)
	eventually(t, 20*time.Second, "the first write", func() error {
		_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Hour, If: kv.Any})
		return err
	})
	guarded := guard(s, changes)
	server.Pause()
	if longest := opens(t, guarded, changes); longest > 4*time.Second {
		t.Errorf("one call took %s, want about a second", longest)
	}
	costsNothing(t, guarded)
	server.Resume()
	eventually(t, 20*time.Second, "recovery", func() error { _, err := guarded.Get(t.Context(), "k"); return err })
}

func TestAServerThatIsGoneIsFoundAgain(t *testing.T) {
	t.Parallel()
	server, changes := dynamodbtest.Start(t), make(chan bool, 10)
	table := server.Table()
	s := open(t, "dynamodb://"+table+"?region="+dynamodbtest.Region+"&endpoint="+server.Endpoint()+patient, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	guarded := guard(s, changes)
	server.Stop()
	opens(t, guarded, changes)
	costsNothing(t, guarded)
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a server that is gone answers to Ping")
	}
	server.Restart()
	server.Create(table, "pk")
	eventually(t, 20*time.Second, "recovery", func() error { return guarded.Ping(t.Context()) })
}

func TestACallerThatGivesUpIsNotHeldByAServerThatHangs(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	s := open(t, server.URL()+patient, nil)
	v := put(t, s, "k", kv.Absent)
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := s.Get(ctx, "k"); err == nil {
		t.Error("a server that hangs answered")
	}
	if _, err := s.Put(ctx, kv.Write{Key: "k", TTL: time.Minute, If: v}); err == nil || errors.Is(err, kv.ErrConflict) {
		t.Errorf("put: %v, want a fault", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the calls took %s, want about 50 ms", took)
	}
}

// One connection that carries nothing any more is not the end of the call.
func TestAnAttemptThatHangsLeavesTimeForAnother(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+"&timeout=4s", nil)
	put(t, s, "k", kv.Absent)
	hang := make(chan struct{})
	defer close(hang)
	f.set(once("GetItem", func(http.ResponseWriter) { <-hang }))
	if _, err := s.Get(t.Context(), "k"); err != nil {
		t.Errorf("got %v, want the answer to a second attempt", err)
	}
}

func TestAMissingTableSaysWhatToDo(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	server.Create("foreign-table", "id")
	for table, want := range map[string]string{
		"no-such-table": "no-such-table in eu-west-1",
		"foreign-table": "foreign-table in eu-west-1 wants pk, a string, for its only key",
	} {
		s := open(t, "dynamodb://"+table+"?region="+dynamodbtest.Region+"&endpoint="+server.Endpoint()+patient, nil)
		if err := s.Ping(t.Context()); !errors.Is(err, dynamodb.ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrTable and %q", table, err, want)
		}
	}
}

func TestAClockThatIsWrongIsToldOfOnce(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	var log bytes.Buffer
	s := openLogged(t, f.store(t, server)+patient, nil, slog.New(slog.NewTextHandler(&log, nil)))
	f.set(func(w http.ResponseWriter, _, _ string) bool {
		w.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{}`)
		return true
	})
	for range 2 {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "the clock of this machine"); n != 1 {
		t.Errorf("%d warnings, want one: %s", n, &log)
	}
	quiet := openLogged(t, server.URL()+patient, nil, slog.New(slog.NewTextHandler(&log, nil)))
	log.Reset()
	if err := quiet.Ping(t.Context()); err != nil || log.Len() != 0 {
		t.Errorf("with a right clock: %v, %q", err, &log)
	}
}
