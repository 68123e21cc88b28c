package devidp

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// DefaultPoolID names the user pool when [Config.PoolID] is empty.
const DefaultPoolID = "us-east-1_Vestibule"

// ErrConfig is wrapped by every refusal of a [Config].
var ErrConfig = errors.New("devidp: the configuration cannot be used")

// poolIDShape is the shape of a Cognito user pool id; it becomes a path segment of the issuer.
var poolIDShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,40}_[A-Za-z0-9]{1,40}$`)

// Config says what kind of provider to start. The zero value works: a free port, random credentials, two demo
// users, rotation on, and no redirect URI until [Server.AllowRedirect] names one.
type Config struct {
	// Addr is host:port. Default "127.0.0.1:0". A host that is, or resolves to, anything but loopback is refused.
	Addr string
	// PoolID is the user pool's name. Default [DefaultPoolID]. The issuer is http://<addr>/<pool>.
	PoolID string
	// ClientID and ClientSecret are the confidential client's. Default: random, 26 and 51 characters as Cognito's.
	// A public client without a secret always exists beside it: see [Server.PublicClientID].
	ClientID, ClientSecret string
	// RedirectURIs and LogoutURIs are compared character for character, for both clients. At most 100 of each.
	RedirectURIs, LogoutURIs []string
	// MachineScopes are the custom scopes of client_credentials. Default "vestibule/read", "vestibule/write".
	MachineScopes []string
	// Users who can sign in. Default [DemoUsers]. At most 1,000 with those who sign up.
	Users []User
	// AccessLife and IDLife are the lives of those tokens. Default 1 h.
	AccessLife, IDLife time.Duration
	// RefreshLife counts from the sign-in; rotation never extends it. Default 30 days.
	RefreshLife time.Duration
	// CodeLife is how long an authorization code may be redeemed. Default 5 min.
	CodeLife time.Duration
	// NoRotation keeps one refresh token for the whole life of a sign-in and leaves it out of refresh answers.
	NoRotation bool
	// Grace is how long a rotated refresh token still answers with tokens. Default 0: the first reuse is theft.
	Grace time.Duration
	// PKCEOptional admits authorization requests without code_challenge. A challenge that was sent is always held to.
	PKCEOptional bool
	// SendIss advertises and sends the iss parameter of RFC 9207.
	SendIss bool
	// SendSid puts sid into ID tokens and advertises back-channel and front-channel logout, which Cognito has not; it names the
	// sign-in at this provider, as origin_jti names the one at the client. See [Server.SetLogoutURIs].
	SendSid bool
	// NonceOnRefresh repeats the nonce in refreshed ID tokens. By default it is absent there.
	NonceOnRefresh bool
	// ExtraAccessClaims and ExtraIDClaims pad tokens for size tests. They never replace a claim of the protocol.
	ExtraAccessClaims, ExtraIDClaims map[string]any
	// Keys are the first signing keys. Default: new ones, made in the background. Tests that start many
	// providers share a set, because making one costs a third of a second of CPU.
	Keys *Keys
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Logger receives sign-ins, refusals with their reasons, and faults; never a code, token or password. Default: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Addr = orString(c.Addr, "127.0.0.1:0")
	c.PoolID = orString(c.PoolID, DefaultPoolID)
	c.ClientID = orString(c.ClientID, randomLower(26))
	c.ClientSecret = orString(c.ClientSecret, randomLower(51))
	if len(c.Users) == 0 {
		c.Users = DemoUsers()
	}
	if len(c.MachineScopes) == 0 {
		c.MachineScopes = []string{"vestibule/read", "vestibule/write"}
	}
	c.AccessLife = orDuration(c.AccessLife, time.Hour)
	c.IDLife = orDuration(c.IDLife, time.Hour)
	c.RefreshLife = orDuration(c.RefreshLife, 30*24*time.Hour)
	c.CodeLife = orDuration(c.CodeLife, 5*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	if !poolIDShape.MatchString(c.PoolID) {
		return fmt.Errorf("%w: PoolID %q is not like %s", ErrConfig, c.PoolID, DefaultPoolID)
	}
	for name, d := range map[string]time.Duration{
		"AccessLife": c.AccessLife, "IDLife": c.IDLife, "RefreshLife": c.RefreshLife, "CodeLife": c.CodeLife, "Grace": c.Grace,
	} {
		if d < 0 {
			return fmt.Errorf("%w: %s is negative", ErrConfig, name)
		}
	}
	for _, scope := range c.MachineScopes {
		if !strings.Contains(scope, "/") || strings.ContainsAny(scope, " \t\"\\") {
			return fmt.Errorf("%w: machine scope %q is not like resource-server/scope", ErrConfig, scope)
		}
	}
	return nil
}

func orString(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

func orDuration(v, otherwise time.Duration) time.Duration {
	if v == 0 {
		return otherwise
	}
	return v
}
