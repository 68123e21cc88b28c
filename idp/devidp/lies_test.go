package devidp_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp/devidp"
)

// lied compares the ID token's claims with what honesty would say, and gives the names that differ.
func (b *bench) lied(id map[string]any, access string) []string {
	sum := sha256.Sum256([]byte(access))
	honest := map[string]any{
		"iss": b.s.Issuer(), "aud": b.s.ClientID(), "nonce": "the-nonce", "sub": b.s.Users()[0].Sub, "token_use": "id", "azp": nil,
		"nbf": nil, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	var names []string
	for name, value := range honest {
		if id[name] != value {
			names = append(names, name)
		}
	}
	now := float64(b.clock.now().Unix())
	if exp, ok := id["exp"].(float64); !ok || exp <= now {
		names = append(names, "exp")
	}
	if iat, ok := id["iat"].(float64); !ok || iat > now {
		names = append(names, "iat")
	}
	slices.Sort(names)
	return names
}

func TestEachLieChangesItsClaimsAndNoOthers(t *testing.T) {
	b := start(t)
	for what, c := range map[string]struct {
		lies  devidp.Lies
		claim []string
	}{
		"honesty":        {devidp.Lies{}, nil},
		"issuer":         {devidp.Lies{WrongIssuer: true}, []string{"iss"}},
		"audience":       {devidp.Lies{WrongAudience: true}, []string{"aud"}},
		"nonce":          {devidp.Lies{WrongNonce: true}, []string{"nonce"}},
		"subject":        {devidp.Lies{WrongSubject: true}, []string{"sub"}},
		"token_use":      {devidp.Lies{WrongTokenUse: true}, []string{"token_use"}},
		"azp":            {devidp.Lies{WrongAzp: true}, []string{"azp"}},
		"at_hash":        {devidp.Lies{WrongAtHash: true}, []string{"at_hash"}},
		"expired":        {devidp.Lies{Expired: true}, []string{"exp"}},
		"not yet valid":  {devidp.Lies{NotYetValid: true}, []string{"iat", "nbf"}},
		"another's lie":  {devidp.Lies{WrongIssuer: true, In: devidp.InAccessToken}, nil},
		"two at a time":  {devidp.Lies{WrongIssuer: true, WrongSubject: true, In: devidp.InBothTokens}, []string{"iss", "sub"}},
		"on refresh yet": {devidp.Lies{WrongIssuer: true, OnRefreshOnly: true}, nil},
	} {
		b.faults(devidp.Faults{Lies: c.lies})
		got := b.signedIn()
		if names := b.lied(part(t, got.ID, 1), got.Access); !slices.Equal(names, c.claim) {
			t.Errorf("%s: lied about %v, want %v", what, names, c.claim)
		}
		b.verify(got.ID) // the signature is good: only the claim gives it away
		access := part(t, got.Access, 1)
		wantIssuer := b.s.Issuer()
		if c.lies.In != "" {
			wantIssuer = "https://somebody-else.example"
		}
		if access["iss"] != wantIssuer {
			t.Errorf("%s: the access token says %v", what, access["iss"])
		}
	}
}

func TestLiesInTheAccessTokenName(t *testing.T) {
	b := start(t)
	b.faults(devidp.Faults{Lies: devidp.Lies{WrongAudience: true, WrongTokenUse: true, In: devidp.InAccessToken}})
	got := part(t, b.signedIn().Access, 1)
	if got["client_id"] == b.s.ClientID() || got["token_use"] != "id" || got["aud"] != nil {
		t.Errorf("got %v", got)
	}
	withAudience := part(t, b.signedIn("resource", "https://api.example.com").Access, 1)
	if withAudience["aud"] == "https://api.example.com" || withAudience["client_id"] != b.s.ClientID() {
		t.Errorf("got %v", withAudience)
	}
}

// keySet reads the published keys by kid.
func (b *bench) keySet() map[string]any {
	b.Helper()
	var set jose.JSONWebKeySet
	b.get(b.http, b.s.Issuer()+"/.well-known/jwks.json").json(b.T, &set)
	byKid := map[string]any{}
	for _, k := range set.Keys {
		byKid[k.KeyID] = k.Key
	}
	return byKid
}

func TestSignaturesThatMustBeRefused(t *testing.T) {
	b := start(t)
	honest := part(t, b.signedIn().ID, 0)["kid"].(string)
	public := b.keySet()[honest]
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for what, c := range map[string]struct {
		lies     devidp.Lies
		alg      string
		knownKid bool
		opens    any // the key that verifies it, nil for none
	}{
		"none":            {devidp.Lies{Alg: devidp.AlgNone}, "none", false, nil},
		"HS256":           {devidp.Lies{Alg: devidp.AlgHS256}, "HS256", true, []byte(b.s.ClientSecret())},
		"HS256 by public": {devidp.Lies{Alg: devidp.AlgHS256PublicKey}, "HS256", true, asPEM},
		"a strange key":   {devidp.Lies{WrongKey: true}, "RS256", true, nil},
		"an unknown kid":  {devidp.Lies{UnknownKid: true}, "RS256", false, public},
	} {
		b.faults(devidp.Faults{Lies: c.lies})
		token := b.signedIn().ID
		header := part(t, token, 0)
		kid, _ := header["kid"].(string)
		if header["alg"] != c.alg || (kid == honest) != c.knownKid {
			t.Errorf("%s: header %v", what, header)
		}
		if opens := verifies(token, c.opens, public); opens != (c.opens != nil) {
			t.Errorf("%s: verifies is %v", what, opens)
		}
	}
}

// verifies tries the key, or the published one where there is none.
func verifies(token string, key, published any) bool {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.HS256})
	if err != nil {
		return false
	}
	if key == nil {
		key = published
	}
	_, err = signed.Verify(key)
	return err == nil
}

