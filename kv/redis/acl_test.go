package redis_test

import (
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/redis"
	"vestibule/kv/redis/redistest"
)

// These are the rights that docs/operating.md tells the operator to give.
func TestTheRightsInTheDocumentationAreEnough(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		more, path string
		cluster    bool
	}{
		"database 0": {},
		"a database": {more: "+select", path: "/1"},
		"a cluster":  {more: "+cluster|slots +command", cluster: true, path: "?cluster=true"},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redistest.Config{Cluster: test.cluster, Lines: []string{
				"user vestibule on >secret ~vestibule:* &vestibule:* -@all +get +getrange +set +del +time +eval +evalsha +info +publish +subscribe " + test.more,
			}})
			raw := client(t, server)
			if test.cluster {
				if err := raw.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
					t.Fatal(err)
				}
				eventually(t, 20*time.Second, "the cluster", func() error { return raw.GetRange(t.Context(), "any", 0, 0).Err() })
			}
			if err := raw.Do(t.Context(), "acl", "setuser", "default", "off").Err(); err != nil {
				t.Fatal(err)
			}
			exercise(t, open(t, options("redis://vestibule:secret@"+server.Addr()+test.path)))
		})
	}
}

// options adds patience to a URL with or without options.
func options(url string) string {
	if strings.Contains(url, "?") {
		return url + "&" + patient
	}
	return url + "?" + patient
}

// exercise does everything that a store and a feed do.
func exercise(t *testing.T, s *redis.Store) {
	t.Helper()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "lease"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetMany(t.Context(), "lease", "nobody"); err != nil {
		t.Fatal(err)
	}
	got := hearing(t, s)
	next(t, got, "missed")
	if err := s.Publish(t.Context(), []byte("news")); err != nil {
		t.Fatal(err)
	}
	next(t, got, "news")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// One instance may serve several installations: prefixes keep them apart.
func TestAnotherPrefixIsAnotherStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	one, other := open(t, server.URL()+"?prefix=one:&"+patient), open(t, server.URL()+"?prefix=other:&"+patient)
	put(t, one, "k", kv.Absent)
	put(t, other, "k", kv.Absent)
	if err := one.Delete(t.Context(), "k", kv.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(t.Context(), "k"); err != nil {
		t.Errorf("the other's entry: %v", err)
	}
}
