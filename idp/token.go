package idp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"time"
)

const (
	maxCode = 8 << 10
	// verifyTimeout is for fetching keys after the provider has answered: by then a refresh token is spent, so
	// it is worth waiting, but with callTimeout it stays below what a browser waits for.
	verifyTimeout = 4 * time.Second
)

// Callback is what the provider sent to our sign-in callback.
type Callback struct {
	Code string
	// Issuer is the iss parameter (RFC 9207), IssuerPresent whether there was one.
	Issuer        string
	IssuerPresent bool
}

// Pending is what was kept when the browser was sent away.
type Pending struct {
	// Verifier is the PKCE code verifier (RFC 7636), Nonce the one of the authorization request. Both required.
	Verifier, Nonce string
	// Begun is when the browser was sent away: what max_age in Config.AuthorizeParams counts back from. Zero means now.
	Begun time.Time
}

// RefreshRequest asks for new tokens.
type RefreshRequest struct {
	RefreshToken string
	// Subject is the sub the session belongs to; a refreshed ID token must name it.
	Subject string
	// Nonce is that of the sign-in. A refreshed ID token should have none, and if it has one it must be this; empty
	// leaves it alone.
	Nonce string
}

// Tokens is what a sign-in or refresh brought. It prints and logs as [redacted].
type Tokens struct {
	// AccessToken is for APIs; it is opaque here. IDToken is "" on a refresh that brought none.
	AccessToken, IDToken string
	// RefreshToken is the one to use next: the new one, or the one sent where the provider does not rotate. ""
	// when there is none.
	RefreshToken string
	// Scope as the provider states it; "" when it does not (Cognito never does).
	Scope string
	// Issued is when the access token was asked for, Expires when it ends: by expires_in, never later than the
	// token's own exp, and after five minutes when neither says. The whole life is Expires-Issued.
	Issued, Expires time.Time
	// Subject is the ID token's sub; on a refresh without one, the subject that was asked for.
	Subject string
	// SessionID is the ID token's sid, or else Cognito's origin_jti; "" when neither is there.
	SessionID string
	// Claims are the chosen ID-token claims as one JSON object of at most 2 kB; nil on a refresh without an ID
	// token.
	Claims json.RawMessage
}

const redacted = "[redacted]"

// String keeps tokens out of formatted text.
func (Tokens) String() string { return redacted }

// GoString keeps tokens out of %#v.
func (Tokens) GoString() string { return redacted }

// LogValue keeps tokens out of logs.
func (Tokens) LogValue() slog.Value { return slog.StringValue(redacted) }

// String keeps the refresh token out of formatted text.
func (RefreshRequest) String() string { return redacted }

// GoString keeps the refresh token out of %#v.
func (RefreshRequest) GoString() string { return redacted }

// LogValue keeps the refresh token out of logs.
func (RefreshRequest) LogValue() slog.Value { return slog.StringValue(redacted) }

// Exchange redeems the code of a callback. The callback's issuer is checked first, the ID token is demanded and
// verified in full, and where max_age was asked for, so is auth_time in it. A code is sent once: when the answer is lost
// the sign-in has to start anew.
//
// The exchange is made here and not by x/oauth2, which reads text/plain as a form, cuts long answers in silence,
// and puts bodies in its errors.
func (p *Provider) Exchange(ctx context.Context, cb Callback, pending Pending) (Tokens, error) {
	m, err := p.prepare(ctx, OperationCode)
	if err != nil {
		return Tokens{}, err
	}
	if err := p.CheckIssuer(cb.Issuer, cb.IssuerPresent); err != nil {
		return Tokens{}, err
	}
	switch {
	case cb.Code == "" || len(cb.Code) > maxCode:
		return Tokens{}, &Error{Kind: ErrRefused, Operation: OperationCode, detail: "no code, or one that is too long"}
	case pending.Nonce == "" || pending.Verifier == "":
		// An empty nonce would equal a missing one.
		return Tokens{}, &Error{Kind: ErrUntrusted, Operation: OperationCode, detail: "no nonce or verifier was kept"}
	}
	return p.redeem(ctx, grant{
		operation: OperationCode,
		metadata:  m,
		form: url.Values{
			"grant_type":    {"authorization_code"},
			"code":          {cb.Code},
			"redirect_uri":  {p.cfg.RedirectURL},
			"code_verifier": {pending.Verifier},
		},
		want: expectation{nonce: pending.Nonce, authenticated: p.authenticatedSince(pending.Begun)},
	})
}

