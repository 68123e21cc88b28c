package idp_test

import (
	"context"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"vestibule/idp"
)

func TestLogoutURLIsExact(t *testing.T) {
	const back = "https%3A%2F%2Fapp.example.com%2Fapi%2Fauth%2Fsign-out-callback"
	cognitoURL := "https://shop.auth.eu-west-1.amazoncognito.com/logout?client_id=our-client&logout_uri=" + back
	oidcURL := issuer + "/end?client_id=our-client&id_token_hint=hint&post_logout_redirect_uri=" + back
	lookalike := newFake()
	lookalike.doc["authorization_endpoint"] = issuer + "/oauth2/authorize"
	lookalike.doc["token_endpoint"] = issuer + "/oauth2/token"
	lookalike.doc["end_session_endpoint"] = issuer + "/logout"
	updated := newCognito()
	updated.doc["issuer"] = "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"
	china := newCognito()
	china.doc["issuer"] = "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC"
	foreign := newFake()
	foreign.doc["issuer"] = "https://cognito-idp.eu-west-1.amazonaws.com.evil.example"
	for name, c := range map[string]struct {
		f      *fake
		logout string
		without,
		want string
		hint bool
	}{
		"Cognito":                             {newCognito(), "auto", "", cognitoURL, false},
		"Cognito, its newer issuer":           {updated, "", "", cognitoURL, false},
		"Cognito in China":                    {china, "auto", "", cognitoURL, false},
		"an old pool that advertises nothing": {newCognito(), "auto", "end_session_endpoint", cognitoURL, false},
		"Cognito by its paths":                {lookalike, "auto", "", issuer + "/logout?client_id=our-client&logout_uri=" + back, false},
		"Cognito but standard by order":       {newCognito(), "oidc", "", "https://shop.auth.eu-west-1.amazoncognito.com/logout?client_id=our-client&id_token_hint=hint&post_logout_redirect_uri=" + back + "", true},
		"standard":                            {newFake(), "auto", "", oidcURL, true},
		"a host that only looks like Cognito": {foreign, "auto", "", oidcURL, true},
		"standard, Cognito's form by order":   {newFake(), "cognito", "", issuer + "/end?client_id=our-client&logout_uri=" + back, false},
		"standard without an endpoint":        {newFake(), "auto", "end_session_endpoint", "", false},
		"standard, none by order":             {newFake(), "none", "", "", false},
		"Cognito, none by order":              {newCognito(), "none", "", "", false},
	} {
		delete(c.f.doc, c.without)
		p := open(t, c.f, func(cfg *idp.Config) { cfg.Logout = c.logout })
		if _, ok := p.LogoutURL(idp.LogoutRequest{}); ok || p.LogoutOrigin() != "" || p.WantsIDTokenHint() {
			t.Errorf("%s: a logout before anything is known", name)
		}
		if _, err := p.AuthURL(context.Background(), request); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, ok := p.LogoutURL(idp.LogoutRequest{IDTokenHint: "hint"})
		if got != c.want || ok != (c.want != "") || p.WantsIDTokenHint() != c.hint {
			t.Errorf("%s:\n got %s, %v, hint %v\nwant %s", name, got, ok, p.WantsIDTokenHint(), c.want)
		}
		u, _ := url.Parse(c.want)
		if origin := p.LogoutOrigin(); (origin != "" || c.want != "") && origin != u.Scheme+"://"+u.Host {
			t.Errorf("%s: got origin %q", name, origin)
		}
	}
}

func TestLogoutURLKeepsTheEndpointsQueryAndLeavesOutAnEndlessHint(t *testing.T) {
	f := newFake()
	f.doc["end_session_endpoint"] = issuer + "/end?tenant=7"
	p := open(t, f)
	if _, err := p.AuthURL(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	got, _ := p.LogoutURL(idp.LogoutRequest{IDTokenHint: strings.Repeat("x", 5000)})
	if want := issuer + "/end?client_id=our-client&post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2Fapi%2Fauth%2Fsign-out-callback&tenant=7"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestRevokeSendsTheRefreshToken(t *testing.T) {
	f := newFake()
	if err := open(t, f).Revoke(context.Background(), "refresh-1"); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"token": {"refresh-1"}, "token_type_hint": {"refresh_token"}}
	if f.count("/revoke") != 1 || !reflect.DeepEqual(f.forms[0], want) || f.auth[0] == "" {
		t.Errorf("got %v, %v", f.forms, f.auth)
	}
}

func TestRevokeJudgesTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
		asked  int
	}{
		"empty":                      {200, "", nil, 1},
		"no content":                 {204, "", nil, 1},
		"already gone":               {400, `{"error":"invalid_grant"}`, nil, 1},
		"revocation is switched off": {400, `{"error":"invalid_request"}`, idp.ErrMisconfigured, 1},
		"not a refresh token":        {400, `{"error":"unsupported_token_type"}`, idp.ErrMisconfigured, 1},
		"our client is wrong":        {401, `{"error":"invalid_client"}`, idp.ErrMisconfigured, 1},
		"later":                      {503, "", idp.ErrUnavailable, 3},
		"too many":                   {429, "", idp.ErrThrottled, 3},
		"broken: safe to ask again":  {500, "", idp.ErrUnavailable, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.on("/revoke", status(c.status, c.body))
			if err := open(t, f).Revoke(t.Context(), "refresh-1"); !errors.Is(err, c.want) || f.count("/revoke") != c.asked {
				t.Errorf("%s: got %v after %d requests, want %v after %d", name, err, f.count("/revoke"), c.want, c.asked)
			}
		})
	}
}

func TestRevokeHasNothingToDoWithoutATokenOrAnEndpoint(t *testing.T) {
	f := newFake()
	if err := open(t, f).Revoke(context.Background(), ""); err != nil || f.count(wellKnown) != 0 {
		t.Errorf("no token: %v", err)
	}
	delete(f.doc, "revocation_endpoint")
	if err := open(t, f).Revoke(context.Background(), "refresh-1"); err != nil || len(f.forms) != 0 {
		t.Errorf("no endpoint: %v, %v", err, f.forms)
	}
}
