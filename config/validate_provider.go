package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const endpointHint = "write an https URL; http is for loopback hosts only"

// ours are the authorize parameters that carry the protocol: whoever could set them from
// outside would switch off state, nonce or PKCE, or ask for another response. The provider's client refuses the same
// ones; a test holds the two lists together.
func ours() []string {
	return []string{
		"client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri",
		"request", "request_uri", "response_mode", "response_type", "scope", "state",
	}
}

func (c *checker) provider() {
	p := c.Provider
	if p.Issuer != "" {
		c.check("provider.issuer", checkIssuer(p.Issuer), "copy the issuer from the provider's discovery document")
	}
	c.oneOf("provider.client_auth", p.ClientAuth, "client_secret_basic", "client_secret_post", "none")
	switch {
	case p.ClientAuth == "none" && p.ClientSecret != "":
		c.fault("provider.client_secret", `is set, but client_auth is "none"`, "remove the secret, or use client_secret_basic")
	case p.ClientAuth != "none" && p.ClientSecret == "":
		c.fault("provider.client_secret", "is required", `set it to the secret or a reference to it, or set client_auth to "none" for a public client`)
	}
	for i, scope := range p.Scopes {
		if !isScope(scope) {
			c.fault("provider.scopes", fmt.Sprintf("item %d is not a scope", i+1), "separate scopes by commas")
		}
	}
	if !slices.Contains(p.Scopes, "openid") {
		c.fault("provider.scopes", "lacks openid", "add openid: without it the provider issues no ID token")
	}
	for _, name := range slices.Sorted(maps.Keys(p.AuthorizeParams)) {
		if slices.Contains(ours(), name) {
			c.fault("provider.authorize_params", name+" is not yours to set", "remove it")
		}
	}
	if age, set := p.AuthorizeParams["max_age"]; set {
		if _, err := strconv.ParseUint(age, 10, 32); err != nil {
			c.fault("provider.authorize_params", "max_age is not a number of seconds from 0 to 4294967295", "write max_age in whole seconds, such as max_age=3600")
		}
	}
	c.oneOf("provider.logout", p.Logout, "auto", "cognito", "oidc", "none")
	c.endpoints()
}

// endpoints checks the explicit ones: discovery is replaced as a whole or not at all.
func (c *checker) endpoints() {
	p := c.Provider
	named := []struct{ key, url string }{
		{"provider.authorization_endpoint", p.AuthorizationEndpoint},
		{"provider.token_endpoint", p.TokenEndpoint},
		{"provider.jwks_uri", p.JWKSURI},
		{"provider.revocation_endpoint", p.RevocationEndpoint},
		{"provider.end_session_endpoint", p.EndSessionEndpoint},
	}
	core := named[:3]
	some := core[0].url != "" || core[1].url != "" || core[2].url != ""
	for i, e := range named {
		switch {
		case e.url != "":
			c.check(e.key, checkEndpoint(e.url), endpointHint)
		case some && i < len(core):
			c.fault(e.key, "is missing", "set authorization_endpoint, token_endpoint and jwks_uri together, or none of them")
		}
	}
}

// isScope follows scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}