// Refresh trades a refresh token for new tokens. An ID token in the answer is verified in full and must name the
// same subject, and the sign-in's nonce if it has one (OpenID Connect Core 1.0 section 12.2). An error with Lost set may
// have cost the refresh token.
//
// When the provider answered but its keys cannot be fetched, the tokens come together with ErrUnavailable: the refresh token
// sent is spent, so they must not be lost, and they must not be served before Confirm has verified them.
func (p *Provider) Refresh(ctx context.Context, r RefreshRequest) (Tokens, error) {
	if r.RefreshToken == "" || !tokenText(r.RefreshToken) {
		return Tokens{}, &Error{Kind: ErrRefused, Operation: OperationRefresh, detail: "no refresh token, or one that cannot be"}
	}
	m, err := p.prepare(ctx, OperationRefresh)
	if err != nil {
		return Tokens{}, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken}}
	// RFC 8707 section 2.2: what an access token is for is said again.
	for _, name := range []string{"resource", "audience"} {
		if value := p.cfg.AuthorizeParams[name]; value != "" {
			form.Set(name, value)
		}
	}
	return p.redeem(ctx, grant{operation: OperationRefresh, metadata: m, form: form, want: expectation{refresh: &r}})
}

// Confirm verifies tokens that Refresh gave together with ErrUnavailable, as Refresh would have done.
func (p *Provider) Confirm(ctx context.Context, t Tokens, r RefreshRequest) (Tokens, error) {
	m, err := p.metadata(ctx, OperationRefresh)
	if err != nil {
		return Tokens{}, err
	}
	g := grant{operation: OperationRefresh, metadata: m, want: expectation{refresh: &r}}
	who, fail := p.verify(ctx, g, tokenAnswer{access: t.AccessToken, id: t.IDToken})
	if fail != nil {
		fail.Operation = OperationRefresh
		return Tokens{}, fail
	}
	t.Subject, t.SessionID, t.Claims = who.subject, who.sessionID, who.claims
	return t, nil
}

// prepare waits for metadata and keys: nothing is spent that could not be verified afterwards.
func (p *Provider) prepare(ctx context.Context, operation string) (*metadata, error) {
	m, err := p.metadata(ctx, operation)
	if err != nil {
		return nil, err
	}
	if err := p.keys.ensure(ctx); err != nil {
		return nil, &Error{Kind: ErrUnavailable, Operation: operation, detail: errKeysPending.Error(), cause: ctx.Err()}
	}
	return m, nil
}

// grant is one request for tokens.
type grant struct {
	operation string
	metadata  *metadata
	form      url.Values
	want      expectation
}

func (p *Provider) redeem(ctx context.Context, g grant) (Tokens, error) {
	a, err := p.call(ctx, post{operation: g.operation, endpoint: g.metadata.Token, form: g.form})
	if err != nil {
		return Tokens{}, err
	}
	t, fail := p.accept(ctx, g, a)
	if fail != nil {
		// The provider has done its part, whatever we think of it.
		fail.Operation, fail.Status, fail.Lost = g.operation, a.status, true
		p.observe(g.operation, fail, a.took)
		if g.want.refresh != nil && errors.Is(fail, ErrUnavailable) {
			return t, fail
		}
		return Tokens{}, fail
	}
	p.observe(g.operation, nil, a.took)
	return t, nil
}

// accept turns an answer of success into tokens, or says why it is none.
func (p *Provider) accept(ctx context.Context, g grant, a answer) (Tokens, *Error) {
	got, err := parseTokenAnswer(a.body)
	if err != nil {
		return Tokens{}, &Error{Kind: ErrMalformed, detail: err.Error()}
	}
	t := Tokens{AccessToken: got.access, RefreshToken: got.refresh, IDToken: got.id, Scope: got.scope,
		Issued: a.asked, Expires: got.expiry(a.asked)}
	previous := g.want.refresh
	if previous != nil {
		t.RefreshToken = orElse(t.RefreshToken, previous.RefreshToken)
	}
	if got.id == "" && previous != nil {
		t.Subject = previous.Subject
		return t, nil
	}
	if got.id == "" {
		return Tokens{}, &Error{Kind: ErrMalformed, detail: "no id_token"}
	}
	who, fail := p.verify(ctx, g, got)
	if fail != nil {
		return t, fail
	}
	t.Subject, t.SessionID, t.Claims = who.subject, who.sessionID, who.claims
	return t, nil
}
