package amplify

import "strings"

// How the names of the adapter's cookies begin. No encoding changes these letters.
const (
	pool = "CognitoIdentityServiceProvider."
	flow = "com.amplify.server_auth."
)

// cookie is one cookie of the adapter's.
type cookie struct {
	spelled string // the name as the browser wrote it
	name    string // the name as it was meant
	value   string // as the browser wrote it
}

// each visits the adapter's cookies for the client in the browser's order. The header is read here because net/http passes
// over names with @, ( or ), which the adapter wrote for users whose name is an e-mail address.
func (c Cookies) each(lines []string, visit func(cookie)) {
	for visited, i := 0, 0; i < len(lines) && visited < maxCookies; i++ {
		line := lines[i]
		if !strings.Contains(line, pool) && !strings.Contains(line, flow) {
			continue // most requests end here
		}
		for len(line) > 0 && visited < maxCookies {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if k, ok := c.parse(pair); ok {
				visit(k)
				visited++
			}
		}
	}
}

// parse reads one pair of a header line; false for cookies that are not the adapter's.
func (c Cookies) parse(pair string) (cookie, bool) {
	spelled, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
	if !ok || !strings.HasPrefix(spelled, pool) && !strings.HasPrefix(spelled, flow) || !printable(spelled) {
		return cookie{}, false
	}
	name, ok := decode(spelled)
	if !ok {
		name = spelled // an older adapter wrote names as they are, and a % in one may be just that
	}
	if !strings.HasPrefix(name, c.prefix()) && !strings.HasPrefix(name, flow) {
		return cookie{}, false
	}
	return cookie{spelled: spelled, name: name, value: value}, true
}

// printable admits names that can be written into a header line again.
func printable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
