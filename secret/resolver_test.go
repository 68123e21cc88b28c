package secret_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/secret"
)

func lookup(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		text, found := vars[name]
		return text, found
	}
}

// vault stands in for files: one value, its faults, and a count of reads.
type vault struct {
	mu    sync.Mutex
	text  string
	err   error
	reads int
}

func (v *vault) read(string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	return []byte(v.text), v.err
}

func (v *vault) set(text string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text, v.err = text, err
}

func (v *vault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

func resolve(t *testing.T, r *secret.Resolver, ref string) secret.Value {
	t.Helper()
	v, err := r.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatalf("Resolve(%q): %v", ref, err)
	}
	return v
}

func TestResolveReadsEachKindOfReference(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	files := map[string]string{
		"one":  "from file\n",
		"two":  "from file\n\n",
		"crlf": "from file\r\n",
	}
	for name, text := range files {
		if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := secret.NewResolver(secret.Config{LookupEnv: lookup(map[string]string{"NAME": "from env"})})
	tests := map[string]struct{ ref, want string }{
		"a literal is itself":                           {"a literal", "a literal"},
		"an unknown scheme is a literal":                {"https://x", "https://x"},
		"env: reads the environment":                    {"env:NAME", "from env"},
		"file: drops one line break":                    {"file:" + path + "one", "from file"},
		"file: drops only one line break":               {"file:" + path + "two", "from file\n"},
		"file: drops a line break as Windows writes it": {"file:" + path + "crlf", "from file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(resolve(t, r, test.ref).Bytes()); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if resolve(t, r, "").IsSet() {
		t.Error("an empty reference is set")
	}
}

func TestResolveErrorsNameTheReferenceAndTheCure(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, []byte(strings.Repeat("x", 64<<10+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := secret.NewResolver(secret.Config{LookupEnv: lookup(map[string]string{"EMPTY": ""})})
	tests := map[string]struct{ ref, problem, hint string }{
		"a variable that is missing": {"env:NOPE", "is not set in the environment", "NOPE"},
		"a variable that is empty":   {"env:EMPTY", "is empty", "store"},
		"no variable":                {"env:", "names no variable", "env:NAME"},
		"a file that is missing":     {"file:" + dir + "/nope", "cannot be read", "create the file"},
		"a relative path":            {"file:nope", "is not an absolute path", "file:/path"},
		"a directory":                {"file:" + dir, "cannot be read", "create the file"},
		"a file too large":           {"file:" + big, "is over 65536 bytes", "only the secret"},
		"no AWS name":                {"awssm:", "is incomplete", "awssm:NAME"},
		"no AWS key":                 {"awssm:a#", "is incomplete", "#jsonKey"},
		"no AWS stage":               {"awssm:a@", "is incomplete", "@STAGE"},
		"the ARN of something else":  {"awssm:arn:aws:s3:::bucket", "is not the ARN of a secret", "secretsmanager"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := r.Resolve(t.Context(), test.ref)
			var got *secret.ReferenceError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a ReferenceError", err)
			}
			if got.Ref != test.ref || got.Problem != test.problem || !strings.Contains(got.Hint, test.hint) {
				t.Errorf("got %+v, want %+v", *got, test)
			}
			if !strings.HasPrefix(err.Error(), test.ref+": "+test.problem) {
				t.Errorf("text: %s", err)
			}
			if v.IsSet() {
				t.Error("a failed reference is set")
			}
		})
	}
	_, err := r.Resolve(t.Context(), "file:"+dir+"/nope")
	if !errors.Is(err, os.ErrNotExist) || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("got %v, want the cause once and the path once", err)
	}
}

func TestAskingTwiceForOneReferenceReadsOnce(t *testing.T) {
	v := &vault{text: "one"}
	r := secret.NewResolver(secret.Config{ReadFile: v.read})
	resolve(t, r, "file:/s")
	resolve(t, r, "file:/s")
	if got := v.count(); got != 1 {
		t.Errorf("got %d reads, want 1", got)
	}
}

func TestRunRefreshesHourlyAndKeepsTheLastGoodValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var failures atomic.Int32
		v := &vault{text: "one"}
		r := secret.NewResolver(secret.Config{ReadFile: v.read, OnFailure: func(ref string) {
			if ref == "file:/s" {
				failures.Add(1)
			}
		}})
		value := resolve(t, r, "file:/s")
		go r.Run(ctx)
		expect := func(when string, reads int, text string) {
			t.Helper()
			synctest.Wait()
			if got := v.count(); got != reads {
				t.Errorf("%s: got %d reads, want %d", when, got, reads)
			}
			if got := string(value.Bytes()); got != text {
				t.Errorf("%s: got %q, want %q", when, got, text)
			}
		}
		v.set("two", nil)
		<-time.After(53 * time.Minute)
		expect("before the hour", 1, "one")
		<-time.After(15 * time.Minute)
		expect("after the hour", 2, "two")
		v.set("", errors.New("gone"))
		<-time.After(68 * time.Minute)
		synctest.Wait()
		if failures.Load() == 0 {
			t.Error("no failure was counted")
		}
		expect("while it fails", 2+int(failures.Load()), "two")
		v.set("three", nil)
		<-time.After(7 * time.Minute)
		expect("soon after it works again", 3+int(failures.Load()), "three")
	})
}

func TestRefreshIsSharedAndHasAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var reads atomic.Int32
		r := secret.NewResolver(secret.Config{AWS: func(context.Context, secret.AWSSecret) ([]byte, error) {
			if reads.Add(1) > 2 {
				<-gate
			}
			return []byte("value"), nil
		}})
		v := resolve(t, r, "awssm:s")
		for _, when := range []string{"after the start", "within the floor"} {
			if err := v.Refresh(t.Context()); err != nil || reads.Load() != 2 {
				t.Errorf("%s: got %v and %d reads, want none and 2", when, err, reads.Load())
			}
		}
		<-time.After(10 * time.Second)
		gone, cancel := context.WithCancel(t.Context())
		hungUp := make(chan error)
		go func() { hungUp <- v.Refresh(gone) }()
		synctest.Wait()
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := v.Refresh(t.Context()); err != nil {
					t.Errorf("Refresh: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		if err := <-hungUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that hung up got %v", err)
		}
		close(gate)
		callers.Wait()
		if got := reads.Load(); got != 3 {
			t.Errorf("got %d reads, want 3", got)
		}
	})
}

func TestRefreshWithinTheFloorRepeatsTheLastFailure(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v := &vault{text: "one"}
	r := secret.NewResolver(secret.Config{ReadFile: v.read, Now: func() time.Time { return now }})
	value := resolve(t, r, "file:/s")
	now = now.Add(time.Minute)
	gone := errors.New("gone")
	v.set("", gone)
	for range 3 {
		if err := value.Refresh(t.Context()); !errors.Is(err, gone) {
			t.Errorf("got %v, want %v", err, gone)
		}
	}
	if v.count() != 2 || string(value.Bytes()) != "one" {
		t.Errorf("got %d reads and %q, want 2 and the last good value", v.count(), value.Bytes())
	}
	now = now.Add(10 * time.Second)
	v.set("two", nil)
	if err := value.Refresh(t.Context()); err != nil || string(value.Bytes()) != "two" {
		t.Errorf("got %v and %q, want the new value", err, value.Bytes())
	}
}

func TestAPanicWhileReadingIsAnErrorForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var reads, failures atomic.Int32
		r := secret.NewResolver(secret.Config{
			Logger: slog.New(slog.NewJSONHandler(&log, nil)),
			AWS: func(context.Context, secret.AWSSecret) ([]byte, error) {
				switch reads.Add(1) {
				case 1:
					return []byte("one"), nil
				case 2:
					<-time.After(time.Second)
					panic("hunter2")
				}
				return []byte("two"), nil
			},
			OnFailure: func(string) {
				failures.Add(1)
				panic("hunter2, counted")
			},
		})
		v := resolve(t, r, "awssm:s")
		<-time.After(10 * time.Second)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := v.Refresh(t.Context()); err == nil {
					t.Error("got no error from a read that panicked")
				}
			})
		}
		callers.Wait()
		if got := string(v.Bytes()); got != "one" || reads.Load() != 2 || failures.Load() != 1 {
			t.Errorf("got %q after %d reads and %d failures, want the last good value, 2 and 1", got, reads.Load(), failures.Load())
		}
		if got := strings.Count(log.String(), `"msg":"panic"`); got != 2 || !strings.Contains(log.String(), `"stack":"goroutine `) {
			t.Errorf("log: got %d records of a panic, want two with a stack: %s", got, log.String())
		}
		if strings.Contains(log.String(), "hunter2") {
			t.Errorf("the log tells what was panicked with: %s", log.String())
		}
		<-time.After(10 * time.Second)
		if err := v.Refresh(t.Context()); err != nil || string(v.Bytes()) != "two" {
			t.Errorf("afterwards: got %v and %q, want the new value", err, v.Bytes())
		}
	})
}

func TestACallerThatIsGoneStartsNoRead(t *testing.T) {
	v := &vault{text: "one"}
	now := time.Unix(1_800_000_000, 0)
	r := secret.NewResolver(secret.Config{ReadFile: v.read, Now: func() time.Time { return now }})
	value := resolve(t, r, "file:/s")
	now = now.Add(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := value.Refresh(ctx); !errors.Is(err, context.Canceled) || v.count() != 1 {
		t.Errorf("got %v and %d reads", err, v.count())
	}
}

func TestAReadThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := secret.NewResolver(secret.Config{AWS: func(ctx context.Context, _ secret.AWSSecret) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		start := time.Now()
		_, err := r.Resolve(t.Context(), "awssm:s")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}
