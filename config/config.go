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
	AdminListen     string        `key:"admin_listen" default:"127.0.0.1:9091" doc:"Address of the listener for /metrics, /healthz, /readyz and the admin calls. Empty turns it off."`
	PublicURL       string        `key:"public_url" required:"true" doc:"Origin, and base path if there is one, that browsers see. https, unless the host is loopback. Never derived from request headers."`
	TrustedProxies  []string      `key:"trusted_proxies" doc:"Addresses and CIDR networks of the proxies whose X-Forwarded headers are believed, walked from the right."`
	RedirectOrigins []string      `key:"redirect_origins" doc:"Further origins that returnTo may name, each as scheme://host or scheme://host:port, without wildcards."`
	AuthPath        string        `key:"auth_path" default:"/api/auth" doc:"Path under which the sign-in and sign-out routes live."`
	ShutdownDelay   time.Duration `key:"shutdown_delay" default:"0s" doc:"How long /readyz says no before draining starts, so that load balancers look elsewhere first."`

	Provider Provider `key:"provider" doc:"The OpenID Connect provider."`
	Session  Session  `key:"session" doc:"What a signed-in browser holds."`
	Token    Token    `key:"token" doc:"The route that hands browser code its access token."`
	Cache    Cache    `key:"cache" doc:"What replicas share."`
	Admin    Admin    `key:"admin" doc:"What operators may do."`
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
	AuthorizeParams map[string]string `key:"authorize_params" doc:"Extra parameters of the authorize request, such as lang. resource and audience are sent on refresh too. With max_age (seconds) a sign-in is refused unless the ID token's auth_time proves that it was kept; a provider that ignores it needs prompt=login beside it."`
	Logout          string            `key:"logout" default:"auto" doc:"How sign-out ends the session at the provider: cognito (client_id and logout_uri), oidc (RP-initiated logout), none, or auto to decide from discovery."`

	AuthorizationEndpoint string `key:"authorization_endpoint" doc:"For a provider without discovery: set it together with token_endpoint and jwks_uri, and discovery is not used."`
	TokenEndpoint         string `key:"token_endpoint" doc:"See authorization_endpoint."`
	JWKSURI               string `key:"jwks_uri" doc:"See authorization_endpoint."`
	RevocationEndpoint    string `key:"revocation_endpoint" doc:"Token revocation endpoint (RFC 7009); overrides what discovery says."`
	EndSessionEndpoint    string `key:"end_session_endpoint" doc:"Logout endpoint; overrides what discovery says."`
}

// Session is the group session.
type Session struct {
	Keys          []SecretRef   `key:"keys" required:"true" doc:"Keys that seal sessions, or references to them: 32 bytes each in standard base64, newest first. The first seals, all open. Made by: vestibule keygen."`
	Mode          string        `key:"mode" default:"cookie" doc:"Where the session lives. cookie: tokens sealed in the cookie. server: a ticket in the cookie, the session in the cache."`
	MaxAge        time.Duration `key:"max_age" default:"720h" doc:"Absolute lifetime of a session, never extended. Lowered, it ends older sessions at once; raised, it holds for new ones only."`
	IdleTimeout   time.Duration `key:"idle_timeout" default:"0s" doc:"Lifetime of a session that nobody uses, at most max_age; 0 turns it off. Use is noted once in a tenth of it, and with 0 at refreshes alone: switched on or lowered, it also ends sessions in use whose last note is longer ago."`
	CookieName    string        `key:"cookie_name" shown:"__Host-vestibule with https, vestibule with http" doc:"Name of the session cookie. The names of its chunks and of pending sign-ins start with it."`
	SameSite      string        `key:"same_site" default:"lax" doc:"SameSite attribute of the session cookie: lax or strict."`
	Claims        []string      `key:"claims" default:"sub,email,email_verified,name,given_name,family_name,preferred_username,picture,locale,cognito:username,cognito:groups" doc:"Claims of the ID token that the session keeps and the session route and the identity headers show. email brings email_verified along. Changed, it holds for a session from its next refresh that brings an ID token; what was kept before is shown until then."`
	AdoptAmplify  bool          `key:"adopt_amplify" default:"false" doc:"Take over sessions made by Amplify's Next.js adapter with the same app client, without a new sign-in."`
	AmplifyDomain string        `key:"amplify_domain" doc:"Domain that the adapter's cookies were set for (runtimeOptions.cookies.domain), so that they can be deleted. Empty: none was given there."`
}

