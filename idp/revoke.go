package idp

import (
	"context"
	"errors"
	"net/url"
)

// Revoke tells the provider to forget a refresh token (RFC 7009), and with it, at most providers, the access
// tokens made from it. It is nil when the provider has no revocation endpoint, when the token is empty, and
// when the provider knows nothing of the token: in each case nothing is left to revoke. A lost request is
// repeated, since revoking twice does no harm.
func (p *Provider) Revoke(ctx context.Context, refreshToken string) error {
	if refreshToken == "" {
		return nil
	}
	m, err := p.metadata(ctx, OperationRevoke)
	if err != nil {
		return err
	}
	if m.Revocation == "" {
		return nil
	}
	a, err := p.call(ctx, post{
		operation:  OperationRevoke,
		endpoint:   m.Revocation,
		form:       url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}},
		idempotent: true,
	})
	if errors.Is(err, ErrRefused) {
		return nil
	}
	if err == nil {
		p.observe(OperationRevoke, nil, a.took)
	}
	return err
}
