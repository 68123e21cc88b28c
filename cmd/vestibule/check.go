package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"vestibule/config"
	"vestibule/idp"
	"vestibule/web"
)

// checkTimeout bounds what check waits for the provider.
const checkTimeout = 15 * time.Second

// reachTimeout bounds what check waits for somebody to answer at an address.
const reachTimeout = 3 * time.Second

// check says every fault at once: of the configuration, of the secrets behind it, of the provider, of the cache. --offline leaves the network out.
func check(ctx context.Context, p process, args []string) error {
	args = slices.Clone(args)
	offline := false
	for i := len(args) - 1; i >= 0; i-- {
		if args[i] == "--offline" {
			offline, args = true, slices.Delete(args, i, i+1)
		}
	}
	cfg, faults := load(p, args)
	log, closeLog := newLogger(&config.Config{Log: config.Log{Level: "warn"}}, p.errw)
	defer closeLog()
	pl := plan{config: cfg, log: log, metrics: web.NewMetrics(), offline: offline}
	var unread config.Faults
	pl.secrets, unread = resolve(ctx, pl, p.lookup)
	faults = append(faults, newFaults(faults, unread)...)
	if !offline {
		provider, cache := checkProvider(ctx, pl, faults), checkCache(ctx, pl, faults)
		faults = append(append(faults, provider...), cache...)
	}
	if len(faults) == 0 {
		// The very construction that serve makes: what it would refuse is said here.
		a, err := wire(pl)
		if err != nil {
			return err
		}
		a.store.close()
		advise(pl)
		caution(ctx, pl)
	}
	if len(faults) > 0 {
		return faultsError{faults}
	}
	_, err := fmt.Fprintf(p.out, "the configuration is good: %s signs in at %s\n", cfg.PublicURL, cfg.Provider.Issuer)
	if offline && err == nil {
		_, err = fmt.Fprintln(p.out, "the provider, the cache, and secrets behind awssm:, were not looked at (--offline)")
	}
	return err
}

// caution warns of what a good configuration may say and seldom means, and with the network of an application or a token endpoint that is not
// there.
func caution(ctx context.Context, pl plan) {
	cfg, warn := pl.config, pl.log.Warn
	if slices.ContainsFunc(cfg.Proxies(), func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		warn("every address is a trusted proxy: anybody can claim any address in X-Forwarded headers; name the proxies' own networks", "key", "trusted_proxies")
	}
	if slices.Contains(strings.Fields(cfg.Provider.AuthorizeParams["prompt"]), "none") {
		warn("prompt=none forbids the provider to show its sign-in page: only who is signed in there already can sign in here; leave it out", "key", "provider.authorize_params")
	}
	const prefix = "__Host-" // browsers compare it without regard to case (RFC 6265bis, section 5.7)
	if name := cfg.CookieName(); cfg.Secure() && (len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix)) {
		warn("the session cookie's name does not start with __Host-: other hosts of the same domain can overwrite the cookie; leave the name out for the default", "key", "session.cookie_name")
	}
	if pl.offline {
		return
	}
	if target := cfg.Application(); target != nil {
		if err := reach(ctx, target); err != nil {
			warn("nobody answers where the application should be: start it, or name where it listens", "key", "app.url", "error", err)
		}
	}
	if target, err := url.Parse(cfg.Machine.TokenURL); err == nil && cfg.Machine.Enabled && target.Host != "" {
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: target}); err == nil && proxy != nil {
			target = proxy // whom the machine package connects to then
		}
		if err := reach(ctx, target); err != nil {
			warn("nobody answers where machine tokens are asked for: name the provider's token endpoint, or leave it out for the one that discovery names", "key", "machine.token_url", "error", err)
		}
	}
}

// reach connects to the host of a URL and says nothing there.
func reach(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	port := cmp.Or(u.Port(), u.Scheme) // the schemes are names of their ports
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return c.Close()
}

// newFaults leaves out what is known to be at fault already.
func newFaults(known, more config.Faults) config.Faults {
	return slices.DeleteFunc(more, func(f config.Fault) bool {
		return slices.ContainsFunc(known, func(k config.Fault) bool { return k.Key == f.Key })
	})
}

// checkCache reaches the cache, if the configuration says where it is.
func checkCache(ctx context.Context, pl plan, known config.Faults) config.Faults {
	if slices.ContainsFunc(known, func(f config.Fault) bool { return f.Key == "cache.url" }) {
		return nil
	}
	s, err := openStore(pl)
	var refused faultsError
	if errors.As(err, &refused) {
		return refused.faults
	}
	if err != nil {
		return config.Faults{{Key: "cache.url", Problem: err.Error(), Hint: "see docs/operating.md"}}
	}
	defer s.close()
	return tryCache(ctx, pl, s)
}

// checkProvider reaches the issuer, if the configuration says where it is. What else is at fault does not keep it from being asked.
func checkProvider(ctx context.Context, pl plan, known config.Faults) config.Faults {
	issuer := pl.config.Provider.Issuer
	if issuer == "" || slices.ContainsFunc(known, func(f config.Fault) bool { return f.Key == "provider.issuer" }) {
		return nil
	}
	provider, err := newProvider(pl.config, pl.secrets, pl.log, nil)
	if err != nil && len(known) > 0 { // they say it already
		provider, err = providerAt(issuer)
	}
	if err != nil {
		return config.Faults{{Key: "provider", Problem: err.Error(), Hint: "see docs/configuration.md"}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err = provider.Check(ctx); err == nil {
		return nil
	}
	return config.Faults{{Key: "provider.issuer", Problem: err.Error(), Hint: providerHint(err)}}
}

// providerHint is the cure for what keeps a provider from being used.
func providerHint(err error) string {
	var e *idp.Error
	switch {
	case !errors.As(err, &e):
		return "see docs/configuration.md"
	case errors.Is(err, idp.ErrIssuer):
		return "compare it with the issuer in the provider's own discovery document"
	case errors.Is(err, idp.ErrDocument) && e.Operation == idp.OperationKeys:
		return "the provider must publish the public RSA (2048 bits or more), EC or Ed25519 key that it signs ID tokens with: correct it there, or set provider.jwks_uri"
	case errors.Is(err, idp.ErrDocument):
		return "correct it at the provider; an address that discovery gets wrong can be set instead (see provider.token_endpoint and its like in docs/configuration.md)"
	case errors.Is(err, idp.ErrUnavailable):
		return "check that the address is right and reachable from here, or leave the network out with --offline"
	case errors.Is(err, idp.ErrThrottled):
		return "wait a little and check again, or leave the network out with --offline"
	case e.Status != 0 && e.Operation == idp.OperationKeys:
		return "the provider's keys should be at that address: correct jwks_uri at the provider, or set provider.jwks_uri"
	case e.Status != 0:
		return "the provider's discovery document should be at that address: check that provider.issuer is right"
	}
	return "see provider.logout and provider.end_session_endpoint in docs/configuration.md"
}

// providerAt is a provider of which only the issuer is right: discovery and keys need nothing else.
func providerAt(issuer string) (*idp.Provider, error) {
	return idp.New(idp.Config{
		Issuer: issuer, ClientID: "check", ClientAuth: "none", Logout: "none", RedirectURL: "https://localhost/",
	})
}
