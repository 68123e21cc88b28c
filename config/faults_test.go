package config_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vestibule/config"
)

// A row sets one thing on top of a configuration without faults and names the faults that
// it must give, hint included where the cure matters.
type faultRow struct {
	set  []string // name, value, …
	want []string
	hint string
}

func TestFaultsOfValues(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 16))
	tests := map[string]faultRow{
		// listeners
		"listen without a port":       {set: []string{"LISTEN", "localhost"}, want: []string{"listen: is not host:port"}},
		"listen with a named port":    {set: []string{"LISTEN", ":http"}, want: []string{"listen: has no port between 0 and 65535"}},
		"listen left empty":           {set: []string{"LISTEN", ""}, want: []string{"listen: is not host:port"}},
		"both listeners on one port":  {set: []string{"ADMIN_LISTEN", "127.0.0.1:8080"}, want: []string{"admin_listen: is the address of listen"}},
		"both on every address":       {set: []string{"LISTEN", "0.0.0.0:9091", "ADMIN_LISTEN", "[::]:9091"}, want: []string{"admin_listen: is the address of listen"}},
		"admin listener out of range": {set: []string{"ADMIN_LISTEN", ":99999"}, want: []string{"admin_listen: has no port between 0 and 65535"}},
		// durations
		"a duration without a unit":    {set: []string{"TOKEN_REFRESH_BEFORE", "5"}, want: []string{"token.refresh_before: is not a duration"}, hint: "90s"},
		"an empty duration":            {set: []string{"SESSION_MAX_AGE", ""}, want: []string{"session.max_age: is not a duration"}},
		"a duration of zero":           {set: []string{"SESSION_MAX_AGE", "0"}, want: []string{"session.max_age: must be more than zero"}},
		"a negative duration":          {set: []string{"SHUTDOWN_DELAY", "-1s"}, want: []string{"shutdown_delay: must not be negative"}},
		"idle longer than max":         {set: []string{"SESSION_IDLE_TIMEOUT", "721h"}, want: []string{"session.idle_timeout: is longer than session.max_age"}},
		"machine.min_ttl of zero":      {set: []string{"MACHINE_MIN_TTL", "0s"}, want: []string{"machine.min_ttl: must be more than zero"}},
		"a switch that is no switch":   {set: []string{"TOKEN_INCLUDE_ID_TOKEN", "yes"}, want: []string{"token.include_id_token: is neither true nor false"}},
		"a list with a comma too many": {set: []string{"PROVIDER_SCOPES", "openid,,x"}, want: []string{"provider.scopes: item 2 is empty"}},
		"a value without end":          {set: []string{"BRAND_NAME", strings.Repeat("x", 64<<10+1)}, want: []string{"brand.name: is over 65536 bytes"}},
		"a value with a line break":    {set: []string{"BRAND_NAME", "a\nb"}, want: []string{"brand.name: holds a line break or another control character"}},
		"a value with loose spaces":    {set: []string{"PROVIDER_CLIENT_ID", "a "}, want: []string{"provider.client_id: begins or ends with a space"}},
		// provider
		"an issuer without end":       {set: []string{"PROVIDER_ISSUER", "https://id.example.com/" + strings.Repeat("x", 2048)}, want: []string{"provider.issuer: is longer than 2048 bytes"}},
		"an unknown client_auth":      {set: []string{"PROVIDER_CLIENT_AUTH", "basic"}, want: []string{`provider.client_auth: "basic" is not a choice`}, hint: "use client_secret_basic, client_secret_post, none"},
		"a secret for a public one":   {set: []string{"PROVIDER_CLIENT_AUTH", "none"}, want: []string{`provider.client_secret: is set, but client_auth is "none"`}},
		"no secret":                   {set: []string{"PROVIDER_CLIENT_SECRET", ""}, want: []string{"provider.client_secret: is required"}, hint: "public client"},
		"no openid":                   {set: []string{"PROVIDER_SCOPES", "email"}, want: []string{"provider.scopes: lacks openid"}},
		"scopes separated by spaces":  {set: []string{"PROVIDER_SCOPES", "openid email"}, want: []string{"provider.scopes: item 1 is not a scope", "provider.scopes: lacks openid"}, hint: "commas"},
		"a protocol parameter":        {set: []string{"PROVIDER_AUTHORIZE_PARAMS", "lang=ja,state=x"}, want: []string{"provider.authorize_params: state is not yours to set"}},
		"a parameter without a value": {set: []string{"PROVIDER_AUTHORIZE_PARAMS", "lang"}, want: []string{"provider.authorize_params: item 1 has no equals sign"}},
		"a parameter with odd signs":  {set: []string{"PROVIDER_AUTHORIZE_PARAMS", "a=1,b=\x00"}, want: []string{"provider.authorize_params: item 2 holds a line break or another control character"}},
		"a parameter given twice":     {set: []string{"PROVIDER_AUTHORIZE_PARAMS", "a=1,a=2"}, want: []string{"provider.authorize_params: item 2 has no name, or the name of another"}},
		"an age that is none":         {set: []string{"PROVIDER_AUTHORIZE_PARAMS", "max_age=1h"}, want: []string{"provider.authorize_params: max_age is not a number of seconds from 0 to 4294967295"}, hint: "max_age=3600"},
		"an unknown logout":           {set: []string{"PROVIDER_LOGOUT", "x"}, want: []string{`provider.logout: "x" is not a choice`}},
		"one endpoint of three":       {set: []string{"PROVIDER_TOKEN_ENDPOINT", "https://x.example/t"}, want: []string{"provider.authorization_endpoint: is missing", "provider.jwks_uri: is missing"}, hint: "together"},
		"an endpoint over http":       {set: []string{"PROVIDER_REVOCATION_ENDPOINT", "http://x.example/r"}, want: []string{"provider.revocation_endpoint: must use https: only a loopback host may use http"}},
		// admin
		"a short admin token":       {set: []string{"ADMIN_TOKEN", strings.Repeat("x", 31)}, want: []string{"admin.token: is shorter than 32 characters"}, hint: `run "vestibule keygen"`},
		"an admin token for nobody": {set: []string{"ADMIN_TOKEN", "env:TOKEN", "ADMIN_LISTEN", ""}, want: []string{"admin.token: is set, but admin_listen is empty"}},
		// session
		"a short key":              {set: []string{"SESSION_KEYS", key1 + "," + short}, want: []string{"session.keys: key 2 is 16 bytes, want 32"}, hint: `run "vestibule keygen"`},
		"faulty keys among others": {set: []string{"SESSION_KEYS", "env:A," + key1 + ",x," + key1}, want: []string{"session.keys: key 3 is not standard base64", "session.keys: key 4 repeats key 2"}},
		"no keys":                  {set: []string{"SESSION_KEYS", ""}, want: []string{"session.keys: is required"}, hint: `run "vestibule keygen"`},
		"an unknown mode":          {set: []string{"SESSION_MODE", "jwt"}, want: []string{`session.mode: "jwt" is not a choice`}},
		"same_site none":           {set: []string{"SESSION_SAME_SITE", "none"}, want: []string{`session.same_site: "none" is not a choice`}},
		"a cookie name too odd":    {set: []string{"SESSION_COOKIE_NAME", "a;b"}, want: []string{"session.cookie_name: is not a cookie name of at most 64 letters, digits and signs"}},
		"a cookie name too long":   {set: []string{"SESSION_COOKIE_NAME", strings.Repeat("a", 65)}, want: []string{"session.cookie_name: is not a cookie name of at most 64 letters, digits and signs"}},
		"a prefix without https":   {set: []string{"SESSION_COOKIE_NAME", "__HOST-x", "PUBLIC_URL", "http://localhost"}, want: []string{"session.cookie_name: starts with __Host-, which browsers refuse without https"}},
		// token
		"a header that is none":      {set: []string{"TOKEN_CSRF_HEADER", "X CSRF"}, want: []string{"token.csrf_header: is not a header name of at most 64 letters, digits and signs"}},
		"a header that anyone sends": {set: []string{"TOKEN_CSRF_HEADER", "Accept"}, want: []string{"token.csrf_header: is a header that requests from other sites carry too"}, hint: "X-CSRF"},
		"a header browsers own":      {set: []string{"TOKEN_CSRF_HEADER", "Sec-Fetch-Site"}, want: []string{"token.csrf_header: is a header that requests from other sites carry too"}},
		// neighbours
		"a network that is none":       {set: []string{"TRUSTED_PROXIES", "10.0.0.0/8,proxy"}, want: []string{"trusted_proxies: item 2 is neither an address nor a network"}},
		"an IPv4 network in IPv6 form": {set: []string{"TRUSTED_PROXIES", "::ffff:10.0.0.0/104"}, want: []string{"trusted_proxies: item 1 is an IPv4 address in IPv6 form"}},
		"an application that is none":  {set: []string{"APP_URL", "localhost:3000"}, want: []string{"app.url: is not an absolute http or https URL"}, hint: "such as http://127.0.0.1:3000"},
		"app.timeout of zero":          {set: []string{"APP_TIMEOUT", "0s"}, want: []string{"app.timeout: must be more than zero"}, hint: "such as 60s"},
		"an application with a path":   {set: []string{"APP_URL", "http://next:3000/app"}, want: []string{"app.url: has more than a host and a port"}},
		"an application at our place":  {set: []string{"APP_URL", "https://APP.example.com:443", "PUBLIC_URL", "https://app.example.com"}, want: []string{"app.url: is public_url itself: requests would go round in circles"}, hint: "where the application listens"},
		"a cache of an unknown kind":   {set: []string{"CACHE_URL", "memcached://u:hunter2@x"}, want: []string{"cache.url: has no scheme we know"}},
		"a memory cache with a host":   {set: []string{"CACHE_URL", "memory://x"}, want: []string{"cache.url: says more than memory: takes"}},
		"a domain not above us":        {set: []string{"PUBLIC_URL", "https://app.example.com", "SESSION_AMPLIFY_DOMAIN", "other.example.com"}, want: []string{"session.amplify_domain: is neither the host of public_url nor a domain above it"}, hint: "as it stands in runtimeOptions.cookies.domain"},
		"a domain that ends as we do":  {set: []string{"PUBLIC_URL", "https://app.example.com", "SESSION_AMPLIFY_DOMAIN", "pp.example.com"}, want: []string{"session.amplify_domain: is neither the host of public_url nor a domain above it"}},
		"a domain with an attribute":   {set: []string{"PUBLIC_URL", "https://app.example.com", "SESSION_AMPLIFY_DOMAIN", "example.com; x"}, want: []string{"session.amplify_domain: is neither the host of public_url nor a domain above it"}},
		// pages and log
		"a colour that is none":        {set: []string{"BRAND_ACCENT", "red"}, want: []string{"brand.accent: is not a colour"}},
		"a colour of five digits":      {set: []string{"BRAND_ACCENT", "#12345"}, want: []string{"brand.accent: is not a colour"}},
		"a logo of another host":       {set: []string{"BRAND_LOGO", "//evil.example/x"}, want: []string{"brand.logo: is neither a path, an https URL nor a data:image/ URL in base64, of at most 32 KiB"}},
		"a logo over http":             {set: []string{"BRAND_LOGO", "http://x.example/x"}, want: []string{"brand.logo: is neither a path, an https URL nor a data:image/ URL in base64, of at most 32 KiB"}},
		"a logo that is a script":      {set: []string{"BRAND_LOGO", "javascript:alert(1)"}, want: []string{"brand.logo: is neither a path, an https URL nor a data:image/ URL in base64, of at most 32 KiB"}},
		"a logo with markup":           {set: []string{"BRAND_LOGO", `/a"><script>`}, want: []string{"brand.logo: is neither a path, an https URL nor a data:image/ URL in base64, of at most 32 KiB"}},
		"a name too long":              {set: []string{"BRAND_NAME", strings.Repeat("é", 65)}, want: []string{"brand.name: is not at most 64 printable characters"}},
		"a name that turns around":     {set: []string{"BRAND_NAME", "a\u202eb"}, want: []string{"brand.name: is not at most 64 printable characters"}},
		"an unknown level":             {set: []string{"LOG_LEVEL", "trace"}, want: []string{`log.level: "trace" is not a choice`}},
		"an unknown format":            {set: []string{"LOG_FORMAT", "xml"}, want: []string{`log.format: "xml" is not a choice`}, hint: "use text, json"},
		"a machine token URL off http": {set: []string{"MACHINE_TOKEN_URL", "http://x.example"}, want: []string{"machine.token_url: must use https: only a loopback host may use http"}},
		"a rate that is no number":     {set: []string{"MACHINE_RATE", "1/s"}, want: []string{"machine.rate: is not a whole number"}},
		"a rate of zero":               {set: []string{"MACHINE_CLIENT_RATE", "0"}, want: []string{"machine.client_rate: must be more than zero"}},
		"a rate beyond everybody's":    {set: []string{"MACHINE_RATE", "100001"}, want: []string{"machine.rate: is over 100000"}},
		"one client for all":           {set: []string{"MACHINE_RATE", "10"}, want: []string{"machine.client_rate: is more than machine.rate"}},
		"memory for nothing":           {set: []string{"MACHINE_MEMORY", "63"}, want: []string{"machine.memory: is not between 64 and 1048576"}},
		// not served yet
		"a Momento cache": {set: []string{"CACHE_URL", "momento://hunter2"}, want: []string{`cache.url: "momento" is not available in this version`}, hint: `use "memory:"`},
		"machine clients": {set: []string{"MACHINE_CLIENTS", "x"}, want: []string{"machine.clients: is set in the file only"}, hint: "move it"},
	}
	expectEach(t, tests)
}

