package devidp

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
)

// claims is the payload of a JWT.
type claims map[string]any

// tokenAnswer is Cognito's: without scope, without the refresh token's life, and without a refresh token where
// there is no new one.
type tokenAnswer struct {
	IDToken      string `json:"id_token,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

// minting is what one pair of tokens is made of.
type minting struct {
	issue
	user      User
	pair      *Keys
	refreshed bool
}

// mint signs the tokens, with the lies that are in force.
func (s *Server) mint(m minting) (tokenAnswer, error) {
	lies, lying := s.faults.takeLies(m.refreshed)
	if lying {
		s.stats.add(func(t *Stats) { t.Lies++ })
	}
	now, event := s.cfg.Now(), randomUUID()
	access := s.accessClaims(m, now, event)
	lies.aboutAccess().bend(access, now)
	answer := tokenAnswer{RefreshToken: m.refresh, ExpiresIn: int64(s.cfg.AccessLife / time.Second), TokenType: "Bearer"}
	var err error
	if answer.AccessToken, err = s.sign(access, m.pair.access, lies.aboutAccess()); err != nil {
		return tokenAnswer{}, err
	}
	if !hasScope(m.scope, "openid") || lies.NoIDToken {
		return answer, nil
	}
	id := s.idClaims(m, now, event)
	id["at_hash"] = atHash(answer.AccessToken)
	lies.aboutID().bend(id, now)
	answer.IDToken, err = s.sign(id, m.pair.id, lies.aboutID())
	return answer, err
}

// accessClaims has no aud unless a resource was asked for: Cognito's access tokens name the client in client_id.
func (s *Server) accessClaims(m minting, now time.Time, event string) claims {
	c := claims{}
	maps.Copy(c, s.cfg.ExtraAccessClaims)
	maps.Copy(c, claims{
		"sub": m.sub, "iss": s.Issuer(), "client_id": m.clientID, "token_use": "access", "scope": m.scope,
		"username": m.user.Sub, "auth_time": m.authTime.Unix(), "iat": now.Unix(), "exp": now.Add(s.cfg.AccessLife).Unix(),
		"jti": randomUUID(), "origin_jti": m.originJTI, "event_id": event, "version": 2,
	})
	if m.resource != "" {
		c["aud"] = m.resource
	}
	if len(m.user.Groups) > 0 {
		c["cognito:groups"] = m.user.Groups
	}
	return c
}

func (s *Server) idClaims(m minting, now time.Time, event string) claims {
	c := claims{}
	maps.Copy(c, s.cfg.ExtraIDClaims)
	maps.Copy(c, profile(m.user, m.scope))
	maps.Copy(c, claims{
		"sub": m.sub, "iss": s.Issuer(), "aud": m.clientID, "token_use": "id", "cognito:username": m.user.Sub,
		"auth_time": m.authTime.Unix(), "iat": now.Unix(), "exp": now.Add(s.cfg.IDLife).Unix(),
		"jti": randomUUID(), "origin_jti": m.originJTI, "event_id": event,
	})
	if m.nonce != "" && (!m.refreshed || s.cfg.NonceOnRefresh) {
		c["nonce"] = m.nonce
	}
	if s.cfg.SendSid {
		c["sid"] = m.sid
	}
	if len(m.user.Groups) > 0 {
		c["cognito:groups"] = m.user.Groups
	}
	return c
}

// profile is what the scopes email and profile open.
func profile(u User, scope string) claims {
	c := claims{}
	if hasScope(scope, "profile") {
		for name, value := range u.Attributes {
			c[name] = value
		}
		if u.Name != "" {
			c["name"] = u.Name
		}
	}
	if hasScope(scope, "email") {
		c["email"], c["email_verified"] = u.Email, !u.EmailUnverified
	}
	return c
}

// mintMachine signs the token of client_credentials: no user, no sign-in, the client is its own subject.
func (s *Server) mintMachine(cl client, scope, resource string, pair *Keys) (tokenAnswer, error) {
	now := s.cfg.Now()
	c := claims{}
	maps.Copy(c, s.cfg.ExtraAccessClaims)
	maps.Copy(c, claims{
		"sub": cl.id, "iss": s.Issuer(), "client_id": cl.id, "token_use": "access", "scope": scope,
		"auth_time": now.Unix(), "iat": now.Unix(), "exp": now.Add(s.cfg.AccessLife).Unix(),
		"jti": randomUUID(), "version": 2,
	})
	if resource != "" {
		c["aud"] = resource
	}
	token, err := s.sign(c, pair.access, Lies{})
	return tokenAnswer{AccessToken: token, ExpiresIn: int64(s.cfg.AccessLife / time.Second), TokenType: "Bearer"}, err
}

// atHash is OpenID Connect Core 1.0, section 3.1.3.6, for RS256.
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func hasScope(scope, want string) bool { return slices.Contains(strings.Fields(scope), want) }
