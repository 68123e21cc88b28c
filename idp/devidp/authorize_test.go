package devidp_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

func TestAuthorizeRefusalsThatTheClientHears(t *testing.T) {
	b := start(t)
	for fault, c := range map[string]struct {
		changes []string
		code    string
	}{
		"no response type":              {[]string{"response_type", "-"}, "invalid_request"},
		"the implicit flow":             {[]string{"response_type", "token"}, "unauthorized_client"},
		"no PKCE":                       {[]string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
		"a challenge without method":    {[]string{"code_challenge_method", "-"}, "invalid_request"},
		"a method without challenge":    {[]string{"code_challenge", "-"}, "invalid_request"},
		"plain PKCE":                    {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"a challenge that is no hash":   {[]string{"code_challenge", "short"}, "invalid_request"},
		"an unknown scope":              {[]string{"scope", "openid offline_access"}, "invalid_scope"},
		"an unknown prompt":             {[]string{"prompt", "None"}, "invalid_request"},
		"two ways to name a provider":   {[]string{"identity_provider", "Google", "idp_identifier", "x"}, "invalid_request"},
		"a resource with a fragment":    {[]string{"resource", "https://api.example.com/#x"}, "invalid_target"},
		"silence without being known":   {[]string{"prompt", "none"}, "login_required"},
		"a state that is a JSON object": {[]string{"state", `{"a":1}`}, "invalid_request"},
	} {
		got := b.get(b.http, b.authorizeURL(c.changes...))
		to := got.header.Get("Location")
		q := query(t, to)
		if got.status != http.StatusFound || !strings.HasPrefix(to, callback+"?") || q.Get("error") != c.code || q.Has("code") {
			t.Errorf("%s: got %d to %s, want error=%s", fault, got.status, to, c.code)
		}
		if wantState := b.params(c.changes...).Get("state"); q.Get("state") != wantState {
			t.Errorf("%s: state is %q", fault, q.Get("state"))
		}
	}
	if b.s.Stats().Authorize != 13 {
		t.Errorf("counted %d", b.s.Stats().Authorize)
	}
}

func TestAuthorizeNeverRedirectsToWhatIsNotRegistered(t *testing.T) {
	b := start(t)
	for fault, raw := range map[string]string{
		"another path":           b.authorizeURL("redirect_uri", callback+"/"),
		"another host":           b.authorizeURL("redirect_uri", "https://attacker.example/cb"),
		"no redirect URI":        b.authorizeURL("redirect_uri", "-"),
		"an unknown client":      b.authorizeURL("client_id", "nobody"),
		"no client":              b.authorizeURL("client_id", "-"),
		"two redirect URIs":      b.authorizeURL() + "&redirect_uri=https://attacker.example",
		"two clients":            b.authorizeURL() + "&client_id=x",
		"a query that is broken": b.authorizeURL() + "&a=%zz",
	} {
		got := b.get(b.http, raw)
		if got.status != http.StatusFound || !strings.HasPrefix(got.header.Get("Location"), "/error?error=") {
			t.Errorf("%s: got %d to %q", fault, got.status, got.header.Get("Location"))
		}
	}
}

func TestASecondSignInDoesNotAskAgainForAnHour(t *testing.T) {
	b := start(t)
	browser := b.browser()
	b.submit(browser, b.authorizeURL(), "alice@example.com", "wonderland")
	for _, prompt := range []string{"-", "none"} {
		if to := b.get(browser, b.authorizeURL("prompt", prompt)).header.Get("Location"); !query(t, to).Has("code") {
			t.Errorf("prompt %s: went to %s", prompt, to)
		}
	}
	for _, prompt := range []string{"login", "select_account"} {
		if to := b.get(browser, b.authorizeURL("prompt", prompt)).header.Get("Location"); !strings.HasPrefix(to, "/login?") {
			t.Errorf("prompt %s: went to %s", prompt, to)
		}
	}
	b.clock.advance(time.Hour)
	if to := b.get(browser, b.authorizeURL()).header.Get("Location"); !strings.HasPrefix(to, "/login?") {
		t.Errorf("after an hour: went to %s", to)
	}
}

func TestAuthTimeIsThatOfThePasswordNotOfTheSilentSignIn(t *testing.T) {
	b := start(t)
	browser, typed := b.browser(), b.clock.now()
	b.submit(browser, b.authorizeURL(), "alice@example.com", "wonderland")
	b.clock.advance(30 * time.Minute)
	to := b.get(browser, b.authorizeURL()).header.Get("Location")
	if got := part(t, b.exchange(query(t, to).Get("code")).tokens(t).ID, 1)["auth_time"]; got != float64(typed.Unix()) {
		t.Errorf("auth_time is %v, want %d", got, typed.Unix())
	}
}

var hidden = regexp.MustCompile(`name="_csrf" value="([0-9a-f]+)"`)

// submit opens the authorization URL and sends the form. It gives the answer to the POST.
func (b *bench) submit(browser *http.Client, authorizeURL, email, password string) reply {
	b.Helper()
	form := b.s.URL() + b.get(browser, authorizeURL).header.Get("Location")
	page := b.get(browser, form)
	field := hidden.FindStringSubmatch(page.body)
	if field == nil {
		b.Fatalf("no form at %s: %d %s", form, page.status, page.body)
	}
	return b.send(browser, form, url.Values{"_csrf": {field[1]}, "username": {email}, "password": {password}})
}

func (b *bench) send(browser *http.Client, form string, fields url.Values) reply {
	b.Helper()
	return b.do(browser, b.request(strings.TrimPrefix(form, b.s.URL()), fields))
}

func TestSignInRedirectsWith303AndACookieForScriptsOutOfReach(t *testing.T) {
	b := start(t)
	got := b.submit(b.browser(), b.authorizeURL(), " Alice@Example.com ", "wonderland")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), callback+"?code=") {
		t.Errorf("got %d to %s", got.status, got.header.Get("Location"))
	}
	cookie := got.header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=3600"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("%s is missing in %s", attribute, cookie)
		}
	}
}

