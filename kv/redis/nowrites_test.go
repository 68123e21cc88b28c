package redis_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/kv/redis/redistest"
)

func TestAServerThatRefusesWritesIsRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ refuse, allow string }{
		"too few replicas": {"config set min-replicas-to-write 1", "config set min-replicas-to-write 0"},
		"a replica":        {"replicaof 127.0.0.1 1", "replicaof no one"},
		"full":             {"config set maxmemory 1", "config set maxmemory 0"},
		"only reads":       {"acl setuser vestibule -set -del", "acl setuser vestibule +set +del"},
		"no scripts":       {"acl setuser vestibule -eval -evalsha", "acl setuser vestibule +eval +evalsha"},
		"no rights":        {"acl setuser vestibule resetkeys %R~vestibule:*", "acl setuser vestibule resetkeys ~vestibule:*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Config{Lines: []string{"maxmemory-policy noeviction", "user vestibule on >secret ~vestibule:* &vestibule:* +@all"}})
			raw := client(t, server)
			do := func(command string) func() {
				return func() {
					t.Helper()
					var words []any
					for _, word := range strings.Fields(command) {
						words = append(words, word)
					}
					if err := raw.Do(t.Context(), words...).Err(); err != nil {
						t.Fatalf("%s: %v", command, err)
					}
				}
			}
			kvtest.RunNoWrites(t, func(t *testing.T) (kv.Store, func(), func()) {
				return open(t, "redis://vestibule:secret@"+server.Addr()+"?"+patient), do(test.refuse), do(test.allow)
			})
		})
	}
}

func TestAServerWhoseDiskIsFullIsRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"save 3600 1000000", "dbfilename dump.rdb"}})
	raw := client(t, server)
	kvtest.RunNoWrites(t, func(t *testing.T) (kv.Store, func(), func()) {
		s := open(t, server.URL()+"?"+patient)
		put(t, s, "something to save", kv.Any)
		return s, func() {
				if err := os.Mkdir(filepath.Join(server.Dir, "dump.rdb"), 0o700); err != nil { // nothing can be written there
					t.Fatal(err)
				}
				if err := raw.BgSave(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				eventually(t, 20*time.Second, "the failed save", func() error {
					if !strings.Contains(raw.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err") {
						return errors.New("it has not failed")
					}
					return nil
				})
			}, func() {
				if err := raw.ConfigSet(t.Context(), "stop-writes-on-bgsave-error", "no").Err(); err != nil {
					t.Fatal(err)
				}
			}
	})
}

// One address, behind which another server takes over; the old one lives on as its replica, and connections to it stay open.
func TestAFailoverBehindOneAddressIsFollowedByWrites(t *testing.T) {
	t.Parallel()
	old, heir := redistest.Start(t, redistest.Config{}), redistest.Start(t, redistest.Config{})
	w := newWire(t, "", old.Addr())
	changes := make(chan bool, 100)
	s := guard(t, "redis://"+w.addr+"?"+patient, changes)
	eventually(t, 20*time.Second, "the first answers", func() error { return burst(t, s) }) // fills the pool
	w.server.Store(new(heir.Addr()))
	if err := client(t, old).Do(t.Context(), "replicaof", "127.0.0.1", fmt.Sprint(heir.Port)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "a write", func() error { return burst(t, s) })
	if n := client(t, heir).DBSize(t.Context()).Val(); n == 0 {
		t.Error("the new server holds nothing")
	}
	for range 20 {
		settles(t, s)
	}
	if len(changes) > 0 {
		t.Error("the guard left the cache alone, though it could be read all the while")
	}
}

func settles(t *testing.T, s kv.Store) {
	t.Helper()
	if _, err := s.Put(t.Context(), kv.Write{Key: "settled", TTL: time.Minute, If: kv.Any}); err != nil {
		t.Errorf("a write after the failover: %v", err)
	}
}

// A node of a Cluster that is taken for a server alone answers for its own part; what a set-up is checked with finds that out.
func TestANodeOfAClusterThatIsTakenForAServerIsFoundOut(t *testing.T) {
	t.Parallel()
	for i, n := range cluster(t) {
		err := kv.Try(t.Context(), open(t, n.URL()+"?"+patient))
		if err == nil || !strings.Contains(err.Error(), ": MOVED ") {
			t.Errorf("node %d: %v, want MOVED", i, err)
		}
	}
}
