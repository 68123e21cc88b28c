package idp_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"vestibule/idp"
)

func TestCheckTellsAFaultOfTheProvidersDocumentFromOneOfOurs(t *testing.T) {
	const document = "the provider's document cannot be used: "
	for name, c := range map[string]struct {
		change func(*fake)
		narrow error
		says   string
	}{
		"another issuer":     {func(f *fake) { f.doc["issuer"] = issuer + "/" }, idp.ErrIssuer, "discovery: the issuer is not the configured one: "},
		"http":               {func(f *fake) { f.doc["token_endpoint"] = "http://id.example.com/token" }, idp.ErrDocument, "discovery: " + document + "token_endpoint is http:"},
		"a fragment":         {func(f *fake) { f.doc["authorization_endpoint"] = issuer + "/authorize#x" }, idp.ErrDocument, "discovery: " + document + "authorization_endpoint carries a fragment"},
		"no token endpoint":  {func(f *fake) { delete(f.doc, "token_endpoint") }, idp.ErrDocument, "discovery: " + document},
		"HMAC and none only": {func(f *fake) { f.doc["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }, idp.ErrDocument, "discovery: " + document},
		"not JSON":           {func(f *fake) { f.handle[wellKnown] = status(200, "7") }, idp.ErrDocument, "discovery: " + document},
		"no usable key":      {func(f *fake) { f.keys = nil }, idp.ErrDocument, "keys: " + document + "the key set holds no usable"},
		"not found":          {func(f *fake) { f.handle[wellKnown] = status(404, "") }, nil, "discovery: the provider rejects our configuration (404)"},
		"down":               {func(f *fake) { f.handle[wellKnown] = status(503, "") }, nil, "discovery: the provider is unavailable (503)"},
	} {
		f := newFake()
		c.change(f)
		err := open(t, f, func(cfg *idp.Config) { cfg.Issuer = issuer }).Check(context.Background())
		if err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		for _, narrow := range []error{idp.ErrIssuer, idp.ErrDocument} {
			if errors.Is(err, narrow) != (narrow == c.narrow) {
				t.Errorf("%s: %v is %v: got %v", name, err, narrow, errors.Is(err, narrow))
			}
		}
	}
}

func TestCheckWarnsOfWhatTheProviderDoesNotList(t *testing.T) {
	const auth, types, pkce = "token_endpoint_auth_methods_supported", "response_types_supported", "code_challenge_methods_supported"
	post := func(c *idp.Config) { c.ClientAuth = "client_secret_post" }
	public := func(c *idp.Config) { c.ClientSecret = nil }
	keep := func(*idp.Config) {}
	for name, c := range map[string]struct {
		field  string
		value  any
		config func(*idp.Config)
		warns  bool
	}{
		"another way to prove who we are":    {auth, []string{"private_key_jwt", "client_secret_post"}, keep, true},
		"ours is the other one":              {auth, []string{"client_secret_basic"}, post, true},
		"ours is among them":                 {auth, []string{"client_secret_basic", "client_secret_post"}, post, false},
		"public clients are seldom listed":   {auth, []string{"client_secret_basic"}, public, false},
		"no code flow":                       {types, []string{"id_token", "code id_token"}, keep, true},
		"the code flow among others":         {types, []string{"token", "code"}, keep, false},
		"PKCE in the clear only":             {pkce, []string{"plain"}, keep, true},
		"PKCE both ways":                     {pkce, []string{"plain", "S256"}, keep, false},
		"an empty list says nothing":         {pkce, []string{}, keep, false},
		"null says nothing":                  {types, nil, keep, false},
		"a list that is none is passed over": {auth, "client_secret_post", keep, false},
	} {
		f := newFake()
		f.doc[c.field] = c.value
		p, log := logged(t, f, c.config)
		if err := p.Check(context.Background()); err != nil {
			t.Errorf("%s: got %v, want no fault", name, err)
		}
		if warned := strings.Contains(log.String(), `"level":"WARN"`) && strings.Contains(log.String(), `"field":"`+c.field+`"`); warned != c.warns {
			t.Errorf("%s: log %q, want a warning: %v", name, log, c.warns)
		}
	}
	p, log := logged(t, newFake())
	if err := p.Check(context.Background()); err != nil || log.Len() > 0 {
		t.Errorf("a provider that lists nothing: %v, log %s", err, log)
	}
}

func TestAWarningQuotesTheProviderOnOneShortLine(t *testing.T) {
	var log strings.Builder
	f := newFake()
	f.doc["response_types_supported"] = []string{"evil\n\x1b[31m" + strings.Repeat("x", 5000)}
	p := open(t, f, func(c *idp.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if err := p.Check(context.Background()); err != nil || log.Len() > 500 || strings.Contains(log.String(), `\x1b`) || !strings.Contains(log.String(), "listed=evil") {
		t.Errorf("got %v, log %q", err, log.String())
	}
}
