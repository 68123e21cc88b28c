package handlers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// adapted are the tokens of a sign-in that Amplify's adapter made with our client: without a nonce, without us.
type adapted struct{ access, id, refresh string }

func (s *server) adapted(t testing.TB, users ...devidp.User) adapted {
	t.Helper()
	const verifier = "a-verifier-of-the-adapters-own-a-verifier-of-the-adapters-own"
	challenge := sha256.Sum256([]byte(verifier))
	callback := s.url + "/api/auth/sign-in-callback"
	q := url.Values{
		"response_type": {"code"}, "client_id": {s.provider.ClientID()}, "redirect_uri": {callback}, "scope": {"openid email profile"}, "state": {"its-state"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	user := append(users, s.provider.Users()[0])[0]
	back, err := s.provider.SignIn(t.Context(), s.provider.URL()+"/oauth2/authorize?"+q.Encode(), user)
	must(t, err)
	at, err := url.Parse(back)
	must(t, err)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.provider.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(s.provider.ClientID(), s.provider.ClientSecret())
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	var answer struct {
		Access  string `json:"access_token"`
		ID      string `json:"id_token"`
		Refresh string `json:"refresh_token"`
	}
	must(t, json.Unmarshal(body, &answer))
	if answer.Access == "" || answer.Refresh == "" {
		t.Fatalf("the adapter's sign-in: %d %s", res.StatusCode, body)
	}
	return adapted{answer.Access, answer.ID, answer.Refresh}
}

func (s *server) amplify() string {
	return "CognitoIdentityServiceProvider." + s.provider.ClientID() + "."
}

// cookiesOf are the four cookies as the adapter's sign-in callback writes them.
func (s *server) cookiesOf(a adapted) string { return s.cookiesAs(a, "ann", "ann") }

// cookiesAs spells the user in the names and in LastAuthUser as it is told.
func (s *server) cookiesAs(a adapted, name, last string) string {
	p := s.amplify()
	return "Cookie: theme=dark; " + p + name + ".accessToken=" + a.access + "; " + p + name + ".idToken=" + a.id + "; " +
		p + name + ".refreshToken=" + a.refresh + "; " + p + "LastAuthUser=" + last
}

// deleted are the names of the adapter's cookies that the answer deletes. They are read by hand: net/http does not see those
// with an @.
func (a answer) deleted() []string {
	var names []string
	for _, line := range a.header["Set-Cookie"] {
		name, rest, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "Cognito") && strings.HasPrefix(rest, "; Path=/;") && strings.Contains(rest, "Max-Age=0") {
			names = append(names, name)
		}
	}
	return names
}

// untouched says that the answer sets no cookie at all.
func (a answer) untouched(t testing.TB) {
	t.Helper()
	if lines := a.header["Set-Cookie"]; len(lines) != 0 {
		t.Errorf("cookies were touched: %.300q", lines)
	}
}

func adopting(o *options) { o.adopt = true }

// followed is the browser after the answer: it brings the cookie that was set, and nothing else.
func (b *browser) followed(a answer) string {
	b.t.Helper()
	c := a.sets(b.s.cookie)
	if c == nil {
		b.t.Fatalf("got %d %s without our cookie", a.status, a.body)
	}
	return "Cookie: " + c.Name + "=" + c.Value
}

func TestASessionOfAmplifysAdapterGoesOnWithoutANewSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.adopt, o.https = true, true })
	b := s.stranger(t)
	p := s.amplify()
	for name, cookies := range map[string]func(adapted) string{
		"as the sign-in callback wrote it":      func(a adapted) string { return s.cookiesOf(a) },
		"an e-mail address":                     func(a adapted) string { return s.cookiesAs(a, "us+er%40ex.com", "us+er@ex.com") },
		"after a refresh on the server":         func(a adapted) string { return s.cookiesAs(a, "us+er%40ex.com", "us%2Ber%40ex.com") },
		"encoded once too often":                func(a adapted) string { return s.cookiesAs(a, "us+er%40ex.com", "us%252Ber%2540ex.com") },
		"names as written until 1.7.1":          func(a adapted) string { return s.cookiesAs(a, "us+er@ex.com", "us+er@ex.com") },
		"parentheses":                           func(a adapted) string { return s.cookiesAs(a, "a(b)", "a(b)") },
		"values percent-encoded":                func(a adapted) string { a.access = strings.ReplaceAll(a.access, ".", "%2E"); return s.cookiesOf(a) },
		"without an ID token":                   func(a adapted) string { a.id = ""; return s.cookiesOf(a) },
		"with cookies of the browser's Amplify": func(a adapted) string { return s.cookiesOf(a) + "; " + p + "ann.clockDrift=0; " + p + "ben.idToken=x" },
		"duplicates, the last good": func(a adapted) string {
			return "Cookie: " + p + "ann.accessToken=old; " + strings.TrimPrefix(s.cookiesOf(a), "Cookie: ")
		},
		"another client's session beside it": func(a adapted) string {
			return s.cookiesOf(a) + "; CognitoIdentityServiceProvider.other.LastAuthUser=ben"
		},
		"beside a cookie of ours that opens not": func(a adapted) string { return s.cookiesOf(a) + "; " + s.cookie + "=garbage" },
	} {
		t.Run(name, func(t *testing.T) {
			theirs := s.adapted(t)
			line := cookies(theirs)
			a := b.get(tokenPath, line)
			if a.token(t).AccessToken != theirs.access {
				t.Error("got another token than the session's, which is good for an hour")
			}
			private(t, a)
			var brought []string
			for pair := range strings.SplitSeq(strings.TrimPrefix(line, "Cookie: "), "; ") {
				if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, p) && !slices.Contains(brought, name) {
					brought = append(brought, name)
				}
			}
			if got := a.deleted(); !slices.Equal(got, brought) {
				t.Errorf("deleted\n%v\nwant\n%v", got, brought)
			}
			own := b.followed(a)
			again := b.get(tokenPath, own)
			if again.token(t).AccessToken != theirs.access {
				t.Error("our cookie holds another session")
			}
			again.untouched(t)
		})
	}
	if got := s.provider.Stats().Refresh.Asked; got != 0 {
		t.Errorf("%d refreshes were made and none was due", got)
	}
	s.tells(t, "afterwards", map[string]string{`vestibule_adoptions_total{outcome="adopted"}`: "12"})
}

