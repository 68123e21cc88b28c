package eventsdev

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"vestibule/loopback"
)

// ErrConfig is wrapped by every refusal of a [Config].
var ErrConfig = errors.New("eventsdev: the configuration cannot be used")

// Config says what kind of event server to start. Only Issuer is required.
type Config struct {
	// Addr is host:port. Default "127.0.0.1:0". A host that is, or resolves to, anything but loopback is refused.
	Addr string
	// TLS serves https and wss with a certificate made at start. Amplify always dials wss.
	TLS bool
	// Issuer is the iss of the tokens that are accepted. Required.
	Issuer string
	// JWKSURL is where the issuer's keys are. Default: Issuer + "/.well-known/jwks.json". Plain http on loopback only.
	JWKSURL string
	// ClientIDs are the accepted app clients: client_id of an access token, aud of an ID token. Default: any.
	ClientIDs []string
	// Namespaces are the channel namespaces that exist. Default "default". At most 50.
	Namespaces []string
	// ConnectionLife is how long a socket may stay open. Default 24 h.
	ConnectionLife time.Duration
	// KeepAlive is the time between two ka frames. Default 60 s.
	KeepAlive time.Duration
	// ConnectionTimeout is told in connection_ack: without a ka for that long a client gives the socket up. Default 300 s.
	ConnectionTimeout time.Duration
	// InitTimeout is how long a socket may stay open without connection_init. Default 15 s.
	InitTimeout time.Duration
	// Now is the clock that tokens, keys and rates are measured with; the durations above run on the machine's. Default
	// [time.Now].
	Now func() time.Time
	// Logger receives connections, refusals with their reasons, and drops; never a token, an event or a channel. Default: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.JWKSURL == "" {
		c.JWKSURL = strings.TrimSuffix(c.Issuer, "/") + "/.well-known/jwks.json"
	}
	if len(c.Namespaces) == 0 {
		c.Namespaces = []string{"default"}
	}
	for d, otherwise := range map[*time.Duration]time.Duration{
		&c.ConnectionLife: 24 * time.Hour, &c.KeepAlive: time.Minute, &c.ConnectionTimeout: 5 * time.Minute, &c.InitTimeout: 15 * time.Second,
	} {
		if *d == 0 {
			*d = otherwise
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	if c.Issuer == "" {
		return fmt.Errorf("%w: Issuer is missing", ErrConfig)
	}
	if err := checkKeysURL(c.JWKSURL); err != nil {
		return err
	}
	if len(c.Namespaces) > 50 {
		return fmt.Errorf("%w: %d namespaces, want at most 50", ErrConfig, len(c.Namespaces))
	}
	for _, name := range c.Namespaces {
		if !isSegment(name) {
			return fmt.Errorf("%w: namespace %q is not 1 to 50 letters, digits and inner hyphens", ErrConfig, name)
		}
	}
	if slices.Contains(c.ClientIDs, "") {
		return fmt.Errorf("%w: a client id is empty", ErrConfig)
	}
	for name, d := range map[string]time.Duration{
		"ConnectionLife": c.ConnectionLife, "KeepAlive": c.KeepAlive, "ConnectionTimeout": c.ConnectionTimeout, "InitTimeout": c.InitTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("%w: %s is negative", ErrConfig, name)
		}
	}
	return nil
}

// checkKeysURL demands https, because whoever answers there decides which tokens are good.
func checkKeysURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%w: JWKSURL is not an absolute URL", ErrConfig)
	case u.Scheme == "https", u.Scheme == "http" && loopback.IsHost(u.Host):
		return nil
	}
	return fmt.Errorf("%w: JWKSURL: %s is neither https nor http on loopback", ErrConfig, u.Redacted())
}
