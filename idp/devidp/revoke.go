package devidp

import (
	"net/http"
	"strings"
)

// revoke takes refresh tokens only. An unknown one is a success (RFC 7009, section 2.2); a JWT is not a refresh
// token here, and Cognito says so.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	refusal := s.answerRevoke(r)
	s.stats.add(func(t *Stats) { t.Revoke.settle(refusal) })
	if refusal != nil {
		s.cfg.Logger.Warn("revocation refused", "error", refusal.code, "reason", refusal.reason)
		writeOAuthError(w, refusal)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) answerRevoke(r *http.Request) *oauthError {
	cl, refusal := s.clients.authenticate(r)
	if refusal != nil {
		if refusal.code == "invalid_client" {
			refusal.status = http.StatusUnauthorized
		}
		return refusal
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return refuse("invalid_request", "no token")
	}
	if looksLikeJWT(token) {
		return refuse("unsupported_token_type", "not a refresh token")
	}
	return s.grants.revokeToken(token, cl.id)
}

// looksLikeJWT tells the three parts of an access or ID token from the five of a refresh token.
func looksLikeJWT(token string) bool {
	return strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
}
