package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

// Every row is a token that somebody who is not the provider, or a provider gone wrong, might send.
func TestLyingIDTokensAreRefused(t *testing.T) {
	type claims = map[string]any
	hs256 := func(t *testing.T) string {
		return sign(t, jose.HS256, []byte(strings.Repeat("s3cret&+", 8)), "a", idClaims(nil))
	}
	unsigned := func(t *testing.T) string {
		payload, _ := json.Marshal(idClaims(nil))
		part := base64.RawURLEncoding.EncodeToString
		return part([]byte(`{"alg":"none","kid":"a"}`)) + "." + part(payload) + "."
	}
	serialised := func(t *testing.T) string {
		parts := strings.Split(idToken(t, nil), ".")
		return `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
	}
	with := func(c claims) func(*testing.T) string { return func(t *testing.T) string { return idToken(t, c) } }
	for name, token := range map[string]func(*testing.T) string{
		"another issuer":                 with(claims{"iss": "https://evil.example"}),
		"no issuer":                      with(claims{"iss": nil}),
		"the issuer with a slash":        with(claims{"iss": issuer + "/"}),
		"another audience":               with(claims{"aud": "their-client"}),
		"no audience":                    with(claims{"aud": nil}),
		"several audiences without azp":  with(claims{"aud": []string{clientID, "their-client"}}),
		"several audiences, another azp": with(claims{"aud": []string{clientID, "their-client"}, "azp": "their-client"}),
		"our audience but another azp":   with(claims{"azp": "their-client"}),
		"azp that is no text":            with(claims{"azp": 1}),
		"another nonce":                  with(claims{"nonce": "theirs"}),
		"no nonce":                       with(claims{"nonce": nil}),
		"nonce under another name":       with(claims{"nonce": nil, "NONCE": nonce}),
		"expired":                        with(claims{"exp": time.Now().Add(-2 * time.Minute).Unix()}),
		"no expiry":                      with(claims{"exp": nil}),
		"issued in the future":           with(claims{"iat": time.Now().Add(6 * time.Minute).Unix()}),
		"no iat":                         with(claims{"iat": nil}),
		"not valid before tomorrow":      with(claims{"nbf": time.Now().Add(24 * time.Hour).Unix()}),
		"no subject":                     with(claims{"sub": nil}),
		"an empty subject":               with(claims{"sub": ""}),
		"a subject that is a number":     with(claims{"sub": 7}),
		"an endless subject":             with(claims{"sub": strings.Repeat("s", 256)}),
		// The long s folds to s where encoding/json looks for a struct's field.
		"two subjects by case":             with(claims{"\u017fub": "admin"}),
		"at_hash of another access token":  with(claims{"at_hash": atHash("theirs")}),
		"signed with our client's secret":  hs256,
		"not signed":                       unsigned,
		"serialised as JSON":               serialised,
		"signed by another key":            func(t *testing.T) string { return sign(t, jose.RS256, keyB(), "a", idClaims(nil)) },
		"signed by a key nobody publishes": func(t *testing.T) string { return sign(t, jose.RS256, keyB(), "b", idClaims(nil)) },
		"an algorithm not advertised":      func(t *testing.T) string { return sign(t, jose.PS256, keyA(), "a", idClaims(nil)) },
		"the signature cut off":            func(t *testing.T) string { s := idToken(t, nil); return s[:strings.LastIndexByte(s, '.')+1] },
		"a changed payload": func(t *testing.T) string {
			mine, theirs := strings.Split(idToken(t, nil), "."), strings.Split(idToken(t, claims{"sub": "admin"}), ".")
			return mine[0] + "." + theirs[1] + "." + mine[2]
		},
		"no token at all": func(*testing.T) string { return "nonsense" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake().answers(token(t))
			_, err := exchange(open(t, f))
			fail, _ := errors.AsType[*idp.Error](err)
			if fail == nil || fail.Kind != idp.ErrUntrusted || !fail.Lost || fail.Operation != "code" {
				t.Errorf("got %v, want ErrUntrusted", err)
			}
		})
	}
}

func TestTruthfulIDTokensAreAccepted(t *testing.T) {
	type claims = map[string]any
	for name, c := range map[string]claims{
		"plain":                            {},
		"several audiences with our azp":   {"aud": []string{"other", clientID}, "azp": clientID},
		"at_hash":                          {"at_hash": atHash("access-1")},
		"expired within the skew":          {"exp": time.Now().Add(-30 * time.Second).Unix()},
		"issued a little ahead of us":      {"iat": time.Now().Add(4 * time.Minute).Unix()},
		"a subject of 255 bytes":           {"sub": strings.Repeat("s", 255)},
		"auth_time that is no number":      {"auth_time": "yesterday"},
		"a session id that is far too big": {"sid": strings.Repeat("s", 300)},
	} {
		if _, err := exchange(open(t, newFake().answers(idToken(t, c)))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdvertisedAlgorithmsAreTheOnesAccepted(t *testing.T) {
	f := newFake().answers(sign(t, jose.ES256, keyE(), "e", idClaims(nil)))
	f.doc["id_token_signing_alg_values_supported"] = []string{"HS256", "none", "ES256"}
	f.keys = append(f.keys, jwk("e", keyE().Public()))
	if _, err := exchange(open(t, f)); err != nil {
		t.Errorf("ES256: %v", err)
	}
	f.answers(idToken(t, nil))
	if _, err := exchange(open(t, f)); !errors.Is(err, idp.ErrUntrusted) {
		t.Errorf("RS256, which is not advertised: got %v, want ErrUntrusted", err)
	}
}

func TestEveryAsymmetricAlgorithmVerifiesWithItsOwnKindOfKey(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: keyA(), jose.RS512: keyA(), jose.PS384: keyA(), jose.ES256: keyE(), jose.ES384: p384, jose.EdDSA: edwards,
	} {
		f := newFake().answers(sign(t, alg, key, "k", idClaims(nil)))
		f.doc["id_token_signing_alg_values_supported"] = []string{string(alg)}
		f.keys = []any{jwk("k", keyB().Public()), jwk("k", key.Public())}
		if _, err := exchange(open(t, f)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestExchangeDemandsAnIDToken(t *testing.T) {
	if _, err := exchange(open(t, newFake().answers(""))); !errors.Is(err, idp.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

func TestARefreshedIDTokenMustNameTheSameSubject(t *testing.T) {
	f := newFake().answers(idToken(t, map[string]any{"sub": "user-2", "nonce": nil}))
	if _, err := refresh(open(t, f)); !errors.Is(err, idp.ErrUntrusted) {
		t.Errorf("another subject: got %v, want ErrUntrusted", err)
	}
	f.answers(idToken(t, map[string]any{"iss": "https://evil.example"}))
	if _, err := refresh(open(t, f)); !errors.Is(err, idp.ErrUntrusted) {
		t.Errorf("another issuer: got %v, want ErrUntrusted", err)
	}
	f.answers(idToken(t, map[string]any{"nonce": nil}))
	got, err := refresh(open(t, f))
	if err != nil || got.Subject != subject || string(got.Claims) == "" {
		t.Errorf("the same subject without a nonce: got %v, %v", got.Subject, err)
	}
	f.answers(idToken(t, map[string]any{"nonce": "of the first sign-in"}))
	if _, err := refresh(open(t, f)); err != nil {
		t.Errorf("the same subject with a nonce: %v", err)
	}
}

func TestARefreshedIDTokenMayRepeatTheNonceAndNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		nonce any
		want  error
	}{
		"none":            {nil, nil},
		"that of sign-in": {nonce, nil},
		"another":         {"theirs", idp.ErrUntrusted},
		"not even a text": {17, idp.ErrUntrusted},
		"an empty nonce":  {"", idp.ErrUntrusted},
	} {
		f := newFake().answers(idToken(t, map[string]any{"nonce": c.nonce}))
		_, err := open(t, f).Refresh(t.Context(), idp.RefreshRequest{RefreshToken: "rt", Subject: subject, Nonce: nonce})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestCognitoTokensMustSayWhatTheyAreFor(t *testing.T) {
	for use, want := range map[string]error{"id": nil, "access": idp.ErrUntrusted, "": idp.ErrUntrusted} {
		f := newCognito().answers(idToken(t, map[string]any{"iss": cognitoIssuer, "token_use": use, "sid": nil, "origin_jti": "origin-1"}))
		got, err := exchange(open(t, f))
		if !errors.Is(err, want) {
			t.Errorf("token_use %q: got %v, want %v", use, err, want)
		}
		if want == nil && got.SessionID != "origin-1" {
			t.Errorf("got session %q, want origin_jti", got.SessionID)
		}
	}
}

func TestChosenClaimsStayWithinTwoKilobytes(t *testing.T) {
	f := newFake().answers(idToken(t, map[string]any{
		"big": strings.Repeat("x", 3000), "half": strings.Repeat("y", 1500), "half2": strings.Repeat("z", 1500), "a\"b": []int{1, 2},
	}))
	got, err := exchange(open(t, f, func(c *idp.Config) {
		c.Claims = []string{"big", "half", "half2", "absent", "email", "email", "a\"b"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(got.Claims, &claims); err != nil {
		t.Fatalf("claims are no JSON: %v", err)
	}
	if len(got.Claims) > 2048 || len(claims) != 3 || claims["half"] == nil || claims["email"] == nil || claims["a\"b"] == nil {
		t.Errorf("got %d bytes with %d claims: %s", len(got.Claims), len(claims), got.Claims)
	}
	none, err := exchange(open(t, f, func(c *idp.Config) { c.Claims = nil }))
	if err != nil || string(none.Claims) != "{}" {
		t.Errorf("no names: got %s, %v", none.Claims, err)
	}
}

func TestTheClockIsTheConfiguredOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().answers(idToken(t, nil))
		p := open(t, f, func(c *idp.Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } })
		if _, err := exchange(p); !errors.Is(err, idp.ErrUntrusted) {
			t.Errorf("two hours later: got %v, want ErrUntrusted", err)
		}
	})
}
