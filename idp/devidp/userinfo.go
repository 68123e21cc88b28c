package devidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Reasons why userInfo refuses a token; they go to the log.
var (
	errNotOurToken = errors.New("no published key signed the token")
	errTokenOver   = errors.New("the token is expired, revoked or its user disabled")
	errNotForHere  = errors.New("not an access token of this issuer with the scope openid")
)

// presented is what userInfo reads of an access token.
type presented struct {
	Iss       string `json:"iss"`
	Sub       string `json:"sub"`
	TokenUse  string `json:"token_use"`
	Scope     string `json:"scope"`
	Exp       int64  `json:"exp"`
	OriginJTI string `json:"origin_jti"`
}

// userInfo has Cognito's quirk that email_verified is a string here and a boolean in the ID token.
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request) {
	s.stats.add(func(t *Stats) { t.UserInfo.Asked++ })
	user, scope, err := s.bearer(r)
	if err != nil {
		s.stats.add(func(t *Stats) { t.UserInfo.Refused++ })
		s.cfg.Logger.Warn("userInfo refused", "reason", err)
		w.Header().Set("WWW-Authenticate", `error="invalid_token", error_description="Access token is expired, disabled, or deleted, or the user has globally signed out."`)
		writeOAuthError(w, &oauthError{status: http.StatusUnauthorized, code: "invalid_token"})
		return
	}
	s.stats.add(func(t *Stats) { t.UserInfo.OK++ })
	answer := claims{"sub": user.Sub, "username": user.Sub}
	maps.Copy(answer, profile(user, scope))
	if _, ok := answer["email"]; ok {
		answer["email_verified"] = strconv.FormatBool(!user.EmailUnverified)
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) bearer(r *http.Request) (User, string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return User{}, "", errNotOurToken
	}
	p, err := s.open(r.Context(), token)
	if err != nil {
		return User{}, "", err
	}
	if p.Iss != s.Issuer() || p.TokenUse != "access" || !hasScope(p.Scope, "openid") {
		return User{}, "", errNotForHere
	}
	user, active := s.users.active(p.Sub)
	if !active || s.cfg.Now().Unix() >= p.Exp || !s.grants.live(p.OriginJTI) {
		return User{}, "", errTokenOver
	}
	return user, p.Scope, nil
}

// open checks the signature against the published keys, by kid.
func (s *Server) open(ctx context.Context, token string) (presented, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return presented{}, errNotOurToken
	}
	set, err := s.keys.published(ctx)
	if err != nil {
		return presented{}, err
	}
	for _, key := range set.Key(signed.Signatures[0].Header.KeyID) {
		payload, err := signed.Verify(key)
		if err != nil {
			continue
		}
		var p presented
		if err := json.Unmarshal(payload, &p); err != nil {
			return presented{}, fmt.Errorf("decode claims: %w", err)
		}
		return p, nil
	}
	return presented{}, errNotOurToken
}
