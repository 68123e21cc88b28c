package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"vestibule/config"
	"vestibule/handlers"
	"vestibule/idp"
	"vestibule/secret"
	"vestibule/session"
	"vestibule/session/amplify"
	"vestibule/static"
	"vestibule/upstream"
	"vestibule/views"
	"vestibule/web"
)

// app is everything that serves, put together.
type app struct {
	server   *web.Server
	provider *idp.Provider
	sessions *session.Manager
	secrets  *secret.Resolver
	store    store
}

// plan is what an app is made of.
type plan struct {
	config  *config.Config
	secrets secrets
	log     *slog.Logger
	audit   slog.Handler // nil: that of log
	metrics *web.Metrics
	pages   func(*handlers.Handlers, *web.Config) // adds the demo's pages; nil: there are none
	offline bool                                  // what only the network has is stood in for; for check alone
	through func(store) store                     // stands between an app and its store, for simulate alone; nil: nothing does
}

// secrets are the values behind the configuration's references.
type secrets struct {
	resolver     *secret.Resolver
	clientSecret secret.Value
	cacheURL     secret.Value
	adminToken   secret.Value    // not set: no operator ends sessions
	machines     []machineSecret // of the machine clients, in their order
	ring         *secret.Ring
}

// resolve reads every secret, and says of all of them at once what is wrong.
func resolve(ctx context.Context, pl plan, lookup func(string) (string, bool)) (secrets, config.Faults) {
	cfg := pl.config
	c := secret.Config{LookupEnv: lookup, Logger: pl.log, OnFailure: func(string) { pl.metrics.SecretFailed() }}
	if pl.offline {
		// A key that nobody has stands in: it is a good one wherever a secret is wanted.
		c.AWS = func(context.Context, secret.AWSSecret) ([]byte, error) { return []byte(secret.GenerateKey()), nil }
	}
	s := secrets{resolver: secret.NewResolver(c)}
	var faults config.Faults
	read := func(key string, ref config.SecretRef, rule func([]byte) error) secret.Value {
		v, err := s.resolver.Resolve(ctx, ref.Reference())
		if err != nil {
			faults = append(faults, referenceFault(key, err))
		} else if rule != nil {
			if err := v.Require(rule); err != nil {
				faults = append(faults, config.Fault{Key: key, Problem: err.Error(), Hint: `run "vestibule keygen"`})
			}
		}
		return v
	}
	s.clientSecret = read("provider.client_secret", cfg.Provider.ClientSecret, nil)
	s.cacheURL = read("cache.url", cfg.Cache.URL, nil)
	s.adminToken = read("admin.token", cfg.Admin.Token, noShorter(config.LeastAdminToken, "characters"))
	s.machines = resolveMachines(cfg, read)
	var keys []secret.Value
	for _, ref := range cfg.Session.Keys {
		v, err := s.resolver.Resolve(ctx, ref.Reference())
		switch {
		case errors.Is(err, secret.ErrNoSuchVersion) && strings.HasSuffix(ref.Reference(), "@AWSPREVIOUS"):
			pl.log.Warn("a session key is passed over: the secret was never rotated", "key", ref.Reference())
		case err != nil:
			faults = append(faults, referenceFault("session.keys", err))
		default:
			keys = append(keys, v)
		}
	}
	if len(faults) > 0 || len(cfg.Session.Keys) == 0 { // that there is no key is a fault already
		return s, faults
	}
	var err error
	if s.ring, err = secret.NewRing(keys...); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			faults = append(faults, config.Fault{Key: "session.keys", Problem: line, Hint: `run "vestibule keygen"`})
		}
	}
	return s, faults
}

// readSecret reads what stands under a key, there or where it refers to. A rule holds now and for whatever is read later; nil: any value does.
type readSecret func(key string, ref config.SecretRef, rule func([]byte) error) secret.Value

// noShorter is the rule of a secret that is all that stands between its holder and something.
func noShorter(least int, unit string) func([]byte) error {
	return func(text []byte) error {
		if len(text) < least {
			return fmt.Errorf("is shorter than %d %s", least, unit)
		}
		return nil
	}
}

func referenceFault(key string, err error) config.Fault {
	var r *secret.ReferenceError
	if !errors.As(err, &r) {
		return config.Fault{Key: key, Problem: err.Error()}
	}
	problem := r.Ref + ": " + r.Problem
	if r.Err != nil {
		problem += ": " + r.Err.Error()
	}
	return config.Fault{Key: key, Problem: problem, Hint: r.Hint}
}

