package config_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"vestibule/config"
	"vestibule/secret"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const key1 = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

// minimal is an environment that loads without faults.
func minimal() map[string]string {
	return map[string]string{
		"VESTIBULE_PUBLIC_URL":             "https://app.example.com",
		"VESTIBULE_PROVIDER_ISSUER":        "https://id.example.com/pool",
		"VESTIBULE_PROVIDER_CLIENT_ID":     "client",
		"VESTIBULE_PROVIDER_CLIENT_SECRET": "env:CLIENT_SECRET",
		"VESTIBULE_SESSION_KEYS":           key1,
	}
}

// source reads vars, and file when it is not empty.
func source(vars map[string]string, file string, args ...string) config.Source {
	if file != "" {
		args = append([]string{"--config=/c.yaml"}, args...)
	}
	return config.Source{
		Args: args,
		LookupEnv: func(name string) (string, bool) {
			text, found := vars[name]
			return text, found
		},
		Environ: func() []string {
			var pairs []string
			for name, text := range vars {
				pairs = append(pairs, name+"="+text)
			}
			return pairs
		},
		ReadFile: func(path string) ([]byte, error) {
			if path != "/c.yaml" {
				return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
			}
			return []byte(file), nil
		},
	}
}

func load(t *testing.T, src config.Source) *config.Config {
	t.Helper()
	c, faults := config.Load(src)
	for _, f := range faults {
		t.Errorf("fault: %v (%s)", f, f.Hint)
	}
	return c
}

// with is minimal with further variables.
func with(pairs ...string) map[string]string {
	vars := minimal()
	for i := 0; i < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
	}
	return vars
}

func texts(faults config.Faults) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Error())
	}
	return out
}

func TestDefaults(t *testing.T) {
	c := load(t, source(minimal(), ""))
	want := config.Config{
		Listen: ":8080", AdminListen: "127.0.0.1:9091", PublicURL: "https://app.example.com", AuthPath: "/api/auth",
		Provider: config.Provider{
			Issuer: "https://id.example.com/pool", ClientID: "client", ClientSecret: "env:CLIENT_SECRET",
			ClientAuth: "client_secret_basic", Scopes: []string{"openid", "email", "profile"}, Logout: "auto",
		},
		Session: config.Session{
			Keys: []config.SecretRef{key1}, Mode: "cookie", MaxAge: 720 * time.Hour, SameSite: "lax",
			Claims: []string{"sub", "email", "email_verified", "name", "given_name", "family_name",
				"preferred_username", "picture", "locale", "cognito:username", "cognito:groups"},
		},
		Token:   config.Token{Path: "/api/cognito-token", RefreshBefore: 5 * time.Minute},
		Cache:   config.Cache{URL: "memory:"},
		App:     config.App{Timeout: time.Minute},
		Machine: config.Machine{MinTTL: time.Minute, Rate: 100, ClientRate: 20, Memory: 64},
		Log:     config.Log{Level: "info"},
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %#v\nwant %#v", *c, want)
	}
}

