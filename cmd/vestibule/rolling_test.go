package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv/redis/redistest"
)

// One rolling restart.
const (
	rollingDelay  = time.Second            // shutdown_delay: longer than probeEvery and endpointLag together
	rollingLife   = 4 * time.Second        // of an access token: refreshed at half of it
	rollingAnswer = 400 * time.Millisecond // of the provider, so that stops come into the middle of refreshes
	rollingPace   = 50 * time.Millisecond  // between two requests of a tab
	rollingPeople = 3
	rollingLeast  = 500 // requests, or it proves little
	rollingTabs   = 4   // of each person
)

// Three processes are replaced one after the other, as an orchestrator does it, while people work: no request fails, nobody is signed
// out, and no token is refreshed twice. The provider takes a second use of a refresh token for theft.
func TestFleetCutsNothingInARollingRestart(t *testing.T) {
	// nginx goes on sending to a process until it takes no connection. One that comes in that very moment is reset, and nginx then asks
	// another process, but only for what may be asked twice.
	for name, c := range map[string]struct {
		mode     string
		entrance func(t *testing.T, replicas []string) string
		reads    bool // nothing but reads
	}{
		"cookie mode and connections spread over what is ready": {"cookie", probedEntrance, false},
		"server mode and connections spread over what is ready": {"server", probedEntrance, false},
		"cookie mode behind nginx which probes nothing":         {"cookie", nginxEntrance, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, c.mode, c.entrance)
			var people []*person
			for i := range rollingPeople {
				people = append(people, newPerson(t, f.origin, f.provider.Users()[i%2]))
				people[i].reads = c.reads
			}
			if err := f.provider.SetFaults(devidp.Faults{Token: devidp.Fault{Latency: rollingAnswer}}); err != nil {
				t.Fatal(err)
			}
			before := f.provider.Stats()
			var working sync.WaitGroup
			home := make(chan struct{})
			for i := range rollingPeople * rollingTabs {
				working.Go(func() { people[i%rollingPeople].work(i, home) })
			}
			for i := range f.replicas {
				f.replace(t, i)
			}
			until(t, "enough was asked", func() bool { return requestsOf(people) >= rollingLeast })
			close(home)
			working.Wait()
			f.wants(t, people, before)
		})
	}
}

// fleet is three processes behind one entrance, with Redis, the provider, and an application behind them.
type fleet struct {
	origin   string
	provider *devidp.Server
	args     []string
	replicas []*replica
	started  int
}

type replica struct {
	address string
	cmd     *exec.Cmd
	errw    *screen
	ended   chan error
}

func newFleet(t *testing.T, mode string, entrance func(*testing.T, []string) string) *fleet {
	t.Helper()
	f := &fleet{}
	var addresses []string
	for range 3 {
		addresses = append(addresses, freeAddress(t))
	}
	f.origin = "http://" + entrance(t, addresses)
	var err error
	f.provider, err = devidp.Start(devidp.Config{
		ClientID: "app", ClientSecret: "hunter2hunter2", AccessLife: rollingLife, IDLife: rollingLife,
		RedirectURIs: []string{f.origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{f.origin + "/api/auth/sign-out-callback"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.provider.Close() })
	behind := httptest.NewServer(http.HandlerFunc(page))
	t.Cleanup(behind.Close)
	f.args = []string{
		"serve", "--admin_listen=", "--public_url=" + f.origin, "--provider.issuer=" + f.provider.Issuer(), "--provider.client_id=app",
		"--provider.client_secret=hunter2hunter2", "--session.keys=file:" + keyFile(t), "--session.mode=" + mode, "--app.url=" + behind.URL,
		"--cache.url=" + redistest.Start(t, redistest.Config{}).URL() + "?timeout=2s", "--shutdown_delay=" + rollingDelay.String(), "--log.format=json",
	}
	for _, address := range addresses {
		f.replicas = append(f.replicas, f.start(t, address))
	}
	c := newBrowser(t)
	for _, r := range f.replicas {
		until(t, "a replica is ready", func() bool { status, _ := get(t, c, "http://"+r.address+"/readyz"); return status == http.StatusOK })
	}
	until(t, "the entrance is open", func() bool { status, _ := get(t, c, f.origin+"/readyz"); return status == http.StatusOK })
	return f
}

// page is the application: what it answers depends on whether it is told of a token that still lives.
func page(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
}

// start runs the program in a process of its own.
func (f *fleet) start(t *testing.T, address string) *replica {
	t.Helper()
	r := &replica{address: address, cmd: exec.Command(binary(t), append(f.args, "--listen="+address)...), errw: &screen{}, ended: make(chan error, 1)}
	r.cmd.Stderr = r.errw
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.cmd.Wait(); close(r.ended) }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
		if t.Failed() {
			t.Logf("%s said:\n%.3000s", address, r.errw)
		}
	})
	f.started++
	return r
}

