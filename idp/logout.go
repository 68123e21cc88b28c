package idp

import "net/url"

// maxHint: an ID token that would make the URL longer than servers accept is left out; client_id says enough
// (OpenID Connect RP-Initiated Logout 1.0 section 2).
const maxHint = 4 << 10

// LogoutRequest is one sign-out at the provider.
type LogoutRequest struct {
	// IDTokenHint is the session's ID token; it is sent by the standard form only.
	IDTokenHint string
}

// logout is how this provider signs a browser out.
type logout struct {
	form     string // logoutCognito, logoutOIDC or logoutNone
	endpoint *url.URL
}

// resolveLogout decides the form. The endpoint that Cognito advertises does not keep to the standard, so its form
// is chosen by who the provider is.
func (p *Provider) resolveLogout(m *metadata) logout {
	form := p.cfg.Logout
	if form == logoutAuto {
		form = logoutOIDC
		if m.quirks == cognito {
			form = logoutCognito
		}
	}
	address := m.EndSession
	if address == "" && form == logoutCognito {
		address = beside(m.Authorization, cognito.logoutPath)
	}
	endpoint, err := url.Parse(address)
	if form == logoutNone || address == "" || err != nil {
		return logout{form: logoutNone}
	}
	return logout{form: form, endpoint: endpoint}
}

// beside is another path on an endpoint's host.
func beside(endpoint, path string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}).String()
}

// LogoutURL is where the browser goes to be signed out at the provider; false means there is no such place, or
// none is known yet. Cognito gets exactly client_id and logout_uri: it refuses the standard's parameters, and
// would copy an ID token into the URL of its sign-in page.
func (p *Provider) LogoutURL(r LogoutRequest) (string, bool) {
	m := p.meta.Load()
	if m == nil || m.logout.form == logoutNone {
		return "", false
	}
	u := *m.logout.endpoint
	query := u.Query()
	query.Set("client_id", p.cfg.ClientID)
	if m.logout.form == logoutCognito {
		query.Set("logout_uri", p.cfg.LogoutRedirectURL)
		u.RawQuery = query.Encode()
		return u.String(), true
	}
	query.Set("post_logout_redirect_uri", p.cfg.LogoutRedirectURL)
	if r.IDTokenHint != "" && len(r.IDTokenHint) <= maxHint {
		query.Set("id_token_hint", r.IDTokenHint)
	}
	u.RawQuery = query.Encode()
	return u.String(), true
}

// LogoutOrigin is scheme://host of the logout page, for a form-action directive: a browser applies it to the
// redirect that follows a form too. "" when there is none.
func (p *Provider) LogoutOrigin() string {
	m := p.meta.Load()
	if m == nil || m.logout.form == logoutNone {
		return ""
	}
	return m.logout.endpoint.Scheme + "://" + m.logout.endpoint.Host
}

// WantsIDTokenHint reports whether an ID token is worth keeping for the logout: only the standard form sends it.
func (p *Provider) WantsIDTokenHint() bool {
	m := p.meta.Load()
	return m != nil && m.logout.form == logoutOIDC
}
