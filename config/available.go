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
		{"cache.url", "momento:", cacheKind(c.Cache.URL.Reference()), `use "memory:", a redis:// or a dynamodb:// URL`},
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

// cacheKind is the quoted scheme of a cache that this version knows by name only.
func cacheKind(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	if scheme == "momento" {
		return `"` + scheme + `"`
	}
	return ""
}
