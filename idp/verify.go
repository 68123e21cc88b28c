package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// expirySkew is how long an ID token is accepted after its end, futureSkew how far ahead of our clock it may
	// have been issued (the five minutes that go-oidc allows nbf).
	expirySkew = time.Minute
	futureSkew = 5 * time.Minute

	maxSubject   = 255 // OpenID Connect Core 1.0 section 2
	maxSessionID = 255
	maxClaims    = 2 << 10
	// keysPause is the first pause before the provider's keys are tried again.
	keysPause = 250 * time.Millisecond
)

// expectation is what an ID token has to agree with: our nonce after a sign-in, the session's subject after a
// refresh.
type expectation struct {
	nonce         string
	authenticated time.Time       // auth_time must be there and not be before; zero: no max_age was asked for, or a refresh
	refresh       *RefreshRequest // nil after a sign-in
}

// identity is what a verified ID token says.
type identity struct {
	subject, sessionID string
	claims             json.RawMessage
}

// verify checks an ID token, and waits for keys where they cannot be fetched at once.
func (p *Provider) verify(ctx context.Context, g grant, got tokenAnswer) (who identity, fail *Error) {
	fail = awaitKeys(ctx, "ID token: ", func(ctx context.Context) (err error) {
		who, err = p.verifyOnce(ctx, g, got)
		return err
	})
	return who, fail
}

// awaitKeys repeats a verification while the keys for it cannot be fetched, for verifyTimeout at most.
func awaitKeys(ctx context.Context, what string, verify func(context.Context) error) *Error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	for pause := keysPause; ; pause *= 2 {
		err := verify(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && errors.Is(err, errKeysPending) && sleep(ctx, jitter(pause)):
		case ctx.Err() != nil || errors.Is(err, errKeysPending):
			return &Error{Kind: ErrUnavailable, detail: what + errKeysPending.Error(), cause: ctx.Err()}
		default:
			return &Error{Kind: ErrUntrusted, detail: what + printable(err.Error())}
		}
	}
}

// witness remembers what the key set said, which go-oidc hands on as text only.
type witness struct {
	verify func(ctx context.Context, jwt string) ([]byte, error) // of a keySet, as tokens of this origin are verified
	err    error
}

// VerifySignature implements oidc.KeySet.
func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := w.verify(ctx, jwt)
	w.err = err
	return payload, err
}

// verifyOnce is OpenID Connect Core 1.0 section 3.1.3.7: go-oidc checks algorithm, signature, iss, aud, exp and nbf;
// the rest is checked here, on the verified payload.
func (p *Provider) verifyOnce(ctx context.Context, g grant, got tokenAnswer) (identity, error) {
	keys := &witness{verify: p.keys.VerifySignature}
	verifier := oidc.NewVerifier(g.metadata.Issuer, keys, &oidc.Config{
		ClientID:             p.cfg.ClientID,
		SupportedSigningAlgs: g.metadata.algorithms,
		Now:                  func() time.Time { return p.cfg.Now().Add(-expirySkew) },
	})
	token, err := verifier.Verify(ctx, got.id)
	if keys.err != nil {
		return identity{}, keys.err
	}
	if err != nil {
		return identity{}, err
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return identity{}, errors.New("its claims are not a JSON object")
	}
	if err := p.checkClaims(token, c, g); err != nil {
		return identity{}, err
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(got.access); err != nil {
			return identity{}, errors.New("at_hash does not fit the access token")
		}
	}
	return p.identify(c), nil
}

func (p *Provider) checkClaims(token *oidc.IDToken, c claims, g grant) error {
	subject, azp := c.text("sub"), c.text("azp")
	switch {
	case token.IssuedAt.IsZero() || token.IssuedAt.Unix() <= 0:
		return errors.New("it has no iat")
	case token.IssuedAt.After(p.cfg.Now().Add(futureSkew)):
		return errors.New("it was issued in the future")
	case azp != p.cfg.ClientID && (c["azp"] != nil || len(token.Audience) > 1):
		return errors.New("azp does not name us")
	case subject == "" || len(subject) > maxSubject:
		return errors.New("sub is missing or too long")
	case subject != token.Subject:
		// encoding/json takes "SUB" for sub; two of them that differ are somebody's trick.
		return errors.New("sub is ambiguous")
	case g.want.refresh != nil && subject != g.want.refresh.Subject:
		return errors.New("sub is not the session's")
	case g.want.refresh == nil && c.text("nonce") != g.want.nonce:
		return errors.New("nonce is not ours")
	case g.want.refresh != nil && g.want.refresh.Nonce != "" && c["nonce"] != nil && c.text("nonce") != g.want.refresh.Nonce:
		return errors.New("nonce is not the sign-in's")
	case g.metadata.quirks.tokenUse != "" && c.text("token_use") != g.metadata.quirks.tokenUse:
		return errors.New("token_use does not say it is an ID token")
	}
	return p.checkAuthTime(c, g.want.authenticated)
}

// checkAuthTime is OpenID Connect Core 1.0 section 3.1.3.7 item 13. The authorization request went through the browser,
// where max_age can be cut out: that it was asked for proves nothing.
func (p *Provider) checkAuthTime(c claims, since time.Time) error {
	if since.IsZero() {
		return nil
	}
	at, ok := c.moment("auth_time")
	switch {
	case !ok:
		return errors.New("it has no auth_time, and max_age was asked for")
	case at.Before(since):
		return errors.New("auth_time is older than max_age allows")
	case at.After(p.cfg.Now().Add(futureSkew)):
		return errors.New("auth_time is in the future") // it would never be too old
	}
	return nil
}

// authenticatedSince is the earliest auth_time that max_age allows a sign-in that was begun then, zero where there is no
// max_age. The provider judges when the request arrives, however long a person takes after that.
func (p *Provider) authenticatedSince(begun time.Time) time.Time {
	age, asked := maxAge(p.cfg.AuthorizeParams["max_age"])
	if !asked {
		return time.Time{}
	}
	if begun.IsZero() {
		begun = p.cfg.Now()
	}
	return begun.Add(-age - expirySkew)
}

func (p *Provider) identify(c claims) identity {
	who := identity{subject: c.text("sub"), claims: c.choose(p.cfg.Claims)}
	who.sessionID = orElse(c.text("sid"), c.text("origin_jti"))
	if len(who.sessionID) > maxSessionID {
		who.sessionID = ""
	}
	return who
}

// claims are a verified payload: name → JSON. Names are compared exactly.
type claims map[string]json.RawMessage

// text is a string claim, "" when it is absent or of another type.
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// choose makes one object of the named claims, in that order, leaving out whole claims that would take it past
// maxClaims.
func (c claims) choose(names []string) json.RawMessage {
	out := []byte{'{'}
	chosen := make(map[string]bool, len(names))
	for _, name := range names {
		value, ok := c[name]
		if !ok || chosen[name] {
			continue
		}
		chosen[name] = true
		key, err := json.Marshal(name)
		var compact bytes.Buffer
		if err != nil || json.Compact(&compact, value) != nil {
			continue
		}
		if len(out)+len(key)+compact.Len()+3 > maxClaims {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), compact.Bytes()...)
	}
	return append(out, '}')
}
