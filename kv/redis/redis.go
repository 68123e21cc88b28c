// Package redis is the store and the feed on a Redis server (or one that speaks its language), alone, behind Sentinel or as a Cluster. It
// owns the address, the connections, the form of an entry, the two scripts that make a conditional write atomic, and the channel. It
// refuses to reach for the network at start, to trust a server that TLS cannot verify, and to repeat the password anywhere.
//
//	Open → Put (put.lua) → version → Get → Put(If: version) → … → Delete (delete.lua); Redis expires entries by itself
//
// Read this file first, then entry.go and put.lua, feed.go, address.go. kv.Guard belongs in front of a Store.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/kv"
	"vestibule/secret"
)

// Config configures Open.
type Config struct {
	// URL says where the server is; its form is described in docs/operating.md. Required. Its user and password are read
	// anew for each connection, so a Value that follows its reference follows a rotation of the password; the rest of the
	// URL counts as it was at Open, but the certificate files that it names are read again when they have changed.
	URL secret.Value
	// Logger hears warnings about the server's settings, and what the driver says at level debug; nil means silence.
	Logger *slog.Logger
}

// Store implements kv.Store and kv.Feed. Versions are the server's clock in microseconds, or one more than the last version of the same
// bucket of keys if that is larger: they grow past deletion and expiry however the clock is set, and past the loss of all
// state unless the clock is set back too.
type Store struct {
	client  goredis.UniversalClient
	url     secret.Value
	prefix  string
	feed    string // the channel
	timeout time.Duration
	put     *goredis.Script
	delete  *goredis.Script
	publish *goredis.Script
	log     *slog.Logger
	looked  atomic.Bool // at the server's settings
}

// Open makes a Store. It connects at the first call, so a server that is down is no error here; an address, a certificate
// file or an option that is no good is.
func Open(c Config) (*Store, error) {
	if !c.URL.IsSet() {
		return nil, errors.New("Config.URL is missing")
	}
	a, err := parseAddress(string(c.URL.Bytes()))
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := connect(a, c)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: client, url: c.URL, prefix: a.prefix, feed: feed(a), timeout: a.timeout, log: c.Logger,
		put: goredis.NewScript(putScript), delete: goredis.NewScript(deleteScript), publish: goredis.NewScript(publishScript),
	}, nil
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) (kv.Entry, error) {
	if key == "" || len(key) > kv.MaxKey {
		return kv.Entry{}, kv.ErrNotFound
	}
	stored, err := s.read(ctx, s.client, key).Result()
	if err != nil {
		return kv.Entry{}, s.fault(ctx, "get", err)
	}
	if stored == "" { // GETRANGE of an unknown key
		return kv.Entry{}, kv.ErrNotFound
	}
	return parseEntry(stored)
}

// GetMany implements kv.Store, as one pipeline; a Cluster gets one for each of its parts, all at once.
func (s *Store) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	if err := kv.CheckKeys(keys); err != nil {
		return nil, err
	}
	entries, reads := make([]kv.Entry, len(keys)), make([]*goredis.StringCmd, len(keys))
	pipe := s.client.Pipeline()
	for i, key := range keys {
		if key != "" && len(key) <= kv.MaxKey {
			reads[i] = s.read(ctx, pipe, key)
		}
	}
	if pipe.Len() == 0 {
		return entries, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, s.fault(ctx, "get many", err)
	}
	for i, read := range reads {
		if read == nil || read.Val() == "" {
			continue
		}
		var err error
		if entries[i], err = parseEntry(read.Val()); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// read asks for one byte more than an entry can have: what somebody else put there is never read whole.
func (s *Store) read(ctx context.Context, from goredis.Cmdable, key string) *goredis.StringCmd {
	return from.GetRange(ctx, s.entryKey(key), 0, headerSize+kv.MaxValue)
}

// Put implements kv.Store. The lifetime is kept in whole milliseconds, rounded up.
func (s *Store) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	// The driver sends a command again when its connection broke. The mark lets the script know its own write, so that a
	// lease that was taken is not answered with ErrConflict.
	mark := fixed(rand.Uint64())
	keys := []string{s.entryKey(w.Key), s.counterKey(w.Key)}
	version, err := s.put.Run(ctx, s.client, keys, fixed(uint64(w.If)), mark, milliseconds(w.TTL), w.Value).Text()
	switch {
	case err != nil:
		return 0, s.fault(ctx, "put", err)
	case version == "":
		return 0, kv.ErrConflict
	}
	return parseVersion(version)
}

