package idp_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"vestibule/idp"
)

// S256 of the tests' verifier.
const challenge = "code_challenge=fD3GLJ_KzCDB0w6uDOSFNNdflrHwtv8Cizh6P5pJkfQ&code_challenge_method=S256"

func TestAuthURLIsExact(t *testing.T) {
	const callback = "redirect_uri=https%3A%2F%2Fapp.example.com%2Fapi%2Fauth%2Fsign-in-callback"
	const common = "response_type=code&scope=openid+email+profile&state=state-1"
	full := idp.AuthRequest{State: "state-1", Nonce: nonce, Verifier: verifier,
		IdentityProvider: "GOOGLE", Lang: "zh-Hans-CN", LoginHint: "ann@example.com", Prompt: "login"}
	up := request
	up.SignUp, up.Prompt = true, "login"
	domain := "https://shop.auth.eu-west-1.amazoncognito.com"
	for name, c := range map[string]struct {
		f    *fake
		r    idp.AuthRequest
		want string
	}{
		"standard": {newFake(), request,
			issuer + "/authorize?client_id=our-client&" + challenge + "&nonce=nonce-of-ours&" + callback + "&" + common},
		"standard, everything asked": {newFake(), full,
			issuer + "/authorize?client_id=our-client&" + challenge + "&login_hint=ann%40example.com&nonce=nonce-of-ours&prompt=login&" + callback + "&" + common + "&ui_locales=zh-Hans-CN"},
		"standard sign-up": {newFake(), up,
			issuer + "/authorize?client_id=our-client&" + challenge + "&nonce=nonce-of-ours&prompt=create&" + callback + "&" + common},
		"Cognito": {newCognito(), request,
			domain + "/oauth2/authorize?client_id=our-client&" + challenge + "&nonce=nonce-of-ours&" + callback + "&" + common},
		"Cognito, everything asked": {newCognito(), full,
			domain + "/oauth2/authorize?client_id=our-client&" + challenge + "&identity_provider=Google&lang=zh-CN&login_hint=ann%40example.com&nonce=nonce-of-ours&prompt=login&" + callback + "&" + common},
		"Cognito sign-up": {newCognito(), up,
			domain + "/signup?client_id=our-client&" + challenge + "&nonce=nonce-of-ours&" + callback + "&" + common},
	} {
		got, err := open(t, c.f).AuthURL(context.Background(), c.r)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %s %v\nwant %s", name, got, err, c.want)
		}
	}
}

