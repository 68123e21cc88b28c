package config

import "strings"

// unavailable is a setting that this version knows and does not serve.
type unavailable struct {
	key   string
	note  string // what the reference says is missing
	asked string // what the operator asked for; empty: nothing of it
	hint  string // the way out
}

// notYet lists what this version does not serve. To make a setting available, delete its
// row.
func notYet(c *Config) []unavailable {
	return []unavailable{
		{"session.mode", "server", given(c.Session.Mode == "server", `"server"`), `use "cookie"`},
		{"cache.url", "all but memory:", cacheKind(c.Cache.URL), `use "memory:"`},
		{"app.url", "any value", given(c.App.URL != "", "an application behind Vestibule"), "leave it out, and run Vestibule beside the application"},
		{"session.adopt_amplify", "true", given(c.Session.AdoptAmplify, `"true"`), "leave it out: people sign in once more"},
		{"machine.enabled", "true", given(c.Machine.Enabled, `"true"`), "leave it out"},
		{"machine.clients", "any value", given(len(c.Machine.Clients) > 0, "a list of clients"), "leave it out"},
	}
}

// available faults what is asked for and not served.
func (c *checker) available() {
	for _, row := range notYet(c.Config) {
		if row.asked != "" {
			c.fault(row.key, row.asked+" is not available in this version", row.hint)
		}
	}
}

func given(is bool, what string) string {
	if is {
		return what
	}
	return ""
}

// cacheKind is the quoted scheme of a cache that lies outside the process.
func cacheKind(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	switch scheme {
	case "redis", "rediss", "dynamodb", "momento":
		return `"` + scheme + `"`
	}
	return ""
}
