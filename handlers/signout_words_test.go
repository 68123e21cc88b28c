package handlers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// everyWay posts the values of everywhere in each way that a sign-out hears.
func everyWay(t *testing.T, values ...string) map[string]func(*browser) answer {
	t.Helper()
	fields := url.Values{"everywhere": values}
	return map[string]func(*browser) answer{
		"in the query":        func(b *browser) answer { return b.post(signOutPath+"?"+fields.Encode(), nil) },
		"in a form":           func(b *browser) answer { return b.post(signOutPath, fields) },
		"in a form, after no": func(b *browser) answer { return b.post(signOutPath+"?everywhere=false", fields) },
		"in a script's form": func(b *browser) answer {
			body, kind := formData(t, fields, 10)
			return b.send(http.MethodPost, signOutPath, body, kind)
		},
	}
}

func TestSignOutEverywhereIsHeardInTheWordsOfForms(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for words, everywhere := range map[string]bool{
		"true": true, "TRUE": true, "True": true, "1": true, "on": true, "On": true, "0 1": true, "false on": true,
		"false": false, "FALSE": false, "0": false, "off": false, "": false,
	} {
		for where, ask := range everyWay(t, strings.Split(words, " ")...) {
			b, other := s.browser(t), s.browser(t)
			b.signIn()
			other.signIn()
			if a := ask(b); a.status != http.StatusSeeOther || b.holdsSession() {
				t.Errorf("%q %s: got %d, want 303 and no session", words, where, a.status)
			}
			other.alive("the person's other browser after "+words+" "+where, !everywhere)
		}
		a := s.stranger(t).get(signOutPath+"?"+url.Values{"everywhere": strings.Split(words, " ")}.Encode(), "Sec-Fetch-Site: same-origin")
		if asks := a.status == http.StatusOK && strings.Contains(a.body, "Sign out on all devices?"); asks != everywhere || !asks && a.status != http.StatusSeeOther {
			t.Errorf("%q in a link: got %d, want the page that asks: %t, else 303", words, a.status, everywhere)
		}
	}
}

// One device would be signed out where all are meant, and the person believe the lost telephone signed out.
func TestSignOutRefusesAWordThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	for _, words := range [][]string{{"yes"}, {"true "}, {"2"}, {"all"}, {"null"}, {"true", "maybe"}, {"maybe", "true"}} {
		for where, ask := range everyWay(t, words...) {
			a := ask(b)
			if a.status != http.StatusBadRequest || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || len(a.set) != 0 {
				t.Errorf("%q %s: got %d, want 400 as a page", words, where, a.status)
			}
		}
	}
	if a := b.get(signOutPath + "?everywhere=yes"); a.status != http.StatusBadRequest || len(a.set) != 0 {
		t.Errorf("in a link: got %d, want 400", a.status)
	}
	b.alive("after all of them", true)
}

// Another site's page has no say, understood or not: the person is asked, and by a page that says what about.
func TestWhatAnotherSiteSaysWronglyIsAskedAboutAllTheSame(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	elsewhere := []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	for _, row := range []struct {
		method, query, body string
		headers             []string
	}{
		{"POST", "?everywhere=yes&returnTo=/bye", "", nil},
		{"POST", "?returnTo=/bye", "everywhere=yes", form},
		{"POST", "?everywhere=maybe", "everywhere=true&returnTo=/bye", form},
		{"POST", "?returnTo=/bye", "everywhere=true", []string{"Content-Type: text/plain"}},
		{"POST", "?returnTo=/bye", "returnTo=" + strings.Repeat("x", 64<<10), form},
		{"GET", "?everywhere=yes&returnTo=/bye", "", nil},
	} {
		a := b.send(row.method, signOutPath+row.query, row.body, slices.Concat(elsewhere, row.headers)...)
		if a.status != http.StatusOK || !strings.Contains(a.body, `action="/api/auth/sign-out"`) || !strings.Contains(a.body, `value="/bye"`) || len(a.set) != 0 {
			t.Errorf("%s %s: got %d, want the page that asks", row.method, row.query, a.status)
		}
		if strings.Contains(a.body, `name="everywhere"`) || strings.Contains(a.body, "Sign out on all devices?") {
			t.Errorf("%s %s: a word that is not understood is taken for one that is", row.method, row.query)
		}
	}
	b.alive("after all of them", true)
}

// A person who turns back at the provider's logout must not be led by that sign-out in the next one.
func TestASignOutDoesNotFollowAnAbandonedOne(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for name, second := range map[string]func(*browser) answer{
		"without returnTo":         func(b *browser) answer { return b.post(signOutPath, nil) },
		"with one that is refused": func(b *browser) answer { return b.post(signOutPath+"?returnTo=//evil.example", nil) },
		"to the root":              func(b *browser) answer { return b.get(signOutPath + "?returnTo=/") },
	} {
		b := s.browser(t)
		b.signIn()
		if a := b.post(signOutPath+"?returnTo=/bye", nil); a.sets(s.cookie+".o") == nil {
			t.Fatalf("got %d without the note of where the sign-out leads", a.status)
		}
		second(b)
		if back := b.get(signOutPath + "-callback"); back.status != http.StatusOK || back.location() != "" {
			t.Errorf("a sign-out %s leads to %q (%d), want the signed-out page", name, back.location(), back.status)
		}
	}
}

func TestASignInForgetsWhereASignOutWouldHaveLed(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	b.post(signOutPath+"?returnTo=/bye", nil)
	if a := b.signIn(); !a.cleared(s.cookie + ".o") {
		t.Error("the note of the abandoned sign-out stays")
	}
	b.alive("the new session", true)
	if back := b.get(signOutPath + "-callback"); back.location() != "" {
		t.Errorf("the callback leads to %q", back.location())
	}
}
