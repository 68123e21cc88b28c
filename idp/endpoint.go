package idp

import "context"

// TokenEndpoint gives the provider's token endpoint. Until the provider was discovered it waits, at most three seconds, and is then
// ErrUnavailable.
func (p *Provider) TokenEndpoint(ctx context.Context) (string, error) {
	m, err := p.metadata(ctx, OperationDiscovery)
	if err != nil {
		return "", err
	}
	return m.Token, nil
}
