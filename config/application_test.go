package config_test

import (
	"testing"

	"vestibule/config"
)

// A request that we pass on to ourselves is passed on again, until the process has no descriptors left.
func TestTheApplicationIsNotOurselves(t *testing.T) {
	const (
		listen = "app.url: is the address of listen: requests would go round in circles"
		admin  = "app.url: is the address of admin_listen: metrics are not for the public"
	)
	tests := map[string]struct{ listen, app, want string }{
		"loopback of every address":            {":8080", "http://127.0.0.1:8080", listen},
		"another loopback of every address":    {"0.0.0.0:8080", "http://127.0.0.2:8080", listen},
		"IPv6 loopback of every address":       {"[::]:8080", "http://[::1]:8080", listen},
		"localhost of every address":           {":8080", "http://LOCALHOST:8080", listen},
		"the address of no host":               {":8080", "http://0.0.0.0:8080", listen},
		"the address of no host on loopback":   {"127.0.0.1:8080", "http://[::]:8080", listen},
		"the port of http":                     {":80", "http://127.0.0.1", listen},
		"the port of https":                    {":443", "https://localhost", listen},
		"the same address":                     {"10.0.0.5:8080", "http://10.0.0.5:8080", listen},
		"the same address in IPv6 form":        {"10.0.0.5:8080", "http://[::ffff:10.0.0.5]:8080", listen},
		"the same name":                        {"web.internal:8080", "http://Web.internal:8080", listen},
		"an address and its name":              {"127.0.0.1:8080", "http://localhost:8080", listen},
		"a name and its address":               {"localhost:8080", "http://[::1]:8080", listen},
		"the admin listener":                   {":8080", "http://localhost:9091", admin},
		"another port":                         {":8080", "http://127.0.0.1:3000", ""},
		"another host":                         {":8080", "http://next:8080", ""},
		"another host than the admin listener": {":8080", "http://next:9091", ""},
		"loopback beside a network's address":  {"10.0.0.5:8080", "http://127.0.0.1:8080", ""},
		"a network's address beside loopback":  {"127.0.0.1:8080", "http://10.0.0.5:8080", ""},
		"another loopback address":             {"127.0.0.1:8080", "http://127.0.0.2:8080", ""},
		"a port that the system chooses":       {"127.0.0.1:0", "http://127.0.0.1", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := config.Load(source(minimal(), "", "--listen="+test.listen, "--app.url="+test.app))
			if test.want != "" {
				expect(t, faults, faultRow{want: []string{test.want}, hint: "let the application listen on another port"})
			} else if len(faults) > 0 {
				t.Errorf("got %q, want no fault", texts(faults))
			}
		})
	}
}

// Whoever writes a wildcard believes that it is understood: the fault says that it is not, and not that the host is odd.
func TestAWildcardAmongOriginsIsNamedAsOne(t *testing.T) {
	for _, origin := range []string{"https://*.example.com", "https://app-*.example.com", "http://localhost:*", "*"} {
		_, faults := config.Load(source(minimal(), "", "--redirect_origins=https://a.example.com,"+origin))
		expect(t, faults, faultRow{want: []string{"redirect_origins: item 2 holds a wildcard, which is not supported"}, hint: "list each origin by itself"})
	}
}

// YAML 1.2.2, section 5.2: a byte order mark is no part of the document.
func TestAFileMayBeginWithAByteOrderMark(t *testing.T) {
	if c := load(t, source(minimal(), "\ufeffbrand: {name: marked}")); c.Brand.Name != "marked" {
		t.Errorf("got %q", c.Brand.Name)
	}
}
