// Package config is everything an operator can set: one struct whose tags are the table of
// keys, defaults and meanings.
//
// It owns reading the three sources (file, environment, flags; later wins), checking the
// result, and printing the reference page from the same table. It refuses names it does
// not know, never guesses, reports every fault at once, and never prints a secret. It does
// not read what secret references point at: that is the caller's business.
//
// The flow: Load → defaults → file → environment → flags → validate → *Config and Faults.
//
// Read this file first, then load.go and validate.go.
package config

import "time"

// Config is the whole configuration. Each field's doc tag is its documentation, which
// Reference prints; key is its name in the file and behind "--", default its default. A
// Config from Load with no faults has passed every check; methods give its parsed forms.
type Config struct {
	Listen          string        `key:"listen" default:":8080" doc:"Address of the public listener, as host:port."`
	AdminListen     string        `key:"admin_listen" default:"127.0.0.1:9091" doc:"Address of the listener for /metrics, /healthz and /readyz. Empty turns it off."`
	PublicURL       string        `key:"public_url" required:"true" doc:"Origin, and base path if there is one, that browsers see. https, unless the host is loopback. Never derived from request headers."`
	TrustedProxies  []string      `key:"trusted_proxies" doc:"Addresses and CIDR networks of the proxies whose X-Forwarded headers are believed, walked from the right."`
	RedirectOrigins []string      `key:"redirect_origins" doc:"Further origins that returnTo may name, each as scheme://host or scheme://host:port."`
	AuthPath        string        `key:"auth_path" default:"/api/auth" doc:"Path under which the sign-in and sign-out routes live."`
	ShutdownDelay   time.Duration `key:"shutdown_delay" default:"0s" doc:"How long /readyz says no before draining starts, so that load balancers look elsewhere first."`

	Provider Provider `key:"provider" doc:"The OpenID Connect provider."`
	Session  Session  `key:"session" doc:"What a signed-in browser holds."`
	Token    Token    `key:"token" doc:"The route that hands browser code its access token."`
	Cache    Cache    `key:"cache" doc:"What replicas share."`
	App      App      `key:"app" doc:"The web application."`
	Machine  Machine  `key:"machine" doc:"Machine-to-machine tokens."`
	Brand    Brand    `key:"brand" doc:"What the pages wear."`
	Log      Log      `key:"log" doc:"Logging."`
}

// Provider is the group provider.
type Provider struct {
	Issuer          string            `key:"issuer" required:"true" doc:"Issuer URL, exactly as the provider's tokens state it. Used for discovery. https, unless the host is loopback."`
	ClientID        string            `key:"client_id" required:"true" doc:"Client that is registered at the provider."`
	ClientSecret    SecretRef         `key:"client_secret" doc:"The client's secret, or a reference to it. Needed unless client_auth is none."`
	ClientAuth      string            `key:"client_auth" default:"client_secret_basic" doc:"How the client proves itself: client_secret_basic, client_secret_post or none."`
	Scopes          []string          `key:"scopes" default:"openid,email,profile" doc:"Scopes to ask for; openid is one of them."`
	AuthorizeParams map[string]string `key:"authorize_params" doc:"Extra parameters of the authorize request, such as lang. resource and audience are sent on refresh too."`
	Logout          string            `key:"logout" default:"auto" doc:"How sign-out ends the session at the provider: cognito (client_id and logout_uri), oidc (RP-initiated logout), none, or auto to decide from discovery."`

	AuthorizationEndpoint string `key:"authorization_endpoint" doc:"For a provider without discovery: set it together with token_endpoint and jwks_uri, and discovery is not used."`
	TokenEndpoint         string `key:"token_endpoint" doc:"See authorization_endpoint."`
	JWKSURI               string `key:"jwks_uri" doc:"See authorization_endpoint."`
	RevocationEndpoint    string `key:"revocation_endpoint" doc:"Token revocation endpoint (RFC 7009); overrides what discovery says."`
	EndSessionEndpoint    string `key:"end_session_endpoint" doc:"Logout endpoint; overrides what discovery says."`
}

