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
	for k := views.ErrInternal; k <= views.ErrAppUnavailable+1; k++ {
		all = append(all, k)
	}
	return all
}

// every page by name, full of what it can show. hostile is put wherever the caller's data goes.
func every(v *views.Views, l views.Language, hostile string) map[string]templ.Component {
	demo := views.Demo{
		User:       []views.Claim{{Name: "email", Value: "ana@example.com" + hostile}, {Name: hostile, Value: hostile}},
		SignInURL:  "/api/auth/sign-in?returnTo=%2F" + hostile,
		SignOutURL: "/api/auth/sign-out" + hostile, SessionURL: "/api/auth/session" + hostile, SessionsURL: "/api/auth/sessions" + hostile, TokenURL: "/api/cognito-token" + hostile,
		AuthURL: "/api/auth" + hostile, EventsURL: "http://127.0.0.1:9000/event" + hostile, RealtimeURL: "ws://127.0.0.1:9000/event/realtime" + hostile,
		Users:      []views.DemoUser{{Email: "ana@example.com" + hostile, Password: hostile}},
		AccessLife: time.Minute, ProviderURL: "http://localhost:9000/pool",
	}
	demo.HomeURL, demo.MachineURL = "/"+hostile, "/machine"+hostile
	machines := views.DemoMachine{
		HomeURL: "/" + hostile, MachineURL: "/machine" + hostile, BurstURL: "/machine/burst" + hostile, ProviderURL: "http://localhost:9000/pool",
		Size: 1000, AtOnce: 50, AccessLife: time.Minute,
	}
	afterwards := machines
	afterwards.Bursts = []views.DemoBurst{{Number: 2, Asked: 1, Waited: 2, Hit: 3, Failed: 4, Calls: 1, Tokens: 1}, {Number: 1, Failed: 10}}
	at := time.Date(2031, time.May, 6, 7, 8, 9, 0, time.UTC)
	alone := views.Sessions{
		SignedInAs: "ana@x" + hostile, Action: "/sessions" + hostile, SignOutURL: "/out" + hostile, HomeURL: "/" + hostile, Done: views.DoneOthers,
		List: []views.Device{{ID: "a" + hostile, Browser: "Firefox" + hostile, System: "Windows" + hostile, Started: at, Seen: at, Current: true}},
	}
	several := alone
	several.Done, several.Languages = views.DoneOne, v.LanguageLinks(l, "/sessions"+hostile)
	several.List = append(several.List, views.Device{ID: "b" + hostile, System: "Android" + hostile, Started: at}, views.Device{ID: "c" + hostile})
	signedIn := demo
	signedIn.SignedIn = true
	links := v.LanguageLinks(l, "/login?returnTo="+hostile)
	pages := map[string]templ.Component{
		"login":            v.Login(l, views.Login{SignInURL: "/in" + hostile, SignUpURL: "/up" + hostile, Languages: links}),
		"login, signed in": v.Login(l, views.Login{SignedInAs: "ana@x" + hostile, ContinueURL: "/on" + hostile, SignOutURL: "/out" + hostile}),
		"signed out":       v.SignedOut(l, views.SignedOut{SignInURL: "/in" + hostile, HomeURL: "/" + hostile}),
		"confirm": v.ConfirmSignOut(l, views.ConfirmSignOut{SignedInAs: "ana" + hostile, Action: "/out" + hostile,
			ReturnTo: "/" + hostile, CancelURL: "/" + hostile}),
		"confirm, everywhere": v.ConfirmSignOut(l, views.ConfirmSignOut{Action: "/out" + hostile, ReturnTo: "/" + hostile,
			CancelURL: "/" + hostile, Everywhere: true}),
		"sessions":                      v.Sessions(l, several),
		"sessions, no other":            v.Sessions(l, alone),
		"moving on":                     v.MovingOn(l, views.MovingOn{Target: "/on" + hostile}),
		"demo":                          v.Demo(l, demo),
		"demo, signed in":               v.Demo(l, signedIn),
		"demo, machines before a burst": v.DemoMachine(machines),
		"demo, machines":                v.DemoMachine(afterwards),
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
