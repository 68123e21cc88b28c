package views_test

import (
	"bytes"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"vestibule/static"
	"vestibule/views"
)

func TestEveryPageIsWellMadeInEveryLanguage(t *testing.T) {
	assets, v := newAssets(t), newViews(t, views.Brand{})
	for _, tag := range tags() {
		l := v.Language(tag, "")
		for name, page := range every(v, l, "") {
			t.Run(tag+"/"+name, func(t *testing.T) {
				written := render(t, page)
				root := parse(t, written)
				want := tag
				if strings.HasPrefix(name, "demo") {
					want = "en" // the demo speaks English
				}
				if got := attr(find(root, "html")[0], "lang"); got != want {
					t.Errorf("lang: got %q, want %q", got, want)
				}
				if !strings.HasPrefix(strings.ToLower(written), "<!doctype html>") {
					t.Errorf("got %.20q, want a doctype first", written)
				}
				for _, element := range []string{"title", "h1", "main", "header"} {
					if found := find(root, element); len(found) != 1 || text(found[0]) == "" {
						t.Errorf("<%s>: got %d, want one that says something", element, len(found))
					}
				}
				checkForms(t, root)
				checkNothingInline(t, root)
				checkAssets(t, assets, root)
			})
		}
	}
}

// checkForms wants every form to be a POST with a button that says something, and no link or button without words. The form of
// the demo's channel goes nowhere: it waits, hidden and nameless, for a script.
func checkForms(t *testing.T, root *html.Node) {
	t.Helper()
	for _, form := range find(root, "form") {
		if attr(form, "data-part") == "say" {
			continue
		}
		if attr(form, "method") != "post" || attr(form, "action") == "" || len(find(form, "button")) != 1 {
			t.Errorf("form: got %v, want a post with an action and one button", form.Attr)
		}
	}
	for _, n := range append(find(root, "a"), find(root, "button")...) {
		if text(n) == "" {
			t.Errorf("<%s %v> has no words", n.Data, n.Attr)
		}
	}
	for _, img := range find(root, "img") {
		if !slices.ContainsFunc(img.Attr, func(a html.Attribute) bool { return a.Key == "alt" }) {
			t.Error("an image has no alt attribute")
		}
	}
}

