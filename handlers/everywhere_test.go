package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vestibule/kv"
	"vestibule/session"
)

const signOutPath = "/api/auth/sign-out"

func TestSignOutEverywhereEndsAllSessionsOfThePerson(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		for asked, ask := range map[string]func(*browser) answer{
			"in the form":  func(b *browser) answer { return b.post(signOutPath, url.Values{"everywhere": {"true"}}) },
			"in the query": func(b *browser) answer { return b.post(signOutPath+"?everywhere=true", nil) },
			"in both, with returnTo": func(b *browser) answer {
				return b.post(signOutPath+"?returnTo=/bye", url.Values{"everywhere": {"true"}})
			},
		} {
			t.Run(name+" "+asked, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, withLogouts(mode))
				second := s.replica(t, withLogouts(mode))
				b, other, bob := s.browser(t), s.browser(t), s.browser(t)
				b.signIn()
				other.signIn()
				bob.signIn(s.provider.Users()[1])
				old := b.cookies()
				a := ask(b)
				if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), s.provider.URL()+"/logout?") || b.holdsSession() {
					t.Errorf("got %d to %q, want 303 to the provider's logout and the cookie gone", a.status, a.location())
				}
				s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
				other.at(second).alive("the person's other browser, at the other replica", false)
				bob.at(second).alive("another person's", true)
				if got := s.provider.Stats().Revoke.OK; got != 1 {
					t.Errorf("%d refresh tokens revoked, want that of the session that asked", got)
				}
			})
		}
	}
}

func TestSignOutEverywhereIsAskedForTwiceByALink(t *testing.T) {
	t.Parallel()
	s := newServer(t, withLogouts(session.ModeCookie))
	b := s.browser(t)
	b.signIn()
	for name, a := range map[string]answer{
		"a link of our own":       b.get(signOutPath+"?everywhere=true", "Sec-Fetch-Site: same-origin"),
		"typed":                   b.get(signOutPath + "?everywhere=true&returnTo=/bye"),
		"another site's link":     b.get(signOutPath+"?everywhere=true", "Sec-Fetch-Site: cross-site"),
		"another site's form":     b.post(signOutPath, url.Values{"everywhere": {"true"}}, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"),
		"another site's old form": b.post(signOutPath+"?everywhere=true", nil, "Origin: https://evil.example"),
	} {
		if a.status != http.StatusOK || !strings.Contains(a.body, "Sign out on all devices?") || !strings.Contains(a.body, `name="everywhere" value="true"`) {
			t.Errorf("%s: got %d, want the page that asks whether all devices are meant", name, a.status)
		}
		if strings.Contains(a.body, "/bye") != (name == "typed") {
			t.Errorf("%s: returnTo is not handed on, or is made up", name)
		}
		b.alive(name, true)
	}
	for _, value := range []string{"", "0", "false", "FALSE", "off"} {
		other := s.browser(t)
		other.signIn()
		if a := other.get(signOutPath+"?everywhere="+url.QueryEscape(value), "Sec-Fetch-Site: same-origin"); a.status != http.StatusSeeOther {
			t.Errorf("everywhere=%q: got %d, want the sign-out of this browser", value, a.status)
		}
		b.alive("after everywhere="+value+" in another browser", true)
	}
	page := b.get(signOutPath + "?everywhere=true&lang=pt-BR").body
	if !strings.Contains(page, "Sair de todos os dispositivos?") {
		t.Error("the page does not speak the language that is asked for")
	}
}

// Whoever believes that a lost telephone is signed out must not be wrong.
func TestASignOutThatDidNotReachAllDevicesSaysSo(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			store := &picky{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
			s := newServer(t, func(o *options) {
				withLogouts(mode)(o)
				o.clock, o.session.Store = clock, store
			})
			b := s.browser(t)
			b.signIn()
			store.refuse("", "ended-")
			a := b.post(signOutPath, url.Values{"everywhere": {"true"}})
			store.refuse("", "")
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "Not all devices are signed out") || a.header.Get("Retry-After") == "" {
				t.Errorf("got %d %s, want 503 and the page that says so", a.status, a.body)
			}
			if b.holdsSession() {
				t.Error("this browser is still signed in")
			}
		})
	}
}

func TestSignOutEverywhereOfNobodyIsASignOut(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.browser(t).signIn() // so that the provider is known
	if a := s.browser(t).post(signOutPath, url.Values{"everywhere": {"true"}}); a.status != http.StatusSeeOther {
		t.Errorf("got %d, want 303", a.status)
	}
}
