package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv/dynamodb/dynamodbtest"
	"vestibule/kv/redis/redistest"
	"vestibule/lab"
)

// scene is three processes of the program that share a cache, and a provider that takes no refresh token twice.
type scene struct {
	origin    string
	provider  *devidp.Server
	witness   *lab.Witness
	addresses []string
	processes []*exec.Cmd
	screens   []*screen
}

// sceneSetting is what scenes differ in.
type sceneSetting struct {
	mode      string
	cache     string // URL
	env       []string
	grace     time.Duration
	delay     lab.Delay
	tokenLife time.Duration
}

func newScene(t *testing.T, c sceneSetting) *scene {
	t.Helper()
	s := &scene{}
	for range 3 {
		s.addresses = append(s.addresses, freeAddress(t))
	}
	s.origin = "http://" + s.addresses[0]
	var err error
	s.provider, err = devidp.Start(devidp.Config{
		RedirectURIs: []string{s.origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{s.origin + "/api/auth/sign-out-callback"},
		AccessLife: c.tokenLife, IDLife: c.tokenLife, Grace: c.grace,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.provider.Close() })
	if s.witness, err = lab.NewWitness(s.provider.URL()+"/oauth2/token", c.delay); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.witness.Close() })
	key := keyFile(t)
	for n := range s.addresses {
		s.start(t, n, key, c)
	}
	return s
}

// start runs the program in a process of its own.
func (s *scene) start(t *testing.T, n int, key string, c sceneSetting) {
	t.Helper()
	p, errw := exec.Command(binary(t), "serve", "--listen="+s.addresses[n], "--admin_listen=", "--public_url="+s.origin,
		"--provider.issuer="+s.provider.Issuer(), "--provider.client_id="+s.provider.ClientID(), "--provider.client_secret="+s.provider.ClientSecret(),
		"--provider.authorization_endpoint="+s.provider.URL()+"/oauth2/authorize", "--provider.token_endpoint="+s.witness.Endpoint(n),
		"--provider.jwks_uri="+s.provider.Issuer()+"/.well-known/jwks.json", "--provider.revocation_endpoint="+s.provider.URL()+"/oauth2/revoke",
		"--session.keys=file:"+key, "--session.mode="+c.mode, "--cache.url="+c.cache, "--log.level=warn", "--log.format=text"), &screen{}
	p.Env = append(os.Environ(), c.env...)
	p.Stderr = errw
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	s.processes, s.screens = append(s.processes, p), append(s.screens, errw)
}

// ready waits until all of them are.
func (s *scene) ready(t *testing.T) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(s.said())
		}
	}()
	c := newBrowser(t)
	for _, at := range s.addresses {
		until(t, "a replica is ready", func() bool { status, _ := get(t, c, "http://"+at+"/readyz"); return status == http.StatusOK })
	}
}

func (s *scene) experiment(c lab.Config) lab.Config {
	c.Origin, c.Replicas, c.Witness = s.origin, s.addresses, s.witness
	c.SignIn = func(ctx context.Context, authorizeURL string, n int) (string, error) {
		users := s.provider.Users()
		return s.provider.SignIn(ctx, authorizeURL, users[n%len(users)])
	}
	return c
}

// said is the end of what the processes logged.
func (s *scene) said() string {
	var all []string
	for _, errw := range s.screens {
		text := errw.String()
		all = append(all, text[max(0, len(text)-2000):])
	}
	return strings.Join(all, "\n--\n")
}

// caches are real servers, by name; each call of the function gives a cache of its own on it.
func caches(t *testing.T) map[string]func() (url string, env []string) {
	t.Helper()
	redis, dynamo := redistest.Start(t, redistest.Config{Lines: []string{"databases 64"}}), dynamodbtest.Start(t)
	var env []string
	for name, value := range dynamodbtest.Credentials() {
		env = append(env, name+"="+value)
	}
	used := 0
	return map[string]func() (string, []string){
		// On a machine that is busy with all the tests a cache may take longer than it may elsewhere.
		"Redis": func() (string, []string) {
			used++
			return redis.URL() + "/" + string('0'+rune(used)) + "?timeout=5s", nil
		},
		"DynamoDB": func() (string, []string) { return dynamo.URL() + "&timeout=5s", env },
	}
}