// checkNothingInline wants what the content security policy wants.
func checkNothingInline(t *testing.T, root *html.Node) {
	t.Helper()
	for _, n := range find(root, "") {
		if n.Data == "style" || n.Data == "iframe" || n.Data == "base" {
			t.Errorf("<%s> on a page", n.Data)
		}
		if n.Data == "script" && (attr(n, "src") == "" || n.FirstChild != nil) {
			t.Error("a script inside the page")
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
}

// checkAssets wants every file that a page loads to be there, under a name that may be cached.
func checkAssets(t *testing.T, assets *static.Assets, root *html.Node) {
	t.Helper()
	var paths []string
	for _, n := range find(root, "link") {
		paths = append(paths, attr(n, "href"))
	}
	for _, n := range append(find(root, "script"), find(root, "img")...) {
		paths = append(paths, attr(n, "src"))
	}
	for _, path := range paths {
		w := httptest.NewRecorder()
		assets.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: got %d, %q, want 200 and immutable", path, w.Code, w.Header().Get("Cache-Control"))
		}
	}
}

func TestWhatCallersPassStaysText(t *testing.T) {
	hostile := `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.Brand}}&lt;`
	v := newViews(t, views.Brand{Name: `<b>"A'&B</b>{{.Brand}}`})
	plain := newViews(t, views.Brand{})
	for name, page := range every(v, v.Language("", ""), hostile) {
		root := parse(t, render(t, page))
		checkNothingInline(t, root)
		want := len(find(parse(t, render(t, every(plain, plain.Language("", ""), "")[name])), ""))
		if got := len(find(root, "")); got != want {
			t.Errorf("%s: got %d elements, want %d as without hostile data", name, got, want)
		}
		if title := text(find(root, "title")[0]); !strings.HasSuffix(title, `<b>"A'&B</b>{{.Brand}}`) {
			t.Errorf("%s: got title %q, want the brand's name as it is", name, title)
		}
	}
}

func TestAnAddressThatWouldRunIsNotWritten(t *testing.T) {
	v := newViews(t, views.Brand{})
	for _, bad := range []string{"javascript:alert(1)", " javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x"} {
		pages := map[string]templ.Component{
			"link":     v.Login(views.Language{}, views.Login{SignInURL: bad, SignUpURL: bad}),
			"form":     v.ConfirmSignOut(views.Language{}, views.ConfirmSignOut{Action: bad, CancelURL: bad}),
			"refresh":  v.MovingOn(views.Language{}, views.MovingOn{Target: bad}),
			"provider": v.Demo(views.Language{}, views.Demo{ProviderURL: bad, SignInURL: bad}),
		}
		for name, page := range pages {
			if written := render(t, page); strings.Contains(written, "alert(1)") || strings.Contains(written, "text/html,x") || strings.Contains(written, "vbscript") {
				t.Errorf("%s: %q got onto the page", name, bad)
			}
		}
	}
}

func TestLoginShowsWhatItIsGiven(t *testing.T) {
	v := newViews(t, views.Brand{Name: "Acme"})
	tests := map[string]struct {
		login         views.Login
		links, forms  int
		says, doesNot string
	}{
		"signing in alone":            {views.Login{SignInURL: "/in"}, 1, 0, "continue to Acme", "Create an account"},
		"signing in and up":           {views.Login{SignInURL: "/in", SignUpURL: "/up"}, 2, 0, "Create an account", "Signed in as"},
		"somebody who is signed in":   {views.Login{SignInURL: "/in", SignedInAs: "ana@x", ContinueURL: "/", SignOutURL: "/o"}, 1, 1, "ana@x", "Create an account"},
		"signed in, without sign-out": {views.Login{SignedInAs: "ana", ContinueURL: "/"}, 1, 0, "Continue to Acme", "Sign out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			main := find(parse(t, render(t, v.Login(views.Language{}, tt.login))), "main")[0]
			if got := len(find(main, "a")); got != tt.links {
				t.Errorf("links: got %d, want %d", got, tt.links)
			}
			if got := len(find(main, "form")); got != tt.forms {
				t.Errorf("forms: got %d, want %d", got, tt.forms)
			}
			if said := text(main); !strings.Contains(said, tt.says) || strings.Contains(said, tt.doesNot) {
				t.Errorf("got %q, want %q in it and not %q", said, tt.says, tt.doesNot)
			}
		})
	}
}

func TestConfirmSendsReturnToAlong(t *testing.T) {
	v := newViews(t, views.Brand{})
	for returnTo, want := range map[string]int{"/a?b=c&d": 1, "": 0} {
		page := v.ConfirmSignOut(views.Language{}, views.ConfirmSignOut{Action: "/out", ReturnTo: returnTo, CancelURL: "/"})
		inputs := find(parse(t, render(t, page)), "input")
		if len(inputs) != want {
			t.Fatalf("returnTo %q: got %d fields, want %d", returnTo, len(inputs), want)
		}
		if want == 1 && (attr(inputs[0], "name") != "returnTo" || attr(inputs[0], "value") != returnTo) {
			t.Errorf("got %v, want returnTo=%q", inputs[0].Attr, returnTo)
		}
	}
}

func TestConfirmSaysThatAllDevicesAreSignedOutAndAsksForIt(t *testing.T) {
	v := newViews(t, views.Brand{})
	root := parse(t, render(t, v.ConfirmSignOut(views.Language{}, views.ConfirmSignOut{Action: "/out", ReturnTo: "/x", CancelURL: "/", Everywhere: true})))
	sent := map[string]string{}
	for _, input := range find(root, "input") {
		sent[attr(input, "name")] = attr(input, "value")
	}
	if len(sent) != 2 || sent["everywhere"] != "true" || sent["returnTo"] != "/x" {
		t.Errorf("the form sends %v, want everywhere=true and returnTo=/x", sent)
	}
	if title := text(find(root, "h1")[0]); title != "Sign out on all devices?" || !strings.Contains(text(root), "on all devices. Nothing has changed") {
		t.Errorf("the page titled %q does not say what it is about", title)
	}
}

func TestMovingOnGoesAtOnceAndByLink(t *testing.T) {
	v := newViews(t, views.Brand{})
	root := parse(t, render(t, v.MovingOn(views.Language{}, views.MovingOn{Target: "/a?b=1&c=;2"})))
	var got string
	for _, meta := range find(root, "meta") {
		if attr(meta, "http-equiv") == "refresh" {
			got = attr(meta, "content")
		}
	}
	if want := "0; url=/a?b=1&c=;2"; got != want {
		t.Errorf("refresh: got %q, want %q", got, want)
	}
	if links := find(root, "a"); len(links) != 1 || attr(links[0], "href") != "/a?b=1&c=;2" {
		t.Errorf("got %d links, want one to the target", len(links))
	}
}

