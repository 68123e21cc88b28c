package eventsdev_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp/devidp"
	"vestibule/upstream/eventsdev"
)

func TestTokensAreRefusedForOneReasonEach(t *testing.T) {
	b := start(t)
	now := b.clock.now().Unix()
	hmac := jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: keyOne().N.Bytes(), KeyID: "one"}}
	ps256 := jose.SigningKey{Algorithm: jose.PS256, Key: jose.JSONWebKey{Key: keyOne(), KeyID: "one"}}
	good := b.token(nil)
	for what, c := range map[string]struct {
		token  string
		reason eventsdev.Reason
	}{
		"nothing":                        {"", eventsdev.ReasonNoToken},
		"an empty Bearer":                {"Bearer ", eventsdev.ReasonNoToken},
		"not a JWT":                      {"opaque", eventsdev.ReasonMalformed},
		"two words":                      {"Basic " + good, eventsdev.ReasonMalformed},
		"a JWT without its signature":    {good[:strings.LastIndexByte(good, '.')+1], eventsdev.ReasonSignature},
		"a very long one":                {b.token(map[string]any{"filling": strings.Repeat("x", 16<<10)}), eventsdev.ReasonMalformed},
		"unsigned":                       {"eyJhbGciOiJub25lIiwia2lkIjoib25lIn0." + strings.Split(good, ".")[1] + ".", eventsdev.ReasonAlgorithm},
		"signed with the public key":     {signed(t, hmac, b.claims(nil)), eventsdev.ReasonAlgorithm},
		"signed in another way":          {signed(t, ps256, b.claims(nil)), eventsdev.ReasonAlgorithm},
		"an unknown key id":              {b.sign("two", keyTwo(), b.claims(nil)), eventsdev.ReasonUnknownKey},
		"no key id":                      {b.sign("", keyOne(), b.claims(nil)), eventsdev.ReasonUnknownKey},
		"another's key under a known id": {b.sign("one", keyTwo(), b.claims(nil)), eventsdev.ReasonSignature},
		"another payload":                {swapPayload(good, b.token(map[string]any{"sub": "root"})), eventsdev.ReasonSignature},
		"claims of a wrong type":         {b.token(map[string]any{"exp": "soon"}), eventsdev.ReasonMalformed},
		"another issuer":                 {b.token(map[string]any{"iss": "https://example.com"}), eventsdev.ReasonIssuer},
		"the issuer with a slash":        {b.token(map[string]any{"iss": b.issuer.URL + "/"}), eventsdev.ReasonIssuer},
		"no issuer":                      {b.token(map[string]any{"iss": nil}), eventsdev.ReasonIssuer},
		"expired a second ago":           {b.token(map[string]any{"exp": now - 1}), eventsdev.ReasonExpired},
		"expired this very second":       {b.token(map[string]any{"exp": now}), eventsdev.ReasonExpired},
		"no end":                         {b.token(map[string]any{"exp": nil}), eventsdev.ReasonMalformed},
		"not valid before the next":      {b.token(map[string]any{"nbf": now + 1}), eventsdev.ReasonNotYetValid},
		"a refresh token":                {b.token(map[string]any{"token_use": "refresh"}), eventsdev.ReasonTokenUse},
		"no use":                         {b.token(map[string]any{"token_use": nil}), eventsdev.ReasonTokenUse},
		"another client":                 {b.token(map[string]any{"client_id": "other"}), eventsdev.ReasonClient},
		"a client in aud alone":          {b.token(map[string]any{"client_id": nil, "aud": "app"}), eventsdev.ReasonClient},
		"an ID token of another client":  {b.token(map[string]any{"token_use": "id", "client_id": "app", "aud": []string{"other"}}), eventsdev.ReasonClient},
	} {
		before := b.refusals(c.reason)
		status, body := b.post(c.token, publishBody("default/a", "1"))
		if status != http.StatusUnauthorized || !strings.Contains(body, `"errorType":"UnauthorizedException"`) {
			t.Errorf("%s: got %d %s", what, status, body)
		}
		if b.refusals(c.reason)-before != 1 {
			t.Errorf("%s: not counted as %s: %v", what, c.reason, b.s.Stats().Refusals)
		}
	}
	for what, token := range map[string]string{
		"a good one": good, "Bearer": "Bearer " + good, "bearer": "bearer " + good,
		"valid from now": b.token(map[string]any{"nbf": now}), "for another second": b.token(map[string]any{"exp": now + 1}),
		"an ID token for several": b.token(map[string]any{"token_use": "id", "client_id": nil, "aud": []string{"other", "app"}}),
	} {
		if status, body := b.post(token, publishBody("default/a", "1")); status != http.StatusOK {
			t.Errorf("%s: got %d %s", what, status, body)
		}
	}
}

// swapPayload is the first token with the claims of the second.
func swapPayload(first, second string) string {
	a, b := strings.Split(first, "."), strings.Split(second, ".")
	return a[0] + "." + b[1] + "." + a[2]
}

func TestWithoutClientIDsEveryClientIsTaken(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.ClientIDs = nil })
	if status, body := b.post(b.token(map[string]any{"client_id": "whoever"}), publishBody("default/a", "1")); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
}

