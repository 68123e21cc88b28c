package devidp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	answer, refusal := s.answerToken(r)
	grantType := r.PostForm.Get("grant_type")
	s.stats.add(func(t *Stats) {
		t.ofGrant(grantType).settle(refusal)
		if refusal != nil && refusal.reused {
			t.Reuses++
		}
	})
	if refusal != nil {
		s.cfg.Logger.Warn("token call refused", "error", refusal.code, "reason", refusal.reason)
		writeOAuthError(w, refusal)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, answer)
}

// answerToken waits for the keys first: a client that gives up meanwhile has not spent its code or token.
func (s *Server) answerToken(r *http.Request) (tokenAnswer, *oauthError) {
	cl, refusal := s.clients.authenticate(r)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	pair, err := s.keys.current(r.Context())
	if err != nil {
		return tokenAnswer{}, broken("no signing key: " + err.Error())
	}
	if resource := r.PostForm.Get("resource"); resource != "" && !isResource(resource) {
		return tokenAnswer{}, refuse("invalid_target", "the resource is not an absolute URI")
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		return s.exchange(cl, r.PostForm, pair)
	case "refresh_token":
		return s.refresh(cl, r.PostForm, pair)
	case "client_credentials":
		return s.machine(cl, r.PostForm, pair)
	case "":
		return tokenAnswer{}, refuse("invalid_request", "no grant_type")
	}
	return tokenAnswer{}, refuse("unsupported_grant_type", "a grant_type that is not supported")
}

func (s *Server) exchange(cl client, form url.Values, pair *Keys) (tokenAnswer, *oauthError) {
	if form.Get("code") == "" || form.Get("redirect_uri") == "" {
		return tokenAnswer{}, refuse("invalid_request", "no code or no redirect_uri")
	}
	out, refusal := s.grants.redeem(redemption{
		code: form.Get("code"), clientID: cl.id, redirectURI: form.Get("redirect_uri"),
		verifier: form.Get("code_verifier"), resource: form.Get("resource"),
	})
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	return s.tokensOf(minting{issue: out, pair: pair})
}

func (s *Server) refresh(cl client, form url.Values, pair *Keys) (tokenAnswer, *oauthError) {
	if form.Get("refresh_token") == "" {
		return tokenAnswer{}, refuse("invalid_request", "no refresh_token")
	}
	out, refusal := s.grants.refresh(refreshing{
		token: form.Get("refresh_token"), clientID: cl.id, resource: form.Get("resource"),
	})
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	return s.tokensOf(minting{issue: out, pair: pair, refreshed: true})
}

// tokensOf looks the user up as he is now: names and groups may have changed, and he may be gone.
func (s *Server) tokensOf(m minting) (tokenAnswer, *oauthError) {
	user, ok := s.users.active(m.sub)
	if !ok {
		return tokenAnswer{}, refuse("invalid_grant", "the user is disabled")
	}
	m.user = user
	answer, err := s.mint(m)
	if err != nil {
		return tokenAnswer{}, broken(err.Error())
	}
	return answer, nil
}

func (s *Server) machine(cl client, form url.Values, pair *Keys) (tokenAnswer, *oauthError) {
	if cl.secret == "" {
		return tokenAnswer{}, refuse("unauthorized_client", "client_credentials without a secret")
	}
	scopes := strings.Fields(form.Get("scope"))
	if len(scopes) == 0 {
		scopes = s.cfg.MachineScopes
	}
	for _, scope := range scopes {
		if !slices.Contains(s.cfg.MachineScopes, scope) {
			return tokenAnswer{}, refuse("invalid_scope", "a scope that is not a machine scope")
		}
	}
	answer, err := s.mintMachine(cl, strings.Join(scopes, " "), form.Get("resource"), pair)
	if err != nil {
		return tokenAnswer{}, broken(err.Error())
	}
	return answer, nil
}

// broken is a fault of the provider's own.
func broken(reason string) *oauthError {
	return &oauthError{status: http.StatusInternalServerError, code: "server_error", reason: reason}
}

// isResource is RFC 8707, section 2: an absolute URI without a fragment.
func isResource(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.IsAbs() && !strings.Contains(raw, "#")
}
