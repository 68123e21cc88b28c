package idp

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The parsers are reached here directly: a network round trip for each input would find less.

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "2", "-1", "1.5", "99999999999999999999", "Sat, 01 Jan 2000 00:00:42 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", " 7 ", "0x10"} {
		f.Add(seed)
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, now); got < 0 || got > time.Hour {
			t.Errorf("got %v", got)
		}
	})
}

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":3600,"token_type":"Bearer","scope":"openid"}`,
		`{"access_token":"a.eyJleHAiOjF9.c","expires_in":"3600"}`, `{"access_token":"a","expires_in":1e400}`,
		`{"error":"invalid_grant"}`, `{"__type":"ns#TooManyRequestsException"}`, `{"access_token":7}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		if code := problemCode(body); code != "" && code != "other" && !codeShape.MatchString(code) {
			t.Errorf("code %q", code)
		}
		got, err := parseTokenAnswer(body)
		if err != nil {
			return
		}
		if got.access == "" || strings.ContainsAny(got.access+got.refresh+got.id, " \r\n\x00") {
			t.Errorf("tokens %q %q %q", got.access, got.refresh, got.id)
		}
		if end := got.expiry(now); end.IsZero() || end.After(now.Add(maxLife)) && got.expiresIn != 0 {
			t.Errorf("ends %v", end)
		}
	})
}

func FuzzDiscoveryDocument(f *testing.F) {
	const issuer = "https://id.example.com"
	for _, seed := range []string{
		`{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/a","token_endpoint":"https://id.example.com/t","jwks_uri":"https://id.example.com/k"}`,
		`{"issuer":"https://id.example.com","authorization_endpoint":"http://localhost/a","token_endpoint":"https://u@h/t","jwks_uri":"https://[::1]/k"}`,
		`{"issuer":7}`, `null`, ``, `{"id_token_signing_alg_values_supported":["none"]}`,
	} {
		f.Add([]byte(seed))
	}
	p, err := New(Config{Issuer: issuer, ClientID: "c", RedirectURL: issuer, LogoutRedirectURL: issuer})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parseDocument(body)
		if err != nil {
			return
		}
		m, err := p.resolve(d)
		if err != nil {
			return
		}
		for _, raw := range []string{m.Authorization, m.Token, m.JWKS} {
			u, err := safeURL("endpoint", raw)
			if err != nil || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !loopback(u.Hostname()) {
				t.Errorf("accepted %q", raw)
			}
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if err != nil {
			return
		}
		for _, k := range keys {
			if !k.IsPublic() || k.Use != "" && k.Use != "sig" || len(keys) > maxKeys {
				t.Errorf("accepted %v", k)
			}
		}
	})
}

func FuzzLogoutClaims(f *testing.F) {
	const issuer = "https://id.example.com"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, seed := range []string{
		`{"iss":"https://id.example.com","aud":"c","iat":1767225600,"exp":1767225720,"jti":"j","sub":"s","sid":"i","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`,
		`{"iss":"https://id.example.com","aud":["x","c"],"iat":1767225600.5,"jti":"j","sub":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{"a":[1]}}}`,
		`{"iss":"https://id.example.com","aud":"c","iat":1e300,"jti":"j","sid":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{}},"nbf":-1}`,
		`{"nonce":null,"token_use":"id"}`, `{"events":[]}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	p, err := New(Config{Issuer: issuer, ClientID: "c", RedirectURL: issuer, LogoutRedirectURL: issuer, Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := p.readLogoutClaims(payload)
		if err != nil {
			return
		}
		if got.Subject == "" && got.SessionID == "" || got.ID == "" || len(got.ID) > maxTokenID || len(got.Subject) > maxSubject || len(got.SessionID) > maxSessionID {
			t.Errorf("whose: %+v", got)
		}
		if !now.Before(got.Expires) || got.Issued.After(now.Add(futureSkew)) || got.Expires.After(got.Issued.Add(logoutAge)) {
			t.Errorf("when: %+v", got)
		}
	})
}

func FuzzLogoutToken(f *testing.F) {
	const issuer = "https://id.example.com"
	for _, seed := range []string{"", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJSUzI1NiIsInR5cCI6ImxvZ291dCtqd3QifQ.e30.AA", "{}"} {
		f.Add(seed)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const claims = `{"iss":"https://id.example.com","aud":"c","iat":1767225600,"exp":1767225720,"jti":"j","sub":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`
	text := base64.RawURLEncoding.EncodeToString
	for _, alg := range []string{"RS256", "HS256", "none"} { // nothing but the algorithm stands against the last two
		f.Add(text([]byte(`{"alg":"`+alg+`"}`)) + "." + text([]byte(claims)) + ".AA")
	}
	long := strings.TrimSuffix(claims, "}") + `,"x":"` + strings.Repeat("x", MaxLogoutToken) + `"}`
	f.Add(text([]byte(`{"alg":"RS256"}`)) + "." + text([]byte(long)) + ".AA")
	p, err := New(Config{Issuer: issuer, ClientID: "c", RedirectURL: issuer, LogoutRedirectURL: issuer, Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, alg, err := p.readLogoutToken(raw); err == nil && (strings.HasPrefix(alg, "HS") || alg == "none" || len(raw) > MaxLogoutToken) {
			t.Errorf("%d bytes signed with %q are taken for a logout token", len(raw), alg)
		}
	})
}
