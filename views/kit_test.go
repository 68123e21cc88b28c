package views_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"vestibule/static"
	"vestibule/views"
)

func newAssets(t testing.TB) *static.Assets {
	t.Helper()
	a, err := static.New(static.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newViews(t testing.TB, brand views.Brand) *views.Views {
	t.Helper()
	v, err := views.New(views.Config{Brand: brand, Assets: newAssets(t)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tags are the languages that the pages speak.
func tags() []string { return []string{"en", "pt-BR", "ja", "id", "zh-CN"} }

// kinds are all kinds of error, and one that does not exist.
func kinds() []views.ErrorKind {
	var all []views.ErrorKind
	for k := views.ErrInternal; k <= views.ErrProviderBroken+1; k++ {
		all = append(all, k)
	}
	return all
}

// every page by name, full of what it can show. hostile is put wherever the caller's data goes.
func every(v *views.Views, l views.Language, hostile string) map[string]templ.Component {
	demo := views.Demo{
		User:       []views.Claim{{Name: "email", Value: "ana@example.com" + hostile}, {Name: hostile, Value: hostile}},
		SignInURL:  "/api/auth/sign-in?returnTo=%2F" + hostile,
		SignOutURL: "/api/auth/sign-out" + hostile, SessionURL: "/api/auth/session" + hostile, TokenURL: "/api/cognito-token" + hostile,
		Users:      []views.DemoUser{{Email: "ana@example.com" + hostile, Password: hostile}},
		AccessLife: time.Minute, ProviderURL: "http://localhost:9000/pool",
	}
	signedIn := demo
	signedIn.SignedIn = true
	links := v.LanguageLinks(l, "/login?returnTo="+hostile)
	pages := map[string]templ.Component{
		"login":            v.Login(l, views.Login{SignInURL: "/in" + hostile, SignUpURL: "/up" + hostile, Languages: links}),
		"login, signed in": v.Login(l, views.Login{SignedInAs: "ana@x" + hostile, ContinueURL: "/on" + hostile, SignOutURL: "/out" + hostile}),
		"signed out":       v.SignedOut(l, views.SignedOut{SignInURL: "/in" + hostile, HomeURL: "/" + hostile}),
		"confirm": v.ConfirmSignOut(l, views.ConfirmSignOut{SignedInAs: "ana" + hostile, Action: "/out" + hostile,
			ReturnTo: "/" + hostile, CancelURL: "/" + hostile}),
		"moving on":       v.MovingOn(l, views.MovingOn{Target: "/on" + hostile}),
		"demo":            v.Demo(l, demo),
		"demo, signed in": v.Demo(l, signedIn),
	}
	for _, k := range kinds() {
		pages[fmt.Sprintf("error %d", k)] = v.Error(l, views.Error{Kind: k, RetryURL: "/again" + hostile, HomeURL: "/" + hostile, RequestID: "r" + hostile})
	}
	return pages
}

func render(t testing.TB, c templ.Component) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Render(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func parse(t testing.TB, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// find gives all elements of a name, in order; "" all elements.
func find(root *html.Node, name string) []*html.Node {
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}