func expectEach(t *testing.T, tests map[string]faultRow) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			vars := minimal()
			for i := 0; i < len(test.set); i += 2 {
				vars["VESTIBULE_"+test.set[i]] = test.set[i+1]
			}
			_, faults := config.Load(source(vars, ""))
			expect(t, faults, test)
		})
	}
}

func expect(t *testing.T, faults config.Faults, row faultRow) {
	t.Helper()
	if got := texts(faults); !slices.Equal(got, row.want) {
		t.Errorf("got  %q\nwant %q", got, row.want)
		return
	}
	if !strings.Contains(faults[0].Hint, row.hint) {
		t.Errorf("got hint %q, want %q in it", faults[0].Hint, row.hint)
	}
	for _, f := range faults {
		if f.Hint == "" || strings.Contains(f.Error()+f.Hint, "hunter2") {
			t.Errorf("%v: hint %q", f, f.Hint)
		}
	}
}

func TestFaultsOfAddresses(t *testing.T) {
	const plain = "has no plain host; international names are written in their xn-- form"
	tests := map[string]struct{ url, public, origin string }{
		"plain http":                {"http://app.example.com", "must use https: only a loopback host may use http", "must use https: only a loopback host may use http"},
		"a name like loopback":      {"http://localhost.example.com", "must use https: only a loopback host may use http", "must use https: only a loopback host may use http"},
		"a name before .localhost.": {"http://app.localhost.example.com", "must use https: only a loopback host may use http", "must use https: only a loopback host may use http"},
		"a name without the dot":    {"http://applocalhost", "must use https: only a loopback host may use http", "must use https: only a loopback host may use http"},
		"too many characters":       {"https://app.example.com/" + strings.Repeat("a", 2048), "is longer than 2048 bytes", "is longer than 2048 bytes"},
		"an address like one":       {"http://128.0.0.1", "must use https: only a loopback host may use http", "must use https: only a loopback host may use http"},
		"no scheme":                 {"app.example.com", "is not an absolute http or https URL", "is not an absolute http or https URL"},
		"another scheme":            {"ftp://app.example.com", "is not an absolute http or https URL", "is not an absolute http or https URL"},
		"no host":                   {"https:///x", plain, plain},
		"a user":                    {"https://u:hunter2@app.example.com", "holds a user name", "holds a user name"},
		"a query":                   {"https://app.example.com?x=y", "has a query", "is more than an origin"},
		"an empty query":            {"https://app.example.com?", "has a query", "is more than an origin"},
		"a fragment":                {"https://app.example.com#x", "has a fragment", "has a fragment"},
		"an empty fragment":         {"https://app.example.com#", "has a fragment", "has a fragment"},
		"a wildcard":                {"https://*.example.com", plain, "holds a wildcard, which is not supported"},
		"an international name":     {"https://bücher.example", plain, plain},
		"an IPv4 in short form":     {"https://127.1", plain, plain},
		"an IPv4 in hex":            {"https://0x7f.0x1", plain, plain},
		"a host that ends in .":     {"https://app.example.com.", plain, plain},
		"a zone":                    {"https://[fe80::1%25eth0]", plain, plain},
		"an empty port":             {"https://app.example.com:", "has no port between 1 and 65535", "has no port between 1 and 65535"},
		"port 0":                    {"https://app.example.com:0", "has no port between 1 and 65535", "has no port between 1 and 65535"},
		"a port too large":          {"https://app.example.com:65536", "has no port between 1 and 65535", "has no port between 1 and 65535"},
		"a backslash":               {`https://app.example.com\@evil.example`, "is not a URL", "is not a URL"},
		"dots in the path":          {"https://app.example.com/a/../b", "has a path with more than letters, digits, '-', '_', '.' and '/'", "is more than an origin"},
		"an escaped path":           {"https://app.example.com/a%2fb", "has a path with more than letters, digits, '-', '_', '.' and '/'", "is more than an origin"},
		"two slashes":               {"https://app.example.com//", "has a path with more than letters, digits, '-', '_', '.' and '/'", "is more than an origin"},
		"a path":                    {"https://app.example.com/a", "", "is more than an origin"},
		"a slash at last":           {"https://app.example.com/", "", "is more than an origin"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"public_url", "redirect_origins"} {
				want, subject := test.public, "public_url: "
				if key == "redirect_origins" {
					want, subject = test.origin, "redirect_origins: item 1 "
				}
				_, faults := config.Load(source(minimal(), "", "--"+key, test.url))
				if want == "" && len(faults) == 0 {
					continue
				}
				expect(t, faults, faultRow{want: []string{subject + want}})
			}
			if test.public != "" && !strings.Contains(test.public, "path") {
				_, faults := config.Load(source(minimal(), "", "--provider.issuer", test.url))
				expect(t, faults, faultRow{want: []string{"provider.issuer: " + test.public}})
			}
		})
	}
}