func TestEveryRouteAdopts(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	b := s.stranger(t)
	user := s.provider.Users()[0]
	for _, row := range []struct{ path, holds string }{
		{"/api/auth/session", user.Email}, {"/.well-known/bff-sessioninfo", user.Email}, {"/.well-known/bff-token", "access_token"},
	} {
		a := b.get(row.path, s.cookiesOf(s.adapted(t)))
		if a.status != http.StatusOK || !strings.Contains(a.body, row.holds) || len(a.deleted()) != 4 {
			t.Errorf("%s: got %d %s, deleted %v", row.path, a.status, a.body, a.deleted())
		}
		b.followed(a)
	}
	a := b.get("/api/auth/verify", s.cookiesOf(s.adapted(t)))
	if a.status != http.StatusOK || !strings.HasPrefix(append(a.header["Set-Cookie"], "")[0], s.cookie+"=") {
		t.Errorf("verify: got %d, and ours is not the first cookie", a.status) // nginx hands on no other
	}
	local, _, _ := strings.Cut(user.Email, "@")
	if a := b.get("/login", s.cookiesOf(s.adapted(t))); !strings.Contains(a.body, local+"<wbr") {
		t.Error("the sign-in page does not know who is signed in")
	}
}

func TestAnAdoptedSessionIsAsOldAsItsSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.adopt, o.session.MaxAge = true, 5*time.Hour })
	end := s.clock.Now().Add(5 * time.Hour).Unix()
	theirs := s.adapted(t)
	s.clock.advance(4 * time.Hour)
	b := s.stranger(t)
	a := b.get("/api/auth/session", s.cookiesOf(theirs))
	var got struct{ ExpiresAt int64 }
	must(t, json.Unmarshal([]byte(a.body), &got))
	if got.ExpiresAt != end {
		t.Errorf("ends at %d, want %d: five hours after the sign-in", got.ExpiresAt, end)
	}
	s.clock.advance(time.Hour)
	late := b.get(tokenPath, s.cookiesOf(theirs))
	late.wants(t, http.StatusUnauthorized, unauthorized)
	if len(late.deleted()) != 4 {
		t.Error("the cookies of a session that is over stay")
	}
}

