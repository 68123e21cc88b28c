package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys = 64
	// minRSA: RFC 7518 section 3.3. go-jose refuses what is larger than 4096 bits.
	minRSA = 2048
)

// fits says whether a key is meant for an algorithm: of its kind, on its curve, and not reserved for another
// one (RFC 7517 section 4.4, RFC 7518 section 3.4).
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		return alg[:2] == "RS" || alg[:2] == "PS"
	case *ecdsa.PublicKey:
		return map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg] == pub.Curve.Params().Name
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

func (p *Provider) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	m := p.meta.Load()
	if m == nil {
		return nil, &Error{Kind: ErrUnavailable, Operation: OperationKeys, detail: "no metadata yet"}
	}
	return p.fetchKeysFrom(ctx, m.JWKS)
}

func (p *Provider) fetchKeysFrom(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	body, err := p.get(ctx, OperationKeys, address)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, &Error{Kind: ErrMalformed, Operation: OperationKeys, narrow: ErrDocument, detail: err.Error()}
	}
	return keys, nil
}

// parseKeys reads a JWK set (RFC 7517 section 5) and keeps the public asymmetric signing keys, at most 64. A key
// that cannot be read is passed over: a provider may publish kinds that are new to us.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is not the JSON it should be")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if len(keys) < maxKeys && json.Unmarshal(raw, &key) == nil && signing(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no usable signing key")
	}
	return keys, nil
}

func signing(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	if pub, ok := key.Key.(*rsa.PublicKey); ok {
		return pub.N.BitLen() >= minRSA
	}
	return key.IsPublic()
}