func TestFaultsOfNames(t *testing.T) {
	tests := map[string]struct {
		vars map[string]string
		file string
		args []string
		row  faultRow
	}{
		"an unknown name in the file": {file: "provider: {clientid: x}",
			row: faultRow{want: []string{"provider.clientid: is not a known key"}, hint: `did you mean "provider.client_id"?`}},
		"a name in the file without its group": {file: "client_id: x",
			row: faultRow{want: []string{"client_id: is not a known key"}, hint: `did you mean "provider.client_id"?`}},
		"an unknown group": {file: "zebra: {a: b}",
			row: faultRow{want: []string{"zebra: is not a known key"}, hint: "docs/configuration.md"}},
		"a group that is no group": {file: "provider: hunter2",
			row: faultRow{want: []string{"provider: wants a group of keys"}}},
		"a key that is no group": {file: "listen: {a: b}",
			row: faultRow{want: []string{"listen: wants one text"}}},
		"a name twice in the file": {file: "listen: ':1'\nlisten: ':2'",
			row: faultRow{want: []string{"listen: is set twice in the file"}}},
		"a name twice in two spellings": {file: "log.level: info\nlog: {level: warn}",
			row: faultRow{want: []string{"log.level: is set twice in the file"}}},
		"a list for a text": {file: "listen: [a]", row: faultRow{want: []string{"listen: wants one text"}}},
		"a list in a list":  {file: "provider: {scopes: [openid, [a]]}", row: faultRow{want: []string{"provider.scopes: item 2 wants one text"}}},
		"a list for names":  {file: "provider: {authorize_params: [a]}", row: faultRow{want: []string{"provider.authorize_params: wants names with values"}}},
		"names for a list":  {file: "provider: {scopes: {a: b}}", row: faultRow{want: []string{"provider.scopes: wants a list"}}},
		"an unknown variable": {vars: with("VESTIBULE_PROVIDER_CLIENTID", "hunter2"),
			row: faultRow{want: []string{"VESTIBULE_PROVIDER_CLIENTID: is not a known name"}, hint: `did you mean "VESTIBULE_PROVIDER_CLIENT_ID"?`}},
		"a variable without its group": {vars: with("VESTIBULE_ISSUER", "hunter2"),
			row: faultRow{want: []string{"VESTIBULE_ISSUER: is not a known name"}, hint: `did you mean "VESTIBULE_PROVIDER_ISSUER"?`}},
		"an unknown flag": {args: []string{"--provider.client-id=hunter2"},
			row: faultRow{want: []string{"--provider.client-id: is not a known flag"}, hint: `did you mean "--provider.client_id"?`}},
		"an unknown flag and its value": {args: []string{"--zebra", "hunter2", "--other"},
			row: faultRow{want: []string{"--zebra: is not a known flag", "--other: is not a known flag"}}},
		"an argument that is no flag": {args: []string{"hunter2", "-x", "--"},
			row: faultRow{want: []string{"argument 1: is not a flag", "argument 2: is not a flag", "argument 3: is not a flag"}}},
		"a value after a bare switch": {args: []string{"--token.include_id_token", "false"},
			row: faultRow{want: []string{"argument 2: is not a flag"}, hint: "--key=value"}},
		"a flag without a value": {args: []string{"--listen", "--log.level=info"},
			row: faultRow{want: []string{"--listen: has no value"}, hint: "--listen=value"}},
		"the last flag without a value": {args: []string{"--listen"},
			row: faultRow{want: []string{"--listen: has no value"}}},
		"a flag twice": {args: []string{"--listen=:1", "--listen=:2"},
			row: faultRow{want: []string{"--listen: is given twice"}}},
		"a flag for what is set in the file": {args: []string{"--machine.clients=x"},
			row: faultRow{want: []string{"machine.clients: is set in the file only"}}},
		"a port that nobody reads": {vars: with("VESTIBULE_PORT", "8080"),
			row: faultRow{want: []string{"VESTIBULE_PORT: is not a known name"}}},
		"a name too long to guess": {vars: with("VESTIBULE_"+strings.Repeat("A", 200), ""),
			row: faultRow{want: []string{"VESTIBULE_" + strings.Repeat("A", 50) + "…: is not a known name"}, hint: "docs/configuration.md"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.vars == nil {
				test.vars = minimal()
			}
			_, faults := config.Load(source(test.vars, test.file, test.args...))
			expect(t, faults, test.row)
		})
	}
}

