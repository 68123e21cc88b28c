package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"vestibule/idp"
	"vestibule/kv"
	"vestibule/session"
)

// maxLogoutForm bounds the form of a back-channel logout, in bytes: one token, and room for what a provider may add.
const maxLogoutForm = 2 * idp.MaxLogoutToken

// Why a back-channel logout is refused. Each is what the provider is told, too.
var (
	errLogoutForm     = errors.New("want a form with logout_token exactly once")
	errLogoutToken    = errors.New("the logout token is not valid")
	errLogoutUsed     = errors.New("the logout token was used before")
	errLogoutUnproven = errors.New("the keys of the provider cannot be had now")
	errLogoutUntaken  = errors.New("the cache did not take it: send it again")
)

// BackchannelLogout is where the provider says that sessions are over (POST {auth}/backchannel-logout, OpenID Connect Back-Channel Logout
// 1.0). It reads no cookie: the signed token is all that counts. 200 means that the sessions are over on every replica, anything else is
// 400. Once the token has come it takes effect, also when the provider does not wait for the answer.
func (h *Handlers) BackchannelLogout(x *Exchange) error {
	raw, err := x.logoutToken()
	if err != nil {
		return x.refuseLogout(errLogoutForm, err)
	}
	ctx := context.WithoutCancel(x.Request().Context())
	token, err := h.c.Provider.VerifyLogoutToken(ctx, raw)
	switch {
	case errors.Is(err, idp.ErrUnavailable):
		h.log(x).Warn("a back-channel logout could not be verified", "error", err)
		return x.refuseLogout(errLogoutUnproven, err)
	case err != nil:
		return x.refuseLogout(errLogoutToken, err)
	case h.logoutUsed(ctx, x, token):
		return x.refuseLogout(errLogoutUsed, nil)
	}
	whose := session.Whose{Subject: token.Subject, ProviderID: token.SessionID}
	if err := h.c.Sessions.Revoke(ctx, whose, session.ReasonProvider); err != nil {
		return x.refuseLogout(errLogoutUntaken, err)
	}
	h.rememberLogout(ctx, x, token)
	h.log(x).Info("sessions ended by the provider", audited(whose)...)
	x.Session, x.Reason = "ended", string(session.ReasonProvider)
	delete(x.Response().Header(), "Vary") // no cookie was read
	return x.empty(http.StatusOK)
}

// logoutToken reads the form. Parameters of the query do not count, a second token is somebody's trick.
func (x *Exchange) logoutToken() (string, error) {
	r := x.Request()
	if !isForm(firstLine(r.Header["Content-Type"])) || len(r.Header["Content-Type"]) > 1 {
		return "", errors.New("it is not a form")
	}
	if r.ContentLength > maxLogoutForm {
		return "", ErrTooLarge
	}
	r.Body = http.MaxBytesReader(x.Response(), r.Body, maxLogoutForm)
	if err := r.ParseForm(); err != nil {
		if tooLarge(err) {
			return "", ErrTooLarge
		}
		return "", errors.New("the form cannot be read") // the error would quote it
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		return "", fmt.Errorf("%d logout tokens", len(tokens))
	}
	return tokens[0], nil
}

// refuseLogout answers as section 2.8 of the specification wants it: 400, whatever the reason, and never stored.
func (x *Exchange) refuseLogout(why, cause error) error {
	x.Err = why
	if cause != nil {
		x.Err = fmt.Errorf("%w: %w", why, cause)
	}
	header := x.Response().Header()
	delete(header, "Vary")
	header["Pragma"] = noCache
	b := appendJSON([]byte(`{"error":"invalid_request","error_description":`), why.Error())
	return x.json(http.StatusBadRequest, append(b, '}'))
}

// logoutUsed says whether the token took effect before. A cache that does not answer must not lose a logout: ending sessions twice does
// little harm.
func (h *Handlers) logoutUsed(ctx context.Context, x *Exchange, t idp.LogoutToken) bool {
	_, err := h.c.Store.Get(ctx, h.logoutKey(t))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		h.log(x).Warn("the cache does not answer: a logout token that was used before would pass", "error", err)
	}
	return err == nil
}

// rememberLogout comes after the sessions have ended, and not before: a token that is remembered without having taken effect would be a
// logout that is lost. That the same token passes twice at the same moment does no harm.
func (h *Handlers) rememberLogout(ctx context.Context, x *Exchange, t idp.LogoutToken) {
	left := t.Expires.Sub(h.c.Now()) + time.Minute // for replicas whose clocks are behind
	w := kv.Write{Key: h.logoutKey(t), Value: []byte{1}, TTL: max(left, time.Minute), If: kv.Absent}
	if _, err := h.c.Store.Put(ctx, w); err != nil && !errors.Is(err, kv.ErrConflict) {
		h.log(x).Warn("the cache did not take it that a logout token was used", "error", err)
	}
}

// logoutKey contains the issuer and the client, because each names its tokens itself, and other applications may share the cache.
func (h *Handlers) logoutKey(t idp.LogoutToken) string {
	sum := sha256.Sum256([]byte("vestibule logout token v1\x00" + h.c.Provider.Issuer() + "\x00" + h.c.Provider.ClientID() + "\x00" + t.ID))
	return "logout/" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// audited names whose sessions ended, for the log: the first twelve hexadecimal digits of a SHA-256, by which an operator who knows the
// person finds the line. Whoever can guess a name can check the guess.
func audited(w session.Whose) []any {
	by, value := "sub", w.Subject
	if w.ProviderID != "" {
		by, value = "sid", w.ProviderID
	}
	sum := sha256.Sum256([]byte(value))
	return []any{slog.String("by", by), slog.String("whose", hex.EncodeToString(sum[:6]))}
}
