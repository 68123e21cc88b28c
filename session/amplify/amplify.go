// Package amplify knows the cookies in which Amplify's Next.js adapter keeps a session. It owns their names and spellings:
// which of them are one person's tokens, and what deletes them all. It refuses to believe them (the provider's keys decide
// what the tokens are worth), to hand out another client's or another person's, and to write any.
//
//	Cookie header → names decoded → one set per spelling of a user → LastAuthUser chooses → Found; afterwards Deletions
//
// Read amplify.go; there is only one other file, cookies.go, which takes the header apart.
package amplify

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what is looked at. Cognito's user names have at most 128 characters and browsers keep 4,096 bytes of a cookie.
const (
	maxCookies = 200 // of the adapter's, in one request
	maxUser    = 1 << 10
	maxValue   = 8 << 10
	// maxDeletions are bytes of Set-Cookie lines in one answer. Proxies bound an answer's header (nginx: proxy_buffer_size), and this
	// leaves two thirds of 16 kB to our own cookies and the rest.
	maxDeletions = 6 << 10
)

// Cookies are the cookies that the adapter keeps for one app client.
type Cookies struct {
	ClientID string // app client of the user pool; required
	Secure   bool   // the application is reached by https
	// Domain is the one that the adapter was told to set its cookies for (runtimeOptions.cookies.domain), "" if none: a
	// request does not show it, and a deletion that does not repeat it deletes nothing.
	Domain string
}

// Found is a session of the adapter's as the browser brought it. Nothing in it is verified. It prints and logs as [redacted].
type Found struct {
	Username     string // as Cognito knows the person
	AccessToken  string // never ""
	IDToken      string // "" if the browser brought none
	RefreshToken string // "" if the browser brought none
}

const redacted = "[redacted]"

// String keeps tokens out of formatted text.
func (Found) String() string { return redacted }

// GoString keeps tokens out of %#v.
func (Found) GoString() string { return redacted }

// LogValue keeps tokens out of logs.
func (Found) LogValue() slog.Value { return slog.StringValue(redacted) }

// set is what stands under one spelling of one user's name. Spellings are kept apart: the adapter has changed its own and
// Amplify in the browser has another, so two of them may be two sign-ins, whose tokens must not be mixed.
type set struct {
	user, spelling string
	tokens         map[string]string // accessToken, idToken, refreshToken → value
}

// Read finds the session of the client's last user in Cookie header lines; false if there is none. Like the adapter it
// takes the last of several cookies of one name, and finds nobody without LastAuthUser.
func (c Cookies) Read(lines []string) (Found, bool) {
	var last []string
	var sets []*set
	c.each(lines, func(k cookie) {
		rest, ours := strings.CutPrefix(k.name, c.prefix())
		if ours && rest == "LastAuthUser" {
			if names := readings(k.value); len(names) > 0 {
				last = names
			}
			return
		}
		value, ok := decode(k.value)
		if !ours || !ok || len(value) > maxValue {
			return
		}
		user, token := cutLast(rest)
		if token == "accessToken" || token == "idToken" || token == "refreshToken" {
			spelling, _ := cutLast(k.spelled)
			sets = keep(sets, user, spelling, token, value)
		}
	})
	return choose(sets, last)
}

// readings are the user names that a value of LastAuthUser may mean, the likeliest first; none if it cannot be decoded. The
// sign-in callback writes the name as it is, in the Latin-1 of Node's headers. A refresh on the server writes it in UTF-8,
// encoded, and at times once too often.
func readings(value string) []string {
	var names []string
	for _, text := range []string{value, fromLatin1(value)} {
		for range 2 {
			decoded, ok := decode(text)
			if !ok || len(decoded) > maxUser {
				break
			}
			names = append(names, decoded)
			text = decoded
		}
	}
	return names
}

func fromLatin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// keep puts a token into its set, which becomes the last one: the browser brings older cookies first.
func keep(sets []*set, user, spelling, token, value string) []*set {
	for i, s := range sets {
		if s.spelling == spelling {
			s.tokens[token] = value
			return append(append(sets[:i:i], sets[i+1:]...), s)
		}
	}
	return append(sets, &set{user: user, spelling: spelling, tokens: map[string]string{token: value}})
}