func TestWrongPasswordUnknownAndDisabledUserGetOneAnswer(t *testing.T) {
	b := start(t)
	b.s.DisableUser("bruno@example.com")
	for who, c := range map[string][2]string{
		"wrong password": {"alice@example.com", "x"}, "no password": {"alice@example.com", ""},
		"unknown": {"eve@example.com", ""}, "disabled": {"bruno@example.com", "mangrove"},
	} {
		got := b.submit(b.browser(), b.authorizeURL(), c[0], c[1])
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "Incorrect username or password.") {
			t.Errorf("%s: got %d", who, got.status)
		}
		if c[1] != "" && strings.Contains(got.body, `value="`+c[1]+`"`) {
			t.Errorf("%s: the page repeats the password", who)
		}
	}
	if st := b.s.Stats(); st.SignIns != 0 || st.SignInsRefused != 4 {
		t.Errorf("counted %+v", st)
	}
}

func TestAFormFromElsewhereIsRefused(t *testing.T) {
	b := start(t)
	fields := url.Values{"username": {"alice@example.com"}, "password": {"wonderland"}}
	form := b.s.URL() + "/login?" + b.params().Encode()
	if got := b.send(b.browser(), form, fields); got.status != http.StatusForbidden {
		t.Errorf("without a token: got %d", got.status)
	}
	// A token made for another browser does not fit this one.
	other := hidden.FindStringSubmatch(b.get(b.browser(), form).body)
	mine := b.browser()
	b.get(mine, form)
	fields.Set("_csrf", other[1])
	if got := b.send(mine, form, fields); got.status != http.StatusForbidden {
		t.Errorf("with another browser's token: got %d", got.status)
	}
	if b.s.Stats().SignIns != 0 {
		t.Error("somebody got in")
	}
}

