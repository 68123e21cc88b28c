package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/kv/redis/redistest"
)

// cluster starts three masters that share the slots.
func cluster(t *testing.T) []*redistest.Server {
	t.Helper()
	var nodes []*redistest.Server
	for i := range 3 {
		n := redistest.Start(t, redistest.Config{Cluster: true, Lines: []string{"cluster-node-timeout 2000"}})
		nodes = append(nodes, n)
		c := client(t, n)
		first, last := i*16384/3, (i+1)*16384/3-1
		if err := c.ClusterAddSlotsRange(t.Context(), first, last).Err(); err != nil {
			t.Fatal(err)
		}
		for _, other := range nodes[:i] {
			if err := c.Do(t.Context(), "cluster", "meet", "127.0.0.1", other.Port, other.Bus).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range nodes {
		c := client(t, n)
		eventually(t, 20*time.Second, "the cluster", func() error { return notMoved(c.GetRange(t.Context(), "any", 0, 0).Err()) })
	}
	return nodes
}

// notMoved: that a key is elsewhere is an answer of a cluster that works.
func notMoved(err error) error {
	if _, moved := goredis.IsMovedError(err); moved {
		return nil
	}
	return err
}

func TestAClusterKeepsTheContract(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	url := "redis://" + nodes[0].Addr() + "," + nodes[1].Addr() + "?cluster=true&" + patient
	t.Run("contract", func(t *testing.T) { kvtest.Run(t, suite(url)) })
	t.Run("every node holds a part", func(t *testing.T) {
		s := open(t, url+"&prefix=spread:")
		for i := range 300 {
			put(t, s, fmt.Sprint(i), kv.Absent)
		}
		for _, n := range nodes {
			if held := len(client(t, n).Keys(t.Context(), "spread:{???}:*").Val()); held < 60 {
				t.Errorf("a node holds %d entries of 300, want about 100", held)
			}
		}
	})
	t.Run("readiness hears of a part that is gone", func(t *testing.T) {
		s := open(t, url)
		nodes[2].Stop()
		eventually(t, 20*time.Second, "the loss", func() error {
			if s.Ping(t.Context()) == nil {
				return errors.New("Ping answers")
			}
			return nil
		})
	})
}

// sentinels starts a server, its replica, and a Sentinel that watches them and knows of both.
func sentinels(t *testing.T) (first, second, sentinel *redistest.Server) {
	t.Helper()
	first = redistest.Start(t, redistest.Config{Lines: []string{"repl-diskless-sync-delay 0"}})
	second = redistest.Start(t, redistest.Config{Lines: []string{fmt.Sprintf("replicaof 127.0.0.1 %d", first.Port), "repl-diskless-sync-delay 0"}})
	sentinel = redistest.Start(t, redistest.Config{Sentinel: true, Lines: []string{
		fmt.Sprintf("sentinel monitor main 127.0.0.1 %d 1", first.Port),
		"sentinel down-after-milliseconds main 500", "sentinel failover-timeout main 5000",
	}})
	watch := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr()})
	defer func() { _ = watch.Close() }()
	eventually(t, 30*time.Second, "the sentinel's knowledge of the replica", func() error {
		if known, err := watch.Replicas(t.Context(), "main").Result(); err != nil || len(known) != 1 || known[0]["master-link-status"] != "ok" {
			return fmt.Errorf("%v, %v", known, err)
		}
		return nil
	})
	return first, second, sentinel
}

func TestSentinelsServerIsAFeed(t *testing.T) {
	t.Parallel()
	_, _, sentinel := sentinels(t)
	kvtest.RunFeed(t, two("redis://"+sentinel.Addr()+"?sentinel_master=main&"+patient))
}

