// Package idp is the OpenID provider as its client sees it: discovery, the authorization request, the code
// exchange, refresh, ID-token verification, revocation and the logout URL, with Amazon Cognito's habits as data.
//
// It refuses to hand out anything unproven: an ID token is verified in full before its tokens are returned, a
// request that the provider may have acted upon is never sent twice, and no error text holds a token, a code,
// a secret, an answer's body or a URL's query. It keeps no session and knows no browser.
//
//	Run       → discovery, keys            (held; renewed hourly; stale ones kept)
//	AuthURL   → the browser goes to the provider with state, nonce and a PKCE challenge
//	Exchange  → issuer check → token endpoint → verification → Tokens
//	Refresh   → token endpoint → verification, same subject → Tokens
//	Revoke, LogoutURL → the end
//
// Read token.go first, then classify.go, the table that decides what a provider's answer means.
package idp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// How a client may authenticate at the token endpoint (OpenID Connect Core 1.0 section 9).
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authNone  = "none"
)

// How a browser is signed out at the provider.
const (
	logoutAuto    = "auto"
	logoutCognito = "cognito"
	logoutOIDC    = "oidc"
	logoutNone    = "none"
)

// Config is what a Provider is made from. New copies what it needs; nothing is changed afterwards.
type Config struct {
	// Issuer is the issuer identifier, exactly as the provider writes it (a trailing slash counts). Required.
	// https, or http on a loopback host.
	Issuer string
	// ClientID is our name at the provider. Required.
	ClientID string
	// ClientSecret gives the current secret at each call; nil means a public client.
	ClientSecret func() []byte
	// RefreshSecret fetches the secret afresh after the provider answered invalid_client; nil means never.
	// It is called at most once in ten seconds, whoever asks. The request is then repeated once.
	RefreshSecret func(context.Context) error
	// ClientAuth is client_secret_basic, client_secret_post or none. Empty means client_secret_basic, or none
	// where ClientSecret is nil.
	ClientAuth string
	// RedirectURL is our sign-in callback. Required.
	RedirectURL string
	// LogoutRedirectURL is our sign-out callback. Required unless Logout is none.
	LogoutRedirectURL string
	// Scopes to ask for; nil means openid, email, profile. Must contain openid.
	Scopes []string
	// AuthorizeParams are further parameters of the authorization request. Those that carry the protocol
	// (state, nonce, redirect_uri, …) are refused. resource and audience are sent on refresh too. With max_age, whole
	// seconds, a sign-in is refused unless the ID token's auth_time says that it was kept.
	AuthorizeParams map[string]string
	// Logout is auto, cognito, oidc or none; empty means auto.
	Logout string
	// Endpoints given here win over discovery; see Endpoints.
	Endpoints Endpoints
	// Claims names the ID-token claims that are kept in Tokens.Claims; nil keeps none. email brings email_verified along. They are taken in this order,
	// and one that would take what is kept past 2 kB is left out; those after it still have their chance.
	Claims []string
	// Transport carries every request; nil means one of our own (connect within 3 s, headers up to 64 kB).
	// In any case a whole call takes at most 10 s.
	Transport http.RoundTripper
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger hears about discovery and keys; nil means silence.
	Logger *slog.Logger
	// Observe is told of every request made to the provider; nil means nobody listens. It must not block.
	Observe func(Call)
}

// Endpoints names a provider's endpoints where discovery is missing or wrong. With Authorization, Token and
// JWKS all set no discovery takes place: ID tokens must then be signed with RS256, and a callback without
// iss is accepted. A single one overrides what discovery says.
type Endpoints struct {
	Authorization, Token, JWKS, Revocation, EndSession string
}

// complete reports whether discovery can be left out.
func (e Endpoints) complete() bool { return e.Authorization != "" && e.Token != "" && e.JWKS != "" }

// The operations that Call and Error name.
const (
	OperationDiscovery = "discovery"
	OperationKeys      = "keys"
	OperationCode      = "code"
	OperationRefresh   = "refresh"
	OperationRevoke    = "revoke"
)

// Call describes one request made to the provider, for metrics: both names come from small fixed sets.
type Call struct {
	// Operation is one of the Operation constants.
	Operation string
	// Outcome is ok, refused, throttled, unavailable, malformed, untrusted or misconfigured.
	Outcome string
	// Duration is the time of this request alone, without waits between attempts.
	Duration time.Duration
}

// Provider is one OpenID provider. Its methods may be called from any number of goroutines.
type Provider struct {
	cfg    Config
	client *http.Client
	creds  *credentials
	keys   *keySet

	meta  atomic.Pointer[metadata]
	held  chan struct{} // closed when meta is set for the first time
	first sync.Once
	tries schedule
}

// Issuer is the issuer identifier.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// ClientID is our name at the provider.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// New checks the configuration and returns a provider that has not been reached yet: no network is used.
// The error names the field that is missing or wrong.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("idp: %w", err)
	}
	p := &Provider{cfg: cfg, held: make(chan struct{}), tries: schedule{flight: flight{log: cfg.Logger}}}
	p.client = &http.Client{Transport: cfg.Transport, CheckRedirect: stayHere}
	p.creds = &credentials{id: cfg.ClientID, method: cfg.ClientAuth, secret: cfg.ClientSecret,
		fetch: cfg.RefreshSecret, now: cfg.Now, log: cfg.Logger, flight: flight{log: cfg.Logger}}
	p.keys = &keySet{now: cfg.Now, fetch: p.fetchKeys, flight: flight{log: cfg.Logger}}
	if cfg.Endpoints.complete() {
		m, err := p.resolve(document{Issuer: cfg.Issuer})
		if err != nil {
			return nil, fmt.Errorf("idp: %w", err)
		}
		p.hold(m)
	}
	return p, nil
}
