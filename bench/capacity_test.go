package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/kv"
	"vestibule/kv/redis"
	"vestibule/kv/redis/redistest"
	"vestibule/secret"
	"vestibule/session"
)

var capacitySessions = flag.Int("sessions", 400, "sessions that the capacity of Redis is measured with; docs/scale.md: 20000")

// Most bytes of Redis' own count that docs/scale.md reckons with, its overhead included.
const (
	mostRefreshRecord = 2600 // for ten minutes after each refresh
	mostMark          = 320  // until the session's absolute end, of each sign-out
	mostStored        = 3600 // one session in server mode, with its entries in two lists
	leastNoticed      = 300  // what Redis does for itself meanwhile
)

// TestCapacityOfRedis measures what one session costs a real Redis, in both modes, in bytes and in calls. With -v it prints the figures
// that docs/scale.md is made of.
func TestCapacityOfRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Config{})
	direct := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = direct.Close() })
	n := *capacitySessions
	t.Logf("%d sessions of a usual Cognito size; bytes are INFO's used_memory, the median is MEMORY USAGE's", n)
	for _, mode := range []struct {
		name string
		mode session.Mode
	}{{"cookie", session.ModeCookie}, {"server", session.ModeServer}} {
		store, err := redis.Open(redis.Config{URL: secret.New([]byte(server.URL() + "?timeout=5s"))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		c := &capacity{name: mode.name, n: n, redis: direct, counted: &counted{Store: store}}
		c.manager = newManager(t, c.counted, mode.mode)
		c.measure(t)
	}
}

// capacity measures one mode.
type capacity struct {
	name    string
	n       int
	redis   *goredis.Client
	counted *counted
	manager *session.Manager
	headers [][]string
}

func (c *capacity) measure(t *testing.T) {
	t.Helper()
	c.warm(t)
	c.headers = make([][]string, c.n)
	stored := 0
	if c.name == "server" {
		stored = mostStored
	}
	c.step(t, "sign-in", stored, func(ctx context.Context, i int) error {
		_, cookies, err := c.manager.Start(ctx, typicalTokens(), nil, "Firefox on Windows")
		for _, cookie := range cookies {
			c.headers[i] = append(c.headers[i], cookie.Name+"="+cookie.Value)
		}
		return err
	})
	answer := func(ctx context.Context, i int) error {
		s, err := c.manager.Load(ctx, c.headers[i])
		if err == nil {
			_, err = c.manager.Fresh(ctx, s, session.Need{})
		}
		return err
	}
	c.step(t, "first answer", 0, answer)
	c.step(t, "token answer", 0, func(ctx context.Context, i int) error {
		_, err := c.known(ctx, i)
		return errors.Join(err, answer(ctx, i))
	})
	c.step(t, "look of a stream", 0, func(ctx context.Context, i int) error {
		s, err := c.known(ctx, i)
		if err == nil {
			err = c.manager.Alive(ctx, s)
		}
		return err
	})
	c.step(t, "refresh", mostRefreshRecord, func(ctx context.Context, i int) error {
		if _, err := c.known(ctx, i); err != nil {
			return err
		}
		s, err := c.manager.Load(ctx, c.headers[i])
		if err != nil {
			return err
		}
		newer, err := c.manager.Fresh(ctx, s, session.Need{Force: true})
		if err == nil && newer.Generation != s.Generation+1 {
			return errors.New("it was not refreshed")
		}
		return err
	})
	c.print(t, "refresh", "session", "index-sub", "index-sid")
	c.step(t, "sign-out", mostMark, func(ctx context.Context, i int) error {
		if _, err := c.known(ctx, i); err != nil {
			return err
		}
		s, err := c.manager.Load(ctx, c.headers[i])
		if err == nil {
			c.manager.End(ctx, s)
		}
		return err
	})
	c.print(t, "ended")
	c.compareKept(t)
}

// compareKept holds what docs/scale.md says of how long a refresh result is kept to what Redis says: of a session that is refreshed as
// most are, five minutes before its token's end.
func (c *capacity) compareKept(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := c.redis.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	tokens := typicalTokens()
	tokens.Issued, tokens.Expires = tokens.Issued.Add(-55*time.Minute), tokens.Expires.Add(-55*time.Minute)
	s, _, err := c.manager.Start(ctx, tokens, nil, "")
	if err == nil {
		_, err = c.manager.Fresh(ctx, s, session.Need{Force: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	names, err := c.redis.Keys(ctx, "*refresh/*").Result()
	if err != nil || len(names) != 1 {
		t.Fatalf("%s mode: got refresh results %q and %v, want one", c.name, names, err)
	}
	left, err := c.redis.PTTL(ctx, names[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	columns := strings.Split(c.row(t, "refresh"), " | ")
	number, _, _ := strings.Cut(columns[min(2, len(columns)-1)], " minute")
	want, err := strconv.Atoi(number)
	if got := left.Round(time.Minute); err != nil || got != time.Duration(want)*time.Minute {
		t.Errorf("%s mode: a refresh result is kept for %s, and docs/scale.md says %q", c.name, got, columns)
	}
}

// row is what the table of docs/scale.md says of a step, from behind its name.
func (c *capacity) row(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(text), "| **"+c.name+" mode** |")
	_, row, found := strings.Cut(rows, "\n| "+name)
	if !found {
		t.Errorf("%s mode: docs/scale.md says nothing of a %s", c.name, name)
	}
	row, _, _ = strings.Cut(row, "\n")
	return row
}

// known loads the session, at nobody's expense: the manager remembers where to look for its end, as it does of the 8,192 that it saw last.
func (c *capacity) known(ctx context.Context, i int) (*session.Session, error) {
	return c.manager.Load(context.WithValue(ctx, unbilled{}, true), c.headers[i])
}

// warm makes Redis take what it takes once: connections, scripts.
func (c *capacity) warm(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			s, _, err := c.manager.Start(t.Context(), typicalTokens(), nil, "")
			if err == nil {
				c.manager.End(t.Context(), s)
			}
		})
	}
	all.Wait()
	if err := errors.Join(c.manager.Drain(t.Context()), c.redis.FlushAll(t.Context()).Err()); err != nil {
		t.Fatal(err)
	}
}

// print tells the medians of those kinds of entries that there are.
func (c *capacity) print(t *testing.T, kinds ...string) {
	t.Helper()
	medians := c.medians(t)
	for _, kind := range kinds {
		if median, is := medians[kind]; is {
			t.Logf("%26s an entry of %-9s %5d bytes", "", kind, median)
		}
	}
}

// workers ask at once.
const workers = 8

// step does f once for every session and says what that cost. most bounds the bytes that one may add; 0: about none.
func (c *capacity) step(t *testing.T, name string, most int, f func(ctx context.Context, i int) error) {
	t.Helper()
	before := c.used(t)
	c.counted.reset()
	turns := make(chan int)
	var all sync.WaitGroup
	failed := make(chan error, 1)
	for range workers {
		all.Go(func() {
			for i := range turns {
				if err := f(t.Context(), i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range c.n {
		turns <- i
	}
	close(turns)
	all.Wait()
	select {
	case err := <-failed:
		t.Fatalf("%s mode, %s: %v", c.name, name, err)
	default:
	}
	if err := c.manager.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	bytes := (c.used(t) - before) / c.n
	t.Logf("%-6s mode  %-16s  %5d bytes more  %s", c.name, name, bytes, c.counted.perSession(c.n))
	c.compare(t, name)
	if bytes > most+leastNoticed {
		t.Errorf("%s mode: a %s adds %d bytes to Redis, want at most %d", c.name, name, bytes, most)
	}
}

// compare holds the table of docs/scale.md to what was counted.
func (c *capacity) compare(t *testing.T, name string) {
	t.Helper()
	row := c.row(t, name)
	state := 0
	if name == "sign-in" {
		state = 1 // its state is marked as used, by whoever calls the session's manager
	}
	if want := c.counted.bill(c.n, state); !strings.HasSuffix(row, want) {
		t.Errorf("%s mode: docs/scale.md says of a %s %q, and it took %q", c.name, name, row, want)
	}
}

// used is what Redis says that it uses.
func (c *capacity) used(t *testing.T) int {
	t.Helper()
	info, err := c.redis.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); is {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("Redis does not say what it uses")
	return 0
}

// medians are the middle sizes of entries, by the first part of the key, Redis' own bookkeeping for an entry included.
func (c *capacity) medians(t *testing.T) map[string]int64 {
	t.Helper()
	sizes := map[string][]int64{}
	names := c.redis.Scan(t.Context(), 0, "*", 1000).Iterator()
	for i := 0; i < 2000 && names.Next(t.Context()); i++ {
		kind, _, is := strings.Cut(names.Val(), "/")
		if bytes, err := c.redis.MemoryUsage(t.Context(), names.Val()).Result(); err == nil && is {
			kind = kind[strings.LastIndexByte(kind, ':')+1:]
			sizes[kind] = append(sizes[kind], bytes)
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	medians := map[string]int64{}
	for kind, all := range sizes {
		slices.Sort(all)
		medians[kind] = all[len(all)/2]
	}
	return medians
}

func newManager(t *testing.T, store kv.Store, mode session.Mode) *session.Manager {
	t.Helper()
	ring, err := secret.NewRing(secret.New([]byte(secret.GenerateKey())))
	if err != nil {
		t.Fatal(err)
	}
	m, err := session.New(session.Config{
		Keys: ring, Store: store, Provider: generous{}, CookieName: "__Host-vestibule", Secure: true, SameSite: http.SameSiteLaxMode, Mode: mode,
		Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE", ClientID: "4k8v1n0q2t6y3r5w7u9i1o2p3a",
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// generous gives new tokens to whoever asks.
type generous struct{}

func (generous) Refresh(_ context.Context, old session.Tokens) (session.Tokens, error) {
	t := typicalTokens()
	t.Subject, t.ProviderID, t.Claims = old.Subject, old.ProviderID, nil
	return t, nil
}

func (g generous) Confirm(_ context.Context, _, t session.Tokens) (session.Tokens, error) {
	return t, nil
}

func (generous) Revoke(context.Context, string) error { return nil }

// typicalTokens have the sizes of Cognito's: an access token of 1.05 kB, a rotated refresh token of 1.8 kB.
func typicalTokens() session.Tokens {
	now, sub, origin := time.Now(), rand.Text(), rand.Text()
	payload := fmt.Sprintf(`{"sub":%q,"iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE","version":2,"client_id":"4k8v1n0q2t6y3r5w7u9i1o2p3a",`+
		`"origin_jti":%q,"event_id":%q,"token_use":"access","scope":"openid profile email","auth_time":%d,"exp":%d,"iat":%d,"jti":%q,"username":%q}`,
		sub, origin, rand.Text(), now.Unix(), now.Add(time.Hour).Unix(), now.Unix(), rand.Text(), sub)
	encode := base64.RawURLEncoding.EncodeToString
	return session.Tokens{
		AccessToken: encode([]byte(`{"kid":"`+noise(32)+`=","alg":"RS256"}`)) + "." + encode([]byte(payload)) + "." + noise(256),
		RefreshToken: encode([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`)) + "." +
			noise(256) + "." + noise(12) + "." + noise(1000) + "." + noise(16),
		Issued: now, Expires: now.Add(time.Hour), Subject: sub, ProviderID: origin, Nonce: noise(16),
		Claims: json.RawMessage(`{"sub":"` + sub + `","email":"somebody@example.com","email_verified":true,"name":"Some Body"}`),
	}
}

func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
