package dynamodb_test

import (
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/dynamodb"
	"vestibule/kv/dynamodb/dynamodbtest"
	"vestibule/secret"
)

// patient outlasts a busy machine; what is tested with the usual second says so.
const patient = "&timeout=1m"

// TestMain gives the SDK credentials once, so that tests can run side by side.
func TestMain(m *testing.M) {
	for name, value := range dynamodbtest.Credentials() {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// clock is a time that moves only when it is told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_790_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// open opens a store that is closed with the test.
func open(t testing.TB, url string, now func() time.Time) *dynamodb.Store {
	t.Helper()
	return openLogged(t, url, now, nil)
}

func openLogged(t testing.TB, url string, now func() time.Time, log *slog.Logger) *dynamodb.Store {
	t.Helper()
	s, err := dynamodb.Open(dynamodb.Config{URL: secret.New([]byte(url)), Now: now, Logger: log})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s kv.Store, key string, condition kv.Version) kv.Version {
	t.Helper()
	v, err := s.Put(t.Context(), kv.Write{Key: key, Value: []byte("value"), TTL: time.Minute, If: condition})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return v
}

// eventually asks again until the answer is nil, for at most limit.
func eventually(t *testing.T, limit time.Duration, what string, ask func() error) {
	t.Helper()
	deadline := time.After(limit)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: still %v after %s", what, err, limit)
		}
	}
}