// newProvider makes the provider's client; it reaches for nothing yet.
func newProvider(cfg *config.Config, s secrets, log *slog.Logger, observe func(idp.Call)) (*idp.Provider, error) {
	public := cfg.Public().String()
	c := idp.Config{
		Issuer: cfg.Provider.Issuer, ClientID: cfg.Provider.ClientID, ClientAuth: cfg.Provider.ClientAuth,
		RedirectURL:       public + cfg.AuthPath + "/sign-in-callback",
		LogoutRedirectURL: public + cfg.AuthPath + "/sign-out-callback",
		Scopes:            cfg.Provider.Scopes, AuthorizeParams: cfg.Provider.AuthorizeParams,
		Logout: cfg.Provider.Logout, Claims: cfg.Session.Claims,
		Endpoints: idp.Endpoints{
			Authorization: cfg.Provider.AuthorizationEndpoint, Token: cfg.Provider.TokenEndpoint, JWKS: cfg.Provider.JWKSURI,
			Revocation: cfg.Provider.RevocationEndpoint, EndSession: cfg.Provider.EndSessionEndpoint,
		},
		Logger: log, Observe: observe,
	}
	if s.clientSecret.IsSet() {
		c.ClientSecret, c.RefreshSecret = s.clientSecret.Bytes, s.clientSecret.Refresh
	}
	return idp.New(c)
}

// wire puts the parts together. What a part refuses is a fault of the configuration key that it was made from.
func wire(pl plan) (*app, error) {
	cfg, log := pl.config, pl.log
	provider, err := newProvider(cfg, pl.secrets, log, pl.metrics.Provider)
	if err != nil {
		return nil, faultOf("provider", err)
	}
	store, err := openStore(pl)
	if err != nil {
		return nil, err
	}
	if pl.through != nil {
		store = pl.through(store)
	}
	keepIDToken := func() bool { return cfg.Token.IncludeIDToken || provider.WantsIDTokenHint() }
	sessions, err := session.New(session.Config{
		Keys: pl.secrets.ring, Store: store.Store, Provider: handlers.Tokens{Provider: provider, KeepIDToken: keepIDToken},
		Issuer: cfg.Provider.Issuer, ClientID: cfg.Provider.ClientID,
		CookieName: cfg.CookieName(), Secure: cfg.Secure(), SameSite: sameSite(cfg),
		MaxAge: cfg.Session.MaxAge, IdleTimeout: cfg.Session.IdleTimeout, RefreshBefore: cfg.Token.RefreshBefore,
		Mode: sessionMode(cfg), Feed: store.feed, QuietRenewals: store.dearFeed,
		Logger: log, Observe: pl.metrics.Session,
	})
	if err != nil {
		return nil, faultOf("session", err)
	}
	reportBudget(log, sessions, cfg.Token.IncludeIDToken)
	assets, pages, err := wirePages(cfg)
	if err != nil {
		return nil, err
	}
	machines, err := newMachines(pl, provider, store.Store)
	if err != nil {
		return nil, err
	}
	behind, err := wireApp(cfg, sessions, log)
	if err != nil {
		return nil, err
	}
	h, err := handlers.New(handlers.Config{
		PublicURL: cfg.Public(), AuthPath: cfg.AuthPath, TokenPath: cfg.Token.Path,
		RedirectOrigins: cfg.Origins(), Scopes: cfg.Provider.Scopes, IncludeIDToken: cfg.Token.IncludeIDToken, CSRFHeader: cfg.Token.CSRFHeader,
		SameSiteStrict: sameSite(cfg) == http.SameSiteStrictMode, KeepIDToken: keepIDToken, Amplify: adopted(cfg), App: behind,
		ListSessions: sessionMode(cfg) == session.ModeServer, AdminToken: current(pl.secrets.adminToken),
		Sessions: sessions, Provider: provider, Store: store.Store, Machine: machines, Views: pages, Logger: log, Audit: pl.audit,
	})
	if err != nil {
		return nil, faultOf("public_url or redirect_origins", err)
	}
	c := web.Config{
		Handlers: h, Assets: assets, Metrics: pl.metrics,
		BasePath: cfg.BasePath(), AuthPath: cfg.AuthPath, TokenPath: cfg.Token.Path,
		TrustedProxies: cfg.Proxies(), ShutdownDelay: cfg.ShutdownDelay, Drain: sessions.Drain, Logger: log,
	}
	if machines != nil {
		c.Drain = drainAll(sessions.Drain, machines.Drain)
	}
	if pl.pages != nil {
		pl.pages(h, &c)
	}
	if behind != nil {
		c.Fallback, c.Leave = h.App, behind.Drain
	}
	server, err := web.New(c)
	if err != nil {
		return nil, err
	}
	return &app{server: server, provider: provider, sessions: sessions, secrets: pl.secrets.resolver, store: store}, nil
}

