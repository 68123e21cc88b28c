package handlers_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vestibule/machine"
)

const machinePath = "/oauth2/token"

// withMachines serves machine tokens.
func withMachines(o *options) { o.machine = &machine.Config{} }

// service is a client of the token endpoint with the provider's credentials.
type service struct {
	*browser
	id, secret string
	inForm     bool // client_secret_post
}

func (s *server) service(t testing.TB) *service {
	return &service{browser: s.stranger(t), id: s.provider.ClientID(), secret: s.provider.ClientSecret()}
}

// ask sends a request; params are added to the form.
func (c *service) ask(query string, params ...string) answer {
	c.t.Helper()
	a, err := c.tryAsk(query, params...)
	must(c.t, err)
	return a
}

func (c *service) tryAsk(query string, params ...string) (answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	headers := []string{"Content-Type: application/x-www-form-urlencoded"}
	if c.inForm {
		form.Set("client_id", c.id)
		form.Set("client_secret", c.secret)
	} else {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
		headers = append(headers, "Authorization: "+r.Header.Get("Authorization"))
	}
	return c.try(context.Background(), http.MethodPost, machinePath+query, form.Encode(), headers...)
}

// machineToken is what a service reads.
type machineToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

func (a answer) machineToken(t testing.TB) machineToken {
	t.Helper()
	var out machineToken
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &out) != nil || out.AccessToken == "" {
		t.Fatalf("got %d %s, want a token", a.status, a.body)
	}
	return out
}

func (a answer) cache() string { return a.header.Get("Cache-Status") }

// asked is how often the provider was asked for a machine token.
func (s *server) asked() int64 { return s.provider.Stats().ClientCredentials.Asked }

func (s *server) wantsAsked(t testing.TB, want int64) {
	t.Helper()
	if got := s.asked(); got != want {
		t.Errorf("the provider was asked %d times, want %d", got, want)
	}
}

// claimsOf reads the payload of a JWT without checking it.
func claimsOf(t testing.TB, token string) map[string]string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	all := map[string]json.RawMessage{}
	must(t, json.Unmarshal(payload, &all))
	out := map[string]string{}
	for name, raw := range all {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			out[name] = text
		}
	}
	return out
}
