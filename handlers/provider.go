package handlers

import (
	"context"
	"errors"

	"vestibule/idp"
	"vestibule/session"
)

// Tokens lets a session refresh and revoke at the provider; it stands here because session and idp do not know each other.
type Tokens struct {
	Provider    *idp.Provider
	KeepIDToken func() bool // whether sessions keep the raw ID token; nil: never
}

// Refresh implements session.Provider.
func (t Tokens) Refresh(ctx context.Context, old session.Tokens) (session.Tokens, error) {
	tokens, err := t.Provider.Refresh(ctx, refreshRequest(old))
	if err == nil {
		return toSession(tokens, t.KeepIDToken), nil
	}
	return toSession(tokens, always), inSessionsWords(err) // tokens that came with an error are to be confirmed by their ID token
}

// Confirm implements session.Provider.
func (t Tokens) Confirm(ctx context.Context, old, unverified session.Tokens) (session.Tokens, error) {
	tokens, err := t.Provider.Confirm(ctx, idp.Tokens{
		AccessToken: unverified.AccessToken, RefreshToken: unverified.RefreshToken, IDToken: unverified.IDToken,
		Scope: unverified.Scope, Issued: unverified.Issued, Expires: unverified.Expires,
	}, refreshRequest(old))
	if err != nil {
		return session.Tokens{}, inSessionsWords(err)
	}
	return toSession(tokens, t.KeepIDToken), nil
}

func refreshRequest(old session.Tokens) idp.RefreshRequest {
	return idp.RefreshRequest{RefreshToken: old.RefreshToken, Subject: old.Subject, Nonce: old.Nonce}
}

func always() bool { return true }

// inSessionsWords says what an error of the provider's means for a session.
func inSessionsWords(err error) error {
	var e *idp.Error
	switch {
	case errors.Is(err, idp.ErrRefused):
		return errors.Join(session.ErrRefused, err)
	case errors.Is(err, idp.ErrUntrusted):
		return errors.Join(session.ErrUntrusted, err)
	case errors.As(err, &e):
		return &session.Unavailable{RetryAfter: e.RetryAfter, Lost: e.Lost, Operator: errors.Is(err, idp.ErrMisconfigured), Cause: err}
	}
	return err
}

// Revoke implements session.Provider.
func (t Tokens) Revoke(ctx context.Context, refreshToken string) error {
	return t.Provider.Revoke(ctx, refreshToken)
}

// toSession leaves the raw ID token out where nobody needs it: it would cost the cookie 1.2 kB.
func toSession(t idp.Tokens, keepIDToken func() bool) session.Tokens {
	out := session.Tokens{
		AccessToken: t.AccessToken, Issued: t.Issued, Expires: t.Expires, RefreshToken: t.RefreshToken,
		Scope: t.Scope, Subject: t.Subject, ProviderID: t.SessionID, Claims: t.Claims,
	}
	if keepIDToken != nil && keepIDToken() {
		out.IDToken = t.IDToken
	}
	return out
}
