package idp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are those of a truthful logout token, changed by the given ones; gone removes a claim.
func logoutClaims(changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": issuer, "aud": clientID, "sub": subject, "sid": "provider-session", "jti": "logout-1",
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == gone })
	return c
}

type absence struct{}

var gone = absence{}

// signLogout signs with the provider's key and the given typ; "" leaves it out.
func signLogout(t testing.TB, typ any, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "a")
	if typ != "" {
		options = options.WithHeader("typ", typ)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keyA()}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func logoutToken(t testing.TB, changes map[string]any) string {
	t.Helper()
	return signLogout(t, "logout+jwt", logoutClaims(changes))
}

func TestALogoutTokenSaysWhoseSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Truncate(time.Second)
		got, err := open(t, newFake()).VerifyLogoutToken(t.Context(), logoutToken(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		want := idp.LogoutToken{Subject: subject, SessionID: "provider-session", ID: "logout-1", Issued: now, Expires: now.Add(3 * time.Minute)}
		if !got.Issued.Equal(want.Issued) || !got.Expires.Equal(want.Expires) {
			t.Errorf("issued %s, accepted until %s, want %s and %s", got.Issued, got.Expires, want.Issued, want.Expires)
		}
		got.Issued, got.Expires = want.Issued, want.Expires
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestTruthfulLogoutTokensAreAccepted(t *testing.T) {
	type claims = map[string]any
	for name, raw := range map[string]string{
		"no typ":                       signLogout(t, "", logoutClaims(nil)),
		"typ JWT":                      signLogout(t, "JWT", logoutClaims(nil)),
		"typ in other letters":         signLogout(t, "Application/Logout+JWT", logoutClaims(nil)),
		"sub alone":                    logoutToken(t, claims{"sid": gone}),
		"sid alone":                    logoutToken(t, claims{"sub": gone}),
		"exp of a minute ago":          logoutToken(t, claims{"exp": time.Now().Add(-30 * time.Second).Unix()}),
		"several audiences":            logoutToken(t, claims{"aud": []string{"theirs", clientID}}),
		"a little ahead of us":         logoutToken(t, claims{"iat": time.Now().Add(4 * time.Minute).Unix(), "exp": time.Now().Add(6 * time.Minute).Unix()}),
		"four minutes old":             logoutToken(t, claims{"iat": time.Now().Add(-4 * time.Minute).Unix()}),
		"seconds with a fraction":      logoutToken(t, claims{"iat": float64(time.Now().UnixMilli()) / 1000}),
		"an event that holds members":  logoutToken(t, claims{"events": claims{logoutEvent: claims{"a": 1}, "another": 7}}),
		"a subject of 255 bytes":       logoutToken(t, claims{"sub": strings.Repeat("s", 255)}),
		"further claims":               logoutToken(t, claims{"trace_id": "x", "amr": []int{1}}),
		"signed without naming a key":  sign(t, jose.RS256, keyA(), "", logoutClaims(nil)),
		"not before a moment from now": logoutToken(t, claims{"nbf": time.Now().Add(time.Minute).Unix()}),
	} {
		if _, err := open(t, newFake()).VerifyLogoutToken(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every row is what somebody who is not the provider might post, or a token of the provider's that means something else.
func TestLyingLogoutTokensAreRefused(t *testing.T) {
	type claims = map[string]any
	part := base64.RawURLEncoding.EncodeToString
	honest := strings.Split(logoutToken(t, nil), ".")
	other := strings.Split(logoutToken(t, claims{"sub": "user-2"}), ".")
	payload, _ := json.Marshal(logoutClaims(nil))
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, raw := range map[string]string{
		"nothing":                         "",
		"no token at all":                 "nonsense",
		"an endless one":                  strings.Repeat("a", idp.MaxLogoutToken+1),
		"endless, and otherwise good":     logoutToken(t, claims{"x": strings.Repeat("a", idp.MaxLogoutToken)}),
		"another issuer":                  logoutToken(t, claims{"iss": "https://evil.example"}),
		"no issuer":                       logoutToken(t, claims{"iss": gone}),
		"the issuer under another name":   logoutToken(t, claims{"iss": gone, "ISS": issuer}),
		"the issuer with a slash":         logoutToken(t, claims{"iss": issuer + "/"}),
		"another audience":                logoutToken(t, claims{"aud": "their-client"}),
		"other audiences":                 logoutToken(t, claims{"aud": []string{"their-client", clientID + "2"}}),
		"no audience":                     logoutToken(t, claims{"aud": gone}),
		"an audience that is an object":   logoutToken(t, claims{"aud": claims{clientID: true}}),
		"no iat":                          logoutToken(t, claims{"iat": gone}),
		"an iat that is text":             logoutToken(t, claims{"iat": "now"}),
		"six minutes old":                 logoutToken(t, claims{"iat": in(-6 * time.Minute), "exp": in(time.Hour)}),
		"six minutes old, without exp":    logoutToken(t, claims{"iat": in(-6 * time.Minute), "exp": gone}),
		"no exp":                          logoutToken(t, claims{"exp": gone}),
		"issued in the future":            logoutToken(t, claims{"iat": in(6 * time.Minute), "exp": in(10 * time.Minute)}),
		"expired":                         logoutToken(t, claims{"iat": in(-3 * time.Minute), "exp": in(-2 * time.Minute)}),
		"an exp that is text":             logoutToken(t, claims{"exp": "tomorrow"}),
		"an exp that is null":             logoutToken(t, claims{"exp": nil}),
		"not valid before tomorrow":       logoutToken(t, claims{"nbf": in(24 * time.Hour)}),
		"an nbf that is text":             logoutToken(t, claims{"nbf": "now"}),
		"no events":                       logoutToken(t, claims{"events": gone}),
		"events that are a list":          logoutToken(t, claims{"events": []string{logoutEvent}}),
		"another event":                   logoutToken(t, claims{"events": claims{"http://schemas.openid.net/event/other": claims{}}}),
		"the event as text":               logoutToken(t, claims{"events": claims{logoutEvent: "yes"}}),
		"the event as null":               logoutToken(t, claims{"events": claims{logoutEvent: nil}}),
		"the event as a list":             logoutToken(t, claims{"events": claims{logoutEvent: []int{}}}),
		"a nonce":                         logoutToken(t, claims{"nonce": nonce}),
		"a nonce that is null":            logoutToken(t, claims{"nonce": nil}),
		"neither sub nor sid":             logoutToken(t, claims{"sub": gone, "sid": gone}),
		"a sub that is a number":          logoutToken(t, claims{"sub": 7}),
		"an empty sub beside a sid":       logoutToken(t, claims{"sub": ""}),
		"an endless sub":                  logoutToken(t, claims{"sub": strings.Repeat("s", 256)}),
		"a sid that is a list":            logoutToken(t, claims{"sid": []string{"s"}}),
		"a sid that is null":              logoutToken(t, claims{"sid": nil}),
		"an endless sid":                  logoutToken(t, claims{"sid": strings.Repeat("s", 256)}),
		"no jti":                          logoutToken(t, claims{"jti": gone}),
		"an empty jti":                    logoutToken(t, claims{"jti": ""}),
		"an endless jti":                  logoutToken(t, claims{"jti": strings.Repeat("j", 513)}),
		"typ of an access token":          signLogout(t, "at+jwt", logoutClaims(nil)),
		"typ of a security event":         signLogout(t, "secevent+jwt", logoutClaims(nil)),
		"an ID token":                     idToken(t, nil),
		"an ID token without a nonce":     idToken(t, claims{"nonce": nil, "jti": "x"}),
		"an ID token that claims events":  signLogout(t, "", idClaims(claims{"jti": "x", "events": claims{logoutEvent: claims{}}})),
		"an ID token of Cognito's":        logoutToken(t, claims{"token_use": "id"}),
		"signed with our client's secret": sign(t, jose.HS256, []byte(strings.Repeat("s3cret&+", 8)), "a", logoutClaims(nil)),
		"not signed":                      part([]byte(`{"alg":"none","kid":"a"}`)) + "." + part(payload) + ".",
		"not signed, in capitals":         part([]byte(`{"alg":"NONE"}`)) + "." + part(payload) + ".",
		"serialised as JSON":              `{"payload":"` + honest[1] + `","protected":"` + honest[0] + `","signature":"` + honest[2] + `"}`,
		"signed by another key":           sign(t, jose.RS256, keyB(), "a", logoutClaims(nil)),
		"signed by a key nobody knows":    sign(t, jose.RS256, keyB(), "b", logoutClaims(nil)),
		"an algorithm not advertised":     sign(t, jose.PS256, keyA(), "a", logoutClaims(nil)),
		"the signature cut off":           honest[0] + "." + honest[1] + ".",
		"a changed payload":               honest[0] + "." + other[1] + "." + honest[2],
		"claims that are a list":          part([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + part([]byte(`[]`)) + "." + honest[2],
		"claims that are null":            part([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + part([]byte(`null`)) + "." + honest[2],
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, newFake()).VerifyLogoutToken(t.Context(), raw)
			fail, _ := errors.AsType[*idp.Error](err)
			if fail == nil || fail.Kind != idp.ErrUntrusted || fail.Operation != idp.OperationLogout {
				t.Errorf("got %v, want ErrUntrusted", err)
			}
			if got != (idp.LogoutToken{}) {
				t.Errorf("got %+v with the refusal", got)
			}
		})
	}
}

// A typ may be any JSON value where a signer is careless.
func TestATypThatIsNoTextIsRefused(t *testing.T) {
	if _, err := open(t, newFake()).VerifyLogoutToken(t.Context(), signLogout(t, 7, logoutClaims(nil))); !errors.Is(err, idp.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
}

func TestWithoutKeysNobodyCanSayWhetherALogoutTokenIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on("/keys", status(http.StatusServiceUnavailable, ""))
		p := open(t, f)
		_, err := p.VerifyLogoutToken(t.Context(), logoutToken(t, nil))
		fail, _ := errors.AsType[*idp.Error](err)
		if fail == nil || fail.Kind != idp.ErrUnavailable || fail.Operation != idp.OperationLogout {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		f.set(func(f *fake) { delete(f.handle, "/keys") })
		pass(10 * time.Second)
		if _, err := p.VerifyLogoutToken(t.Context(), logoutToken(t, nil)); err != nil {
			t.Errorf("once the keys can be had: %v", err)
		}
		f = newFake()
		f.on("/.well-known/openid-configuration", status(http.StatusBadGateway, ""))
		if _, err := open(t, f).VerifyLogoutToken(t.Context(), logoutToken(t, nil)); !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("without metadata: got %v, want ErrUnavailable", err)
		}
	})
}

func TestWhatNeedsNoKeyIsRefusedWithoutAskingTheProvider(t *testing.T) {
	f := newFake()
	p := open(t, f)
	for _, raw := range []string{"", "nonsense", idToken(t, nil), logoutToken(t, map[string]any{"aud": "theirs"})} {
		if _, err := p.VerifyLogoutToken(t.Context(), raw); !errors.Is(err, idp.ErrUntrusted) {
			t.Errorf("got %v, want ErrUntrusted", err)
		}
	}
	if got := f.count("/keys") + f.count("/.well-known/openid-configuration"); got != 0 {
		t.Errorf("%d requests to the provider, want none", got)
	}
}

// Anybody can post a logout token. What strangers make up costs the provider one request in ten seconds, and must not keep
// the roll of its keys from being noticed by those who refresh.
func TestForgedLogoutTokensDoNotKeepRefreshedTokensFromBeingVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		forged := sign(t, jose.RS256, keyB(), "unknown", logoutClaims(nil))
		before := f.count("/keys")
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			if _, err := p.VerifyLogoutToken(t.Context(), forged); err == nil {
				t.Fatal("a forged token is accepted")
			}
		}
		if got := f.count("/keys") - before; got < 5 || got > 7 {
			t.Errorf("%d fetches in a minute, want about 6", got)
		}
		if _, err := p.VerifyLogoutToken(t.Context(), forged); err == nil { // the floor is freshly closed
			t.Fatal("a forged token is accepted")
		}
		f.set(func(f *fake) { f.keys = []any{jwk("b", keyB().Public())} })
		f.signedBy(t, keyB(), "b")
		start := time.Now()
		if _, err := refresh(p); err != nil || time.Since(start) != 0 {
			t.Errorf("a refresh after the roll: %v after %s, want it at once", err, time.Since(start))
		}
	})
}