func TestLiesAreCountedDownAndSparedAtTheExchange(t *testing.T) {
	b := start(t)
	b.faults(devidp.Faults{Lies: devidp.Lies{NoIDToken: true, OnRefreshOnly: true, WrongState: true, Times: 2}})
	got := b.signedIn()
	if got.ID == "" {
		t.Error("the exchange lied")
	}
	for i, wantID := range []bool{false, false, true} {
		got = b.refresh(got.Refresh).tokens(t)
		if (got.ID != "") != wantID {
			t.Errorf("refresh %d: ID token is %q", i, got.ID)
		}
	}
	if b.s.Stats().Lies != 2 {
		t.Errorf("counted %d", b.s.Stats().Lies)
	}
	if left := b.s.Faults().Lies; left != (devidp.Lies{WrongState: true}) {
		t.Errorf("left in force: %+v", left)
	}
}

func TestLiesInTheRedirect(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.SendIss = true })
	for what, c := range map[string]struct {
		lies       devidp.Lies
		state, iss string
	}{
		"state":  {devidp.Lies{WrongState: true}, "somebody-elses-state", b.s.Issuer()},
		"iss":    {devidp.Lies{WrongIss: true}, "the-state", "https://somebody-else.example"},
		"no iss": {devidp.Lies{NoIss: true}, "the-state", ""},
	} {
		b.faults(devidp.Faults{Lies: c.lies})
		at, err := b.s.SignIn(t.Context(), b.authorizeURL(), b.s.Users()[0])
		if err != nil {
			t.Fatal(err)
		}
		if q := query(t, at); q.Get("state") != c.state || q.Get("iss") != c.iss {
			t.Errorf("%s: %v", what, q)
		}
	}
}

func TestFaultsSurviveTheirOwnJSON(t *testing.T) {
	want := devidp.Faults{
		Token:          devidp.Fault{Latency: 1, RawBody: "{}", Status: 299, RetryAfter: "x", Times: 3},
		AuthorizeError: "access_denied",
		Lies:           devidp.Lies{Expired: true, In: devidp.InBothTokens, Times: 9},
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got devidp.Faults
	if err := json.Unmarshal(raw, &got); err != nil || got != want {
		t.Errorf("%s became %+v, %v", raw, got, err)
	}
}
