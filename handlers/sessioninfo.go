package handlers

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vestibule/idp"
	"vestibule/session"
)

// Session tells who is signed in and when the session ends (GET {auth}/session). It neither refreshes nor slides.
func (h *Handlers) Session(x *Exchange) error {
	s, err := h.load(x)
	if err != nil {
		return err
	}
	b := append([]byte(`{"user":`), claims(s)...)
	b = append(b, `,"expiresAt":`...)
	b = strconv.AppendInt(b, h.c.Sessions.Expires(s).Unix(), 10)
	return x.json(http.StatusOK, append(b, '}'))
}

// BFFSessionInfo is the same in the form of draft-bertocci-oauth2-tmi-bff, section 4.2.
func (h *Handlers) BFFSessionInfo(x *Exchange) error {
	s, err := h.load(x)
	if err != nil {
		return err
	}
	var info map[string]json.RawMessage
	if err := json.Unmarshal(claims(s), &info); err != nil {
		return err
	}
	info["exp"] = strconv.AppendInt(nil, h.c.Sessions.Expires(s).Unix(), 10)
	body, err := json.Marshal(info)
	if err != nil {
		return err
	}
	x.Response().Header()["Pragma"] = noCache
	return x.json(http.StatusOK, body)
}

// BFFToken is the token answer in the form of the draft, section 4.1. A scope that the session does not have cannot be
// given; the scope of what is given is told whenever the provider told it, and to whoever asks for one, since a token cannot be narrowed.
func (h *Handlers) BFFToken(x *Exchange) error {
	s, err := h.fresh(x, session.Need{})
	if err != nil {
		return err
	}
	held := s.Tokens.Scope
	if wanted := x.QueryParam("scope"); wanted != "" {
		held = h.scopeOf(s)
		if !granted(wanted, held) {
			x.Reason = "invalid_scope"
			return h.failTMI(x, http.StatusBadRequest, "invalid_scope")
		}
	}
	b := appendJSON([]byte(`{"access_token":`), s.Tokens.AccessToken)
	b = append(b, `,"expires_in":`...)
	b = strconv.AppendInt(b, int64(s.Left(h.c.Now())/time.Second), 10)
	if held != "" {
		b = appendJSON(append(b, `,"scope":`...), held)
	}
	x.Response().Header()["Pragma"] = noCache
	return x.json(http.StatusOK, append(b, '}'))
}

// claims are the session's claims as one JSON object; the subject at least.
func claims(s *session.Session) []byte {
	if len(s.Tokens.Claims) > 0 {
		return s.Tokens.Claims
	}
	return append(appendJSON([]byte(`{"sub":`), s.Tokens.Subject), '}')
}

// scopeOf is what the access token is good for. A provider that does not tell has granted what was asked for (RFC 6749, section 5.1).
// Cognito never tells, but its access tokens do; theirs comes first, because a session may be older than the configuration, or have begun
// with Amplify's adapter.
func (h *Handlers) scopeOf(s *session.Session) string {
	return cmp.Or(s.Tokens.Scope, peekScope(s.Tokens.AccessToken), strings.Join(h.c.Scopes, " "))
}

// peekScope reads scope from an access token that tells it (RFC 9068, section 2.2.3). Whom the token is meant for judges by the same claim.
func peekScope(token string) string {
	var claims struct {
		Scope string `json:"scope"`
	}
	if !idp.Peek(token, &claims) {
		return ""
	}
	return claims.Scope
}

// granted says whether every scope that is wanted is among those held.
func granted(wanted, held string) bool {
	have := strings.Fields(held)
	for w := range strings.FieldsSeq(wanted) {
		found := false
		for _, s := range have {
			found = found || s == w
		}
		if !found {
			return false
		}
	}
	return true
}
