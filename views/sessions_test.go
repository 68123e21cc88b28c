package views_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"vestibule/views"
)

// calledBy is what a button is called: the words of the elements that its aria-labelledby names, in that order.
func calledBy(t *testing.T, root, button *html.Node) string {
	t.Helper()
	var words []string
	for _, id := range strings.Fields(attr(button, "aria-labelledby")) {
		var named []*html.Node
		for _, n := range find(root, "") {
			if attr(n, "id") == id {
				named = append(named, n)
			}
		}
		if len(named) != 1 {
			t.Fatalf("%d elements have the id %s, want one", len(named), id)
		}
		said := text(named[0])
		if terms := find(named[0], "dt"); len(terms) == 1 { // a browser puts a space between blocks
			said = text(terms[0]) + " " + text(find(named[0], "dd")[0])
		}
		words = append(words, said)
	}
	return strings.Join(words, " ")
}

func TestEachSessionsButtonIsCalledByWhatTellsItFromOthers(t *testing.T) {
	v := newViews(t, views.Brand{})
	at := time.Date(2031, time.May, 6, 7, 8, 9, 0, time.UTC)
	list := []views.Device{
		{ID: "a", Browser: "Chrome", System: "Linux", Started: at.Add(time.Hour), Seen: at, Current: true},
		{ID: "b", Browser: "Chrome", System: "Linux", Started: at.Add(3 * time.Second), Seen: at},
		{ID: "c", Browser: "Chrome", System: "Linux", Started: at, Seen: at},
		{ID: "d", Browser: "Firefox", System: "Linux", Started: at, Seen: at},
		{ID: "e"},
		{ID: "f", Browser: "Firefox", System: "Linux", Started: at.Add(time.Millisecond), Seen: at},
	}
	for tag, want := range map[string][]string{
		"en": {"Sign out Chrome on Linux This device Signed in 2031-05-06 08:08 UTC", "Sign out Chrome on Linux Signed in 2031-05-06 07:08:12 UTC",
			"Sign out Chrome on Linux Signed in 2031-05-06 07:08:09 UTC", "Sign out Firefox on Linux Signed in 2031-05-06 07:08:09 UTC", "Sign out Unknown device",
			"Sign out Firefox on Linux (2) Signed in 2031-05-06 07:08:09 UTC"},
		"pt-BR": {"Sair Chrome no Linux Este dispositivo Conectado desde 2031-05-06 08:08 UTC", "Sair Chrome no Linux Conectado desde 2031-05-06 07:08:12 UTC"},
		"ja":    {"サインアウト Linux の Chrome この端末 サインイン日時 2031-05-06 08:08 UTC", "サインアウト Linux の Chrome サインイン日時 2031-05-06 07:08:12 UTC"},
		"id":    {"Keluar Chrome di Linux Perangkat ini Masuk sejak 2031-05-06 08:08 UTC", "Keluar Chrome di Linux Masuk sejak 2031-05-06 07:08:12 UTC"},
		"zh-CN": {"退出登录 Linux 上的 Chrome 此设备 登录时间 2031-05-06 08:08 UTC", "退出登录 Linux 上的 Chrome 登录时间 2031-05-06 07:08:12 UTC"},
	} {
		root := parse(t, render(t, v.Sessions(v.Language(tag, ""), views.Sessions{List: list, Action: "/end", SignOutURL: "/out"})))
		seen := map[string]bool{}
		for i, button := range find(find(root, "ul")[0], "button") {
			called := calledBy(t, root, button)
			if i < len(want) && called != want[i] {
				t.Errorf("%s, row %d: got %q, want %q", tag, i+1, called, want[i])
			}
			if seen[called] {
				t.Errorf("%s: two buttons are called %q", tag, called)
			}
			if seen[called] = true; !strings.HasPrefix(called, text(button)) {
				t.Errorf("%s: %q does not begin with what stands on the button", tag, called)
			}
		}
		if len(seen) != len(list) {
			t.Errorf("%s: got %d buttons, want %d", tag, len(seen), len(list))
		}
	}
}
