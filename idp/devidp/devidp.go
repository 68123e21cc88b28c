// Package devidp is an OpenID provider for the demo and the tests. IT IS NOT A SECURITY PRODUCT AND MUST NEVER
// SERVE REAL PEOPLE: it speaks plain HTTP, keeps passwords readable in memory, forgets everything when it stops,
// and lies, stalls and drops connections when told to.
//
// It owns a provider shaped like an Amazon Cognito user pool (paths, tokens, error texts, omissions), the faults
// and lies that clients must survive, and the counters by which tests prove what a client asked. It refuses every
// address but loopback, every host name but a loopback one, and it shares no code with the packages it tests.
//
//	/oauth2/authorize → /login (form) → redirect with code → /oauth2/token → /oauth2/userInfo, /oauth2/revoke, /logout
//
// Read routes.go first, then authorize.go, grants.go (codes and refresh families) and faults.go (how it misbehaves).
package devidp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is a running provider. All methods are safe for concurrent use.
type Server struct {
	cfg      Config
	base     string // http://host:port
	http     *http.Server
	served   chan struct{} // closed when the accept loop has ended
	csrfKey  []byte
	clients  *clients
	users    *users
	browsers *browsers
	grants   *grants
	keys     *keyring
	faults   *faultBox
	stats    *counters
}

// Start listens and serves until [Server.Close]. It returns before the signing keys exist; whoever needs one waits.
// Errors: [ErrConfig], [ErrNotLoopback], or the operating system's refusal to listen.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	listener, base, err := listen(cfg.Addr)
	if err != nil {
		return nil, err
	}
	s, err := newServer(cfg, base)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go s.serve(listener)
	return s, nil
}

func newServer(cfg Config, base string) (*Server, error) {
	cl, err := newClients(cfg)
	if err != nil {
		return nil, err
	}
	people, err := newUsers(cfg.Users)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, base: base, served: make(chan struct{}), csrfKey: randomBytes(32),
		clients: cl, users: people, browsers: newBrowsers(cfg.Now), grants: newGrants(cfg),
		keys: newKeyring(cfg.Keys), faults: &faultBox{}, stats: &counters{},
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

func (s *Server) serve(l net.Listener) {
	defer close(s.served)
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Logger.Error("development provider stopped serving", "error", err)
	}
}

// Close ends the listener and every connection at once, requests in flight included. It may be called again.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	if err != nil {
		return fmt.Errorf("close the development provider: %w", err)
	}
	return nil
}

// URL is the provider's origin, without a slash at the end.
func (s *Server) URL() string { return s.base }

// Issuer is the value of iss and the place of discovery.
func (s *Server) Issuer() string { return s.base + "/" + s.cfg.PoolID }

// ClientID is the confidential client's.
func (s *Server) ClientID() string { return s.clients.confidential.id }

// ClientSecret is the confidential client's.
func (s *Server) ClientSecret() string { return s.clients.confidential.secret }

// PublicClientID is that of the client without a secret.
func (s *Server) PublicClientID() string { return s.clients.public.id }

// AllowRedirect registers further redirect URIs. Errors: [ErrConfig] for one that is not absolute, has a
// fragment, or is one too many.
func (s *Server) AllowRedirect(uris ...string) error { return s.clients.redirects.add(uris) }

// AllowLogout registers further logout_uri values, under the rules of [Server.AllowRedirect].
func (s *Server) AllowLogout(uris ...string) error { return s.clients.logouts.add(uris) }

// Users are all who can sign in, passwords included: they are demo users.
func (s *Server) Users() []User { return s.users.all() }

// RevokeUser ends every sign-in of the user with that sub or e-mail address: refreshes answer invalid_grant.
// A new sign-in is possible. It reports whether the user exists.
func (s *Server) RevokeUser(subOrEmail string) bool {
	u, ok := s.users.find(subOrEmail)
	if ok {
		s.grants.endUser(u.Sub)
		s.tellClient(context.Background(), u.Sub, "")
	}
	return ok
}

// DisableUser does what [Server.RevokeUser] does and refuses new sign-ins until [Server.EnableUser].
func (s *Server) DisableUser(subOrEmail string) bool {
	u, ok := s.users.disable(subOrEmail, true)
	if ok {
		s.grants.endUser(u.Sub)
		s.tellClient(context.Background(), u.Sub, "")
	}
	return ok
}

// EnableUser lets a disabled user sign in again. It reports whether the user exists.
func (s *Server) EnableUser(subOrEmail string) bool {
	_, ok := s.users.disable(subOrEmail, false)
	return ok
}

// RollKeys signs with two new keys from now on. The old ones stay published until [Server.ForgetOldKeys].
func (s *Server) RollKeys() { s.keys.roll() }

// ForgetOldKeys takes every key that no longer signs out of the key set.
func (s *Server) ForgetOldKeys() { s.keys.forget() }

// WaitReady returns when the signing keys exist, or with ctx's error. Nobody has to call it.
func (s *Server) WaitReady(ctx context.Context) error {
	_, err := s.keys.current(ctx)
	return err
}
