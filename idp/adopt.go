package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OperationAdopt names Adopt in an Error. It makes no request of its own.
const OperationAdopt = "adopt"

// Foreign is what a sign-in with our client left with another program, as a browser brought it: nothing in it is believed
// yet. It prints and logs as [redacted].
type Foreign struct {
	AccessToken string // required
	// IDToken and RefreshToken are "" where there are none.
	IDToken, RefreshToken string
}

// String keeps tokens out of formatted text.
func (Foreign) String() string { return redacted }

// GoString keeps tokens out of %#v.
func (Foreign) GoString() string { return redacted }

// LogValue keeps tokens out of logs.
func (Foreign) LogValue() slog.Value { return slog.StringValue(redacted) }

// Adopt verifies tokens that were not given to us and says when their sign-in was. The access token must be this user
// pool's, for our client, and say that it is one; the ID token, if there is one, too, and name the same subject. That they
// have run out is no fault: the refresh token, which nobody but the provider can judge, is there to renew them. Without an ID
// token the claims are the access token's.
//
// The error is ErrUntrusted for what cannot be verified, and everything from a provider other than a user pool: only a
// pool's tokens say for what they are good. It is ErrUnavailable while the provider's keys cannot be had, and for a key that we do
// not hold within ten seconds of another such token: it may be new. Not so for a token older by five minutes than the keys that
// are held: its key has been retired.
func (p *Provider) Adopt(ctx context.Context, f Foreign) (Tokens, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	// Nothing is spent here: keys that are missing are fetched for the token that needs them, under the floor for such tokens.
	m, err := p.metadata(ctx, OperationAdopt)
	if err != nil {
		return Tokens{}, time.Time{}, err
	}
	access, id, err := p.examineAll(ctx, m, f)
	switch {
	case errors.Is(err, errKeysPending) || ctx.Err() != nil:
		return Tokens{}, time.Time{}, &Error{Kind: ErrUnavailable, Operation: OperationAdopt, detail: errKeysPending.Error(), cause: ctx.Err()}
	case err != nil:
		return Tokens{}, time.Time{}, &Error{Kind: ErrUntrusted, Operation: OperationAdopt, detail: printable(err.Error())}
	}
	who := p.identify(id.claims)
	return Tokens{
		AccessToken: f.AccessToken, IDToken: f.IDToken, RefreshToken: f.RefreshToken,
		Issued: access.issued, Expires: access.expires,
		Subject: who.subject, SessionID: who.sessionID, Claims: who.claims,
	}, p.began(access, id), nil
}

// testimony is what a verified token says. When it ended does not matter.
type testimony struct {
	claims          claims
	issued, expires time.Time
}

// examineAll examines both tokens; the ID token's testimony is made of the access token where there is none.
func (p *Provider) examineAll(ctx context.Context, m *metadata, f Foreign) (access, id testimony, err error) {
	switch {
	case m.quirks.tokenUse == "":
		return access, id, errors.New("the provider is no user pool")
	case !tokenText(f.AccessToken) || !tokenText(f.IDToken) || !tokenText(f.RefreshToken):
		return access, id, errors.New("a token is too long or holds characters that no header carries")
	}
	access, err = p.examine(ctx, m, exhibit{token: f.AccessToken, use: "access", client: "client_id"})
	switch {
	case err != nil:
		return access, id, fmt.Errorf("access token: %w", err)
	case f.IDToken == "":
		return access, access.asID(), nil
	}
	id, err = p.examine(ctx, m, exhibit{token: f.IDToken, use: m.quirks.tokenUse, client: "aud"})
	switch {
	case err != nil:
		return access, id, fmt.Errorf("ID token: %w", err)
	case id.claims.text("sub") != access.claims.text("sub"):
		return access, id, errors.New("the tokens name two subjects")
	}
	return access, id, nil
}

// asID words an access token's claims as an ID token's: Cognito's user name has another name there.
func (t testimony) asID() testimony {
	out := maps.Clone(t.claims)
	if name, ok := out["username"]; ok {
		out["cognito:username"] = name
	}
	return testimony{claims: out, issued: t.issued, expires: t.expires}
}

// exhibit is a token with what it must say: its token_use, and our client in the claim of that name.
type exhibit struct{ token, use, client string }

// examine verifies a token's algorithm, signature and issuer, what it is and for whom, and that the rest makes sense. Names of
// claims are compared exactly, as go-oidc does not: encoding/json takes "ISS" for iss.
func (p *Provider) examine(ctx context.Context, m *metadata, e exhibit) (testimony, error) {
	keys := &witness{verify: p.keys.verifyAdopted}
	verified, err := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{
		SupportedSigningAlgs: m.algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true,
	}).Verify(ctx, e.token)
	if keys.err != nil {
		return testimony{}, keys.err
	}
	if err != nil {
		return testimony{}, err
	}
	t := testimony{}
	if err := verified.Claims(&t.claims); err != nil {
		return testimony{}, errors.New("its claims are not a JSON object")
	}
	var issued, expires bool
	t.issued, issued = t.claims.moment("iat")
	t.expires, expires = t.claims.moment("exp")
	subject := t.claims.text("sub")
	switch {
	case t.claims.text("iss") != m.Issuer:
		return testimony{}, errors.New("iss is ambiguous")
	case t.claims.text("token_use") != e.use:
		return testimony{}, errors.New("token_use does not say so")
	case t.claims.text(e.client) != p.cfg.ClientID:
		return testimony{}, errors.New(e.client + " does not name us")
	case subject == "" || len(subject) > maxSubject:
		return testimony{}, errors.New("sub is missing or too long")
	case !issued || !expires || !t.issued.Before(t.expires):
		return testimony{}, errors.New("iat or exp is missing, or makes no sense")
	case t.issued.After(p.cfg.Now().Add(futureSkew)):
		return testimony{}, errors.New("it was issued in the future")
	}
	return t, nil
}

// began is when the person signed in: auth_time, which refreshes leave as it was, or the older token's birth. Never later
// than now.
func (p *Provider) began(tokens ...testimony) time.Time {
	earliest := p.cfg.Now()
	for _, t := range tokens {
		at, ok := t.claims.moment("auth_time")
		if !ok {
			at = t.issued
		}
		if at.Before(earliest) {
			earliest = at
		}
	}
	return earliest
}

// moment is a claim that counts seconds since 1970.
func (c claims) moment(name string) (time.Time, bool) {
	var n float64
	if json.Unmarshal(c[name], &n) != nil {
		return time.Time{}, false
	}
	return unixTime(n)
}
