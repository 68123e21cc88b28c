package redis_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/kv/redis"
	"vestibule/kv/redis/redistest"
	"vestibule/secret"
)

// patient outlasts a busy machine; what is tested with the usual 250 ms says so.
const patient = "timeout=5s"

// open opens a store that is closed with the test.
func open(t testing.TB, url string) *redis.Store {
	t.Helper()
	return openLogged(t, url, nil)
}

func openLogged(t testing.TB, url string, log *slog.Logger) *redis.Store {
	t.Helper()
	s, err := redis.Open(redis.Config{URL: secret.New([]byte(url)), Logger: log})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// suite gives each test of the contract a prefix of its own on one server, and waits for time to pass.
func suite(url string) kvtest.Open {
	var n atomic.Int64
	return func(t *testing.T) (kv.Store, func(time.Duration)) {
		return open(t, fmt.Sprintf("%s&prefix=t%d:", url, n.Add(1))), pass
	}
}

func pass(d time.Duration) { <-time.After(d) }

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

// client looks at a server past the store.
func client(t *testing.T, s *redistest.Server) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