func TestTwoTabsMayHoldTheFormAtOnce(t *testing.T) {
	b := start(t)
	browser := b.browser()
	form := b.s.URL() + "/login?" + b.params().Encode()
	first := hidden.FindStringSubmatch(b.get(browser, form).body)
	b.get(browser, form)
	got := b.send(browser, form, url.Values{"_csrf": {first[1]}, "username": {"alice@example.com"}, "password": {"wonderland"}})
	if got.status != http.StatusSeeOther {
		t.Errorf("the first tab got %d", got.status)
	}
}

func TestSignUpMakesAUserAndSignsHimIn(t *testing.T) {
	b := start(t)
	browser := b.browser()
	form := b.s.URL() + "/signup?" + b.params().Encode()
	field := hidden.FindStringSubmatch(b.get(browser, form).body)
	fields := url.Values{"_csrf": {field[1]}, "username": {"carla@example.com"}, "name": {"Carla"}, "password": {"abcdefgh"}}
	got := b.send(browser, form, fields)
	id := part(t, b.exchange(query(t, got.header.Get("Location")).Get("code")).tokens(t).ID, 1)
	if id["email"] != "carla@example.com" || id["name"] != "Carla" || len(b.s.Users()) != 3 {
		t.Errorf("got %v", id)
	}
	for fault, change := range map[string][2]string{
		"an address that is taken": {"username", "ALICE@example.com"},
		"an address that is none":  {"username", "carla"},
		"a short password":         {"password", "short"},
	} {
		bad := url.Values{"_csrf": {field[1]}, "username": {"dora@example.com"}, "name": {"D"}, "password": {"abcdefgh"}}
		bad.Set(change[0], change[1])
		if got := b.send(browser, form, bad); got.status != http.StatusBadRequest || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: got %d", fault, got.status)
		}
	}
	if b.s.Stats().SignUps != 1 {
		t.Errorf("counted %d", b.s.Stats().SignUps)
	}
}