// replace stops a replica as an orchestrator does, and goes on when its successor is ready and known to be.
func (f *fleet) replace(t *testing.T, i int) {
	t.Helper()
	old := f.replicas[i]
	if err := old.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-old.ended:
		if err != nil {
			t.Errorf("a replica ended with %v:\n%s", err, old.errw)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a replica does not stop")
	}
	next := f.start(t, old.address)
	f.replicas[i] = next
	c := newBrowser(t)
	until(t, "its successor is ready", func() bool { status, _ := get(t, c, "http://"+next.address+"/readyz"); return status == http.StatusOK })
	// Anybody may be sent to it now; the next one goes only after that.
	known := time.NewTimer(probeEvery + endpointLag)
	defer known.Stop()
	<-known.C
}

// wants says what went wrong, if anything did.
func (f *fleet) wants(t *testing.T, people []*person, before devidp.Stats) {
	t.Helper()
	tokens, requests := 0, requestsOf(people)
	for _, p := range people {
		p.mu.Lock()
		for what, n := range p.wrong {
			t.Errorf("%d times: %s", n, what)
		}
		tokens += len(p.tokens)
		p.mu.Unlock()
	}
	after := f.provider.Stats()
	refreshes, reuses := after.Refresh.Asked-before.Refresh.Asked, after.Reuses-before.Reuses
	t.Logf("%d requests, %d refreshes", requests, refreshes)
	if f.started != 6 {
		t.Errorf("%d processes were started: this proves little", f.started)
	}
	// Each person began with one token, and saw every further one.
	if want := int64(tokens - len(people)); refreshes != want || refreshes < int64(2*len(people)) || reuses != 0 || after.Refresh.OK != after.Refresh.Asked {
		t.Errorf("%d refreshes (%+v, %d reuses), want %d: one for each token, two and more for each person", refreshes, after.Refresh, reuses, want)
	}
}

func requestsOf(people []*person) (n int64) {
	for _, p := range people {
		n += p.requests.Load()
	}
	return n
}

// person is a browser with several tabs.
type person struct {
	origin   string
	client   *http.Client
	reads    bool
	requests atomic.Int64

	mu     sync.Mutex
	tokens map[string]bool
	wrong  map[string]int // what went wrong → how often
}

func newPerson(t *testing.T, origin string, user devidp.User) *person {
	t.Helper()
	p := &person{origin: origin, client: newBrowser(t), tokens: map[string]bool{}, wrong: map[string]int{}}
	p.client.Transport.(*http.Transport).MaxIdleConnsPerHost = rollingTabs
	p.client.Transport.(*http.Transport).MaxConnsPerHost = 6 // as browsers do
	// Shorter than the delay: a connection that nobody uses is then left by us before the process leaves it.
	p.client.Transport.(*http.Transport).IdleConnTimeout = rollingDelay / 2
	p.client.Timeout = 20 * time.Second
	signIn(t, p.client, origin, user)
	p.token()
	return p
}

// work is one tab. It asks once more after the last replacement, so that no token goes unseen.
func (p *person) work(turn int, home <-chan struct{}) {
	tick := time.NewTicker(rollingPace)
	defer tick.Stop()
	for ; ; turn++ {
		select {
		case <-home:
			p.token()
			return
		case <-tick.C:
		}
		switch {
		case turn%4 == 0:
			p.token()
		case turn%4 == 1 || turn%4 == 2 && p.reads:
			p.ask(http.MethodGet, "/dashboard", "", http.StatusOK, "GET ")
		case turn%4 == 2:
			p.ask(http.MethodPost, "/api/orders", "two apples", http.StatusOK, "POST two apples")
		default:
			p.ask(http.MethodGet, "/api/auth/session", "", http.StatusOK, "")
		}
	}
}

func (p *person) token() {
	body := p.ask(http.MethodGet, "/api/cognito-token", "", http.StatusOK, "")
	var answer struct{ AccessToken string }
	if json.Unmarshal(body, &answer) == nil && answer.AccessToken != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tokens[answer.AccessToken] = true
	}
}

// ask sends one request, and notes what is not as it should be. net/http sends a GET again when its connection was closed on it:
// that is a request that was cut, too.
func (p *person) ask(method, path, body string, status int, want string) []byte {
	connections := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }})
	r, err := http.NewRequestWithContext(ctx, method, p.origin+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		p.note("%v", err)
		return nil
	}
	r.ContentLength = int64(len(body))
	if body == "" {
		r.Body = nil
	}
	r.Header.Set("Origin", p.origin)
	p.requests.Add(1)
	res, err := p.client.Do(r)
	if err != nil {
		p.note("%s %s: %v", method, path, cause(err))
		return nil
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		p.note("%s %s: the answer broke off: %v", method, path, cause(err))
	case connections != 1:
		p.note("%s %s: sent again on another connection", method, path)
	case res.StatusCode != status || !strings.HasPrefix(string(got), want):
		p.note("%s %s: %s %.80s", method, path, res.Status, got)
	}
	return got
}

func (p *person) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong[fmt.Sprintf(format, args...)]++
}