func (b *bench) wantPost(token string, want int) {
	b.t.Helper()
	if status, body := b.post(token, publishBody("default/a", "1")); status != want {
		b.t.Errorf("got %d %s, want %d", status, body, want)
	}
}

func TestANewKeyIsFetchedButNotForEveryUnknownKid(t *testing.T) {
	b := start(t)
	rolled := b.sign("two", keyTwo(), b.claims(nil))
	b.wantPost(b.token(nil), http.StatusOK)
	b.clock.forward(3 * time.Second)
	for range 20 {
		b.wantPost(rolled, http.StatusUnauthorized)
	}
	if got := b.issuer.fetched(); got != 2 {
		t.Errorf("fetched %d times, want 2", got)
	}
	b.issuer.publish(t, publicKey("one", keyOne()), publicKey("two", keyTwo()))
	b.wantPost(rolled, http.StatusUnauthorized) // too soon
	b.clock.forward(3 * time.Second)
	b.wantPost(rolled, http.StatusOK)
	b.wantPost(b.token(nil), http.StatusOK)
	if got := b.issuer.fetched(); got != 3 {
		t.Errorf("fetched %d times, want 3", got)
	}
}

func TestAKeyThatIsNoLongerPublishedEnds(t *testing.T) {
	b := start(t)
	old := b.token(map[string]any{"exp": b.clock.now().Add(24 * time.Hour).Unix()})
	b.wantPost(old, http.StatusOK)
	b.issuer.publish(t, publicKey("two", keyTwo()))
	b.wantPost(old, http.StatusOK)
	b.clock.forward(5 * time.Minute)
	b.wantPost(old, http.StatusUnauthorized)
}

// Amplify gives up for good on an UnauthorizedException, which an issuer that is down does not justify.
func TestAnIssuerThatIsDownIsNoVerdictOnTheToken(t *testing.T) {
	b := start(t)
	b.issuer.answer(http.StatusInternalServerError, nil)
	token := b.token(map[string]any{"exp": b.clock.now().Add(24 * time.Hour).Unix()})
	if status, body := b.post(token, publishBody("default/a", "1")); status != http.StatusServiceUnavailable || !strings.Contains(body, `"errorType":"InternalFailure"`) {
		t.Errorf("got %d %s", status, body)
	}
	c := b.dial("aws-appsync-event-ws", b.header(token))
	c.send(`{"type":"connection_init"}`)
	c.wantError("connection_error", "", "InternalFailure")
	if got := b.refusals(eventsdev.ReasonKeysUnavailable); got != 2 || b.issuer.fetched() != 1 {
		t.Errorf("counted %d, fetched %d times", got, b.issuer.fetched())
	}

	b.issuer.publish(t, publicKey("one", keyOne()))
	b.clock.forward(3 * time.Second)
	b.wantPost(token, http.StatusOK)
	for _, answer := range []struct {
		status int
		body   string
	}{{http.StatusBadGateway, ""}, {http.StatusOK, "<html>"}, {http.StatusOK, strings.Repeat(" ", 300<<10) + `{"keys":[]}`}, {http.StatusFound, ""}} {
		b.issuer.answer(answer.status, []byte(answer.body))
		b.clock.forward(time.Hour)
		b.wantPost(token, http.StatusOK) // with the keys that were had before
	}
}

func TestKeysOfOtherKindsArePassedOver(t *testing.T) {
	b := start(t)
	good, err := publicKey("one", keyOne()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	forEncryption := publicKey("two", keyTwo())
	forEncryption.Use = "enc"
	other, err := forEncryption.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"keys": []any{
		map[string]string{"kty": "OKP", "crv": "unknown", "kid": "x"}, "not a key", json.RawMessage(other), json.RawMessage(good),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.issuer.answer(http.StatusOK, body)
	b.wantPost(b.token(nil), http.StatusOK)
	b.wantPost(b.sign("two", keyTwo(), b.claims(nil)), http.StatusUnauthorized)
}

func TestManyAtOnceFetchTheKeysOnce(t *testing.T) {
	b := start(t)
	token := b.token(nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, body := b.post(token, publishBody("default/a", "1")); status != http.StatusOK {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
	all.Wait()
	if got := b.issuer.fetched(); got != 1 {
		t.Errorf("fetched %d times", got)
	}
}

func TestTokensOfTheDevelopmentProviderAreTaken(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	b := start(t, func(c *eventsdev.Config) {
		c.Issuer, c.ClientIDs, c.Now = provider.Issuer(), []string{provider.ClientID()}, nil
	})
	form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, provider.URL()+"/oauth2/token", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(provider.ClientID(), provider.ClientSecret())
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if _, body := b.do(req); json.Unmarshal([]byte(body), &answer) != nil || answer.AccessToken == "" {
		t.Fatalf("no token: %s", body)
	}
	b.wantPost(answer.AccessToken, http.StatusOK)
	c := b.dial("aws-appsync-event-ws", b.header(answer.AccessToken))
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack","connectionTimeoutMs":300000}`)
}