// choose gives the last set of the first user who has one.
func choose(sets []*set, users []string) (Found, bool) {
	for _, name := range users {
		for i := len(sets) - 1; i >= 0; i-- {
			if s := sets[i]; name != "" && s.user == name && s.tokens["accessToken"] != "" {
				return Found{Username: name, AccessToken: s.tokens["accessToken"], IDToken: s.tokens["idToken"],
					RefreshToken: s.tokens["refreshToken"]}, true
			}
		}
	}
	return Found{}, false
}

// Deletions gives Set-Cookie lines that delete what the adapter keeps for the client, whoever the user, and what it notes of
// a sign-in under way; other clients' cookies stay. They are lines because net/http writes no cookie whose name holds an @.
//
// They are as many as an answer's header has room for. Where that is not all, the last user's tokens come first, then everybody else's:
// once those of the last user are gone, Read finds nobody any more, and only a sign-in or a sign-out deletes what is left.
func (c Cookies) Deletions(lines []string) []string {
	found := c.distinct(lines)
	size := 0
	for _, k := range found {
		size += c.weight(k)
	}
	if size > maxDeletions {
		users := c.lastUsers(found)
		slices.SortStableFunc(found, func(a, b cookie) int { return c.rank(a, users) - c.rank(b, users) })
	}
	var out []string
	room := maxDeletions
	for _, k := range found {
		weight := c.weight(k)
		if weight > room && len(out) > 0 {
			continue // a shorter one may still fit
		}
		room -= weight
		out = append(out, k.spelled+c.gone(""))
		if c.Domain != "" {
			out = append(out, k.spelled+c.gone(c.Domain))
		}
	}
	return out
}

// distinct are the adapter's cookies for the client, of those with one name the last.
func (c Cookies) distinct(lines []string) []cookie {
	var found []cookie
	at := map[string]int{} // name as the browser wrote it → where it stands in found
	c.each(lines, func(k cookie) {
		if i, ok := at[k.spelled]; ok {
			found[i] = k
			return
		}
		at[k.spelled] = len(found)
		found = append(found, k)
	})
	return found
}

// weight is what deleting a cookie costs of an answer's header.
func (c Cookies) weight(k cookie) int {
	const line = len("Set-Cookie: \r\n")
	n := line + len(k.spelled) + len(c.gone(""))
	if c.Domain != "" {
		n += line + len(k.spelled) + len(c.gone(c.Domain))
	}
	return n
}

// lastUsers are the names that LastAuthUser may mean.
func (c Cookies) lastUsers(found []cookie) (names []string) {
	for _, k := range found {
		if k.name == c.prefix()+"LastAuthUser" {
			names = append(names, readings(k.value)...)
		}
	}
	return names
}

// rank says which deletions come first: tokens open something, and refresh tokens longest. The rest opens nothing.
func (c Cookies) rank(k cookie, users []string) int {
	rest, ours := strings.CutPrefix(k.name, c.prefix())
	user, word := cutLast(rest)
	own, token := slices.Contains(users, user), word == "refreshToken" || word == "accessToken" || word == "idToken"
	switch {
	case !ours:
		return 5
	case rest == "LastAuthUser":
		return 3
	case own && token:
		return 0
	case word == "refreshToken":
		return 1
	case token:
		return 2
	case own:
		return 4
	}
	return 5
}

// Owns says whether a cookie, by its name as the browser writes it, is the adapter's for the client. Nobody else must get one: the
// refresh token is spent here.
func (c Cookies) Owns(name string) bool {
	_, is := c.parse(name + "=")
	return is
}

// gone is the rest of a line that deletes a cookie. Host-only cookies and those of a domain are different cookies.
func (c Cookies) gone(domain string) string {
	rest := "=; Path=/; "
	if domain != "" {
		rest += "Domain=" + domain + "; "
	}
	rest += "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly"
	if c.Secure {
		rest += "; Secure"
	}
	return rest
}

func (c Cookies) prefix() string { return pool + c.ClientID + "." }

// cutLast cuts at the last dot: user names may hold dots, the words behind them do not.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// decode is decodeURIComponent, with its refusals.
func decode(s string) (string, bool) {
	decoded, err := url.PathUnescape(s)
	return decoded, err == nil && utf8.ValidString(decoded)
}
