package config_test

import (
	"testing"

	"vestibule/config"
)

// A request for a token that we send to ourselves is sent again, until everybody's patience is over.
func TestTheTokenEndpointIsNotOurOwn(t *testing.T) {
	const problem = ": is the address of our own /oauth2/token: requests would go round in circles"
	tests := map[string]struct {
		flags []string
		want  string // the key at fault
	}{
		"public_url":                     {[]string{"--public_url=https://app.example.com", "--machine.token_url=https://app.example.com/oauth2/token"}, "machine.token_url"},
		"in another spelling":            {[]string{"--public_url=https://app.example.com", "--machine.token_url=https://App.example.com:443/oauth2/token/?x=y"}, "machine.token_url"},
		"with a base path":               {[]string{"--public_url=https://app.example.com/sso", "--machine.token_url=https://app.example.com/sso/oauth2/token"}, "machine.token_url"},
		"the listener":                   {[]string{"--listen=:8080", "--machine.token_url=http://127.0.0.1:8080/oauth2/token"}, "machine.token_url"},
		"discovery overruled":            {[]string{"--public_url=https://app.example.com", "--machine.enabled=true", "--provider.authorization_endpoint=https://idp.example.com/a", "--provider.jwks_uri=https://idp.example.com/k", "--provider.token_endpoint=https://app.example.com/oauth2/token"}, "provider.token_endpoint"},
		"the same without the cache":     {[]string{"--public_url=https://app.example.com", "--provider.authorization_endpoint=https://idp.example.com/a", "--provider.jwks_uri=https://idp.example.com/k", "--provider.token_endpoint=https://app.example.com/oauth2/token"}, ""},
		"a provider behind our origin":   {[]string{"--public_url=https://app.example.com/sso", "--machine.token_url=https://app.example.com/oauth2/token"}, ""},
		"another path of our origin":     {[]string{"--public_url=https://app.example.com", "--machine.token_url=https://app.example.com/idp/token"}, ""},
		"another host":                   {[]string{"--public_url=https://app.example.com", "--machine.token_url=https://idp.example.com/oauth2/token"}, ""},
		"another port of the same host":  {[]string{"--public_url=http://localhost:8080", "--machine.token_url=http://localhost:9000/oauth2/token"}, ""},
		"the listener's port, elsewhere": {[]string{"--listen=:8080", "--machine.token_url=https://idp.example.com:8080/oauth2/token"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := config.Load(source(minimal(), "", test.flags...))
			if test.want != "" {
				expect(t, faults, faultRow{want: []string{test.want + problem}, hint: "write the provider's token endpoint"})
			} else if len(faults) > 0 {
				t.Errorf("got %q, want no fault", texts(faults))
			}
		})
	}
}
