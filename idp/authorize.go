package idp

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// AuthRequest is one sign-in. State, Nonce and Verifier are the caller's secrets for it and required; the rest may
// come from outside and is left out where it is not what it should be.
type AuthRequest struct {
	State, Nonce string
	// Verifier is the PKCE code verifier, 43 to 128 characters (RFC 7636 section 4.1); only its S256 challenge
	// leaves us.
	Verifier string
	// IdentityProvider skips the provider's own choice, where the provider can do that. Cognito's may be given
	// by the short names google, facebook, amazon, apple. At most 128 bytes.
	IdentityProvider string
	// Lang is a BCP 47 tag for the provider's pages.
	Lang string
	// LoginHint prefills the user name. At most 256 bytes.
	LoginHint string
	// Prompt is none, login, consent or select_account, or several but none.
	Prompt string
	// SignUp goes to the registration page.
	SignUp bool
}

var (
	verifierShape = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	languageShape = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$`)
)

// AuthURL is where the browser goes to sign in. PKCE with S256 is always asked for, whatever the provider
// advertises (Cognito advertises nothing and does it). Without metadata it waits for a discovery that is due,
// at most three seconds, and then fails with ErrUnavailable.
func (p *Provider) AuthURL(ctx context.Context, r AuthRequest) (string, error) {
	if r.State == "" || r.Nonce == "" || !verifierShape.MatchString(r.Verifier) {
		return "", &Error{Kind: ErrMisconfigured, Operation: OperationCode, detail: "an authorization request needs state, nonce and a PKCE verifier"}
	}
	m, err := p.metadata(ctx, OperationCode)
	if err != nil {
		return "", err
	}
	endpoint, err := url.Parse(m.Authorization)
	if err != nil {
		return "", &Error{Kind: ErrMisconfigured, Operation: OperationCode, detail: "authorization_endpoint is not a URL"}
	}
	if r.SignUp && m.quirks.signUpPath != "" {
		endpoint.Path = m.quirks.signUpPath
	}
	flow := oauth2.Config{
		ClientID:    p.cfg.ClientID,
		RedirectURL: p.cfg.RedirectURL,
		Scopes:      p.cfg.Scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: endpoint.String()},
	}
	options := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("nonce", r.Nonce), oauth2.S256ChallengeOption(r.Verifier)}
	for name, value := range p.authorizeParams(m.quirks, r) {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return flow.AuthCodeURL(r.State, options...), nil
}

// authorizeParams are the parameters beside the protocol's own: the operator's, then what this sign-in asks for.
func (p *Provider) authorizeParams(q *quirks, r AuthRequest) map[string]string {
	params := make(map[string]string) // parameter → value
	for name, value := range p.cfg.AuthorizeParams {
		params[name] = value
	}
	set := func(name, value string) {
		if name != "" && value != "" {
			params[name] = value
		}
	}
	if languageShape.MatchString(r.Lang) {
		set(q.languageParam, q.language(r.Lang))
	}
	set("login_hint", plain(r.LoginHint, 256))
	set(q.providerParam, q.identityProvider(plain(r.IdentityProvider, 128)))
	set("prompt", prompt(r.Prompt))
	if r.SignUp {
		delete(params, "prompt")
		set("prompt", q.signUpPrompt)
	}
	if q.nativeProvider != "" && params["prompt"] == "none" && params[q.providerParam] == q.nativeProvider {
		delete(params, q.providerParam)
	}
	return params
}

// plain is s, or "" when it is too long or holds control characters.
func plain(s string, limit int) string {
	if len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return s
}

// prompt keeps the values of OpenID Connect Core 1.0 section 3.1.2.1, where none stands alone.
func prompt(s string) string {
	values := strings.Fields(plain(s, 64))
	for _, v := range values {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, v) || v == "none" && len(values) > 1 {
			return ""
		}
	}
	return strings.Join(values, " ")
}

// maxAge reads the parameter max_age (OpenID Connect Core 1.0 section 3.1.2.1): whole seconds, 136 years at most.
func maxAge(raw string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(raw, 10, 32)
	return time.Duration(seconds) * time.Second, err == nil
}

// reserved says why a parameter is not the operator's to set, "" when it is.
func reserved(name string) string {
	switch name {
	case "":
		return "it has no name"
	case "state", "nonce", "code_challenge", "code_challenge_method":
		return "it protects each sign-in and is made for it"
	case "client_id", "redirect_uri", "scope", "response_type":
		return "it comes from its own setting"
	case "client_secret":
		return "every browser would see it"
	case "response_mode":
		return "the callback reads the query"
	case "request", "request_uri":
		return "a request object would override all the others"
	}
	return ""
}

// CheckIssuer is RFC 9207: an iss parameter must be the provider's issuer, character by character, and must be
// there when the provider says that it sends one. It holds for error answers too. Where nothing is known of the
// provider yet, a missing iss is ErrUnavailable: it cannot be judged.
func (p *Provider) CheckIssuer(iss string, present bool) error {
	m := p.meta.Load()
	switch {
	case present && iss != p.cfg.Issuer:
		return &Error{Kind: ErrUntrusted, Operation: OperationCode, detail: "the callback comes from another issuer"}
	case !present && m == nil:
		return &Error{Kind: ErrUnavailable, Operation: OperationCode, detail: "no metadata yet"}
	case !present && m.IssuerParam:
		return &Error{Kind: ErrUntrusted, Operation: OperationCode, detail: "the callback lacks iss, which this provider sends"}
	}
	return nil
}
