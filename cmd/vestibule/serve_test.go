package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv/kvtest/testproc"
	"vestibule/secret"
)

// screen is what a program prints, for a test that watches it.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// program is one run of the whole program.
type program struct {
	out, errw *screen
	stop      context.CancelFunc
	status    chan int
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &program{out: &screen{}, errw: &screen{}, stop: stop, status: make(chan int, 1)}
	go func() {
		p.status <- run(ctx, process{
			args: args, environ: func() []string { return nil }, lookup: func(string) (string, bool) { return "", false },
			out: p.out, errw: p.errw,
		})
		close(p.status)
	}()
	t.Cleanup(func() { stop(); <-p.status })
	return p
}

// until waits for an event at the edge of the process: a line printed, a port that answers.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// freeAddress is one that nobody else is given here: see testproc.FreePort.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testproc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// newBrowser keeps cookies and follows redirects; connections are closed with the test.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// signIn goes to the provider's form and fills it in, as a person does.
func signIn(t *testing.T, c *http.Client, origin string, user devidp.User) string {
	t.Helper()
	res, err := c.Get(origin + "/api/auth/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	csrf := regexp.MustCompile(`name="_csrf" value="([^"]*)"`).FindSubmatch(page)
	if err != nil || csrf == nil {
		t.Fatalf("no sign-in form at %s: %v\n%s", res.Request.URL.Path, err, page)
	}
	form := map[string][]string{"_csrf": {string(csrf[1])}, "username": {user.Email}, "password": {user.Password}}
	res, err = c.PostForm(res.Request.URL.String(), form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// policyOf is the content security policy of the page at the root.
func policyOf(t *testing.T, c *http.Client, origin string) string {
	t.Helper()
	res, err := c.Get(origin + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.Header.Get("Content-Security-Policy")
}

func stopped(t *testing.T, p *program) {
	t.Helper()
	p.stop()
	if got := <-p.status; got != 0 {
		t.Errorf("exit status: got %d, want 0; it said:\n%s", got, p.errw)
	}
}

func TestTheDemoSignsInAndStops(t *testing.T) {
	p, origin := startDemo(t)
	events := regexp.MustCompile(`Events\s+(http://127\.0\.0\.1:\d+)/event `).FindStringSubmatch(p.out.String())
	if events == nil {
		t.Fatalf("the demo does not say where its events are:\n%s", p.out)
	}
	user := devidp.DemoUsers()[0]
	if !strings.Contains(p.out.String(), user.Email) || !strings.Contains(p.out.String(), user.Password) {
		t.Errorf("the demo does not say who to sign in as:\n%s", p.out)
	}
	c := newBrowser(t)
	if status, body := get(t, c, origin+"/api/cognito-token"); status != http.StatusUnauthorized {
		t.Errorf("before the sign-in: got %d %s, want 401", status, body)
	}
	page := signIn(t, c, origin, user)
	for _, want := range []string{`data-testid="sign-out"`, user.Email, `data-events-url="` + events[1] + `/event"`} {
		if !strings.Contains(page, want) {
			t.Errorf("after the sign-in the page does not hold %s:\n%.2000s", want, page)
		}
	}
	if got, want := policyOf(t, c, origin), "connect-src 'self' "+strings.Replace(events[1], "http", "ws", 1)+";"; !strings.Contains(got, want) {
		t.Errorf("policy: got %s, want %s in it", got, want)
	}
	if status, body := get(t, c, origin+"/api/cognito-token"); status != http.StatusOK || !strings.Contains(body, `"accessToken":"ey`) {
		t.Errorf("token: got %d %s, want one", status, body)
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	for _, at := range []string{origin + "/healthz", events[1] + "/eventsdev/stats"} {
		if status, _ := get(t, c, at); status != 0 {
			t.Errorf("after the stop something still answers at %s: %d", at, status)
		}
	}
}

// serve starts while the provider is down: readiness says no, and yes as soon as it is there.
func TestServeWaitsForItsProviderAndStops(t *testing.T) {
	public, admin, idpAddress := freeAddress(t), freeAddress(t), freeAddress(t)
	origin := "http://" + public
	key := t.TempDir() + "/key"
	if err := os.WriteFile(key, []byte(secret.GenerateKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--listen="+public, "--admin_listen="+admin, "--public_url="+origin,
		"--provider.issuer=http://"+idpAddress+"/"+devidp.DefaultPoolID, "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
		"--session.keys=file:"+key, "--shutdown_delay=50ms")
	c := newBrowser(t)
	until(t, "the public listener answers", func() bool { status, _ := get(t, c, origin+"/healthz"); return status == http.StatusOK })
	for _, at := range []string{public, admin} {
		if status, body := get(t, c, "http://"+at+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "provider") {
			t.Errorf("readiness at %s without a provider: got %d %s, want 503", at, status, body)
		}
	}

	provider, err := devidp.Start(devidp.Config{
		Addr: idpAddress, ClientID: "app", ClientSecret: "hunter2hunter2", AccessLife: time.Minute,
		RedirectURIs: []string{origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{origin + "/api/auth/sign-out-callback"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	until(t, "readiness says yes", func() bool { status, _ := get(t, c, "http://"+admin+"/readyz"); return status == http.StatusOK })

	signIn(t, c, origin, provider.Users()[0])
	if status, body := get(t, c, origin+"/api/cognito-token"); status != http.StatusOK {
		t.Errorf("token: got %d %s, want 200", status, body)
	}
	if status, body := get(t, c, "http://"+admin+"/metrics"); status != http.StatusOK || !strings.Contains(body, `vestibule_provider_request_duration_seconds_count{operation="code",outcome="ok"} 1`) {
		t.Errorf("metrics: got %d, want the code exchange counted", status)
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	log := p.errw.String()
	if !strings.Contains(log, `"msg":"serving"`) || !strings.Contains(log, `"msg":"stopping"`) {
		t.Errorf("the log does not tell start and stop:\n%s", log)
	}
	if strings.Contains(log, "hunter2") || strings.Contains(log, "wonderland") {
		t.Error("the log holds a secret")
	}
}
