package eventsdev

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// verifier judges tokens as an API in user pool mode does. It is written apart from the verification in idp and shares no
// code with it, or it would share its mistakes.
type verifier struct {
	issuer  string
	clients []string // none: any
	now     func() time.Time
	keys    *keyset
}

func newVerifier(c Config) *verifier {
	return &verifier{issuer: c.Issuer, clients: c.ClientIDs, now: c.Now, keys: newKeyset(c)}
}

// statement is what a token claims.
type statement struct {
	Issuer    string           `json:"iss"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Audience  jwt.Audience     `json:"aud"`
	ClientID  string           `json:"client_id"`
	TokenUse  string           `json:"token_use"`
}

// check says what is wrong with a token, or nil. It may stand behind the word Bearer; Amplify sends it bare.
func (v *verifier) check(ctx context.Context, token string) *refusal {
	if scheme, rest, _ := strings.Cut(token, " "); strings.EqualFold(scheme, "Bearer") {
		token = rest
	}
	if token == "" {
		return unauthorized(ReasonNoToken, "Missing authorization.")
	}
	parsed, why := parseToken(token)
	if why != nil {
		return why
	}
	key, why := v.keys.find(ctx, parsed.Headers[0].KeyID)
	if why != nil {
		return why
	}
	var said statement
	switch err := parsed.Claims(key, &said); {
	case errors.Is(err, jose.ErrCryptoFailure):
		return unauthorized(ReasonSignature, "The token's signature is wrong.")
	case err != nil:
		return unauthorized(ReasonMalformed, "The token's claims cannot be read.")
	}
	return v.weigh(said)
}

func parseToken(token string) (*jwt.JSONWebToken, *refusal) {
	if len(token) > maxToken {
		return nil, unauthorized(ReasonMalformed, "The token is too long.")
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, unauthorized(ReasonAlgorithm, "The token is not signed with RS256.")
	case err != nil || len(parsed.Headers) != 1:
		return nil, unauthorized(ReasonMalformed, "The token is not a JWT.")
	}
	return parsed, nil
}

// weigh judges the claims of a token whose signature is good. There is no leeway: issuer and server share a clock here.
func (v *verifier) weigh(said statement) *refusal {
	now := v.now()
	switch {
	case said.Issuer != v.issuer:
		return unauthorized(ReasonIssuer, "The token is from another issuer.")
	case said.Expiry == nil:
		return unauthorized(ReasonMalformed, "The token does not say when it ends.")
	case !now.Before(said.Expiry.Time()):
		return unauthorized(ReasonExpired, "Token has expired.")
	case said.NotBefore != nil && now.Before(said.NotBefore.Time()):
		return unauthorized(ReasonNotYetValid, "The token is not valid yet.")
	}
	return v.weighClient(said)
}

// weighClient: Cognito names the client in client_id of an access token, and in aud of an ID token.
func (v *verifier) weighClient(said statement) *refusal {
	var clients []string
	switch said.TokenUse {
	case "access":
		clients = []string{said.ClientID}
	case "id":
		clients = said.Audience
	default:
		return unauthorized(ReasonTokenUse, "The token is neither an access token nor an ID token.")
	}
	if len(v.clients) > 0 && !slices.ContainsFunc(clients, func(c string) bool { return slices.Contains(v.clients, c) }) {
		return unauthorized(ReasonClient, "The token was issued to another client.")
	}
	return nil
}