// What a reference leads to is nothing that this package reads.
func TestACacheURLIsASecretOrAReference(t *testing.T) {
	for _, text := range []string{"redis://:hunter2@cache", "rediss://u:hunter2@a,b/3?cluster=true", "env:hunter2", "file:/hunter2", "awssm:hunter2#url"} {
		c := load(t, source(with("VESTIBULE_CACHE_URL", text), ""))
		if got := c.Cache.URL.Reference(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		if shown := fmt.Sprintf("%v %+v %#v", c, *c, c.Cache); strings.Contains(shown, "hunter2") {
			t.Errorf("printed: %s", shown)
		}
	}
}

func TestLaterSourcesWin(t *testing.T) {
	file := "log: {level: debug}\nlisten: ':1'\nbrand: {name: file}\n"
	vars := with("VESTIBULE_LISTEN", ":2", "VESTIBULE_BRAND_NAME", "env")
	c := load(t, source(vars, file, "--brand.name=flag"))
	if got := []string{c.Log.Level, c.Listen, c.Brand.Name}; !slices.Equal(got, []string{"debug", ":2", "flag"}) {
		t.Errorf("got %q", got)
	}
}

func TestSetIsDecidedByPresence(t *testing.T) {
	c := load(t, source(with("VESTIBULE_ADMIN_LISTEN", "", "VESTIBULE_TOKEN_INCLUDE_ID_TOKEN", "false"),
		"admin_listen: 127.0.0.1:1\ntoken: {include_id_token: true}\nbrand:\n  name:\n"))
	if c.AdminListen != "" || c.Token.IncludeIDToken || c.Brand.Name != "" {
		t.Errorf("got %q %v %q", c.AdminListen, c.Token.IncludeIDToken, c.Brand.Name)
	}
	c = load(t, source(minimal(), "", "--listen=:8080", "--session.idle_timeout=0"))
	if c.Listen != ":8080" || c.Session.IdleTimeout != 0 {
		t.Errorf("got %q %v", c.Listen, c.Session.IdleTimeout)
	}
}

func TestTheConfigFileIsNamedByFlagOrEnvironment(t *testing.T) {
	vars := with("VESTIBULE_CONFIG", "/c.yaml")
	src := source(vars, "")
	src.ReadFile = func(path string) ([]byte, error) { return []byte("brand: {name: " + path[1:] + "}"), nil }
	if c := load(t, src); c.Brand.Name != "c.yaml" {
		t.Errorf("environment: got %q", c.Brand.Name)
	}
	src.Args = []string{"--config", "/d.yaml"}
	if c := load(t, src); c.Brand.Name != "d.yaml" {
		t.Errorf("flag: got %q", c.Brand.Name)
	}
}

func TestFileFormsOfValues(t *testing.T) {
	c := load(t, source(minimal(), `
# a comment
trusted_proxies: [10.1.2.3/8, "::1"]
redirect_origins: https://a.example, https://b.example:8443
provider:
  client_id: 0123
  authorize_params: {lang: pt, resource: "https://api.example.com/?a=b"}
  scopes:
    - openid
    - api/read
session.max_age: 12h
token:
  include_id_token: true
brand:
  name: "Ação & Söhne"
`, "--provider.authorize_params", "audience=x,lang=a=b"))
	want := map[string]string{"audience": "x", "lang": "a=b"}
	if !maps.Equal(c.Provider.AuthorizeParams, want) {
		t.Errorf("authorize_params: got %v, want %v", c.Provider.AuthorizeParams, want)
	}
	if !slices.Equal(c.Provider.Scopes, []string{"openid", "api/read"}) || c.Session.MaxAge != 12*time.Hour || !c.Token.IncludeIDToken {
		t.Errorf("got %+v %v", c.Provider.Scopes, c.Session.MaxAge)
	}
	if got := fmt.Sprint(c.Proxies()); got != "[10.0.0.0/8 ::1/128]" {
		t.Errorf("proxies: got %s", got)
	}
	if !slices.Equal(c.Origins(), []string{"https://a.example", "https://b.example:8443"}) {
		t.Errorf("origins: got %v", c.Origins())
	}
	vars := minimal()
	delete(vars, "VESTIBULE_PROVIDER_CLIENT_ID")
	if c := load(t, source(vars, "provider: {client_id: 0123}")); c.Provider.ClientID != "0123" {
		t.Errorf("client_id: got %q, want it as written", c.Provider.ClientID)
	}
}

func TestFilesThatSetNothing(t *testing.T) {
	for _, file := range []string{"\n", "# a comment\n", "---\n", "provider:\nlog: {}\n", "null"} {
		load(t, source(minimal(), file))
	}
	c := load(t, source(minimal(), "listen: :81\nbrand:\n  name: |-\n    a block\n"))
	if c.Listen != ":81" || c.Brand.Name != "a block" {
		t.Errorf("got %q %q", c.Listen, c.Brand.Name)
	}
}

func TestKubernetesServiceLinksArePassedOver(t *testing.T) {
	load(t, source(with(
		"VESTIBULE_SERVICE_HOST", "10.0.0.1",
		"VESTIBULE_SERVICE_PORT", "80",
		"VESTIBULE_SERVICE_PORT_HTTP", "80",
		"VESTIBULE_PORT", "tcp://10.0.0.1:80",
		"VESTIBULE_PORT_80_TCP", "tcp://10.0.0.1:80",
		"VESTIBULE_PORT_80_TCP_PROTO", "tcp",
		"VESTIBULE_PORT_80_TCP_PORT", "80",
		"VESTIBULE_PORT_80_TCP_ADDR", "10.0.0.1",
		"VESTIBULE_ADMIN_PORT_9091_TCP_ADDR", "10.0.0.2"), ""))
}

func BenchmarkLoad(b *testing.B) {
	src := source(minimal(), "log: {level: warn}\n")
	for b.Loop() {
		config.Load(src)
	}
}

func TestFlagForms(t *testing.T) {
	c := load(t, source(minimal(), "", "--token.include_id_token", "--brand.name", "--dashes--", "--provider.scopes", "openid,x", "--log.level=warn"))
	if !c.Token.IncludeIDToken || c.Brand.Name != "--dashes--" || len(c.Provider.Scopes) != 2 || c.Log.Level != "warn" {
		t.Errorf("got %+v %+v", c.Token, c.Brand)
	}
}

func TestWithoutEnvironKnownNamesAreStillRead(t *testing.T) {
	src := source(minimal(), "")
	src.Environ = nil
	if c := load(t, src); c.Provider.ClientID != "client" {
		t.Errorf("got %q", c.Provider.ClientID)
	}
}

func TestDerivedValues(t *testing.T) {
	tests := map[string]struct{ url, cookie, origin, base string }{
		"https":                 {"https://App.Example.com:443/", "__Host-vestibule", "https://app.example.com", ""},
		"https with a base":     {"https://app.example.com:8443/a/b/", "__Host-vestibule", "https://app.example.com:8443", "/a/b"},
		"http on localhost":     {"http://localhost:8080", "vestibule", "http://localhost:8080", ""},
		"http on an IPv4":       {"http://127.0.0.2:80", "vestibule", "http://127.0.0.2", ""},
		"http on an IPv6":       {"http://[0:0::1]:8080/x", "vestibule", "http://[::1]:8080", "/x"},
		"http on *.localhost":   {"http://App.LocalHost:8080", "vestibule", "http://app.localhost:8080", ""},
		"https on the loopback": {"https://localhost", "__Host-vestibule", "https://localhost", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := load(t, source(with("VESTIBULE_PUBLIC_URL", test.url), ""))
			got := struct{ url, cookie, origin, base string }{test.url, c.CookieName(), c.Public().Scheme + "://" + c.Public().Host, c.BasePath()}
			if got != test {
				t.Errorf("got %+v, want %+v", got, test)
			}
			if c.Secure() != strings.HasPrefix(test.url, "https") || c.Public().String() != test.origin+test.base {
				t.Errorf("got secure %v, public %s", c.Secure(), c.Public())
			}
		})
	}
	c := load(t, source(with("VESTIBULE_SESSION_COOKIE_NAME", "mine"), ""))
	if c.CookieName() != "mine" {
		t.Errorf("got %q, want mine", c.CookieName())
	}
}

