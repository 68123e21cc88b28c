package idp

import (
	"context"
	"strings"
	"time"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 15 * time.Second
	renewEvery = time.Hour
)

// Run discovers the provider and fetches its keys at once, tries again with growing pauses until that worked,
// and renews both about once an hour. What is held stays in use while a renewal fails. It returns when ctx ends.
func (p *Provider) Run(ctx context.Context) {
	for failures := 0; ; {
		wait := jitter(renewEvery)
		if err := p.renew(ctx); err != nil {
			wait = backoff(firstRetry, failures, lastRetry)
			failures++
			if ctx.Err() == nil {
				p.cfg.Logger.Warn("provider not reached", "error", err, "failures", failures, "retry_in", wait.Round(time.Millisecond).String())
			}
		} else {
			p.cfg.Logger.Info("provider reached", "issuer", p.cfg.Issuer, "kind", p.meta.Load().quirks.name, "failures", failures)
			p.warnOfLogout()
			failures = 0
		}
		p.tries.announce(p.cfg.Now().Add(wait))
		if !sleep(ctx, wait) {
			p.tries.announce(time.Time{})
			return
		}
	}
}

func (p *Provider) renew(ctx context.Context) error {
	err := p.discover(ctx)
	if p.meta.Load() == nil {
		return err
	}
	// Keys are renewed by what is held even while the document cannot be.
	if keysErr := p.keys.refresh(ctx); err == nil {
		err = keysErr
	}
	return err
}

// Ready is nil when the provider's metadata and at least one of its signing keys are held.
func (p *Provider) Ready() error {
	if p.meta.Load() == nil {
		return &Error{Kind: ErrUnavailable, Operation: OperationDiscovery, detail: "no metadata yet"}
	}
	if p.keys.empty() {
		return &Error{Kind: ErrUnavailable, Operation: OperationKeys, detail: "no signing key yet"}
	}
	return nil
}

// Check takes one fresh look at discovery and keys and keeps neither. Its error says what is wrong in words fit
// for an operator. What the provider says against our configuration, and may yet be wrong about, is only a warning in the
// log.
func (p *Provider) Check(ctx context.Context) error {
	m, err := p.read(ctx)
	if err != nil {
		return err
	}
	p.warn(m)
	if p.lacksLogout(m) {
		return &Error{Kind: ErrMisconfigured, Operation: OperationDiscovery, detail: noLogout}
	}
	_, err = p.fetchKeysFrom(ctx, m.JWKS)
	return err
}

const noLogout = "logout is oidc but the provider has no end_session_endpoint"

// lacksLogout reports whether people are to be signed out at the provider and cannot be.
func (p *Provider) lacksLogout(m *metadata) bool {
	return p.cfg.Logout == logoutOIDC && m.logout.form == logoutNone
}

// warnOfLogout says what Check calls a fault: sign-out goes on without the provider, and nobody would notice.
func (p *Provider) warnOfLogout() {
	if p.lacksLogout(p.meta.Load()) {
		p.cfg.Logger.Warn(noLogout+": people who sign out stay signed in there",
			"hint", "see provider.logout and provider.end_session_endpoint in docs/configuration.md")
	}
}

// warn compares what the provider lists with what we do. Lists are often incomplete, so nothing is refused for them; and that
// public clients are served, Cognito, Keycloak and Auth0 do not list at all.
func (p *Provider) warn(m *metadata) {
	for _, row := range []struct {
		field  string
		listed names
		used   string
	}{
		{"token_endpoint_auth_methods_supported", m.ClientAuth, p.cfg.ClientAuth},
		{"response_types_supported", m.ResponseTypes, "code"},
		{"code_challenge_methods_supported", m.Challenges, "S256"},
	} {
		if row.used != authNone && row.listed.lacks(row.used) {
			p.cfg.Logger.Warn("the provider's discovery document does not list what sign-in uses: it may refuse it",
				"field", row.field, "used", row.used, "listed", printable(strings.Join(row.listed, " ")))
		}
	}
}