func TestFaultsOfMachineClients(t *testing.T) {
	_, faults := config.Load(source(minimal(), "machine: {clients: hunter2}"))
	expect(t, faults, faultRow{want: []string{"machine.clients: wants a list of clients"}})
	_, faults = config.Load(source(minimal(), `
machine:
  clients:
    - {id: a, secret: hunter2hunter2hunter2, scopes: [x, y]}
    - {id: a, secret: env:B}
    - {secrets: hunter2}
    - {id: c, secret: [hunter2]}
    - hunter2
    - {id: d, secret: hunter2hunter2, scopes: ['x y'], params: {audience: a, scope: b}, upstream_id: e}
`))
	want := []string{
		"machine.clients[2].secrets: is not a known key, or is set twice",
		"machine.clients[3].secret: wants one text",
		"machine.clients[4]: wants names with values",
		"machine.clients[1].id: repeats the id of another client",
		"machine.clients[2].id: is required",
		"machine.clients[2].secret: is required",
		"machine.clients[4].id: is required",
		"machine.clients[4].secret: is required",
		"machine.clients[5].secret: is shorter than 16 bytes",
		"machine.clients[5].scopes: item 1 is not a scope",
		"machine.clients[5].params: scope is not yours to set",
		"machine.clients[5].upstream_id: and upstream_secret go together",
	}
	if got := texts(faults); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	_, faults = config.Load(source(minimal(), "machine: {clients: [{id: a, secret: env:B}]}"))
	expect(t, faults, faultRow{want: []string{"machine.clients: is set, but machine.enabled is not"}})
	_, faults = config.Load(source(with("VESTIBULE_PROVIDER_CLIENT_AUTH", "none", "VESTIBULE_PROVIDER_CLIENT_SECRET", ""), "machine: {enabled: true, clients: [{id: a, secret: env:B}]}"))
	expect(t, faults, faultRow{want: []string{`machine.clients[0].upstream_id: is required where provider.client_auth is "none"`}})
	c, faults := config.Load(source(minimal(), "machine: {enabled: true, clients: [{id: a, secret: env:B, scopes: 'x,y', params: {audience: z}, upstream_id: u, upstream_secret: env:C}]}"))
	if len(faults) > 0 {
		t.Errorf("got %q, want none", texts(faults))
	}
	if got := c.Machine.Clients[0]; got.ID != "a" || got.Secret.Reference() != "env:B" || !slices.Equal(got.Scopes, []string{"x", "y"}) ||
		got.Params["audience"] != "z" || got.UpstreamID != "u" || got.UpstreamSecret.Reference() != "env:C" {
		t.Errorf("got %+v", got)
	}
}