func TestDerivedValuesOfAFaultyConfigurationAreEmpty(t *testing.T) {
	c, _ := config.Load(config.Source{})
	if c.Public().String() != "" || c.BasePath() != "" || c.Secure() || c.Origins() != nil || c.Proxies() != nil {
		t.Errorf("got %v", c.Public())
	}
}

func TestExplicitEndpointsAreTaken(t *testing.T) {
	c := load(t, source(with(
		"VESTIBULE_PROVIDER_AUTHORIZATION_ENDPOINT", "https://id.example.com/a?x=y",
		"VESTIBULE_PROVIDER_TOKEN_ENDPOINT", "https://id.example.com/t",
		"VESTIBULE_PROVIDER_JWKS_URI", "http://127.0.0.1/k"), ""))
	if got := c.Provider.AuthorizationEndpoint + " " + c.Provider.JWKSURI; got != "https://id.example.com/a?x=y http://127.0.0.1/k" {
		t.Errorf("got %s", got)
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	const plain = "hunter2hunter2"
	c := load(t, source(with("VESTIBULE_PROVIDER_CLIENT_SECRET", plain), ""))
	if c.Provider.ClientSecret.Reference() != plain {
		t.Errorf("Reference: got %q", c.Provider.ClientSecret.Reference())
	}
	asJSON, jsonErr := json.Marshal(c)
	asYAML, yamlErr := yaml.Marshal(c)
	asText, textErr := c.Provider.ClientSecret.MarshalText()
	if jsonErr != nil || yamlErr != nil || textErr != nil {
		t.Fatal(jsonErr, yamlErr, textErr)
	}
	printed := []string{string(asJSON), string(asYAML), string(asText), c.Provider.ClientSecret.LogValue().String(),
		c.Provider.ClientSecret.String(), c.Provider.ClientSecret.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, *c), fmt.Sprintf(verb, c.Provider.ClientSecret))
	}
	for _, text := range printed {
		if strings.Contains(text, plain) || strings.Contains(text, key1) || strings.Contains(text, fmt.Sprintf("%x", plain)) {
			t.Errorf("leaks: %s", text)
		}
	}
}

func TestReferencePageIsUpToDate(t *testing.T) {
	const path = "../docs/configuration.md"
	want := config.Reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what config.Reference gives: run go test ./config -run TestReferencePage -update", path)
	}
}

func TestReferencePageExampleLoads(t *testing.T) {
	_, rest, _ := strings.Cut(config.Reference(), "```yaml\n")
	file, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	c := load(t, source(nil, file))
	if !secret.IsReference(c.Session.Keys[0].Reference()) {
		t.Errorf("the example does not show a reference")
	}
}

func TestReferencePageHasEveryKeyOnceAndExplained(t *testing.T) {
	page := config.Reference()
	seen := make(map[string]bool)
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || cells[0] == "| key" {
			continue
		}
		if seen[cells[1]] && cells[1] != "file only" {
			t.Errorf("%s stands for two keys", cells[1])
		}
		seen[cells[1]] = true
		if len(cells[3]) < 8 || cells[2] == "" {
			t.Errorf("%s is not explained", line)
		}
	}
	if len(seen) < 35 {
		t.Errorf("got %d keys", len(seen))
	}
}