// wireApp is the application behind us; nil without app.url.
func wireApp(cfg *config.Config, sessions *session.Manager, log *slog.Logger) (*upstream.App, error) {
	if cfg.App.URL == "" {
		return nil, nil
	}
	strip := sessions.Strip
	if theirs := adopted(cfg); theirs != nil {
		strip = func(lines []string) []string { return session.Without(sessions.Strip(lines), theirs.Owns) }
	}
	app, err := upstream.NewApp(upstream.AppConfig{
		Target: cfg.Application(), PublicURL: cfg.Public(), Strip: strip, Owns: sessions.Owns,
		Trusted: cfg.Proxies(), HeaderTimeout: cfg.App.Timeout, Logger: log,
	})
	if err != nil {
		return nil, faultOf("app.url", err)
	}
	return app, nil
}

// adopted says whose sessions are taken over besides our own; nil: nobody's.
func adopted(cfg *config.Config) *amplify.Cookies {
	if !cfg.Session.AdoptAmplify {
		return nil
	}
	return &amplify.Cookies{ClientID: cfg.Provider.ClientID, Secure: cfg.Secure(), Domain: cfg.AmplifyCookieDomain()}
}

// current is how a secret is asked for at each use; nil for one that is not set.
func current(v secret.Value) func() []byte {
	if !v.IsSet() {
		return nil
	}
	return v.Bytes
}

func sessionMode(cfg *config.Config) session.Mode {
	if cfg.Session.Mode == "server" {
		return session.ModeServer
	}
	return session.ModeCookie
}

func sameSite(cfg *config.Config) http.SameSite {
	if cfg.Session.SameSite == "strict" {
		return http.SameSiteStrictMode
	}
	return http.SameSiteLaxMode
}

func wirePages(cfg *config.Config) (*static.Assets, *views.Views, error) {
	assets, err := static.New(static.Config{Prefix: cfg.BasePath() + "/static/", Accent: cfg.Brand.Accent})
	if err != nil {
		return nil, nil, faultOf("brand.accent", err)
	}
	pages, err := views.New(views.Config{
		Brand:  views.Brand{Name: cfg.Brand.Name, Logo: cfg.Brand.Logo},
		Assets: assets,
	})
	if err != nil {
		return nil, nil, faultOf("brand", err)
	}
	return assets, pages, nil
}

func faultOf(key string, err error) error {
	return faultsError{config.Faults{{Key: key, Problem: err.Error(), Hint: "see docs/configuration.md"}}}
}

// reportBudget says at start what a session will weigh.
func reportBudget(log *slog.Logger, sessions *session.Manager, idToken bool) {
	b, err := sessions.Typical(idToken)
	switch {
	case err != nil:
		log.Warn("a session of the usual size does not fit its cookies", "error", err)
	case b.Limit != "":
		log.Warn("the cookies of a session of the usual size come near a header limit", "bytes", b.Bytes, "limit", b.Limit, "largest", b.Largest)
	default:
		log.Info("session cookie", "typical_bytes", b.Bytes)
	}
}

// run serves on the listeners until ctx ends and everything is drained.
func (a *app) run(ctx context.Context, public, admin net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop() // after the drain: a refresh under way still needs the provider's keys
	go a.provider.Run(background)
	go a.secrets.Run(background)
	go a.sessions.Run(background)
	go func() { _ = a.store.Ping(background) }() // so that a cache whose settings are dangerous is named at start; readiness says the rest
	defer a.store.close()
	return a.server.Serve(ctx, public, admin)
}

// listen opens a listener, and says what to do when it cannot.
func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, hinted{fmt.Errorf("%s: cannot listen on %s: %w", key, address, cause(err)), "choose another address with --" + key + "=host:port, or stop what uses it"}
	}
	return l, nil
}

// cause is the innermost error: the layers above repeat the address.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
