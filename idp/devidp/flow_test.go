package devidp_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp/devidp"
)

// verify checks a token against the published key set and gives its kid.
func (b *bench) verify(token string) string {
	b.Helper()
	var set jose.JSONWebKeySet
	b.get(b.http, b.s.Issuer()+"/.well-known/jwks.json").json(b.T, &set)
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		b.Fatal(err)
	}
	kid := signed.Signatures[0].Header.KeyID
	for _, k := range set.Key(kid) {
		if _, err := signed.Verify(k); err == nil {
			return kid
		}
	}
	b.Errorf("no published key verifies the token of kid %s", kid)
	return kid
}

func TestSignInGivesTokensShapedLikeCognitos(t *testing.T) {
	b := start(t)
	alice := b.s.Users()[0]
	got := b.signedIn()
	if got.Type != "Bearer" || got.ExpiresIn != 3600 {
		t.Errorf("type %q, expires_in %d", got.Type, got.ExpiresIn)
	}
	now := float64(b.clock.now().Unix())
	access, id := part(t, got.Access, 1), part(t, got.ID, 1)
	want(t, "access", access, map[string]any{
		"sub": alice.Sub, "iss": b.s.Issuer(), "client_id": b.s.ClientID(), "token_use": "access", "scope": "openid email profile",
		"username": alice.Sub, "auth_time": now, "iat": now, "exp": now + 3600, "version": 2.0,
	})
	want(t, "id", id, map[string]any{
		"sub": alice.Sub, "iss": b.s.Issuer(), "aud": b.s.ClientID(), "token_use": "id", "cognito:username": alice.Sub, "auth_time": now,
		"iat": now, "exp": now + 3600, "nonce": "the-nonce", "email": "alice@example.com", "email_verified": true,
		"name": "Alice Liddell", "given_name": "Alice", "origin_jti": access["origin_jti"], "event_id": access["event_id"],
	})
	if _, ok := access["aud"]; ok {
		t.Error("the access token has an aud though no resource was asked for")
	}
	if id["jti"] == access["jti"] || id["at_hash"] == nil {
		t.Error("jti is shared or at_hash is missing")
	}
	if groups, ok := id["cognito:groups"].([]any); !ok || len(groups) != 1 || groups[0] != "admins" {
		t.Errorf("cognito:groups is %v", id["cognito:groups"])
	}
	kidID, kidAccess := b.verify(got.ID), b.verify(got.Access)
	if kidID == kidAccess || len(kidID) != 44 || len(kidAccess) != 44 {
		t.Errorf("kids %q and %q should differ and have 44 characters", kidID, kidAccess)
	}
}

func want(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s token: %s is %v, want %v", what, name, got[name], value)
		}
	}
}

func TestTokenSizesAreTypical(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	t.Logf("access %d, ID %d, refresh %d characters", len(got.Access), len(got.ID), len(got.Refresh))
	for name, c := range map[string]struct{ got, low, high int }{
		"access":  {len(got.Access), 1040, 1130},
		"ID":      {len(got.ID), 1180, 1330},
		"refresh": {len(got.Refresh), 1770, 1790},
	} {
		if c.got < c.low || c.got > c.high {
			t.Errorf("%s token has %d characters, want %d to %d", name, c.got, c.low, c.high)
		}
	}
	if !regexp.MustCompile(`^[A-Za-z0-9-_=.]+$`).MatchString(got.Refresh) || strings.Count(got.Refresh, ".") != 4 {
		t.Error("the refresh token is not like a JWE of five parts")
	}
}

func TestScopesDecideWhatTokensHold(t *testing.T) {
	b := start(t)
	plain := b.signedIn("scope", "openid")
	if id := part(t, plain.ID, 1); id["email"] != nil || id["name"] != nil {
		t.Errorf("openid alone told %v and %v", id["email"], id["name"])
	}
	if none := b.signedIn("scope", "aws.cognito.signin.user.admin"); none.ID != "" || none.Refresh == "" {
		t.Error("without openid there should be no ID token, and a refresh token all the same")
	}
	all := part(t, b.signedIn("scope", "-").Access, 1)["scope"]
	if all != "aws.cognito.signin.user.admin email openid phone profile" {
		t.Errorf("no scope gave %v", all)
	}
}