func TestEveryKindOfErrorHasItsOwnWords(t *testing.T) {
	v := newViews(t, views.Brand{})
	for _, tag := range tags() {
		seen := map[string]views.ErrorKind{}
		for _, k := range kinds() {
			root := parse(t, render(t, v.Error(v.Language(tag, ""), views.Error{Kind: k})))
			title := text(find(root, "h1")[0])
			before, repeated := seen[title]
			unknown := k > views.ErrAppUnavailable
			if repeated != unknown || (unknown && before != views.ErrInternal) {
				t.Errorf("%s: kind %d says %q; said before: %v, by kind %d", tag, k, title, repeated, before)
			}
			seen[title] = k
			if len(find(root, "a")) != 0 || len(find(root, "code")) != 0 {
				t.Errorf("%s: kind %d links or refers to something it was not given", tag, k)
			}
		}
	}
}

func TestTheDemoCanBeFoundByTests(t *testing.T) {
	v := newViews(t, views.Brand{})
	demo := views.Demo{SignInURL: "/in", SignOutURL: "/out", AuthURL: "/api/auth", TokenURL: "/api/cognito-token", AccessLife: 90 * time.Second,
		EventsURL: "http://127.0.0.1:9000/event", RealtimeURL: "ws://127.0.0.1:9000/event/realtime", User: []views.Claim{{"email", "ana@example.com"}}}
	ids := func(page string) []string {
		var found []string
		for _, n := range find(parse(t, page), "") {
			if id := attr(n, "data-testid"); id != "" {
				found = append(found, id)
			}
		}
		return found
	}
	before := render(t, v.Demo(views.Language{}, demo))
	if got, want := ids(before), []string{"sign-in"}; !slices.Equal(got, want) {
		t.Errorf("signed out: got %v, want %v", got, want)
	}
	if strings.Contains(before, "<script") {
		t.Error("signed out: there is a script, and nothing for it to do")
	}
	demo.SignedIn = true
	after := render(t, v.Demo(views.Language{}, demo))
	for _, want := range []string{"user-email", "get-token", "token", "expires-in", "refresh-now", "log", "sign-out", "channel-state", "messages", "text", "send", "drop"} {
		if !slices.Contains(ids(after), want) {
			t.Errorf("signed in: got %v, want %s among them", ids(after), want)
		}
	}
	for _, want := range []string{`data-token-url="/api/cognito-token"`, `data-access-life="90"`, `data-auth-url="/api/auth"`, `data-events-url="http://127.0.0.1:9000/event"`,
		`data-realtime-url="ws://127.0.0.1:9000/event/realtime"`, `data-speaker="ana@example.com"`, "<noscript>"} {
		if !strings.Contains(after, want) {
			t.Errorf("signed in: want %s on the page", want)
		}
	}
}

func TestTheDemoSpeaksUnderTheBestNameItKnows(t *testing.T) {
	v := newViews(t, views.Brand{})
	tests := map[string]struct {
		user []views.Claim
		want string
	}{
		"the e-mail address":          {[]views.Claim{{"name", "Ana"}, {"email", "ana@example.com"}, {"sub", "s"}}, "ana@example.com"},
		"without one, the name":       {[]views.Claim{{"sub", "s"}, {"name", "Ana"}}, "Ana"},
		"without a name, the subject": {[]views.Claim{{"sub", "s"}}, "s"},
		"without anything":            {nil, "somebody"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			page := render(t, v.Demo(views.Language{}, views.Demo{SignedIn: true, User: tt.user}))
			if want := `data-speaker="` + tt.want + `"`; !strings.Contains(page, want) {
				t.Errorf("want %s on the page", want)
			}
		})
	}
}

func BenchmarkLogin(b *testing.B) {
	v := newViews(b, views.Brand{})
	l := v.Language("ja", "")
	links := v.LanguageLinks(l, "/login?returnTo=%2Fa")
	b.ReportAllocs()
	for b.Loop() {
		var out bytes.Buffer
		if err := v.Login(l, views.Login{SignInURL: "/in", SignUpURL: "/up", Languages: links}).Render(b.Context(), &out); err != nil {
			b.Fatal(err)
		}
	}
}
