package main

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"vestibule/idp/devidp"
	"vestibule/kv/redis/redistest"
)

const serviceSecret = "hunter2hunter2hunter2hunter2hunt"

// estate is two replicas, the cache that they share, and the provider behind them.
type estate struct {
	provider *devidp.Server
	redis    *redistest.Server // nil: the cache is another one
	cache    string            // cache.url
	key      string
	http     *http.Client
	// contents is all that the cache holds, names and values.
	contents func(t *testing.T) (all string, machineTokens int)
}

// newEstate is one with a Redis.
func newEstate(t *testing.T) *estate {
	t.Helper()
	server := redistest.Start(t, redistest.Config{})
	e := newEstateOn(t, server.URL()+"?timeout=2s")
	e.redis, e.contents = server, func(t *testing.T) (string, int) { return redisContents(t, server) }
	return e
}

func newEstateOn(t *testing.T, cache string) *estate {
	t.Helper()
	provider, err := devidp.Start(devidp.Config{ClientID: "orders-service", ClientSecret: serviceSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &estate{provider: provider, cache: cache, key: keyFile(t), http: &http.Client{Transport: transport}}
}

// replica serves at the address once it is ready.
func (e *estate) replica(t *testing.T, listen string) *program {
	t.Helper()
	p := start(t, "serve", "--listen="+listen, "--admin_listen=", "--public_url=http://"+listen, "--machine.enabled=true",
		"--provider.issuer="+e.provider.Issuer(), "--provider.client_id="+e.provider.ClientID(), "--provider.client_secret="+serviceSecret,
		"--session.keys=file:"+e.key, "--cache.url="+e.cache)
	// Readiness covers the cache, which one replica here has to do without.
	until(t, "a replica serves", func() bool { status, _ := get(t, e.http, "http://"+listen+"/healthz"); return status == http.StatusOK })
	return p
}

// token runs golang.org/x/oauth2's client as it is, a new one each time: nothing is kept on its side.
func (e *estate) token(t *testing.T, at string, scopes ...string) (*oauth2.Token, error) {
	program := clientcredentials.Config{
		ClientID: e.provider.ClientID(), ClientSecret: serviceSecret, TokenURL: "http://" + at + "/oauth2/token", Scopes: scopes,
	}
	return program.Token(context.WithValue(t.Context(), oauth2.HTTPClient, e.http))
}

func (e *estate) mustToken(t *testing.T, at string, scopes ...string) string {
	t.Helper()
	token, err := e.token(t, at, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

func (e *estate) wantsAsked(t *testing.T, when string, want int64) {
	t.Helper()
	if got := e.provider.Stats().ClientCredentials.Asked; got != want {
		t.Errorf("%s the provider was asked %d times, want %d", when, got, want)
	}
}

// burst has n callers at each address ask at the same moment, and gives the distinct tokens that they got.
func (e *estate) burst(t *testing.T, n int, addresses ...string) []string {
	t.Helper()
	var wait sync.WaitGroup
	var mu sync.Mutex
	var tokens []string
	for i := range n * len(addresses) {
		wait.Go(func() {
			token, err := e.token(t, addresses[i%len(addresses)])
			if err != nil {
				t.Error(err)
				return
			}
			if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("a token for %s, want about an hour", left)
			}
			mu.Lock()
			defer mu.Unlock()
			tokens = append(tokens, token.AccessToken)
		})
	}
	wait.Wait()
	if len(tokens) != n*len(addresses) {
		t.Fatalf("%d of %d callers got a token", len(tokens), n*len(addresses))
	}
	slices.Sort(tokens)
	return slices.Compact(tokens)
}

func redisContents(t *testing.T, server *redistest.Server) (all string, machineTokens int) {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer client.Close()
	names := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	var b strings.Builder
	for names.Next(t.Context()) {
		value, err := client.Get(t.Context(), names.Val()).Result()
		if err != nil {
			t.Fatalf("read %s: %v", names.Val(), err)
		}
		b.WriteString(names.Val() + "\n" + value + "\n")
		if strings.Contains(names.Val(), ":machine/") {
			machineTokens++
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String(), machineTokens
}

func TestReplicasAskOnceForACrowdAndKeepTheTokenSealedInRedis(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	first, second, third := freeAddress(t), freeAddress(t), freeAddress(t)
	a, b := e.replica(t, first), e.replica(t, second)
	// Long enough that all callers come while the provider is still thinking.
	if err := e.provider.SetFaults(devidp.Faults{Token: devidp.Fault{Latency: time.Second}}); err != nil {
		t.Fatal(err)
	}
	tokens := e.burst(t, 100, first, second)
	if len(tokens) != 1 {
		t.Fatalf("got %d different tokens, want one for all", len(tokens))
	}
	e.wantsAsked(t, "for 200 cold callers at two replicas", 1)
	e.wantsSealed(t, tokens[0])

	stopped(t, b)
	b = e.replica(t, second)
	if got := e.mustToken(t, second); got != tokens[0] {
		t.Error("after a restart: another token, want the one that Redis keeps")
	}
	e.wantsAsked(t, "after a restart", 1)

	e.redis.Stop()
	for _, at := range []string{first, second} {
		if got := e.mustToken(t, at); got != tokens[0] {
			t.Error("without Redis: another token, want the one in memory")
		}
	}
	e.wantsAsked(t, "without Redis, for what is in memory,", 1)
	e.mustToken(t, first, "vestibule/read")
	e.wantsAsked(t, "without Redis, for what is new,", 2)
	c := e.replica(t, third)
	e.mustToken(t, third)
	e.wantsAsked(t, "without Redis, by a replica that has just started,", 3)

	e.http.CloseIdleConnections()
	log := ""
	for _, p := range []*program{a, b, c} {
		stopped(t, p)
		log += p.errw.String()
	}
	if !strings.Contains(log, "in this process alone") || strings.Contains(log, "hunter2") || strings.Contains(log, tokens[0]) {
		t.Error("the log does not tell of the loss of the cache, or holds a secret")
	}
}

// wantsSealed looks for token and credential in the cache, in whatever form they could stand there.
func (e *estate) wantsSealed(t *testing.T, token string) {
	t.Helper()
	all, machineTokens := e.contents(t)
	if machineTokens != 1 {
		t.Fatalf("the cache holds %d machine tokens, want one: looking at it proves nothing", machineTokens)
	}
	id := e.provider.ClientID()
	basic := base64.StdEncoding.EncodeToString([]byte(id + ":" + serviceSecret))
	needles := []string{id, serviceSecret, basic, "access_token", "Bearer", "client_credentials"}
	for _, part := range strings.Split(token, ".") {
		plain, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		needles = append(needles, part, string(plain))
	}
	for _, needle := range needles {
		if strings.Contains(all, needle[:min(len(needle), 16)]) {
			t.Errorf("the cache holds %.16q…", needle)
		}
	}
}