// Three processes, forty tabs of one session or of five at once, and a provider that needs three seconds for a refresh and takes
// a second use of a token for theft.
func TestFleetRefreshesEachSessionOnce(t *testing.T) {
	// Half of it is left when a refresh begins: on a machine that is busy with all the tests, tokens that are over sooner are answered 503.
	const tokenLife = 20 * time.Second
	open := caches(t)
	type run struct {
		name     string
		sessions int
		scene    *scene
		report   lab.Report
		err      error
	}
	var runs []*run
	for cache := range open {
		for _, mode := range []string{"cookie", "server"} {
			for _, sessions := range []int{1, 5} {
				url, env := open[cache]()
				s := newScene(t, sceneSetting{mode: mode, cache: url, env: env, delay: lab.Delay{After: 3 * time.Second}, tokenLife: tokenLife})
				runs = append(runs, &run{name: fmt.Sprintf("%s mode on %s, %d sessions", mode, cache, sessions), sessions: sessions, scene: s})
			}
		}
	}
	var all sync.WaitGroup
	for _, r := range runs {
		r.scene.ready(t)
	}
	for _, r := range runs {
		all.Go(func() {
			r.report, r.err = lab.Run(t.Context(), r.scene.experiment(lab.Config{
				Sessions: r.sessions, Tabs: 40, Duration: 24 * time.Second, Every: time.Duration(r.sessions) * 1600 * time.Millisecond, TokenLife: tokenLife,
			}))
		})
	}
	all.Wait()
	for _, r := range runs {
		got, stats := r.report, r.scene.provider.Stats()
		t.Logf("%s: %d requests, %d refreshes of %d expected, waited %+v, prompt %+v, cookie %d bytes",
			r.name, got.Requests, got.Refreshes, got.Expected, got.Waited, got.Prompt, got.CookieBytes)
		if r.err != nil || len(got.Faults()) > 0 || got.Expected <= r.sessions || stats.Reuses > 0 {
			t.Errorf("%s: got %v %q, %d reuses, %+v\n%s", r.name, r.err, got.Faults(), stats.Reuses, got, r.scene.said())
		}
		if strings.HasPrefix(r.name, "server") && got.CookieBytes >= 200 {
			t.Errorf("%s: the cookie is %d bytes, want a ticket of less than 200", r.name, got.CookieBytes)
		}
	}
}

// A process is killed by the operating system while it refreshes. What it was told by the provider, and had not handed on, is gone
// with it; nothing else is.
func TestFleetLosesAtMostTheAnswerOfAProcessThatDies(t *testing.T) {
	open := caches(t)
	type row struct {
		name, mode, cache string
		at                lab.Moment
		grace             time.Duration
		mayLose           bool // the sessions whose answers died
		scene             *scene
		report            lab.Report
		err               error
	}
	rows := []*row{
		{name: "before the provider has decided", mode: "cookie", cache: "Redis", at: lab.Asked},
		{name: "in the middle of the answer, and the provider forgives", mode: "cookie", cache: "Redis", at: lab.Decided, grace: time.Minute},
		{name: "in the middle of the answer, and the provider forgives", mode: "server", cache: "DynamoDB", at: lab.Decided, grace: time.Minute},
		{name: "in the middle of the answer", mode: "cookie", cache: "DynamoDB", at: lab.Decided, mayLose: true},
		{name: "in the middle of the answer", mode: "server", cache: "Redis", at: lab.Decided, mayLose: true},
		{name: "as soon as it was answered", mode: "cookie", cache: "Redis", at: lab.Answered, mayLose: true},
		{name: "as soon as a tab holds the new token", mode: "server", cache: "Redis", at: lab.Served, mayLose: true},
	}
	for _, r := range rows {
		url, env := open[r.cache]()
		r.scene = newScene(t, sceneSetting{
			mode: r.mode, cache: url, env: env, grace: r.grace, delay: lab.Delay{Before: 500 * time.Millisecond, After: time.Second}, tokenLife: 6 * time.Second,
		})
	}
	var all sync.WaitGroup
	for _, r := range rows {
		r.scene.ready(t)
	}
	for _, r := range rows {
		all.Go(func() {
			r.report, r.err = lab.Run(t.Context(), r.scene.experiment(lab.Config{
				// A dead replica's lease is free 20 s after its last renewal.
				Sessions: 3, Tabs: 10, Duration: 29 * time.Second, Every: 2 * time.Second, TokenLife: 6 * time.Second, Excused: r.mayLose,
				Kill: &lab.Kill{At: r.at, Do: func(n int) { _ = r.scene.processes[n].Process.Kill(); _, _ = r.scene.processes[n].Process.Wait() }},
			}))
		})
	}
	all.Wait()
	for _, r := range rows {
		got := r.report
		t.Logf("%s, %s mode, %s: %d refreshes, %d answers lost, %d asked again, %d sessions out", r.name, r.mode, r.cache, got.Refreshes, got.Lost, got.Again, got.SignedOut)
		switch {
		case r.err != nil || !got.Killed || len(got.Faults()) > 0:
			t.Errorf("%s, %s mode, %s: got %v, %q, %+v\n%s", r.name, r.mode, r.cache, r.err, got.Faults(), got, r.scene.said())
		case got.SignedOut > got.Lost || !r.mayLose && got.SignedOut > 0:
			t.Errorf("%s, %s mode, %s: %d sessions signed out for %d lost answers", r.name, r.mode, r.cache, got.SignedOut, got.Lost)
		case r.at == lab.Decided && (got.Lost == 0 || got.Again == 0):
			t.Errorf("%s, %s mode, %s: %d answers lost, %d asked again: this proves nothing", r.name, r.mode, r.cache, got.Lost, got.Again)
		}
	}
}
