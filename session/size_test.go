package session_test

import (
	"testing"
	"time"
)

func TestACognitoSessionFitsOneCookie(t *testing.T) {
	h := newHouse(t)
	tokens := cognitoTokens(time.Now())
	_, cookies, err := h.Start(t.Context(), tokens, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(cookies) != 1 {
		t.Fatalf("%d cookies, want 1", len(cookies))
	}
	set, sent := len(cookies[0].String()), len(cookies[0].Name)+len(cookies[0].Value)
	t.Logf("access %d, refresh %d, claims %d characters: Set-Cookie %d bytes, sent %d bytes",
		len(tokens.AccessToken), len(tokens.RefreshToken), len(tokens.Claims), set, sent)
	if set > 4096 || sent > 3400 {
		t.Errorf("Set-Cookie of %d bytes, want at most 4096; %d bytes sent, want at most 3400", set, sent)
	}
}

func TestACognitoSessionWithItsIDTokenIsMeasured(t *testing.T) {
	h := newHouse(t)
	tokens := cognitoTokens(time.Now())
	tokens.IDToken = idToken()
	_, cookies, err := h.Start(t.Context(), tokens, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, c := range cookies {
		sent += len(c.Name) + len(c.Value)
	}
	t.Logf("with an ID token of %d characters: %d cookies, %d bytes sent", len(tokens.IDToken), len(cookies), sent)
	if len(cookies) > 2 || sent > 4600 {
		t.Errorf("%d cookies of %d bytes, want at most 2 of 4600", len(cookies), sent)
	}
}

// Development providers cut refresh tokens out of random text: their parts look like base64url and carry stray bits at the end.
func TestARefreshTokenCutFromRandomTextCostsNoMore(t *testing.T) {
	h := newHouse(t)
	tokens := cognitoTokens(time.Now())
	text := part(noise(12, 1400))
	tokens.RefreshToken = part([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`)) + "." + text[:342] + "." + text[342:358] + "." +
		text[358:1692] + "." + text[1692:1714]
	_, cookies, err := h.Start(t.Context(), tokens, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	sent := len(cookies[0].Name) + len(cookies[0].Value)
	if len(cookies) != 1 || sent > 3400 {
		t.Errorf("%d cookies, %d bytes sent, want one of at most 3400", len(cookies), sent)
	}
	got, err := h.Load(t.Context(), (&browser{cookies: cookies}).header())
	if err != nil || got.Tokens.RefreshToken != tokens.RefreshToken {
		t.Errorf("it did not come back as it was: %v", err)
	}
}
