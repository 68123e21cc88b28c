// The tests of this package enter by the front door: newServer runs all of Vestibule on a real listener, the development
// provider stands in for Cognito, and a browser with a cookie jar asks. One clock, which stands still until a test moves
// it, serves all of them.
package handlers_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/e2e/oidcprovider"
	"vestibule/handlers"
	"vestibule/idp"
	"vestibule/idp/devidp"
	"vestibule/machine"
	"vestibule/secret"
	"vestibule/session"
	"vestibule/upstream"
	"vestibule/web"
)

// signingKeys are shared by every provider of this package: a pair costs a third of a second.
var signingKeys = sync.OnceValue(devidp.NewKeys)

// certificate is httptest's, good for 127.0.0.1.
var certificate = sync.OnceValue(func() *httptest.Server {
	s := httptest.NewTLSServer(nil)
	s.Close()
	return s
})

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2031, time.May, 6, 7, 8, 9, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logs keeps what was logged, at every level.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// options is what a test may change. What is left zero is filled in as the wiring of the program does it.
type options struct {
	https      bool
	adopt      bool          // sessions of Amplify's adapter
	app        http.Handler  // the application behind Vestibule; nil: there is none
	appURL     string        // where it is, in place of an address of its own
	appTimeout time.Duration // for the beginning of its answers
	base       string        // path of the public URL
	clock      *clock
	provider   *devidp.Server // one that runs already; nil: a new one of dev
	dev        devidp.Config
	// certified starts the certified provider in the place of ours; the test's clock must then be near the real one.
	certified *oidcprovider.Config
	// backchannel has the certified provider tell of sign-outs.
	backchannel bool
	idp         idp.Config
	session     session.Config
	machine     *machine.Config // nil: no machine tokens
	handlers    handlers.Config
	web         web.Config
}

type server struct {
	url      string // public URL
	origin   string
	provider *devidp.Server // nil when it is the certified one
	second   *oidcprovider.Provider
	sessions *session.Manager
	machines *machine.Cache // nil: none
	app      *upstream.App  // nil: there is none
	web      *web.Server
	clock    *clock
	logs     *logs
	stop     func() // drains; may be called more than once
	tls      *tls.Config
	cookie   string // name of the session cookie
	shared   options
}

// newServer starts the whole of Vestibule and stops it with the test.
func newServer(t testing.TB, change func(*options)) *server {
	t.Helper()
	o := options{}
	if change != nil {
		change(&o)
	}
	if o.clock == nil {
		o.clock = newClock()
	}
	s := &server{clock: o.clock, logs: &logs{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.origin = "http://" + listener.Addr().String()
	if o.https {
		s.origin = "https://" + listener.Addr().String()
		own := certificate()
		s.tls = &tls.Config{RootCAs: own.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		listener = tls.NewListener(listener, &tls.Config{Certificates: own.TLS.Certificates})
	}
	s.url = s.origin + o.base
	s.startProvider(t, &o)
	s.assemble(t, &o)
	s.serve(t, listener)
	s.shared = o
	return s
}

func (s *server) startProvider(t testing.TB, o *options) {
	t.Helper()
	callbacks := []string{s.url + "/api/auth/sign-in-callback"}
	logouts := []string{s.url + "/api/auth/sign-out-callback"}
	if o.certified != nil {
		o.certified.RedirectURIs, o.certified.PostLogoutRedirectURIs = callbacks, logouts
		if o.backchannel {
			o.certified.BackchannelLogoutURI = s.url + backPath
		}
		s.second = oidcprovider.Start(t, *o.certified)
		o.idp.Issuer, o.idp.ClientID = s.second.Issuer, s.second.ClientID
		o.idp.ClientSecret = func() []byte { return []byte(s.second.ClientSecret) }
		return
	}
	if o.provider == nil {
		o.dev.Now, o.dev.Keys = o.clock.Now, signingKeys()
		p, err := devidp.Start(o.dev)
		must(t, err)
		t.Cleanup(func() { _ = p.Close() })
		o.provider = p
	}
	s.provider = o.provider
	must(t, s.provider.AllowRedirect(callbacks...))
	must(t, s.provider.AllowLogout(logouts...))
	o.idp.Issuer, o.idp.ClientID = s.provider.Issuer(), s.provider.ClientID()
	o.idp.ClientSecret = func() []byte { return []byte(s.provider.ClientSecret()) }
}

func (s *server) serve(t testing.TB, l net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go s.sessions.Run(ctx)
	go func() { done <- s.web.Serve(ctx, l, nil) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(s.stop)
}

// replica is a second process of the same deployment: it shares provider, clock, keys and store, and nothing else.
func (s *server) replica(t testing.TB, change func(*options)) *server {
	t.Helper()
	return newServer(t, func(o *options) {
		o.clock, o.provider, o.https, o.adopt = s.clock, s.provider, s.shared.https, s.shared.adopt
		o.session.Keys, o.session.Store, o.session.Timing = s.shared.session.Keys, s.shared.session.Store, s.shared.session.Timing
		o.session.Mode = s.shared.session.Mode
		o.machine = s.shared.machine
		if change != nil {
			change(o)
		}
	})
}

func newRing(t testing.TB, keys ...string) *secret.Ring {
	t.Helper()
	var values []secret.Value
	for _, k := range keys {
		values = append(values, secret.New([]byte(k)))
	}
	ring, err := secret.NewRing(values...)
	must(t, err)
	return ring
}

// faults makes the provider misbehave.
func (s *server) faults(t testing.TB, f devidp.Faults) {
	t.Helper()
	must(t, s.provider.SetFaults(f))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gate is a transport that can hold back what goes to the token endpoint, or what comes back from there, and tells who
// has arrived.
type gate struct {
	next    http.RoundTripper
	arrived chan struct{}
	answers bool // hold the answers, not the requests

	mu   sync.Mutex
	shut chan struct{} // nil: open
}

func newGate() *gate {
	return &gate{next: http.DefaultTransport.(*http.Transport).Clone(), arrived: make(chan struct{}, 100)}
}

// close holds requests back until open is called.
func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.shut = shut
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(shut)
		g.shut = nil
	})
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil || !strings.HasSuffix(r.URL.Path, "/token") {
		return g.next.RoundTrip(r)
	}
	if !g.answers {
		if err := g.wait(r.Context(), shut); err != nil {
			return nil, err
		}
		return g.next.RoundTrip(r)
	}
	res, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := g.wait(r.Context(), shut); err != nil {
		_ = res.Body.Close() // nobody is left to read it
		return nil, err
	}
	return res, nil
}

func (g *gate) wait(ctx context.Context, shut <-chan struct{}) error {
	g.arrived <- struct{}{}
	select {
	case <-shut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