func TestResourceBecomesTheAudienceOfTheAccessToken(t *testing.T) {
	b := start(t)
	const api = "https://api.example.com"
	got := b.signedIn("resource", api)
	if aud := part(t, got.Access, 1)["aud"]; aud != api {
		t.Errorf("aud is %v", aud)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}, "resource": {"https://other.example.com"}}
	b.post("/oauth2/token", form).wantOAuth(t, http.StatusBadRequest, "invalid_target")
	form.Set("resource", api)
	if aud := part(t, b.post("/oauth2/token", form).tokens(t).Access, 1)["aud"]; aud != api {
		t.Errorf("after refresh aud is %v", aud)
	}
}

func TestExtraClaimsPadTokensAndNeverReplaceTheProtocols(t *testing.T) {
	pad := map[string]any{"padding": strings.Repeat("x", 3000), "sub": "somebody"}
	b := start(t, func(c *devidp.Config) { c.ExtraAccessClaims, c.ExtraIDClaims = pad, pad })
	got := b.signedIn()
	for _, token := range []string{got.Access, got.ID} {
		if len(token) < 5000 || part(t, token, 1)["sub"] != b.s.Users()[0].Sub {
			t.Errorf("%d characters, sub %v", len(token), part(t, token, 1)["sub"])
		}
	}
}

func TestCodeExchangeIsRefused(t *testing.T) {
	for reason, c := range map[string]struct {
		name, value string
		code        string
	}{
		"without a verifier":              {"code_verifier", "", "invalid_grant"},
		"with another verifier":           {"code_verifier", strings.Repeat("x", 43), "invalid_grant"},
		"with the challenge as verifier":  {"code_verifier", challenge(), "invalid_grant"},
		"with a verifier that is short":   {"code_verifier", "short", "invalid_grant"},
		"for another redirect URI":        {"redirect_uri", callback + "/", "invalid_grant"},
		"without a redirect URI":          {"redirect_uri", "", "invalid_request"},
		"for an unknown code":             {"code", "unknown", "invalid_grant"},
		"without a code":                  {"code", "", "invalid_request"},
		"without a grant type":            {"grant_type", "", "invalid_request"},
		"with a grant type of old":        {"grant_type", "password", "unsupported_grant_type"},
		"with a resource that is no URI":  {"resource", "api", "invalid_target"},
		"with two ways of authentication": {"client_secret", "x", "invalid_request"},
		"with another client_id in body":  {"client_id", "x", "invalid_request"},
	} {
		t.Run(reason, func(t *testing.T) {
			b := start(t)
			form := url.Values{
				"grant_type": {"authorization_code"}, "code": {b.code()}, "redirect_uri": {callback}, "code_verifier": {verifier},
			}
			form.Set(c.name, c.value)
			b.post("/oauth2/token", form).wantOAuth(t, http.StatusBadRequest, c.code)
		})
	}
}

func TestAFailedAttemptSpendsTheCode(t *testing.T) {
	b := start(t)
	code := b.code()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {strings.Repeat("x", 43)}}
	b.post("/oauth2/token", form).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.exchange(code).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
}

func TestACodeUsedTwiceRevokesWhatItGave(t *testing.T) {
	b := start(t)
	code := b.code()
	got := b.exchange(code).tokens(t)
	b.exchange(code).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	if st := b.s.Stats(); st.Reuses != 1 || st.Code != (devidp.Calls{Asked: 2, OK: 1, Refused: 1}) {
		t.Errorf("counted %+v", st)
	}
}

func TestACodeLivesFiveMinutes(t *testing.T) {
	b := start(t)
	young, old := b.code(), b.code()
	b.clock.advance(5*time.Minute - time.Second)
	b.exchange(young).tokens(t)
	b.clock.advance(time.Second)
	b.exchange(old).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
}

func TestPKCEMayBeOptionalButAVerifierWithoutAChallengeIsAnAttack(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.PKCEOptional = true })
	without := []string{"code_challenge", "-", "code_challenge_method", "-"}
	b.exchange(b.code(without...)).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.post("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {b.code(without...)}, "redirect_uri": {callback},
	}).tokens(t)
}

