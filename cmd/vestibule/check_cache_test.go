package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/kv/redis/redistest"
	"vestibule/web"
)

// checkWith is what "vestibule check" says of a cache, and its exit status.
func checkWith(t *testing.T, provider *devidp.Server, mode, url string) (status int, said string) {
	t.Helper()
	p := start(t, "check", "--public_url=https://app.example.com", "--provider.issuer="+provider.Issuer(), "--provider.client_id=app",
		"--provider.client_secret=hunter2hunter2", "--session.keys=file:"+keyFile(t), "--session.mode="+mode, "--cache.url="+url)
	status = <-p.status
	return status, p.out.String() + p.errw.String()
}

func aProvider(t *testing.T) *devidp.Server {
	t.Helper()
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	return provider
}

func TestCheckFindsACacheThatReplicasCannotWorkWith(t *testing.T) {
	t.Parallel()
	provider := aProvider(t)
	const most = "-@all +get +getrange +eval +evalsha +info "
	writes := map[string]int{"server": 1, "cookie": 0} // nobody can sign in; or less is remembered
	for name, test := range map[string]struct {
		lines, do string
		status    map[string]int
		says      string
	}{
		"a good one":                {status: map[string]int{}, says: "the configuration is good"},
		"a replica":                 {do: "replicaof 127.0.0.1 1", status: writes, says: "READONLY"},
		"a full server":             {do: "config set maxmemory 1", status: writes, says: "give it more maxmemory"},
		"a user who may only read":  {lines: most + "~vestibule:* &vestibule:* +publish +subscribe", status: writes, says: "the rights that stand under"},
		"a user without a channel":  {lines: most + "~vestibule:* resetchannels +set +del +time +publish +subscribe", says: "replicas do not hear of each other"},
		"a user who hears nothing":  {lines: most + "~vestibule:* &vestibule:* +set +del +time +publish", says: "+subscribe"},
		"other people's keys alone": {lines: most + "~other:* &vestibule:* +set +del +time +publish +subscribe", status: map[string]int{"server": 1, "cookie": 1}, says: "the rights that stand under"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := test.lines
			if lines == "" {
				lines = "~vestibule:* &vestibule:* +@all"
			}
			server := redistest.Start(t, redistest.Config{Lines: []string{"user vestibule on >hunter2 " + lines}})
			raw := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Protocol: 2})
			defer func() { _ = raw.Close() }()
			if test.do != "" {
				var words []any
				for _, word := range strings.Fields(test.do) {
					words = append(words, word)
				}
				if err := raw.Do(t.Context(), words...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			for _, mode := range []string{"server", "cookie"} {
				status, said := checkWith(t, provider, mode, "redis://vestibule:hunter2@"+server.Addr()+"?timeout=5s")
				if status != test.status[mode] || !strings.Contains(said, test.says) || strings.Contains(said, "hunter2") {
					t.Errorf("%s mode: got %d and\n%s\nwant %d and %q", mode, status, said, test.status[mode], test.says)
				}
				if strings.Count(said, "refuses writes") > 1 {
					t.Errorf("%s mode: it says it twice:\n%s", mode, said)
				}
			}
			if left := raw.Keys(t.Context(), "*check*").Val(); len(left) > 0 {
				t.Errorf("check left %q", left)
			}
		})
	}
}

// Two nodes, of which the first has nearly all: the one key that a probe reads is there.
func TestCheckFindsANodeOfAClusterThatIsTakenForAServer(t *testing.T) {
	t.Parallel()
	provider := aProvider(t)
	var nodes []*redistest.Server
	for i, slots := range [][2]int{{0, 14000}, {14001, 16383}} {
		n := redistest.Start(t, redistest.Config{Cluster: true})
		raw := goredis.NewClient(&goredis.Options{Addr: n.Addr(), Protocol: 2})
		defer func() { _ = raw.Close() }()
		if err := raw.ClusterAddSlotsRange(t.Context(), slots[0], slots[1]).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := raw.Do(t.Context(), "cluster", "meet", "127.0.0.1", nodes[0].Port, nodes[0].Bus).Err(); err != nil {
				t.Fatal(err)
			}
		}
		nodes = append(nodes, n)
	}
	url := "redis://" + nodes[0].Addr() + "?timeout=5s"
	until(t, "the cluster is whole", func() bool {
		status, _ := checkWith(t, provider, "cookie", url+"&cluster=true")
		return status == 0
	})
	if status, said := checkWith(t, provider, "cookie", url); status != 1 || !strings.Contains(said, "hint: the server is one of a Cluster: add ?cluster=true") {
		t.Errorf("got %d and\n%s\nwant the cure", status, said)
	}
}

func TestTheLogNamesTheCureOfACacheThatDoesNotDoItsWork(t *testing.T) {
	var log bytes.Buffer
	logger, metrics := slog.New(slog.NewTextHandler(&log, nil)), web.NewMetrics()
	reportCache(logger, metrics)(true, errors.New("redis: get: MOVED 5798 127.0.0.1:7001"))
	report := reportWrites(logger, metrics)
	report(fmt.Errorf("redis: put: %w: NOREPLICAS Not enough good replicas to write", kv.ErrNoWrites))
	report(nil)
	for _, want := range []string{"add ?cluster=true", "the cache refuses writes", "min-replicas-to-write", "the cache takes writes again"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
}