func TestFilesThatCannotBeReadFaultTheFileAlone(t *testing.T) {
	tests := map[string]struct{ file, want string }{
		"not YAML":               {"a: [", "config: /c.yaml: line 1: sequence end token ']' not found"},
		"a loose quote":          {"session:\n  keys: \"hunter2", "config: /c.yaml: line 2: could not find end character of double-quoted text"},
		"only text":              {"hunter2", "config: /c.yaml: want names with values"},
		"a list":                 {"- hunter2", "config: /c.yaml: want names with values"},
		"an alias in a list":     {"provider: {scopes: [openid, *x]}", "config: /c.yaml: line 1: tags, anchors and aliases are not read"},
		"several documents":      {"a: b\n---\nc: d", "config: /c.yaml: holds several documents, want one"},
		"an alias":               {"listen: &x hunter2\nadmin_listen: *x", "config: /c.yaml: line 1: tags, anchors and aliases are not read"},
		"a tag":                  {"listen: !!binary aGk=", "config: /c.yaml: line 1: tags, anchors and aliases are not read"},
		"a merged mapping":       {"<<: {listen: ':1'}", "config: /c.yaml: line 1: a name is plain text"},
		"a name that is odd":     {"? [a]\n: b", "config: /c.yaml: line 2: found an invalid key for this map"},
		"a name that is no name": {"~: b", "config: /c.yaml: line 1: a name is plain text"},
		"too large":              {"# " + strings.Repeat("x", 1<<20), "config: cannot read /c.yaml: is over 1048576 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := config.Load(source(nil, test.file))
			expect(t, faults, faultRow{want: []string{test.want}})
		})
	}
	_, faults := config.Load(source(minimal(), "", "--config=/nope.yaml"))
	expect(t, faults, faultRow{want: []string{"config: cannot read /nope.yaml: file does not exist"}, hint: "--config"})
}

func TestTheRealFileSystemIsReadWithinBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	src := source(minimal(), "", "--config", path)
	src.ReadFile = nil
	if err := os.WriteFile(path, []byte("brand: {name: real}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := load(t, src); c.Brand.Name != "real" {
		t.Errorf("got %q", c.Brand.Name)
	}
	if err := os.WriteFile(path, []byte("#"+strings.Repeat("x", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := config.Load(src)
	if want := fmt.Sprintf("config: cannot read %s: is over 1048576 bytes", path); len(path) < 60 && !slices.Equal(texts(faults), []string{want}) || len(faults) != 1 {
		t.Errorf("got %q, want %q", texts(faults), want)
	}
	src.Args = []string{"--config", filepath.Dir(path)}
	if _, faults = config.Load(src); len(faults) != 1 {
		t.Errorf("a directory: got %q", texts(faults))
	}
}

func TestEveryFaultIsSaidAtOnce(t *testing.T) {
	_, faults := config.Load(source(map[string]string{
		"VESTIBULE_SESSION_MAX_AGE": "x",
		"VESTIBULE_UNKNOWN":         "x",
	}, "listen: {}\nbrand: {accent: red}", "--zebra"))
	want := []string{
		"--zebra: is not a known flag",
		"listen: wants one text",
		"session.max_age: is not a duration",
		"VESTIBULE_UNKNOWN: is not a known name",
		"public_url: is required",
		"provider.issuer: is required",
		"provider.client_id: is required",
		"session.keys: is required",
		"provider.client_secret: is required",
		"brand.accent: is not a colour",
	}
	if got := texts(faults); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLogosAndColoursThatAreFine(t *testing.T) {
	for _, logo := range []string{"/logo.svg", "https://cdn.example.com/a.png?v=1", "data:image/png;base64,AAAA", "data:image/svg+xml;base64," + strings.Repeat("A", 32<<10-26)} {
		load(t, source(minimal(), "", "--brand.logo="+logo, "--brand.accent=#0aF"))
	}
	load(t, source(minimal(), "", "--brand.accent=#00aaFF", "--token.csrf_header=X-CSRF", "--admin_listen=127.0.0.1:0", "--listen=127.0.0.1:0"))
}
