package views_test

import (
	"strings"
	"testing"

	"vestibule/views"
)

func TestANameCannotTurnItselfAround(t *testing.T) {
	v := newViews(t, views.Brand{})
	name, want := "ana\u202emoc.live\u202c@\u2067x\u2069.example", "anamoc.live@x.example"
	user := []views.Claim{{Name: "email", Value: name}, {Name: "name", Value: "\u05d0\u200f(\u200ea)"}}
	pages := map[string]string{
		"login":    render(t, v.Login(views.Language{}, views.Login{SignedInAs: name})),
		"confirm":  render(t, v.ConfirmSignOut(views.Language{}, views.ConfirmSignOut{SignedInAs: name, Action: "/out"})),
		"sessions": render(t, v.Sessions(views.Language{}, views.Sessions{SignedInAs: name})),
		"demo":     render(t, v.Demo(views.Language{}, views.Demo{SignedIn: true, User: user})),
	}
	for at, page := range pages {
		var shown []string
		for _, n := range find(parse(t, page), "bdi") {
			shown = append(shown, text(n))
		}
		if !strings.Contains(strings.Join(shown, "|"), want) {
			t.Errorf("%s: got %q, want %q", at, shown, want)
		}
		if strings.ContainsAny(page, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
			t.Errorf("%s: what turns text around got onto the page", at)
		}
	}
	if !strings.Contains(pages["demo"], "\u05d0\u200f(\u200ea)") {
		t.Error("demo: a name in two scripts lost its marks")
	}
	hidden := render(t, v.ConfirmSignOut(views.Language{}, views.ConfirmSignOut{SignedInAs: "\u202e", Action: "/out"}))
	if strings.Contains(hidden, "Signed in as") {
		t.Error("a label stands over nothing")
	}
}
