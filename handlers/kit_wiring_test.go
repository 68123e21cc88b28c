package handlers_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"vestibule/handlers"
	"vestibule/idp"
	"vestibule/kv"
	"vestibule/machine"
	"vestibule/secret"
	"vestibule/session"
	"vestibule/session/amplify"
	"vestibule/static"
	"vestibule/upstream"
	"vestibule/views"
	"vestibule/web"
)

// looksOf are the assets and pages of each base path. Nothing changes them, and reading five languages anew for each test would cost more
// than most tests do.
var looksOf = struct {
	sync.Mutex
	assets map[string]*static.Assets
	pages  map[string]*views.Views
}{assets: map[string]*static.Assets{}, pages: map[string]*views.Views{}}

func looks(t testing.TB, base string) (*static.Assets, *views.Views) {
	t.Helper()
	looksOf.Lock()
	defer looksOf.Unlock()
	if looksOf.pages[base] == nil {
		assets, err := static.New(static.Config{Prefix: base + "/static/"})
		must(t, err)
		pages, err := views.New(views.Config{Assets: assets})
		must(t, err)
		looksOf.assets[base], looksOf.pages[base] = assets, pages
	}
	return looksOf.assets[base], looksOf.pages[base]
}

// assemble is the wiring of cmd/vestibule with a clock and a log of the test's.
func (s *server) assemble(t testing.TB, o *options) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	metrics := web.NewMetrics()
	public, err := url.Parse(s.url)
	must(t, err)

	o.idp.RedirectURL, o.idp.LogoutRedirectURL = s.url+"/api/auth/sign-in-callback", s.url+"/api/auth/sign-out-callback"
	o.idp.Now, o.idp.Logger, o.idp.Observe = o.clock.Now, log, metrics.Provider
	if o.idp.Claims == nil {
		o.idp.Claims = []string{"sub", "email", "email_verified", "name", "cognito:groups"}
	}
	if o.idp.Scopes == nil {
		o.idp.Scopes = []string{"openid", "email", "profile"} // config's default
	}
	o.handlers.Scopes = o.idp.Scopes
	provider, err := idp.New(o.idp)
	must(t, err)

	keep := func() bool { return o.handlers.IncludeIDToken || provider.WantsIDTokenHint() }
	c := &o.session
	c.Provider = handlers.Tokens{Provider: provider, KeepIDToken: keep}
	c.Issuer, c.ClientID, c.Secure = o.idp.Issuer, o.idp.ClientID, o.https
	if c.CookieName == "" {
		c.CookieName = "vestibule"
		if o.https {
			c.CookieName = "__Host-vestibule"
		}
	}
	if c.Keys == nil {
		c.Keys = newRing(t, secret.GenerateKey())
	}
	if c.Store == nil {
		c.Store = kv.NewMemory(kv.MemoryConfig{Now: o.clock.Now})
	}
	if feed, ok := c.Store.(kv.Feed); ok && c.Feed == nil {
		c.Feed = feed
	}
	c.Now, c.Logger, c.Observe = o.clock.Now, log, metrics.Session
	s.cookie = c.CookieName
	s.sessions, err = session.New(*c)
	must(t, err)

	assets, pages := looks(t, o.base)
	o.handlers.PublicURL, o.handlers.Sessions, o.handlers.Provider = public, s.sessions, provider
	o.handlers.Store, o.handlers.Views, o.handlers.Now, o.handlers.Logger = c.Store, pages, o.clock.Now, log
	o.handlers.ListSessions = c.Mode == session.ModeServer
	o.handlers.SameSiteStrict, o.handlers.KeepIDToken = c.SameSite == http.SameSiteStrictMode, keep
	if o.adopt {
		o.handlers.Amplify = &amplify.Cookies{ClientID: o.idp.ClientID, Secure: o.https}
	}
	if o.machine != nil {
		s.assembleMachine(t, o, log, metrics, provider)
	}
	w := o.web
	if o.app != nil {
		s.app = s.behind(t, o, public, log)
		o.handlers.App, w.Leave = s.app, s.app.Drain
	}
	h, err := handlers.New(o.handlers)
	must(t, err)
	if o.app != nil {
		w.Fallback = h.App
	}
	w.Handlers, w.Assets, w.Metrics, w.Drain = h, assets, metrics, s.sessions.Drain
	if w.Logger == nil {
		w.Logger = log
	}
	w.BasePath, w.AuthPath, w.TokenPath = o.base, "/api/auth", "/api/cognito-token"
	s.web, err = web.New(w)
	must(t, err)
}

func (s *server) assembleMachine(t testing.TB, o *options, log *slog.Logger, metrics *web.Metrics, provider *idp.Provider) {
	t.Helper()
	c := *o.machine
	c.Keys, c.Realm, c.Now, c.Logger, c.Observe = o.session.Keys, o.idp.Issuer, o.clock.Now, log, metrics.Machine
	if c.TokenURL == nil {
		c.TokenURL = provider.TokenEndpoint
	}
	if c.Store == nil {
		c.Store = o.session.Store
	}
	var err error
	s.machines, err = machine.New(c)
	must(t, err)
	metrics.MachineTokens(s.machines.Held)
	o.handlers.Machine = s.machines
}

// behind starts the application.
func (s *server) behind(t testing.TB, o *options, public *url.URL, log *slog.Logger) *upstream.App {
	t.Helper()
	if o.appURL == "" {
		running := httptest.NewServer(o.app)
		t.Cleanup(running.Close)
		o.appURL = running.URL
	}
	target, err := url.Parse(o.appURL)
	must(t, err)
	app, err := upstream.NewApp(upstream.AppConfig{
		Target: target, PublicURL: public, Strip: s.sessions.Strip, Owns: s.sessions.Owns, Logger: log, HeaderTimeout: o.appTimeout,
	})
	must(t, err)
	return app
}