// Session is the group session.
type Session struct {
	Keys         []SecretRef   `key:"keys" required:"true" doc:"Keys that seal sessions, or references to them: 32 bytes each in standard base64, newest first. The first seals, all open. Made by: vestibule keygen."`
	Mode         string        `key:"mode" default:"cookie" doc:"Where the session lives. cookie: tokens sealed in the cookie. server: a ticket in the cookie, the session in the cache."`
	MaxAge       time.Duration `key:"max_age" default:"720h" doc:"Absolute lifetime of a session, never extended."`
	IdleTimeout  time.Duration `key:"idle_timeout" default:"0s" doc:"Lifetime of a session that nobody uses, at most max_age; 0 turns it off."`
	CookieName   string        `key:"cookie_name" shown:"__Host-vestibule with https, vestibule with http" doc:"Name of the session cookie. The names of its chunks and of pending sign-ins start with it."`
	SameSite     string        `key:"same_site" default:"lax" doc:"SameSite attribute of the session cookie: lax or strict."`
	Claims       []string      `key:"claims" default:"sub,email,email_verified,name,given_name,family_name,preferred_username,picture,locale,cognito:username,cognito:groups" doc:"Claims of the ID token that the session keeps and the session route shows."`
	AdoptAmplify bool          `key:"adopt_amplify" default:"false" doc:"Take over sessions made by Amplify's Next.js adapter."`
}

// Token is the group token.
type Token struct {
	Path           string        `key:"path" default:"/api/cognito-token" doc:"Path of the token route."`
	RefreshBefore  time.Duration `key:"refresh_before" default:"5m" doc:"Refresh when less life than this is left, at most half of the token's own life."`
	IncludeIDToken bool          `key:"include_id_token" default:"false" doc:"Add idToken to the answer."`
	CSRFHeader     string        `key:"csrf_header" doc:"When set, a token is given only to a request that carries this header."`
}

// Cache is the group cache.
type Cache struct {
	URL string `key:"url" default:"memory:" doc:"Where refreshes are coordinated and revocations, machine tokens, rate limits and server-mode sessions are kept: memory:, redis://, rediss://, dynamodb://table?region=&endpoint= or momento://cache."`
}

// App is the group app.
type App struct {
	URL string `key:"url" doc:"The web application behind Vestibule. Without it Vestibule stands beside the application."`
}

// Machine is the group machine.
type Machine struct {
	Enabled  bool            `key:"enabled" default:"false" doc:"Serve the machine-to-machine token cache at /oauth2/token."`
	TokenURL string          `key:"token_url" shown:"the provider's" doc:"Token endpoint that machine tokens come from."`
	MinTTL   time.Duration   `key:"min_ttl" default:"60s" doc:"Life that a cached token must still have to be served."`
	Clients  []MachineClient `key:"clients" file:"only" doc:"Clients that may ask, each with id, secret (or a reference to it) and scopes."`
}

// MachineClient is one client of the machine token cache.
type MachineClient struct {
	ID     string    // client id, unique in the list
	Secret SecretRef // literal or reference
	Scopes []string  // scopes it may ask for; none means the provider decides
}

// Brand is the group brand.
type Brand struct {
	Name   string `key:"name" doc:"Name of the application on the pages, at most 64 printable characters."`
	Logo   string `key:"logo" doc:"Logo on the pages: a path of this site, an https URL, or a data:image/ URL in base64 (SVG, PNG, JPEG, GIF, WebP or AVIF), of at most 32 KiB."`
	Accent string `key:"accent" doc:"Accent colour, as #rgb or #rrggbb; in the file in quotes, since # begins a comment."`
}

// Log is the group log.
type Log struct {
	Level  string `key:"level" default:"info" doc:"Least severe level that is written: debug, info, warn or error."`
	Format string `key:"format" shown:"text on a terminal, json elsewhere" doc:"text or json."`
}
