package main

import (
	"context"
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

// checkCacheTimeout bounds what check waits for the cache.
const checkCacheTimeout = 5 * time.Second

// store is what replicas share, and the way to let go of it.
type store struct {
	kv.Store
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
		return store{Store: memory, feed: memory, close: func() {}}, nil
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
	return store{Store: guard, feed: remote, close: func() { _ = remote.Close() }}, nil
}

func openDynamoDB(pl plan) (store, error) {
	remote, err := dynamodb.Open(dynamodb.Config{URL: pl.secrets.cacheURL, Logger: pl.log})
	if err != nil {
		return store{}, cacheFault(err.Error(), `see "DynamoDB" in docs/operating.md`)
	}
	guard := guarded(pl, remote, remote.Timeout())
	return store{Store: guard, feed: remote, dearFeed: true, close: func() { _ = remote.Close() }}, nil
}

// guarded puts the same guard before every store that lies behind a network.
func guarded(pl plan, remote kv.Store, timeout time.Duration) kv.Store {
	return kv.Guard(remote, kv.GuardConfig{Timeout: timeout, Observe: pl.metrics.Cache, Changed: reportCache(pl.log, pl.metrics)})
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
			log.Warn("the cache does not answer: it is left alone, and tried once a second", "error", fault)
		} else {
			log.Info("the cache answers again")
		}
	}
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

func cacheFault(problem, hint string) error {
	return faultsError{config.Faults{{Key: "cache.url", Problem: problem, Hint: hint}}}
}