// query makes an authorization URL and returns its parameters.
func query(t *testing.T, f *fake, change func(*idp.AuthRequest), params map[string]string) url.Values {
	t.Helper()
	r := request
	change(&r)
	raw, err := open(t, f, func(c *idp.Config) { c.AuthorizeParams = params }).AuthURL(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestCognitoParametersAreTranslated(t *testing.T) {
	for _, c := range []struct{ name, param, value, want string }{
		{"identity_provider", "provider", "google", "Google"},
		{"identity_provider", "provider", "Facebook", "Facebook"},
		{"identity_provider", "provider", "amazon", "LoginWithAmazon"},
		{"identity_provider", "provider", "APPLE", "SignInWithApple"},
		{"identity_provider", "provider", "My-SAML", "My-SAML"},
		{"identity_provider", "provider", "bad\x00name", ""},
		{"identity_provider", "provider", strings.Repeat("x", 129), ""},
		{"lang", "lang", "pt", "pt-BR"},
		{"lang", "lang", "pt-PT", "pt-BR"},
		{"lang", "lang", "id-ID", "id"},
		{"lang", "lang", "zh-Hant-HK", "zh-TW"},
		{"lang", "lang", "JA", "ja"},
		{"lang", "lang", "sw", ""},
		{"lang", "lang", "en&x=y", ""},
		{"prompt", "prompt", "login consent", "login consent"},
		{"prompt", "prompt", "none login", ""},
		{"prompt", "prompt", "evil", ""},
		{"login_hint", "hint", "a\nb", ""},
	} {
		got := query(t, newCognito(), func(r *idp.AuthRequest) {
			*map[string]*string{"provider": &r.IdentityProvider, "lang": &r.Lang, "prompt": &r.Prompt, "hint": &r.LoginHint}[c.param] = c.value
		}, nil)
		if got.Get(c.name) != c.want {
			t.Errorf("%s %q: got %q, want %q", c.name, c.value, got.Get(c.name), c.want)
		}
	}
}

func TestPromptNoneDropsTheNativeProvider(t *testing.T) {
	quiet := func(r *idp.AuthRequest) { r.Prompt, r.IdentityProvider = "none", "COGNITO" }
	if got := query(t, newCognito(), quiet, nil); got.Has("identity_provider") || got.Get("prompt") != "none" {
		t.Errorf("got %v", got)
	}
	loud := func(r *idp.AuthRequest) { r.Prompt, r.IdentityProvider = "login", "COGNITO" }
	if got := query(t, newCognito(), loud, nil); got.Get("identity_provider") != "COGNITO" {
		t.Errorf("got %v", got)
	}
}

func TestParametersOfTheProtocolAreNotTheOperatorsToSet(t *testing.T) {
	for _, name := range []string{"client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri",
		"request", "request_uri", "response_mode", "response_type", "scope", "state", ""} {
		cfg := config(newFake())
		cfg.AuthorizeParams = map[string]string{name: "x"}
		if _, err := idp.New(cfg); err == nil || !strings.Contains(err.Error(), `"`+name+`" may not be in AuthorizeParams: `) {
			t.Errorf("%q: got %v, want a refusal", name, err)
		}
	}
}

func TestTheRequestWinsOverTheOperatorsParameters(t *testing.T) {
	params := map[string]string{"resource": "https://api.example.com", "ui_locales": "ja", "prompt": "select_account"}
	got := query(t, newFake(), func(r *idp.AuthRequest) { r.Lang = "fr" }, params)
	if got.Get("resource") != "https://api.example.com" || got.Get("ui_locales") != "fr" || got.Get("prompt") != "select_account" {
		t.Errorf("got %v", got)
	}
}

func TestAuthURLRefusesARequestWithoutItsSecrets(t *testing.T) {
	p := open(t, newFake())
	for name, r := range map[string]idp.AuthRequest{
		"no state":         {Nonce: nonce, Verifier: verifier},
		"no nonce":         {State: "s", Verifier: verifier},
		"no verifier":      {State: "s", Nonce: nonce},
		"a short verifier": {State: "s", Nonce: nonce, Verifier: "short"},
	} {
		if got, err := p.AuthURL(context.Background(), r); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestCheckIssuerIsRFC9207(t *testing.T) {
	for name, c := range map[string]struct {
		sends, reached, present bool
		iss                     string
		want                    error
	}{
		"right":                               {true, true, true, issuer, nil},
		"right, not announced":                {false, true, true, issuer, nil},
		"wrong":                               {true, true, true, "https://evil.example", idp.ErrUntrusted},
		"wrong, not announced":                {false, true, true, "https://evil.example", idp.ErrUntrusted},
		"with a slash":                        {false, true, true, issuer + "/", idp.ErrUntrusted},
		"missing":                             {true, true, false, "", idp.ErrUntrusted},
		"missing, not announced":              {false, true, false, "", nil},
		"missing, provider not yet known":     {true, false, false, "", idp.ErrUnavailable},
		"wrong, even of an unknown provider":  {true, false, true, "https://evil.example", idp.ErrUntrusted},
		"right, even when nothing else known": {true, false, true, issuer, nil},
	} {
		f := newFake()
		f.doc["authorization_response_iss_parameter_supported"] = c.sends
		p := open(t, f)
		if c.reached {
			if _, err := p.AuthURL(context.Background(), request); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.CheckIssuer(c.iss, c.present); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