// Token is the group token.
type Token struct {
	Path           string        `key:"path" default:"/api/cognito-token" doc:"Path of the token route."`
	RefreshBefore  time.Duration `key:"refresh_before" default:"5m" doc:"Refresh when less life than this is left, at most half of the token's own life."`
	IncludeIDToken bool          `key:"include_id_token" default:"false" doc:"Add idToken to the answer. Switched on, sessions of before have one from their next refresh."`
	CSRFHeader     string        `key:"csrf_header" doc:"When set, a token is given only to a request that carries this header."`
}

// Cache is the group cache.
type Cache struct {
	URL SecretRef `key:"url" default:"memory:" doc:"Where refreshes are coordinated and revocations, machine tokens, rate limits and server-mode sessions are kept, or a reference to it, since it may hold a password: memory:, redis:// and rediss://, dynamodb://table?region=&endpoint= (all see operating.md), or momento://cache."`
}

// Admin is the group admin.
type Admin struct {
	Token SecretRef `key:"token" doc:"Bearer token of who may end other people's sessions by POST /sessions/end on the admin listener, or a reference to it: 32 characters or more. Empty: there is no such call."`
}

// App is the group app.
type App struct {
	URL     string        `key:"url" doc:"Origin of the web application behind Vestibule, such as http://127.0.0.1:3000: it gets every request that is not Vestibule's own. Without it Vestibule stands beside the application."`
	Timeout time.Duration `key:"timeout" default:"60s" doc:"How long the application may take, once it has the whole request, to begin its answer; then the answer is 504. The answer itself may take as long as it likes, and so may an upload: between two parts of it, 60 s."`
}

// Machine is the group machine.
type Machine struct {
	Enabled  bool          `key:"enabled" default:"false" doc:"Serve the machine-to-machine token cache at /oauth2/token."`
	TokenURL string        `key:"token_url" shown:"the provider's" doc:"Token endpoint that machine tokens come from."`
	MinTTL   time.Duration `key:"min_ttl" default:"60s" doc:"Life that a cached token must still have to be served, at most a fifth of its whole life. With less it is served only while the provider fails."`

	Rate       int             `key:"rate" default:"100" doc:"Requests per second to the token endpoint, at most, of this process. Cognito allows 150 for an account and region: with several replicas, divide."`
	ClientRate int             `key:"client_rate" default:"20" doc:"The same of one credential, at most machine.rate."`
	Memory     int             `key:"memory" default:"64" doc:"Megabytes that tokens may take in memory, at least 64: a thousand tokens take about one."`
	Clients    []MachineClient `key:"clients" file:"only" doc:"Clients that ask with a key of their own and never hold the provider's secret. Each has id, secret (16 bytes or more, or a reference) and scopes (what it may ask for; none: the provider decides), and may have params (sent with each request, such as audience), upstream_id and upstream_secret (in the place of the provider's client)."`
}

// MachineClient is one client of the machine token cache.
type MachineClient struct {
	ID     string            // client id, unique in the list
	Secret SecretRef         // literal or reference; the client's own key
	Scopes []string          // scopes it may ask for; none means the provider decides
	Params map[string]string // sent with each of its requests

	UpstreamID     string    // what the provider is asked with; empty: provider.client_id
	UpstreamSecret SecretRef // goes with UpstreamID
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
