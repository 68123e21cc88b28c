package devidp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"vestibule/idp/devidp"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

func withSid(c *devidp.Config) { c.SendSid = true }

// listener is the client's side of a back-channel logout.
type listener struct {
	mu     sync.Mutex
	tokens []string
	status int
}

func (b *bench) listens() *listener {
	b.Helper()
	l := &listener{status: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tokens = append(l.tokens, r.PostFormValue("logout_token"))
		w.WriteHeader(l.status)
	}))
	b.Cleanup(server.Close)
	if err := b.s.SetLogoutURIs(devidp.LogoutURIs{Back: server.URL + "/back", Front: server.URL + "/front?app=1"}); err != nil {
		b.Fatal(err)
	}
	return l
}

func (l *listener) last(t *testing.T, n int) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) != n {
		t.Fatalf("%d logout tokens came, want %d", len(l.tokens), n)
	}
	return part(t, l.tokens[n-1], 1)
}

func TestSidNamesTheBrowsersSignInAndIsSentOnlyWhereItIsAskedFor(t *testing.T) {
	if sid, ok := part(t, start(t).signedIn().ID, 1)["sid"]; ok {
		t.Errorf("a sid %v although Cognito has none", sid)
	}
	b := start(t, withSid)
	first, second := b.signedIn(), b.signedIn()
	sid := part(t, first.ID, 1)["sid"]
	if sid == nil || sid == "" || sid == part(t, second.ID, 1)["sid"] {
		t.Errorf("two browsers have the sids %v and %v", sid, part(t, second.ID, 1)["sid"])
	}
	if again := part(t, b.refresh(first.Refresh).tokens(t).ID, 1)["sid"]; again != sid {
		t.Errorf("after a refresh the sid is %v, want still %v", again, sid)
	}
	doc := b.get(b.http, b.s.Issuer()+"/.well-known/openid-configuration").body
	if !strings.Contains(doc, `"backchannel_logout_session_supported":true`) || !strings.Contains(doc, `"frontchannel_logout_session_supported":true`) {
		t.Errorf("the discovery document does not say so: %s", doc)
	}
}

func TestASignOutTellsTheClientByBothChannels(t *testing.T) {
	b := start(t, withSid)
	l := b.listens()
	browser := b.browser()
	user := b.s.Users()[0]
	back := b.submit(browser, b.authorizeURL(), user.Email, user.Password).header.Get("Location")
	sid := part(t, b.exchange(query(t, back).Get("code")).tokens(t).ID, 1)["sid"]

	page := b.get(browser, b.s.URL()+"/logout?"+url.Values{"client_id": {b.s.ClientID()}, "logout_uri": {signedOut}}.Encode())
	got := l.last(t, 1)
	want(t, "logout token", got, map[string]any{"iss": b.s.Issuer(), "aud": b.s.ClientID(), "sub": user.Sub, "sid": sid})
	if events, _ := got["events"].(map[string]any); events[logoutEvent] == nil || got["jti"] == "" || got["nonce"] != nil {
		t.Errorf("the logout token says %v", got)
	}
	frame := "app=1&amp;" + strings.ReplaceAll(url.Values{"iss": {b.s.Issuer()}, "sid": {sid.(string)}}.Encode(), "&", "&amp;")
	if page.status != http.StatusOK || !strings.Contains(page.body, frame) || !strings.Contains(page.body, signedOut) {
		t.Errorf("got %d %s, want a page that frames %s", page.status, page.body, frame)
	}
	if got := b.s.Stats().Backchannel; got != (devidp.Calls{Asked: 1, OK: 1}) {
		t.Errorf("got %+v", got)
	}
	b.get(browser, b.s.URL()+"/logout?"+url.Values{"client_id": {b.s.ClientID()}, "logout_uri": {signedOut}}.Encode())
	l.last(t, 1) // nobody was signed in any more
}

func TestARevokedUserIsToldBySubjectAlone(t *testing.T) {
	b := start(t)
	l := b.listens()
	user := b.s.Users()[0]
	b.s.RevokeUser(user.Email)
	if got := l.last(t, 1); got["sub"] != user.Sub || got["sid"] != nil {
		t.Errorf("got %v, want the sub alone", got)
	}
	l.status = http.StatusBadRequest
	b.s.DisableUser(user.Sub)
	l.last(t, 2)
	if got := b.s.Stats().Backchannel; got != (devidp.Calls{Asked: 2, OK: 1, Refused: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestALogoutTokenCanBeMadeHostile(t *testing.T) {
	b := start(t)
	for name, row := range map[string]struct {
		ask    devidp.Logout
		header map[string]any
		claims map[string]any
	}{
		"honest":             {devidp.Logout{Subject: "s"}, map[string]any{"typ": "logout+jwt", "alg": "RS256"}, map[string]any{"sub": "s", "sid": nil, "iss": b.s.Issuer()}},
		"of a session alone": {devidp.Logout{SessionID: "i"}, nil, map[string]any{"sub": nil, "sid": "i"}},
		"another type":       {devidp.Logout{Subject: "s", Type: "at+jwt"}, map[string]any{"typ": "at+jwt"}, nil},
		"a known jti":        {devidp.Logout{Subject: "s", ID: "again"}, nil, map[string]any{"jti": "again"}},
		"claims changed":     {devidp.Logout{Subject: "s", Claims: map[string]any{"nonce": "n", "events": nil}}, nil, map[string]any{"nonce": "n", "events": nil}},
		"another issuer":     {devidp.Logout{Subject: "s", Lies: devidp.Lies{WrongIssuer: true}}, nil, map[string]any{"iss": "https://somebody-else.example"}},
		"not signed":         {devidp.Logout{Subject: "s", Lies: devidp.Lies{Alg: devidp.AlgNone}}, map[string]any{"alg": "none"}, nil},
		"signed with HMAC":   {devidp.Logout{Subject: "s", Lies: devidp.Lies{Alg: devidp.AlgHS256}}, map[string]any{"alg": "HS256", "typ": "logout+jwt"}, nil},
	} {
		token, err := b.s.LogoutToken(t.Context(), row.ask)
		if err != nil {
			t.Fatal(err)
		}
		want(t, name+": header", part(t, token, 0), row.header)
		want(t, name+": claims", part(t, token, 1), row.claims)
	}
}

func TestLogoutURIsStayOnThisMachine(t *testing.T) {
	b := start(t)
	for _, raw := range []string{"https://app.example.com/out", "ftp://localhost/", "/out", "http://user@localhost/", "http://localhost/#x", "%zz"} {
		for _, uris := range []devidp.LogoutURIs{{Back: raw}, {Front: raw}} {
			if err := b.s.SetLogoutURIs(uris); !errors.Is(err, devidp.ErrConfig) {
				t.Errorf("%+v: got %v, want ErrConfig", uris, err)
			}
		}
	}
	if _, _, err := b.s.SendLogoutToken(t.Context(), "x"); !errors.Is(err, devidp.ErrConfig) {
		t.Errorf("without a URI: got %v, want ErrConfig", err)
	}
}
