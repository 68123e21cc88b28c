package idp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

const maxURL = 2048

// document is what is read of OpenID Provider Metadata (OpenID Connect Discovery 1.0 section 3, RFC 9207
// section 3, RFC 8414 section 2). What it says of PKCE changes nothing, S256 is always sent: the last three are for Check.
type document struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	Revocation    string   `json:"revocation_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	IssuerParam   bool     `json:"authorization_response_iss_parameter_supported"`
	ClientAuth    names    `json:"token_endpoint_auth_methods_supported"`
	ResponseTypes names    `json:"response_types_supported"`
	Challenges    names    `json:"code_challenge_methods_supported"`
}

// names is a list that only informs: one that is none must not cost the document that it stands in.
type names []string

// UnmarshalJSON implements json.Unmarshaler.
func (n *names) UnmarshalJSON(raw []byte) error {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		*n = list
	}
	return nil
}

// lacks reports whether the provider says something here, and not this.
func (n names) lacks(name string) bool { return len(n) > 0 && !slices.Contains(n, name) }

// metadata is a document that has been checked, completed by configuration, and understood.
type metadata struct {
	document
	quirks     *quirks
	algorithms []string
	logout     logout
}

// parseDocument reads a discovery document. The error quotes nothing of it.
func parseDocument(body []byte) (document, error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return document{}, errors.New("the discovery document is not the JSON it should be")
	}
	return d, nil
}

// asymmetric lists the signature algorithms an ID token may use. With the HMAC ones a client secret would be
// a signing key, and none signs nothing.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// resolve checks a document of our issuer and completes it. Its errors name the field and are safe to show.
func (p *Provider) resolve(d document) (*metadata, error) {
	explicit := p.cfg.Endpoints
	d.Authorization = orElse(explicit.Authorization, d.Authorization)
	d.Token = orElse(explicit.Token, d.Token)
	d.JWKS = orElse(explicit.JWKS, d.JWKS)
	d.Revocation = orElse(explicit.Revocation, d.Revocation)
	d.EndSession = orElse(explicit.EndSession, d.EndSession)
	m := &metadata{document: d, quirks: recognise(p.cfg.Issuer, d)}
	if err := m.checkEndpoints(); err != nil {
		return nil, err
	}
	var err error
	if m.algorithms, err = usable(d.Algorithms); err != nil {
		return nil, err
	}
	m.logout = p.resolveLogout(m)
	return m, nil
}

func (m *metadata) checkEndpoints() error {
	for _, e := range []struct {
		name, value string
		required    bool
	}{
		{"authorization_endpoint", m.Authorization, true},
		{"token_endpoint", m.Token, true},
		{"jwks_uri", m.JWKS, true},
		{"revocation_endpoint", m.Revocation, false},
		{"end_session_endpoint", m.EndSession, false},
	} {
		if e.value == "" && !e.required {
			continue
		}
		if e.value == "" && m.quirks == cognito {
			return fmt.Errorf("the discovery document has no %s: a user pool has none until it is given a domain", e.name)
		}
		if e.value == "" {
			return fmt.Errorf("the discovery document has no %s", e.name)
		}
		if _, err := safeURL(e.name, e.value); err != nil {
			return err
		}
	}
	return nil
}

// usable keeps the advertised algorithms that are safe. None advertised means RS256, which every provider has.
func usable(advertised []string) ([]string, error) {
	if len(advertised) == 0 {
		return []string{"RS256"}, nil
	}
	algs := slices.DeleteFunc(asymmetric(), func(a string) bool { return !slices.Contains(advertised, a) })
	if len(algs) == 0 {
		return nil, errors.New("the provider signs ID tokens with no asymmetric algorithm")
	}
	return algs, nil
}

// safeURL accepts absolute https URLs, and http on a loopback host. User names and fragments are refused: the
// first sends credentials along with every request, the second hides what follows it.
func safeURL(name, raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", name)
	case u.Opaque != "" || u.Hostname() == "":
		return nil, fmt.Errorf("%s is not an absolute URL", name)
	case u.User != nil:
		return nil, fmt.Errorf("%s carries a user name", name)
	case strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%s carries a fragment", name)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s is %s://%s: want https (http only on a loopback host)", name, printable(u.Scheme), printable(u.Host))
}

// loopback accepts addresses of this machine and the names that RFC 6761 section 6.3 keeps for it.
func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
