package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"vestibule/config"
	"vestibule/kv"
	"vestibule/kv/dynamodb"
	"vestibule/kv/redis"
	"vestibule/session"
	"vestibule/web"
)

const (
	checkCacheTimeout = 5 * time.Second  // what check waits for the cache to answer
	tryCacheTimeout   = 15 * time.Second // what it waits for all that it tries there
)

// store is what replicas share, and the way to let go of it.
type store struct {
	kv.Store
	remote   kv.Store // the same without its guard
	feed     kv.Feed
	dearFeed bool // each message costs a write, or more
	close    func()
}

// openStore makes the store that cache.url names. It reaches for nothing yet: serve starts while the cache is down.
func openStore(pl plan) (store, error) {
	url := string(pl.secrets.cacheURL.Bytes())
	scheme, _, _ := strings.Cut(url, ":")
	if pl.offline && strings.HasPrefix(pl.config.Cache.URL.Reference(), "awssm:") {
		url = "memory:" // what stands in for the secret is no URL
	}
	switch {
	case url == "memory:":
		memory := kv.NewMemory(kv.MemoryConfig{})
		return store{Store: memory, remote: memory, feed: memory, close: func() {}}, nil
	case scheme == "redis" || scheme == "rediss":
		return openRedis(pl)
	case scheme == "dynamodb":
		return openDynamoDB(pl)
	}
	return store{}, cacheFault("names no store that this version serves", `use "memory:", a redis:// or a dynamodb:// URL`)
}

func openRedis(pl plan) (store, error) {
	remote, err := redis.Open(redis.Config{URL: pl.secrets.cacheURL, Logger: pl.log})
	if err != nil {
		return store{}, cacheFault(err.Error(), addressHint(err))
	}
	guard := guarded(pl, remote, remote.Timeout())
	// What a broken connection says at the end helps nobody.
	return store{Store: guard, remote: remote, feed: remote, close: func() { _ = remote.Close() }}, nil
}

func openDynamoDB(pl plan) (store, error) {
	remote, err := dynamodb.Open(dynamodb.Config{URL: pl.secrets.cacheURL, Logger: pl.log})
	if err != nil {
		return store{}, cacheFault(err.Error(), `see "DynamoDB" in docs/operating.md`)
	}
	guard := guarded(pl, remote, remote.Timeout())
	return store{Store: guard, remote: remote, feed: remote, dearFeed: true, close: func() { _ = remote.Close() }}, nil
}

// guarded puts the same guard before every store that lies behind a network.
func guarded(pl plan, remote kv.Store, timeout time.Duration) kv.Store {
	return kv.Guard(remote, kv.GuardConfig{
		Timeout: timeout, Observe: pl.metrics.Cache, Changed: reportCache(pl.log, pl.metrics), Writes: reportWrites(pl.log, pl.metrics),
	})
}

// advise warns of what is allowed and seldom meant.
func advise(pl plan) {
	if sessionMode(pl.config) == session.ModeServer && pl.config.Cache.URL.Reference() == "memory:" {
		pl.log.Warn("sessions are kept in the memory of this process alone: they end with it, and other replicas do not know them", "session.mode", "server", "cache.url", "memory:")
	}
}

// reportCache says once that the cache is lost, and once that it is back.
func reportCache(log *slog.Logger, metrics *web.Metrics) func(open bool, fault error) {
	return func(open bool, fault error) {
		metrics.CacheLeftAlone(open)
		if open {
			log.Warn("the cache does not answer: it is left alone, and tried once a second", withCure(fault)...)
		} else {
			log.Info("the cache answers again")
		}
	}
}

// reportWrites says once that the cache takes no writes, and once that it does again.
func reportWrites(log *slog.Logger, metrics *web.Metrics) func(refusal error) {
	return func(refusal error) {
		metrics.CacheRefusesWrites(refusal != nil)
		if refusal != nil {
			log.Warn("the cache refuses writes", withCure(refusal)...)
		} else {
			log.Info("the cache takes writes again")
		}
	}
}

// withCure is the error for a log line, with a hint where there is one of its own.
func withCure(err error) []any {
	if cure := knownCure(err); cure != "" {
		return []any{"error", err, "hint", cure}
	}
	return []any{"error", err}
}

// askCache asks the cache whether it is there.
func askCache(ctx context.Context, s kv.Store) config.Faults {
	ctx, cancel := context.WithTimeout(ctx, checkCacheTimeout)
	defer cancel()
	err := s.Ping(ctx)
	if err == nil {
		return nil
	}
	return config.Faults{{Key: "cache.url", Problem: err.Error(), Hint: cacheHint(err)}}
}

// tryCache does with the cache what replicas do. One that refuses writes is a fault where sessions are kept in it; what cookie mode goes
// without then is a warning, and so is a feed that is not heard, on which nothing depends.
func tryCache(ctx context.Context, pl plan, s store) config.Faults {
	if faults := askCache(ctx, s); len(faults) > 0 {
		return faults
	}
	ctx, cancel := context.WithTimeout(ctx, tryCacheTimeout)
	defer cancel()
	err := kv.Try(ctx, s.remote) // the guard would say in the log what is said here
	refused := errors.Is(err, kv.ErrNoWrites)
	if err != nil && !refused {
		return config.Faults{{Key: "cache.url", Problem: err.Error(), Hint: cacheHint(err)}}
	}
	if unheard := tryFeed(ctx, s, refused); unheard != nil {
		pl.log.Warn("replicas do not hear of each other: event streams learn late that a session is over", "key", "cache.url", "error", unheard, "hint", cacheHint(unheard))
	}
	switch {
	case refused && sessionMode(pl.config) == session.ModeServer:
		return config.Faults{{Key: "cache.url", Problem: "nobody can sign in, since sessions are kept in the cache: " + err.Error(), Hint: cacheHint(err)}}
	case refused:
		pl.log.Warn("the cache refuses writes: no ending is remembered there, and each process refreshes on its own", "key", "cache.url", "error", err, "hint", cacheHint(err))
	}
	return nil
}

// tryFeed is nil, too, for a feed that is made of writes where those are refused: that is said already.
func tryFeed(ctx context.Context, s store, refused bool) error {
	if refused && s.dearFeed {
		return nil
	}
	return kv.TryFeed(ctx, s.feed)
}

func cacheFault(problem, hint string) error {
	return faultsError{config.Faults{{Key: "cache.url", Problem: problem, Hint: hint}}}
}
