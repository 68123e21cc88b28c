package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/kv/redis/redistest"
)

// Two replicas of one application. Cookies know no ports, so the browser is signed in at both.
func TestReplicasShareRevocationsThroughRedisAndOutliveIt(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"requirepass hunter2redis"}})
	first, second, admin := freeAddress(t), freeAddress(t), freeAddress(t)
	origin := "http://" + first
	provider, err := devidp.Start(devidp.Config{
		ClientID: "app", ClientSecret: "hunter2hunter2",
		RedirectURIs: []string{origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{origin + "/api/auth/sign-out-callback"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	key := keyFile(t)
	replica := func(listen, admin string) *program {
		return start(t, "serve", "--listen="+listen, "--admin_listen="+admin, "--public_url="+origin,
			"--provider.issuer="+provider.Issuer(), "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
			"--session.keys=file:"+key, "--cache.url=redis://:hunter2redis@"+server.Addr()+"?timeout=2s")
	}
	a, b := replica(first, ""), replica(second, admin)
	c := newBrowser(t)
	token := func(at string) int { status, _ := get(t, c, "http://"+at+"/api/cognito-token"); return status }
	ready := func(want int, reason string) func() bool {
		return func() bool {
			status, body := get(t, c, "http://"+admin+"/readyz")
			return status == want && strings.Contains(body, reason)
		}
	}
	until(t, "both are ready", func() bool {
		status, _ := get(t, c, origin+"/readyz")
		return status == http.StatusOK && ready(http.StatusOK, "")()
	})

	signIn(t, c, origin, provider.Users()[0])
	cookies := c.Jar.Cookies(mustURL(t, origin))
	if got := token(second); got != http.StatusOK {
		t.Fatalf("token at the other replica: got %d, want 200", got)
	}
	res, err := c.Post(origin+"/api/auth/sign-out", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	c.Jar.SetCookies(mustURL(t, origin), cookies) // whoever kept a copy
	if got := token(second); got != http.StatusUnauthorized {
		t.Errorf("the copied cookie at the other replica after sign-out: got %d, want 401", got)
	}

	signIn(t, c, origin, provider.Users()[0])
	server.Stop()
	until(t, "readiness says that the cache is gone", ready(http.StatusServiceUnavailable, "cache"))
	if status, body := get(t, c, "http://"+admin+"/readyz?without=cache"); status != http.StatusOK {
		t.Errorf("readiness without the cache: got %d %s, want 200", status, body)
	}
	until(t, "the cache is left alone", func() bool {
		_ = token(second)
		_, body := get(t, c, "http://"+admin+"/metrics")
		return strings.Contains(body, "vestibule_cache_breaker_open 1\n")
	})
	if got := token(second); got != http.StatusOK {
		t.Errorf("a living token without the cache: got %d, want 200", got)
	}
	server.Restart()
	until(t, "the cache is found again", ready(http.StatusOK, ""))
	if _, body := get(t, c, "http://"+admin+"/metrics"); !strings.Contains(body, "vestibule_cache_breaker_open 0\n") ||
		!strings.Contains(body, `vestibule_cache_call_duration_seconds_count{operation="get_many",outcome="ok"}`) {
		t.Error("the metrics do not tell of the cache's calls and its return")
	}

	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, a)
	stopped(t, b)
	log := a.errw.String() + b.errw.String()
	if !strings.Contains(b.errw.String(), "the cache does not answer") || !strings.Contains(b.errw.String(), "the cache answers again") {
		t.Errorf("the log does not tell of the loss and the return:\n%s", b.errw)
	}
	if strings.Contains(log, "hunter2") {
		t.Error("the log holds a secret")
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