// Delete implements kv.Store.
func (s *Store) Delete(ctx context.Context, key string, expected kv.Version) error {
	if key == "" || len(key) > kv.MaxKey {
		return nil
	}
	done, err := s.delete.Run(ctx, s.client, []string{s.entryKey(key)}, fixed(uint64(expected))).Bool()
	switch {
	case err != nil:
		return s.fault(ctx, "delete", err)
	case !done:
		return kv.ErrConflict
	}
	return nil
}

// Ping implements kv.Store. It reads a key, because a cluster that has lost a part says PONG to a PING and refuses to read.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.GetRange(ctx, s.counterKey(""), 0, 0).Err(); err != nil {
		return s.fault(ctx, "ping", err)
	}
	if s.looked.CompareAndSwap(false, true) {
		s.warnOfEviction(ctx)
	}
	return nil
}

// Timeout is the time that the URL grants one call; it is for the kv.Guard in front.
func (s *Store) Timeout() time.Duration { return s.timeout }

// Close ends all connections.
func (s *Store) Close() error { return s.client.Close() }

// fault names what was being done. A refused password is read afresh, for the connections to come.
func (s *Store) fault(ctx context.Context, doing string, err error) error {
	switch kind := refusal(doing, err); {
	case kind != nil:
		return fmt.Errorf("redis: %s: %w: %w", doing, kind, err)
	case goredis.IsAuthError(err):
		_ = s.url.Refresh(ctx) // reported by the resolver; reads are 10 s apart
	}
	s.lookAround(ctx)
	return fmt.Errorf("redis: %s: %w", doing, err)
}

// refusal is the kind of a write that a server refuses while it may be read; nil for every other fault. Older servers wrap it in the
// script's own error. The driver has tried once more where that may help; a connection to a server that turned READONLY it has closed, so
// that the next one finds the server that took over.
func refusal(doing string, err error) error {
	text := err.Error()
	if strings.Contains(text, "OOM command not allowed") {
		return kv.ErrFull
	}
	if doing != "put" && doing != "delete" {
		return nil
	}
	for _, code := range []string{"READONLY ", "NOREPLICAS ", "MISCONF ", "NOPERM "} {
		if strings.HasPrefix(text, code) || strings.Contains(text, "-"+code) {
			return kv.ErrNoWrites
		}
	}
	if strings.Contains(text, "The user executing the script can't ") { // NOPERM within a script, until Redis 7.0
		return kv.ErrNoWrites
	}
	return nil
}

// lookAround asks a Cluster, behind the caller's back, who its members are now. The driver does so once a minute and when a node
// sends it elsewhere, which a dead one does not. Many at once are one.
func (s *Store) lookAround(ctx context.Context) {
	if cluster, is := s.client.(*goredis.ClusterClient); is && !errors.Is(ctx.Err(), context.Canceled) {
		cluster.ReloadState(ctx)
	}
}

// warnOfEviction looks once whether the server may drop entries early: a revocation that vanishes lets an ended session
// back in, and nothing here could tell. A server that does not say is left in peace.
func (s *Store) warnOfEviction(ctx context.Context) {
	info, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return
	}
	for line := range strings.Lines(info) {
		policy, is := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:")
		if is && policy != "noeviction" {
			s.log.Warn("the cache may drop entries before they expire, revocations among them", "maxmemory_policy", policy, "want", "noeviction")
		}
	}
}