func TestClientsAuthenticate(t *testing.T) {
	b := start(t)
	id, secret, public := b.s.ClientID(), b.s.ClientSecret(), b.s.PublicClientID()
	for how, c := range map[string]struct {
		basic [2]string
		body  [2]string
		ok    bool
	}{
		"Basic":                                {basic: [2]string{id, secret}, ok: true},
		"Basic with client_id in the body":     {basic: [2]string{id, secret}, body: [2]string{id, ""}, ok: true},
		"Basic, percent-encoded":               {basic: [2]string{"%" + hexOf(id[0]) + id[1:], secret}, ok: true},
		"Basic with a wrong secret":            {basic: [2]string{id, secret + "x"}},
		"Basic with an unknown client":         {basic: [2]string{"nobody", secret}},
		"Basic with a broken encoding":         {basic: [2]string{id, "%zz"}},
		"the body":                             {body: [2]string{id, secret}, ok: true},
		"the body with a wrong secret":         {body: [2]string{id, "x"}},
		"the confidential client, no secret":   {body: [2]string{id, ""}},
		"the public client":                    {body: [2]string{public, ""}, ok: true},
		"the public client with a secret":      {body: [2]string{public, secret}},
		"the public client under Basic, empty": {basic: [2]string{public, ""}, ok: true},
		"nobody":                               {},
	} {
		form := url.Values{"token": {"unknown"}}
		if c.body[0] != "" {
			form.Set("client_id", c.body[0])
		}
		if c.body[1] != "" {
			form.Set("client_secret", c.body[1])
		}
		req := b.request("/oauth2/revoke", form)
		if c.basic[0] != "" {
			req.SetBasicAuth(c.basic[0], c.basic[1])
		}
		got := b.do(b.http, req)
		if c.ok != (got.status == http.StatusOK) {
			t.Errorf("%s: got %d %s", how, got.status, got.body)
		}
		if !c.ok {
			got.wantOAuth(t, http.StatusUnauthorized, "invalid_client")
		}
	}
}

func hexOf(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func TestAWrongSecretAtTheTokenEndpointIs400(t *testing.T) {
	b := start(t)
	req := b.request("/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	req.SetBasicAuth(b.s.ClientID(), "wrong")
	b.do(b.http, req).wantOAuth(t, http.StatusBadRequest, "invalid_client")
}

func TestThePublicClientSignsInWithPKCEAlone(t *testing.T) {
	b := start(t)
	code := b.code("client_id", b.s.PublicClientID())
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"client_id": {b.s.PublicClientID()},
	}
	got := b.do(b.http, b.request("/oauth2/token", form)).tokens(t)
	if aud := part(t, got.ID, 1)["aud"]; aud != b.s.PublicClientID() {
		t.Errorf("aud is %v", aud)
	}
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant") // the other client's token
	form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}, "client_id": {b.s.PublicClientID()}}
	b.do(b.http, b.request("/oauth2/token", form)).tokens(t) // and the theft above did it no harm
}

func TestMachinesGetCustomScopesOnly(t *testing.T) {
	b := start(t)
	ask := func(scope string) reply {
		return b.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	}
	all := ask("")
	if strings.Contains(all.body, "refresh_token") || strings.Contains(all.body, "id_token") || strings.Contains(all.body, `"scope"`) {
		t.Errorf("too much in %s", all.body)
	}
	token := part(t, all.tokens(t).Access, 1)
	want(t, "machine", token, map[string]any{
		"sub": b.s.ClientID(), "client_id": b.s.ClientID(), "scope": "vestibule/read vestibule/write", "token_use": "access", "version": 2.0,
	})
	if one := part(t, ask("vestibule/read").tokens(t).Access, 1)["scope"]; one != "vestibule/read" {
		t.Errorf("scope is %v", one)
	}
	ask("openid").wantOAuth(t, http.StatusBadRequest, "invalid_scope")
	public := b.request("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {b.s.PublicClientID()}})
	b.do(b.http, public).wantOAuth(t, http.StatusBadRequest, "unauthorized_client")
}
