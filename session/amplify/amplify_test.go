package amplify_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"vestibule/session/amplify"
)

const (
	client = "4k8v1n0q2t6y3r5w7u9i1o2p3a"
	prefix = "CognitoIdentityServiceProvider." + client + "."
)

// pairs are cookies of the adapter's: name behind the prefix, value, and so on.
func pairs(of ...string) []string {
	var out []string
	for i := 0; i < len(of); i += 2 {
		out = append(out, prefix+of[i]+"="+of[i+1])
	}
	return out
}

func header(groups ...[]string) []string {
	return []string{strings.Join(slices.Concat(groups...), "; ")}
}

// whole is a whole set of one spelling of a user; the tokens carry the number.
func whole(spelling string, n int) []string {
	return pairs(spelling+".accessToken", fmt.Sprint("access-", n), spelling+".idToken", fmt.Sprint("id-", n),
		spelling+".refreshToken", fmt.Sprint("refresh-", n))
}

func last(user string) []string { return pairs("LastAuthUser", user) }

func TestReadFindsTheSessionOfTheLastUser(t *testing.T) {
	const uuid = "1f0c2a54-90d1-70f3-8c39-5c2f0a8d9b11"
	none := [4]string{}
	tokens := func(user string, n int) [4]string {
		return [4]string{user, fmt.Sprint("access-", n), fmt.Sprint("id-", n), fmt.Sprint("refresh-", n)}
	}
	for name, test := range map[string]struct {
		lines []string
		want  [4]string // user, access, ID and refresh token
	}{
		"as the sign-in callback writes it": {header(whole(uuid, 1), last(uuid)), tokens(uuid, 1)},
		"an e-mail address as a name, encoded but for the plus": {
			header(whole("us+er%40ex.com", 1), last("us+er@ex.com")), tokens("us+er@ex.com", 1)},
		"an e-mail address in a name as the adapter wrote it until 1.7.1": {
			header(whole("us+er@ex.com", 1), last("us+er@ex.com")), tokens("us+er@ex.com", 1)},
		"the value of LastAuthUser encoded, as after a refresh on the server": {
			header(whole("us+er%40ex.com", 1), last("us%2Ber%40ex.com")), tokens("us+er@ex.com", 1)},
		"the value of LastAuthUser encoded twice": {
			header(whole("us+er%40ex.com", 1), last("us%252Ber%2540ex.com")), tokens("us+er@ex.com", 1)},
		"parentheses as the adapter leaves them":      {header(whole("a(b)", 1), last("a(b)")), tokens("a(b)", 1)},
		"parentheses as js-cookie writes them":        {header(whole("a%28b%29", 1), last("a(b)")), tokens("a(b)", 1)},
		"a name that is not percent-encoding":         {header(whole("50%", 1), last("50%25")), tokens("50%", 1)},
		"a name with dots":                            {header(whole("j.r.doe", 1), last("j.r.doe")), tokens("j.r.doe", 1)},
		"a name with the words of a name":             {header(whole("x.accessToken", 1), last("x.accessToken")), tokens("x.accessToken", 1)},
		"a name in another script":                    {header(whole("%E5%90%8D", 1), last("%E5%90%8D")), tokens("名", 1)},
		"the value of LastAuthUser as Node writes it": {header(whole("Jos%C3%A9", 1), last("Jos\xe9")), tokens("José", 1)},
		"the same where it happens to be UTF-8":       {header(whole("%C3%83%C2%A9", 1), last("\xc3\xa9")), tokens("Ã©", 1)},
		"a token in Latin-1 is none":                  {header(pairs("u.accessToken", "\xe9"), last("u")), none},
		"a plus that is no space":                     {header(whole("a+b", 1), last("a+b")), tokens("a+b", 1)},
		"several lines":                               {[]string{"a=b", whole("u", 1)[0], strings.Join(last("u"), ""), "c=d"}, [4]string{"u", "access-1"}},
		"of duplicates the last":                      {header(whole("u", 1), last("other"), whole("u", 2), last("u")), tokens("u", 2)},
		"a duplicate that cannot be decoded is none":  {header(whole("u", 1), last("u"), pairs("LastAuthUser", "%zz", "u.accessToken", "%ff")), tokens("u", 1)},
		"two spellings are two sets, the last is it":  {header(whole("a@b.c", 1), whole("a%40b.c", 2), last("a@b.c")), tokens("a@b.c", 2)},
		"two spellings are never mixed":               {header(whole("a@b.c", 1), pairs("a%40b.c.accessToken", "access-2"), last("a@b.c")), [4]string{"a@b.c", "access-2"}},
		"a spelling without an access token":          {header(whole("a@b.c", 1), pairs("a%40b.c.refreshToken", "refresh-2"), last("a@b.c")), tokens("a@b.c", 1)},
		"of two users the last one":                   {header(whole("ann", 1), whole("ben", 2), last("ann")), tokens("ann", 1)},
		"another client's session beside it":          {append(header(whole("u", 1), last("u")), strings.ReplaceAll(header(whole("u", 2), last("u"))[0], client, "another")), tokens("u", 1)},
		"values percent-encoded":                      {header(pairs("u.accessToken", "a%2Eb%3D", "u.refreshToken", "r%20"), last("u")), [4]string{"u", "a.b=", "", "r "}},
		"a value with an equals sign":                 {header(pairs("u.accessToken", "a=="), last("u")), [4]string{"u", "a=="}},
		"without an ID token":                         {header(pairs("u.accessToken", "a", "u.refreshToken", "r"), last("u")), [4]string{"u", "a", "", "r"}},
		"the adapter's other cookies say nothing":     {header(whole("u", 1), pairs("u.clockDrift", "0", "u.signInDetails", "{}"), last("u")), tokens("u", 1)},
		"no cookie at all":                            {nil, none},
		"no LastAuthUser":                             {header(whole("u", 1)), none},
		"an empty LastAuthUser":                       {header(whole("u", 1), whole("", 2), last("")), none},
		"a LastAuthUser without tokens":               {header(whole("u", 1), last("v")), none},
		"no access token":                             {header(pairs("u.idToken", "i", "u.refreshToken", "r"), last("u")), none},
		"an access token that was emptied":            {header(whole("u", 1), pairs("u.accessToken", ""), last("u")), none},
		"another client's session alone":              {header(strings.Split(strings.ReplaceAll(header(whole("u", 1), last("u"))[0], client, "another"), "; ")), none},
		"a client whose name begins as ours":          {header(strings.Split(strings.ReplaceAll(header(whole("u", 1), last("u"))[0], client, client+"x"), "; ")), none},
		"cookies that only end as the adapter's":      {[]string{"x" + header(whole("u", 1))[0], "x" + last("u")[0]}, none},
		"a user's name longer than any":               {header(whole(strings.Repeat("u", 2000), 1), last(strings.Repeat("u", 2000))), none},
		"a token longer than any":                     {header(pairs("u.accessToken", strings.Repeat("a", 9000)), last("u")), none},
		"more cookies than anybody has, then the set": {header(slices.Repeat(pairs("x.clockDrift", "0"), 200), whole("u", 1), last("u")), none},
	} {
		t.Run(name, func(t *testing.T) {
			f, ok := amplify.Cookies{ClientID: client}.Read(test.lines)
			got := [4]string{f.Username, f.AccessToken, f.IDToken, f.RefreshToken}
			if got != test.want || ok != (test.want != none) {
				t.Errorf("got %.200q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestDeletionsCoverEverySpellingAndSpareWhatIsOthers(t *testing.T) {
	brought := header(
		whole("us+er@ex.com", 1), whole("us+er%40ex.com", 2), whole("a(b)", 3), whole("ben", 4), last("x"), last("y"),
		pairs("ben.clockDrift", "0", "ben.signInDetails", "{}", "ben.deviceKey", "d"),
		[]string{"com.amplify.server_auth.pkce=p", "com.amplify.server_auth.isSigningOut=true"},
		[]string{"CognitoIdentityServiceProvider.another.LastAuthUser=u", "com.amplify.Cognito.pool.identityId=i", "__Host-vestibule=v", "theme=dark"},
	)
	got := amplify.Cookies{ClientID: client, Secure: true}.Deletions(brought)
	var names []string
	for _, line := range got {
		name, rest, _ := strings.Cut(line, "=")
		names = append(names, name)
		if rest != "; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Secure" {
			t.Errorf("the line of %s goes on as %s", name, rest)
		}
	}
	var want []string
	for _, spelling := range []string{"us+er@ex.com", "us+er%40ex.com", "a(b)", "ben"} {
		want = append(want, prefix+spelling+".accessToken", prefix+spelling+".idToken", prefix+spelling+".refreshToken")
	}
	want = append(want, prefix+"LastAuthUser", prefix+"ben.clockDrift", prefix+"ben.signInDetails", prefix+"ben.deviceKey",
		"com.amplify.server_auth.pkce", "com.amplify.server_auth.isSigningOut")
	if !slices.Equal(names, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
}

func TestDeletionsRepeatTheAttributesOfTheSite(t *testing.T) {
	lines := last("u")
	if got := (amplify.Cookies{ClientID: client}).Deletions(lines); len(got) != 1 || strings.Contains(got[0], "Secure") {
		t.Errorf("without https: got %q", got)
	}
	got := amplify.Cookies{ClientID: client, Secure: true, Domain: "example.com"}.Deletions(lines)
	if len(got) != 2 || strings.Contains(got[0], "Domain") || !strings.Contains(got[1], "; Path=/; Domain=example.com; ") {
		t.Errorf("with a domain: got %q, want the host's own cookie and the domain's", got)
	}
	if got := (amplify.Cookies{ClientID: client}).Deletions([]string{"a=b; c=d"}); got != nil {
		t.Errorf("nothing was brought: got %q", got)
	}
}

// weight is what the lines cost of an answer's header.
func weight(lines []string) int {
	n := 0
	for _, line := range lines {
		n += len("Set-Cookie: \r\n") + len(line)
	}
	return n
}

// A proxy refuses an answer whose header it has no room for, and the browser would bring the same cookies for ever.
func TestDeletionsFitAnAnswersHeaderAndTheRestFollows(t *testing.T) {
	const most = 6 << 10
	var tiny []string
	for i := range 150 {
		tiny = append(tiny, fmt.Sprintf("com.amplify.server_auth.%d=1", i))
	}
	var strangers []string
	for i := range 60 {
		strangers = append(strangers, whole(fmt.Sprint("stranger-", i), i)[2], pairs(fmt.Sprint("stranger-", i, ".clockDrift"), "0")[0])
	}
	session := slices.Concat(whole("us+er%40ex.com", 1), last("us%2Ber%40ex.com"), pairs("us+er%40ex.com.clockDrift", "0"))
	for name, brought := range map[string][]string{
		"notes of sign-ins":         slices.Concat(tiny, session),
		"other people's cookies":    slices.Concat(strangers, session),
		"no session among them":     tiny,
		"names as long as they get": slices.Concat(pairs(strings.Repeat("u", 3900)+".idToken", "x"), tiny),
	} {
		first := session
		if name == "other people's cookies" {
			first = session[:3] // other people's tokens come before the rest, and fill the first answer
		}
		for _, domain := range []string{"", "example.com"} {
			t.Run(name+", domain "+domain, func(t *testing.T) {
				c := amplify.Cookies{ClientID: client, Secure: true, Domain: domain}
				left := slices.Clone(brought)
				for answer := 0; len(left) > 0; answer++ {
					gone := c.Deletions(header(left))
					if got := weight(gone); got > most && len(gone) > 2 || answer > 50 {
						t.Fatalf("answer %d: %d lines of %d bytes, want at most %d bytes", answer, len(gone), got, most)
					}
					before := len(left)
					for _, line := range gone {
						name, _, _ := strings.Cut(line, "=")
						left = slices.DeleteFunc(left, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
					}
					if len(left) == before {
						t.Fatalf("answer %d deletes nothing", answer)
					}
					if domain != "" && len(gone)%2 != 0 {
						t.Errorf("answer %d: %d lines, want both of each cookie", answer, len(gone))
					}
					for _, pair := range first {
						if slices.Contains(left, pair) {
							t.Errorf("the first answer leaves %s", pair)
						}
					}
				}
			})
		}
	}
}

// Once the last user's tokens are gone nobody is found by what is left, and no later request deletes anything of its own accord: a
// refresh token that stays would open an account for months.
func TestDeletionsLeaveNobodysTokensForTheSakeOfNotes(t *testing.T) {
	for name, row := range map[string]struct {
		domain string
		people int
	}{"host-only cookies": {"", 9}, "cookies of a domain": {"example.com", 4}} {
		t.Run(name, func(t *testing.T) {
			brought := []string{"com.amplify.server_auth.pkce=p", "com.amplify.server_auth.isSigningOut=true"}
			brought = append(brought, last("person-1")...)
			for n := range row.people {
				person := fmt.Sprint("person-", n)
				brought = slices.Concat(brought, pairs(person+".clockDrift", "0", person+".userData", "{}", person+".signInDetails", "{}"), whole(person, n))
			}
			c := amplify.Cookies{ClientID: client, Secure: true, Domain: row.domain}
			gone := map[string]bool{}
			for _, line := range c.Deletions(header(brought)) {
				name, _, _ := strings.Cut(line, "=")
				gone[name] = true
			}
			notes := 0
			for _, pair := range brought {
				name, _, _ := strings.Cut(pair, "=")
				if strings.HasSuffix(name, "Token") && !gone[name] {
					t.Errorf("%s stays", name)
				}
				if !strings.HasSuffix(name, "Token") && !gone[name] {
					notes++
				}
			}
			if notes == 0 {
				t.Error("everything fits: this proves nothing")
			}
		})
	}
}

func TestDeletionsTakeTheLastUsersTokensThenRefreshTokens(t *testing.T) {
	var brought []string
	for n := range 40 {
		brought = append(brought, whole(fmt.Sprint("person-", n), n)...)
	}
	gone := amplify.Cookies{ClientID: client}.Deletions(header(brought, last("person-39")))
	if len(gone) < 6 {
		t.Fatalf("%d lines", len(gone))
	}
	for i, line := range gone {
		if own := strings.HasPrefix(line, prefix+"person-39."); own != (i < 3) || !own && !strings.HasPrefix(line, prefix+fmt.Sprintf("person-%d.refreshToken=", i-3)) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

func TestFoundDoesNotPrint(t *testing.T) {
	f, _ := amplify.Cookies{ClientID: client}.Read(header(whole("u", 1), last("u")))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "found", f)
	for _, text := range []string{fmt.Sprint(f), fmt.Sprintf("%+v", f), fmt.Sprintf("%#v", f), log.String()} {
		if strings.Contains(text, "access-1") || !strings.Contains(text, "[redacted]") {
			t.Errorf("printed %s", text)
		}
	}
}

// Whatever a browser sends, what is found was brought for our client, and what is written can stand in a header.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{
		header(whole("us+er%40ex.com", 1), last("us%252Ber%2540ex.com"))[0], header(whole("a(b)", 1), last("a(b)"))[0],
		prefix + "LastAuthUser=%zz;;=;" + prefix + ".accessToken=x", prefix + "%0d%0aSet-Cookie:x=y", "com.amplify.server_auth.=\x00",
		prefix + "LastAuthUser", prefix + "\xff.accessToken=\xff; " + prefix + "LastAuthUser=\xff",
	} {
		f.Add(seed)
	}
	c := amplify.Cookies{ClientID: client, Secure: true, Domain: "example.com"}
	f.Fuzz(func(t *testing.T, line string) {
		if found, ok := c.Read([]string{line}); ok {
			plain, _ := url.PathUnescape(line)
			if found.AccessToken == "" || found.Username == "" || !strings.Contains(line+plain, prefix) {
				t.Errorf("found a session of %q where there is none", found.Username)
			}
		}
		gone := c.Deletions([]string{line})
		if len(gone) > 400 {
			t.Errorf("%d lines", len(gone))
		}
		if n := weight(gone); n > 6<<10 && len(gone) > 2 {
			t.Errorf("%d lines of %d bytes", len(gone), n)
		}
		for _, set := range gone {
			name, _, _ := strings.Cut(set, "=")
			if !strings.Contains(line, name+"=") || strings.ContainsAny(set, "\r\n\x00\t") || strings.ContainsAny(name, "; ") {
				t.Errorf("deletes %q with %q", name, set)
			}
		}
	})
}

func TestOwnsNamesTheClientsCookiesAndNoOthers(t *testing.T) {
	for name, want := range map[string]bool{
		prefix + "LastAuthUser":                             true,
		prefix + "us+er%40ex.com.accessToken":               true,
		prefix + "us@er.refreshToken":                       true,
		"com.amplify.server_auth.pkce":                      true,
		"CognitoIdentityServiceProvider.other.LastAuthUser": false,
		"a": false,
		"":  false,
	} {
		if got := (amplify.Cookies{ClientID: client}).Owns(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}
