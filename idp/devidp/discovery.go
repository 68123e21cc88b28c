package devidp

import "net/http"

// metadata is the discovery document with the fields Cognito's has and none that it lacks: no
// code_challenge_methods_supported, no grant_types_supported. Only SendIss adds one (RFC 9207, section 3), and SendSid those of the two logouts.
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseTypes         []string `json:"response_types_supported"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenEndpointAuth     []string `json:"token_endpoint_auth_methods_supported"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	IssParameterSupported bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	BackchannelLogout     bool     `json:"backchannel_logout_supported,omitempty"`
	BackchannelSession    bool     `json:"backchannel_logout_session_supported,omitempty"`
	FrontchannelLogout    bool     `json:"frontchannel_logout_supported,omitempty"`
	FrontchannelSession   bool     `json:"frontchannel_logout_session_supported,omitempty"`
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, metadata{
		AuthorizationEndpoint: s.base + "/oauth2/authorize",
		EndSessionEndpoint:    s.base + "/logout",
		IDTokenAlgs:           []string{"RS256"},
		Issuer:                s.Issuer(),
		JWKSURI:               s.Issuer() + "/.well-known/jwks.json",
		ResponseTypes:         []string{"code", "token"},
		RevocationEndpoint:    s.base + "/oauth2/revoke",
		Scopes:                []string{"openid", "email", "phone", "profile"},
		SubjectTypes:          []string{"public"},
		TokenEndpoint:         s.base + "/oauth2/token",
		TokenEndpointAuth:     []string{"client_secret_basic", "client_secret_post"},
		UserinfoEndpoint:      s.base + "/oauth2/userInfo",
		IssParameterSupported: s.cfg.SendIss,
		BackchannelLogout:     s.cfg.SendSid,
		BackchannelSession:    s.cfg.SendSid,
		FrontchannelLogout:    s.cfg.SendSid,
		FrontchannelSession:   s.cfg.SendSid,
	})
}

// jwks allows caching, as Cognito does: a client that never looks again misses the next key roll.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	set, err := s.keys.published(r.Context())
	if err != nil {
		s.fail(w, "publish the key set", err)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=86400, must-revalidate")
	writeJSON(w, http.StatusOK, set)
}

// fail is for what should not happen: the cause is logged, the client learns nothing.
func (s *Server) fail(w http.ResponseWriter, doing string, err error) {
	s.cfg.Logger.Error("development provider failed", "doing", doing, "error", err)
	writeJSON(w, http.StatusInternalServerError, struct {
		Error string `json:"error"`
	}{"server_error"})
}