func TestAFailoverBySentinelIsFollowed(t *testing.T) {
	t.Parallel()
	first, second, sentinel := sentinels(t)
	url, changes := "redis://"+sentinel.Addr()+"?sentinel_master=main&"+patient, make(chan bool, 10)
	s, guarded := open(t, url), guard(t, url, changes)
	got := hearing(t, s)
	next(t, got, "missed")
	lease, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", Value: []byte("held"), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	replica := client(t, second)
	eventually(t, 20*time.Second, "replication", func() error {
		if n := replica.DBSize(t.Context()).Val(); n != 2 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	})
	first.Stop()
	opens(t, guarded, changes)
	costsMilliseconds(t, guarded)
	fence := lease.Fence()
	eventually(t, 60*time.Second, "the failover", func() error { return lease.Renew(t.Context()) })
	if lease.Fence() <= fence {
		t.Errorf("fence %d after the failover, %d before", lease.Fence(), fence)
	}
	if _, err := kv.Acquire(t.Context(), s, kv.LeaseRequest{Key: "lease", TTL: time.Minute}); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("a second holder after the failover: %v, want ErrConflict", err)
	}
	eventually(t, 10*time.Second, "the guard's knowledge of the new server", func() error { return guarded.Ping(t.Context()) })
	next(t, got, "missed")
	if err := s.Publish(t.Context(), []byte("news")); err != nil {
		t.Fatal(err)
	}
	next(t, got, "news")
}

// The replaced server lives on and answers, and for some seconds does not know that it was replaced: who listens there hears nothing.
func TestAFeedLeavesAServerThatWasReplacedAlive(t *testing.T) {
	t.Parallel()
	first, _, sentinel := sentinels(t)
	s := open(t, "redis://"+sentinel.Addr()+"?sentinel_master=main&"+quick)
	got := hearing(t, s)
	next(t, got, "missed")
	if err := client(t, sentinel).Do(t.Context(), "sentinel", "failover", "main").Err(); err != nil {
		t.Fatal(err)
	}
	next(t, got, "missed")
	if err := client(t, first).Ping(t.Context()).Err(); err != nil {
		t.Fatalf("the replaced server: %v: this proves nothing", err)
	}
	eventually(t, 20*time.Second, "a message", func() error {
		if err := s.Publish(t.Context(), []byte("news")); err != nil {
			return err
		}
		for {
			select {
			case message := <-got:
				if message == "news" {
					return nil
				}
			case <-time.After(time.Second):
				return errors.New("not heard")
			}
		}
	})
}

func TestAFailoverInAClusterIsFollowed(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	slot := client(t, nodes[0]).ClusterKeySlot(t.Context(), "vestibule:feed/0").Val()
	owner := nodes[slot*3/16384]
	heir := redistest.Start(t, redistest.Config{Cluster: true, Lines: []string{"cluster-node-timeout 2000", "repl-diskless-sync-delay 0"}})
	raw, id := client(t, heir), client(t, owner).Do(t.Context(), "cluster", "myid").String()
	id = id[strings.LastIndexByte(id, ' ')+1:]
	if err := raw.Do(t.Context(), "cluster", "meet", "127.0.0.1", owner.Port, owner.Bus).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the replica's acquaintance", func() error { return raw.ClusterReplicate(t.Context(), id).Err() })
	eventually(t, 20*time.Second, "replication", func() error {
		if !strings.Contains(raw.Info(t.Context(), "replication").Val(), "master_link_status:up") {
			return errors.New("not linked")
		}
		return nil
	})
	var hosts []string
	for _, n := range append(nodes, heir) {
		hosts = append(hosts, n.Addr())
	}
	url, changes := "redis://"+strings.Join(hosts, ",")+"?cluster=true&"+patient, make(chan bool, 100)
	s, guarded := open(t, url), guard(t, url, changes)
	got := hearing(t, s)
	next(t, got, "missed")
	many := make([]string, kv.MaxKeys) // in all parts
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	owner.Stop()
	eventually(t, 20*time.Second, "the breaker", func() error {
		_, err := guarded.GetMany(t.Context(), many...)
		if !errors.Is(err, kv.ErrUnavailable) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	costsMilliseconds(t, guarded)
	eventually(t, 60*time.Second, "the failover", func() error { _, err := guarded.GetMany(t.Context(), many...); return err })
	next(t, got, "missed")
	eventually(t, 20*time.Second, "a message", func() error { return s.Publish(t.Context(), []byte("news")) })
	for message := range got { // the first node it reached may have been gone again
		if message == "news" {
			break
		}
	}
}
