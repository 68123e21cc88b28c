package handlers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"vestibule/session"
)

const (
	// maxAdminBody bounds what an operator sends, in bytes.
	maxAdminBody = 4 << 10
	// maxName bounds a sub or sid, in bytes (OpenID Connect Core 1.0, section 2).
	maxName = 255
)

// errAdminToken means that the caller is no operator.
var errAdminToken = errors.New("the admin token is missing or wrong")

// AdministersSessions says whether operators can end sessions: they have a token for it.
func (h *Handlers) AdministersSessions() bool { return h.c.AdminToken != nil }

// EndSessions ends all sessions of a person, or of one session at the provider (POST /sessions/end on the admin listener). 204 means that
// they are over on every replica; 503 that the cache did not take it, and that it is worth asking again.
func (h *Handlers) EndSessions(x *Exchange) error {
	if !h.fromOperator(x.Request()) {
		x.Response().Header().Set("WWW-Authenticate", `Bearer realm="vestibule"`)
		return errAdminToken
	}
	whose, err := readWhose(http.MaxBytesReader(x.Response(), x.Request().Body, maxAdminBody))
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(x.Request().Context()) // it is done, also when the caller does not wait
	if err := h.c.Sessions.Revoke(ctx, whose, session.ReasonRevoked); err != nil {
		return &session.Unavailable{Cause: err}
	}
	// The audit: a line of its own, because it has to be told also where requests are not logged.
	h.log(x).Info("sessions ended by an operator", audited(whose)...)
	x.Session, x.Reason = "ended", string(session.ReasonRevoked)
	return x.empty(http.StatusNoContent)
}

// fromOperator compares hashes, so that neither the length of the token nor a part of it shows in the time that it takes.
func (h *Handlers) fromOperator(r *http.Request) bool {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return false
	}
	scheme, brought, _ := strings.Cut(lines[0], " ")
	token := h.c.AdminToken()
	got, want := sha256.Sum256([]byte(brought)), sha256.Sum256(token)
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer") && len(token) > 0
}

// readWhose reads one JSON object with sub, sid, or both, each once and spelt so: what is not understood must not end the sessions of
// somebody else. It does not quote what it read.
func readWhose(body io.Reader) (session.Whose, error) {
	d := json.NewDecoder(body)
	named := map[string]string{}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return session.Whose{}, malformedWhose(err, "not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return session.Whose{}, malformedWhose(err, "not JSON")
		}
		value, err := d.Token()
		text, ok := value.(string)
		key, _ := name.(string)
		_, again := named[key]
		if err != nil || !ok || again || (key != "sub" && key != "sid") || text == "" || len(text) > maxName {
			return session.Whose{}, malformedWhose(err, "want sub or sid, each once, as text of 1 to 255 bytes")
		}
		named[key] = text
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return session.Whose{}, malformedWhose(err, "not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || len(named) == 0 {
		return session.Whose{}, malformedWhose(err, "want one object with sub or sid")
	}
	return session.Whose{Subject: named["sub"], ProviderID: named["sid"]}, nil
}

func malformedWhose(err error, what string) error {
	if tooLarge(err) {
		return ErrTooLarge
	}
	return fmt.Errorf("%w: %s", ErrBadRequest, what)
}