// The adapter itself signs people out here: with rotation, of parallel refreshes all but one are refused.
func TestParallelRequestsWithAnExpiredAdaptedSessionAreOneRefresh(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	other := s.replica(t, nil)
	theirs := s.adapted(t)
	s.clock.advance(2 * time.Hour)
	line := s.cookiesOf(theirs)
	answers := many(t, 8, line, s, other)
	fresh := sameToken(t, answers)
	if fresh == theirs.access {
		t.Error("the token is still the old one")
	}
	for _, a := range answers {
		if a.sets(s.cookie) == nil || len(a.deleted()) != 4 {
			t.Fatal("an answer lacks our cookie or keeps theirs: the browser may keep any of the eight")
		}
	}
	s.clock.advance(time.Minute)
	if got := other.stranger(t).token("", line).AccessToken; got != fresh {
		t.Error("a straggler with the old cookies got another token")
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want exactly 1 and 0", got.Refresh, got.Reuses)
	}
}

// A request that was under way while another tab forced a refresh must not put the spent refresh token into the browser.
func TestAStragglerDoesNotOverwriteTheNewerForm(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, func(o *options) { o.adopt, o.idp.Transport = true, g })
	theirs := s.adapted(t)
	line := s.cookiesOf(theirs)
	open := g.close()
	first := make(chan answer)
	go func() {
		a, _ := s.stranger(t).try(t.Context(), http.MethodGet, tokenPath+"?forceRefresh=true", "", line)
		first <- a
	}()
	<-g.arrived
	a := s.stranger(t).get(tokenPath, line)
	if a.token(t).AccessToken != theirs.access {
		t.Error("the straggler is not served the living token")
	}
	a.untouched(t)
	open()
	if a := <-first; a.sets(s.cookie) == nil || a.token(t).AccessToken == theirs.access {
		t.Error("the refresh did not reach the browser")
	}
	late := s.stranger(t).get(tokenPath, line)
	if late.token(t).AccessToken == theirs.access || late.sets(s.cookie) == nil {
		t.Error("a later straggler does not get the newer form")
	}
}

func TestNothingIsAdoptedWithoutBeingAskedTo(t *testing.T) {
	t.Parallel()
	on, off := newServer(t, adopting), newServer(t, nil)
	for name, row := range map[string]struct {
		s    *server
		line func(*server, adapted) string
	}{
		"adoption is off":       {off, (*server).cookiesOf},
		"no LastAuthUser":       {on, func(s *server, a adapted) string { return strings.Split(s.cookiesOf(a), "; "+s.amplify()+"Last")[0] }},
		"another user's tokens": {on, func(s *server, a adapted) string { return s.cookiesAs(a, "ann", "ben") }},
		"another client's": {on, func(s *server, a adapted) string {
			return strings.ReplaceAll(s.cookiesOf(a), s.provider.ClientID(), "other")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := row.s.stranger(t).get(tokenPath, row.line(row.s, row.s.adapted(t)))
			a.wants(t, http.StatusUnauthorized, unauthorized)
			a.untouched(t)
		})
	}
}

func TestOurOwnSessionWinsAndItsRefreshCleansUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, adopting)
	users := s.provider.Users()
	b := s.browser(t)
	b.signIn(users[0])
	own := b.cookies()
	line := own + "; " + strings.TrimPrefix(s.cookiesOf(s.adapted(t, users[1])), "Cookie: ")
	a := s.stranger(t).get("/api/auth/session", line)
	if !strings.Contains(a.body, users[0].Email) {
		t.Errorf("got %s, want our own session's user", a.body)
	}
	a.untouched(t)
	s.clock.advance(2 * time.Hour)
	a = s.stranger(t).get(tokenPath, line)
	if a.token(t); len(a.deleted()) != 4 {
		t.Errorf("deleted %v, want what the adapter left", a.deleted())
	}
}