func TestPagesEscapeAndForbidEverythingTheyDoNotNeed(t *testing.T) {
	b := start(t)
	const evil = `"><script>alert(1)</script>`
	page := b.get(b.http, b.s.URL()+"/login?"+b.params("login_hint", evil, "state", evil, "lang", evil).Encode())
	if page.status != http.StatusOK || strings.Contains(page.body, "<script") || !strings.Contains(page.body, "&lt;script&gt;") {
		t.Errorf("got %d %s", page.status, page.body)
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "form-action 'self' http://localhost:8080;", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("%q is missing in %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(page.body, "style=") || strings.Contains(page.body, "https://") {
		t.Error("the page needs more than its policy allows")
	}
	failed := b.get(b.http, b.s.URL()+"/error?error="+url.QueryEscape(evil))
	if failed.status != http.StatusBadRequest || strings.Contains(failed.body, "alert(1)") {
		t.Errorf("the error page repeats what anybody sends: %s", failed.body)
	}
}

func TestFormActionAdmitsTheClientInEveryShape(t *testing.T) {
	for uri, wanted := range map[string]string{
		"http://127.0.0.1:3000/cb":  "'self' http://127.0.0.1:3000;",
		"http://[::1]:3000/cb":      "'self' http:;", // the policy's grammar has no IPv6
		"com.example.app:/callback": "'self' com.example.app:;",
	} {
		b := start(t, func(c *devidp.Config) { c.RedirectURIs = []string{uri} })
		page := b.get(b.http, b.s.URL()+"/login?"+b.params("redirect_uri", uri).Encode())
		if got := page.header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action "+wanted) {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

func TestThePageSpeaksTheLanguageItIsAskedFor(t *testing.T) {
	b := start(t)
	for lang, line := range map[string][2]string{
		"pt-BR": {"pt-BR", "Entrar"}, "ja": {"ja", "サインイン"}, "id": {"id", "Masuk"}, "zh-CN": {"zh-CN", "登录"},
		"": {"en", "Sign in"}, "de": {"en", "Sign in"}, "xx": {"en", "Sign in"},
	} {
		page := b.get(b.http, b.s.URL()+"/login?"+b.params("lang", lang, "login_hint", "who@example.com").Encode()).body
		for _, wanted := range []string{`<html lang="` + line[0] + `">`, "<h1>" + line[1] + "</h1>", `value="who@example.com"`} {
			if !strings.Contains(page, wanted) {
				t.Errorf("lang=%s: %s is missing", lang, wanted)
			}
		}
	}
}

func TestSignInTellsWhenItFails(t *testing.T) {
	b := start(t)
	alice := b.s.Users()[0]
	wrong := alice
	wrong.Password = "x"
	for fault, c := range map[string]struct {
		at   string
		user devidp.User
	}{
		"a wrong password":   {b.authorizeURL(), wrong},
		"an error page":      {b.authorizeURL("client_id", "nobody"), alice},
		"another provider":   {"http://localhost:1/oauth2/authorize", alice},
		"a URL that is none": {"://", alice},
	} {
		if at, err := b.s.SignIn(t.Context(), c.at, c.user); !errors.Is(err, devidp.ErrSignIn) || at != "" {
			t.Errorf("%s: got %q, %v", fault, at, err)
		}
	}
}

func TestLogout(t *testing.T) {
	b := start(t)
	id := b.s.ClientID()
	for what, c := range map[string]struct {
		query  url.Values
		status int
		tells  string // the Location of a redirect, or a part of the body
		out    bool   // whether the browser is signed out
	}{
		"form A":                         {url.Values{"client_id": {id}, "logout_uri": {signedOut}, "state": {"x"}}, 302, signedOut, true},
		"form B":                         {url.Values{"client_id": {id}, "response_type": {"code"}, "redirect_uri": {callback}}, 302, "/login?", true},
		"the standard's way":             {url.Values{"client_id": {id}, "post_logout_redirect_uri": {signedOut}}, 400, "Required String parameter 'redirect_uri' is not present", true},
		"the standard's, with hint only": {url.Values{"id_token_hint": {"x"}, "post_logout_redirect_uri": {signedOut}}, 400, "Missing required parameter client_id", false},
		"an unknown client":              {url.Values{"client_id": {"x"}, "logout_uri": {signedOut}}, 400, "Client does not exist", false},
		"a logout_uri of others":         {url.Values{"client_id": {id}, "logout_uri": {"https://attacker.example"}}, 400, "Invalid logout_uri", true},
		"a redirect_uri of others":       {url.Values{"client_id": {id}, "response_type": {"code"}, "redirect_uri": {signedOut}}, 400, "Invalid redirect_uri", true},
		"no response_type":               {url.Values{"client_id": {id}, "redirect_uri": {callback}}, 400, "'response_type'", true},
		"a repeated parameter":           {url.Values{"client_id": {id, id}, "logout_uri": {signedOut}}, 400, "Invalid request", false},
	} {
		browser := b.browser()
		b.submit(browser, b.authorizeURL(), "alice@example.com", "wonderland")
		got := b.get(browser, b.s.URL()+"/logout?"+c.query.Encode())
		to := got.header.Get("Location")
		if got.status != c.status {
			t.Errorf("%s: got %d, want %d", what, got.status, c.status)
		}
		if c.status == 302 && c.tells == signedOut && to != signedOut {
			t.Errorf("%s: went to %s, want exactly %s", what, to, signedOut)
		}
		if !strings.HasPrefix(to, c.tells) && !strings.Contains(got.body, c.tells) {
			t.Errorf("%s: got %q %s", what, to, got.body)
		}
		again := b.get(browser, b.authorizeURL()).header.Get("Location")
		if out := strings.HasPrefix(again, "/login?"); out != c.out {
			t.Errorf("%s: signed out is %v, want %v", what, out, c.out)
		}
	}
}

func TestLogoutLeavesRefreshTokensAlive(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	b.get(b.http, b.s.URL()+"/logout?"+url.Values{"client_id": {b.s.ClientID()}, "logout_uri": {signedOut}}.Encode())
	b.refresh(got.Refresh).tokens(t)
	if b.s.Stats().Logouts != 1 {
		t.Errorf("counted %d", b.s.Stats().Logouts)
	}
}
